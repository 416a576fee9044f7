"""Prices usage by the price files, without the gateway's code.

usage: sum.py USAGE.jsonl DISCOUNTS.json BOOK.yaml...   (later books win)

Prints the sums, in pico-dollars, and how many lines have no price for something.
"""
import json
import sys
from fractions import Fraction

import yaml

PICO = 10**12
CLASSES = ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "query", "image", "second"]
MARKETPLACE = ("anthropic.", "cohere.", "ai21.", "stability.", "luma.", "twelvelabs.", "writer.")


class Text(yaml.SafeLoader):
    """Leaves numbers as they are written."""


Text.yaml_implicit_resolvers = {
    k: [r for r in v if r[0] not in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")]
    for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def rates(entry, per, factor):
    """Dollars for one token, query, image and millisecond."""
    units = {"query": 1, "image": 1, "second": 1000}
    return {c: Fraction(entry[c]) * factor / units.get(c, per) for c in CLASSES if c in entry}


def rows(book):
    per = {"thousand": 1000, "million": 10**6}[book.get("per", "thousand")]
    for e in book["prices"]:
        if "guardrail" in e:
            continue
        regions = e.get("regions", book.get("regions", [])) or [""]
        scopes = e.get("scopes")
        if scopes is None:
            scopes = {"region": "1"} if e.get("regions") else book.get("scopes", {"region": "1", "geo": "1", "global": "1"})
        tiers = {e.get("tier", ""): "1"}
        tiers.update(e.get("tiers", {} if "tier" in e else book.get("tiers", {})))
        for model in e["models"]:
            for scope, by_scope in scopes.items():
                for region in regions if scope == "region" else [""]:
                    for tier, by_tier in tiers.items():
                        by = Fraction(by_scope) * Fraction(by_tier)
                        key = (model, "" if scope == "region" else scope, region, tier)
                        long = e.get("long")
                        yield key, rates(e, per, by), long and (int(long["above"]), rates(long, per, by))


def find(books, model, scope, region, tier):
    def own(scope, region):
        for book in reversed(books):
            for s, r in ((scope, region), ("geo" if scope not in ("", "global") else scope, "")):
                if (model, s, r, tier) in book:
                    return book[(model, s, r, tier)]
        return None

    price = own(scope, "" if scope else region)
    if price or scope == "global" or scope == "us-gov" or region.startswith("us-gov-"):
        return price
    return own("", region) or own("", "us-east-1")


def discount(all_of_them, model, tier, at):
    for d in all_of_them:
        service = "marketplace" if model.startswith(MARKETPLACE) else "bedrock"
        if service in d.get("services", [service]) and (tier or "default") in d.get("tiers", [tier or "default"]):
            if d["from"] <= at <= d.get("to", "9999-12-31"):
                return Fraction(d["percent"]) / 100
    return Fraction(0)


def main():
    usage, discounts, *names = sys.argv[1:]
    books = []
    for name in names:
        with open(name, encoding="utf-8") as f:
            books.append({key: (r, long) for key, r, long in rows(yaml.load(f, Text))})
    with open(discounts, encoding="utf-8") as f:
        discounts = json.load(f)
    net = listed = unpriced = 0
    with open(usage, encoding="utf-8") as f:
        for line in map(json.loads, f):
            counts = line["counts"]
            price = find(books, line["model"], line["scope"], line["region"], line["tier"])
            rate = {}
            if price:
                rate, long = price
                context = sum(counts.get(c, 0) for c in CLASSES if c.startswith(("input", "cache")))
                if long and context > long[0]:
                    rate = long[1]
            off = discount(discounts, line["model"], line["tier"], line["day"])
            unpriced += any(n and c not in rate for c, n in counts.items())
            for c, n in counts.items():
                r = rate.get(c, 0) * PICO
                # a rate is a whole number of pico-dollars per million
                listed += round(r * n)
                net += round(Fraction(round(r * 10**6 * (1 - off)), 10**6) * n)
    print(json.dumps({"net": net, "list": listed, "unpriced": unpriced}))


if __name__ == "__main__":
    main()
