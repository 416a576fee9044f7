"""Adds up a journal by tenant and model, from docs/format/journal.md and usage-record.md
alone: python3 sum.py JOURNAL_DIR prints a JSON list, a row for each."""

import json
import os
import sys

HEADER, FRAME = 80, 9
POSTS = {2, 3, 4, 5}
TOTAL = 8
COUNTERS = """requests legs escalated input_tokens output_tokens cache_read_tokens cache_write_5m_tokens
cache_write_1h_tokens guardrail_units tokens_cut unpriced unknown drained suspense_tokens input_usd output_usd
cache_read_usd cache_write_usd guardrail_usd wasted_usd suspense_usd queries images milliseconds
cache_write_5m_usd cache_write_1h_usd query_usd image_usd second_usd discount_usd late_usd withheld_usd cap_hits""".split()
COST = """input_usd output_usd cache_read_usd cache_write_usd cache_write_5m_usd cache_write_1h_usd guardrail_usd
query_usd image_usd second_usd""".split()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def uint(self):
        n = shift = 0
        while True:
            b = self.data[self.at]
            self.at += 1
            n |= (b & 0x7F) << shift
            shift += 7
            if b < 0x80:
                return n

    def int(self):
        n = self.uint()
        return (n >> 1) ^ -(n & 1)

    def text(self):
        n = self.uint()
        self.at += n
        return self.data[self.at - n : self.at].decode()


def frames(name):
    """The frames of a file that grows: what follows a torn one is not there yet."""
    with open(name, "rb") as f:
        data = f.read()
    at = HEADER
    while at + FRAME <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + FRAME + size > len(data):
            return
        yield data[at + 8], data[at + FRAME : at + FRAME + size]
        at += FRAME + size


def add(sums, kind, payload):
    if kind not in POSTS and kind != TOTAL:
        return
    r = Reader(payload)
    version = r.uint()
    if kind == TOTAL:
        r.text()  # writer
        r.text()  # root
    else:
        r.at += 8  # sequence number
        if not r.text():
            return
    r.int()  # hour
    tenant, _, model = r.text(), r.text(), r.text()
    for _ in range(5 + (4 if version >= 3 else 0) + (1 if version >= 4 else 0)):
        r.text()
    mask = r.uint()
    row = sums.setdefault((tenant, model), dict.fromkeys(COUNTERS, 0))
    for i, name in enumerate(COUNTERS):
        if mask >> i & 1:
            row[name] += r.int()


def dollars(pico):
    sign, pico = ("-" if pico < 0 else ""), abs(pico)
    whole, part = divmod(pico, 10**12)
    part = f"{part:012d}"
    return f"{sign}{whole}.{part[:2]}{part[2:].rstrip('0')}"


def main():
    where = sys.argv[1]
    names = sorted(os.listdir(where))
    covered = max([int(n.split(".")[0]) for n in names if n.endswith(".checkpoint")], default=0)
    sums = {}
    for name in names:
        number = name.split(".")[0]
        if name.endswith(".checkpoint") or number.isdigit() and ".seg" in name and int(number) > covered:
            for kind, payload in frames(os.path.join(where, name)):
                add(sums, kind, payload)
    rows = []
    for (tenant, model), row in sorted(sums.items()):
        if not any(v for k, v in row.items() if k not in ("late_usd", "withheld_usd")):
            continue
        cost = sum(row[c] for c in COST)
        out = {"tenant": tenant, "model": model, "list_usd": dollars(cost + row["discount_usd"]), "cost_usd": dollars(cost)}
        out["cache_write_tokens"] = row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"]
        for name in COUNTERS:
            if name not in ("late_usd", "withheld_usd"):
                out[name] = dollars(row[name]) if name.endswith("_usd") else row[name]
        rows.append(out)
    json.dump(rows, sys.stdout)


main()
