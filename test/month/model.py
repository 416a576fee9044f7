"""What a simulated month costs, with each lever of cost: written from the price list and from
docs/levers.md, docs/prompt-cache.md and docs/cascade-serving.md, not from the gateway's code.

    python3 model.py --days 30 --seed 1 --out DIR

writes DIR/traffic.jsonl, which a test then sends through the gateway, and DIR/expected.json, with
what each tenant is charged, in pico-dollars. Both are there before the first request is sent.
"""

import argparse
import dataclasses
import heapq
import json
import pathlib

import traffic

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, traffic.DAY
WEEK = 7 * DAY
TUESDAY = DAY  # the month begins one day after a Monday, 00:00 UTC
ANSWER, LATE, FIRST_BYTE = 1003, 25_003, 20_000  # milliseconds

# Dollars per million tokens: input, output, cache read, write for 5 minutes, write for an hour.
# Amazon Bedrock, us-east-1, 2026-11-28; flex is half of the default tier.
PRICES = {
    "us.anthropic.claude-sonnet-5-5": (2.2, 11, 0.11, 2.75, 4.4),
    "global.anthropic.claude-sonnet-5-5": (2, 10, 0.1, 2.5, 4),
    "us.anthropic.claude-sonnet-5": (2.2, 11, 0.22, 2.75, 4.4),
    "global.anthropic.claude-sonnet-5": (2, 10, 0.2, 2.5, 4),
    "us.anthropic.claude-haiku-5-5": (0.11, 0.55, 0.011, 0.1375, 0.22),
    "global.anthropic.claude-haiku-5-5": (0.1, 0.5, 0.01, 0.125, 0.2),
    "us.amazon.nova-pro-v1:0": (0.8, 3.2),
    "us.amazon.nova-2-lite-v1:0": (0.33, 2.75),
    "global.amazon.nova-2-lite-v1:0": (0.3, 2.5),
    "openai.gpt-oss-120b-1:0": (0.15, 0.6),
}
# The fewest tokens that a model keeps. Of the others the list has no price of a write.
MINIMUM = {"sonnet-5-5": 512, "sonnet-5": 1024, "haiku-5-5": 512}
FLEX = ("us.amazon.nova-pro-v1:0", "us.amazon.nova-2-lite-v1:0", "openai.gpt-oss-120b-1:0")

ANYWHERE = ("chat", "agents", "steady", "mixed")  # tenants with residency: any, where that lever is pulled
PATIENT = ("nightly", "steady", "mixed")  # tenants with tier: {try: flex, first_byte: 20s, then: default}
CAPPED, CAP = ("chat", "agents"), 300
STRONG, LIGHT = "us.anthropic.claude-sonnet-5", "us.amazon.nova-2-lite-v1:0"  # of the cascade
# Units for the floor of steady serve a call in each second, and are paid by the hour. A batch job costs half.
FLOOR, ROOM, HOURLY = "steady", 1, 30_000_000_000
JOBS = "nightly"
LEVERS = ("cascade", "cap", "cache", "tier", "residency", "capacity", "batch", "pools")
RUNS = {"off": ()} | {lever: (lever,) for lever in LEVERS}
RUNS |= {"same answers": LEVERS[2:], "all": LEVERS}


def minimum(model):
    return MINIMUM.get(model.rpartition("claude-")[2])


def pico(dollars_per_million):
    return round(dollars_per_million * 1_000_000)  # per token


class BedrockCache:
    """Prompt caches as AWS documents them: a point finds what is kept up to 20 blocks before it, a hit
    begins the lifetime anew, and what is behind the hit up to the points is written."""

    def __init__(self):
        self.kept = {}  # (model, prefix) -> (lifetime, until)

    def ask(self, model, blocks, points, now):
        """blocks are (prefix, tokens up to its end); points are (block, lifetime). Returns tokens that were
        read, and those that were written by lifetime."""
        least = minimum(model)
        points = [p for p in points if blocks[p[0]][1] >= least]
        read = -1
        for at, _ in points:
            for i in range(at, max(at - 20, -1), -1):
                if blocks[i][1] < least:
                    break
                if self.kept.get((model, blocks[i][0]), (0, -1))[1] > now:
                    read = max(read, i)
                    break
        wrote, before = {}, blocks[read][1] if read >= 0 else 0
        if read >= 0:
            self.renew(model, blocks[read][0], now)
        taken = before
        for at, life in points:
            if at <= read:
                self.renew(model, blocks[at][0], now)
                continue
            wrote[life] = wrote.get(life, 0) + blocks[at][1] - before
            before = blocks[at][1]
            self.kept[model, blocks[at][0]] = (life, now + life)
        return taken, wrote

    def renew(self, model, prefix, now):
        if (model, prefix) in self.kept:
            life = self.kept[model, prefix][0]
            self.kept[model, prefix] = (life, now + life)


@dataclasses.dataclass
class Debtor:
    """A prefix, with the longer ones that the turns of a conversation make of it: one debtor."""

    tenant: "Purse"
    last: int
    within: dict = dataclasses.field(default_factory=lambda: {5 * MINUTE: 0.0, HOUR: 0.0})
    gaps: float = 0.0
    owes: int = 0  # premiums less what reads spared
    since_nothing: int = 0  # the same since it last owed nothing
    under_way: int = 0
    prompts: int = 0  # under way
    once_more: int = 0  # what one more write may cost if the model forgets early
    unread: bool = False
    kept: int = 0
    life: int = 0
    misses: int = 0
    stopped: int = 0
    week: int = -1

    def at_risk(self):
        return max(0, self.owes + self.under_way + self.once_more)

    def gap(self, now):
        if self.last < now:
            self.gaps = self.gaps * 0.95 + 1
            for life in self.within:
                self.within[life] = self.within[life] * 0.95 + (now - self.last < life)
            self.last = now

    def lifetime(self, price):
        """The lifetime by which a prompt is cheapest, None when plain input is."""
        best, least = None, price[0]
        for life, write in ((5 * MINUTE, price[3]), (HOUR, price[4])):
            hit = (self.within[life] + 0.5) / (self.gaps + 1)
            cost = hit * price[2] + (1 - hit) * write
            if cost < least:
                best, least = life, cost
        return best

    def settle(self, now):
        """Gives a write up that nobody read in time, and forgets what is owed when the pause is over."""
        week = (now + TUESDAY) // WEEK
        if week != self.week:
            self.week, self.owes = week, 0
        if self.unread and now > self.kept:
            self.unread, self.once_more = False, 0
            self.misses += 1
            self.stopped = now + min(2 * self.life * 2 ** min(self.misses - 1, 12), WEEK)
        if now >= self.stopped and now >= self.kept + self.life and not self.unread and not self.prompts:
            self.tenant.lost += max(0, self.owes)
            self.owes, self.since_nothing = min(0, self.owes), 0


class Purse:
    """What a tenant has spent this week on models whose cache is known, and what it may lose."""

    def __init__(self):
        self.week, self.spent, self.lost, self.debtors = -1, 0, 0, {}

    def roll(self, now):
        week = (now + TUESDAY) // WEEK
        if week != self.week:
            self.week, self.spent, self.lost = week, 0, 0

    def changed(self, debtor):
        """Keeps only those that have something at risk."""
        if debtor.at_risk():
            self.debtors[id(debtor)] = debtor
        else:
            self.debtors.pop(id(debtor), None)

    def allows(self, more):
        risk = sum(d.at_risk() for d in self.debtors.values()) if more > 0 else 0
        return more <= 0 or risk + self.lost + more <= self.spent // 100


@dataclasses.dataclass
class Prefix:
    debtor: Debtor
    tokens: int
    most: int
    seen: int = 0
    until: int = -1
    life: int = 0


class Injection:
    """Where prompt_cache: {inject: auto} puts points (docs/prompt-cache.md)."""

    MARGIN = 5 * SECOND

    def __init__(self):
        self.prefixes, self.purses = {}, {}

    def place(self, request, model, price, now):
        """Decides about a prompt, and returns what is to be told back when it was answered."""
        purse = self.purses.setdefault(request.tenant, Purse())
        purse.roll(now)
        ends = ends_of(request)
        known = [self.prefixes.get((request.tenant, model, e[1])) for e in ends]
        for prefix in known:
            if prefix:
                prefix.debtor.gap(now)
        placed = {"purse": purse, "ends": ends, "began": now, "points": [], "target": None, "base": None}
        if not request.own:
            self.choose(placed, known, model, price, now)
        return placed

    def choose(self, placed, known, model, price, now):
        ends = placed["ends"]
        for i in range(len(ends) - 1, -1, -1):
            x = known[i]
            if not x or x.tokens < minimum(model):
                continue
            x.debtor.settle(now)
            placed["purse"].changed(x.debtor)
            if x.until > now + self.MARGIN:
                self.read(placed, x, ends[i][0], price)
                return
            base = None
            for k in range(i - 1, -1, -1):
                y = known[k]
                if not y or y.tokens < minimum(model):
                    continue
                if y.until > now + self.MARGIN:
                    base = k
                    break
                if base is None and ends[k][0] == 0:
                    base = k  # the system prompt is written on the way
            if self.write(placed, x, ends[i][0], known[base] if base is not None else None,
                          ends[base][0] if base is not None else 0, price, now):
                return

    def read(self, placed, x, block, price):
        d, premium = x.debtor, x.most * (price[3 if x.life == 5 * MINUTE else 4] - price[0])
        after = d.owes + d.under_way + premium
        if d.prompts and after > 0 or d.owes > 0 and not d.once_more:
            return
        if placed["purse"].allows(max(0, after) - d.at_risk()):
            placed["warm"] = True
            placed["points"] = [(block, x.life)]
            self.fly(placed, x, x.life, premium, 0)

    def write(self, placed, x, block, base, base_block, price, now):
        d = x.debtor
        life = d.lifetime(price)
        warm = base is not None and base.until > now + self.MARGIN
        if life is None or now < d.stopped or d.prompts or d.since_nothing > 0 or d.owes > 0 or d.unread and not warm:
            return False
        if warm:
            life = min(life, base.life)
        premium = x.most * (price[3 if life == 5 * MINUTE else 4] - price[0])
        if now - x.seen >= life or not placed["purse"].allows(max(0, d.owes + 2 * premium) - d.at_risk()):
            return False
        placed["base_life"] = base.life if warm else life
        if base is not None:
            placed["base"] = base
            placed["points"].append((base_block, placed["base_life"]))
        placed["points"].append((block, life))
        placed["warm"] = False
        self.fly(placed, x, life, premium, premium)
        return True

    def fly(self, placed, x, life, premium, risk):
        placed["target"], placed["life"], placed["premium"] = x, life, premium
        d = x.debtor
        d.under_way, d.once_more, d.prompts = d.under_way + premium, risk, d.prompts + 1
        placed["purse"].changed(d)

    def answered(self, request, model, placed, read, wrote, cost, price, now):
        placed["purse"].roll(now)
        placed["purse"].spent += cost
        if placed["target"]:
            self.book(placed, read, wrote, price, now)
        self.learn(request, model, placed, read + sum(wrote.values()))

    def book(self, placed, read, wrote, price, now):
        x, began = placed["target"], placed["began"]
        d = x.debtor
        d.settle(now)
        d.under_way, d.prompts = d.under_way - placed["premium"], d.prompts - 1
        paid = sum(n * (price[3 if life == 5 * MINUTE else 4] - price[0]) for life, n in wrote.items())
        saved = read * (price[0] - price[2])
        x.tokens = x.most = read + sum(wrote.values())
        x.until, x.life = began + placed["life"], placed["life"]
        if placed["base"]:
            placed["base"].until, placed["base"].life = began + placed["base_life"], placed["base_life"]
        if read:
            d.unread, d.misses, d.once_more = False, 0, 0
        if wrote:
            d.unread, d.kept, d.life, d.once_more = True, began + placed["life"], placed["life"], 0
            if not placed["warm"]:
                d.once_more = x.most * (price[3 if x.life == 5 * MINUTE else 4] - price[0])
        d.owes += paid - saved
        d.since_nothing = max(0, d.since_nothing + paid - saved)
        placed["purse"].changed(d)

    def learn(self, request, model, placed, cached):
        ends, began = placed["ends"], placed["began"]
        everything = ends[-1][2]
        debtor = None
        for block, name, _ in reversed(ends):
            if block and (request.tenant, model, name) in self.prefixes:
                debtor = self.prefixes[request.tenant, model, name].debtor
                break
        for block, name, tokens in ends:
            key = (request.tenant, model, name)
            if key not in self.prefixes:
                own = debtor if block else None
                own = own or Debtor(placed["purse"], began, week=(began + TUESDAY) // WEEK)
                debtor = own if block else debtor
                self.prefixes[key] = Prefix(own, tokens, everything)
            x = self.prefixes[key]
            x.seen, x.most = began, min(x.most, everything)
            if x.until < 0:
                x.tokens = tokens
            if request.own and cached and x.tokens <= cached * 1.02:
                x.until, x.life = began + 5 * MINUTE, 5 * MINUTE


def blocks_of(r):
    """The prefixes of a prompt: (name, tokens up to its end)."""
    blocks, tokens = [("system " + r.system, r.system_bytes // 4)], r.system_bytes // 4
    for i in range(2 * r.turn - 1):
        tokens += (r.user_bytes if i % 2 == 0 else r.reply_bytes) // 4
        blocks.append(((r.talk, i), tokens))
    return blocks


def ends_of(r):
    """Those that are told apart: the system prompt, the first two messages and the last eight."""
    blocks = blocks_of(r)
    kept = [(i, *b) for i, b in enumerate(blocks)]
    return kept if len(kept) <= 11 else kept[:3] + kept[-8:]


class Run:
    """One month with some levers pulled."""

    def __init__(self, levers):
        self.levers, self.cache, self.injection = levers, BedrockCache(), Injection()
        self.cost, self.later, self.number = {}, [], 0
        self.second, self.served = -1, 0  # what the units had in that second

    def do(self, requests, days):
        if "capacity" in self.levers:  # used or not
            self.cost[FLOOR] = days * 24 * HOURLY
        for r in requests:
            self.until(r.at)
            self.request(r)
        self.until(float("inf"))
        return self.cost

    def until(self, now):
        while self.later and self.later[0][0] <= now:
            at, _, do = heapq.heappop(self.later)
            do(at)

    def after(self, at, do):
        self.number += 1
        heapq.heappush(self.later, (at, self.number, do))

    def request(self, r):
        out = int(r.marks.partition("[o=")[2].partition("]")[0])
        if "cap" in self.levers and r.tenant in CAPPED:
            out = min(out, CAP)
        model = STRONG if r.model == "auto" else r.model
        if "batch" in self.levers and r.tenant == JOBS:
            price = [pico(p) for p in PRICES[model]]
            self.charge(r, (blocks_of(r)[-1][1] * price[0] + out * price[1]) // 2)
            return
        if "capacity" in self.levers and r.tenant == FLOOR and self.fits(r.at // SECOND):
            return
        if r.model == "auto" and "cascade" in self.levers:
            self.leg(r, LIGHT, out, r.at)
            if "[hard]" in r.marks:  # the light answer is a refusal by its stop reason, and wasted
                self.leg(r, model, out, r.at + ANSWER)
            return
        self.leg(r, model, out, r.at)

    def fits(self, second):
        """Whether the units have room for one more call. A call that goes to another member of a pool costs the same."""
        if second != self.second:
            self.second, self.served = second, 0
        self.served += 1
        return self.served <= ROOM

    def leg(self, r, model, out, at):
        flex = "tier" in self.levers and r.tenant in PATIENT and model in FLEX
        everywhere = "global." + model.removeprefix("us.")
        if "residency" in self.levers and r.tenant in ANYWHERE and everywhere in PRICES and not flex:
            model = everywhere
        price = [pico(p) for p in PRICES[model]]
        tokens = blocks_of(r)[-1][1]
        plain = tokens * price[0] + out * price[1]
        if flex:
            if "[busy]" not in r.marks:
                self.charge(r, plain // 2)
            if "[busy]" in r.marks or "[late]" in r.marks:
                self.charge(r, plain)
        elif minimum(model):
            self.cached(r, model, price, out, at)
        else:
            self.charge(r, plain)

    def cached(self, r, model, price, out, at):
        placed = self.injection.place(r, model, price, at) if "cache" in self.levers else None
        points = [(0, 5 * MINUTE)] if r.own else placed["points"] if placed else []

        def answer(now):
            blocks = blocks_of(r)
            read, wrote = self.cache.ask(model, blocks, points, at) if points else (0, {})
            fresh = blocks[-1][1] - read - sum(wrote.values())
            cost = fresh * price[0] + out * price[1] + read * price[2]
            cost += wrote.get(5 * MINUTE, 0) * price[3] + wrote.get(HOUR, 0) * price[4]
            self.charge(r, cost)
            if placed:
                self.injection.answered(r, model, placed, read, wrote, cost, price, now)

        self.after(at + ANSWER, answer)

    def charge(self, r, cost):
        self.cost[r.tenant] = self.cost.get(r.tenant, 0) + cost


def main():
    flags = argparse.ArgumentParser()
    flags.add_argument("--days", type=int, default=30)
    flags.add_argument("--seed", type=int, default=1)
    flags.add_argument("--out", type=pathlib.Path, required=True)
    o = flags.parse_args()
    requests = traffic.World(o.seed, o.days).draw()
    with open(o.out / "traffic.jsonl", "w") as lines:
        for r in requests:
            lines.write(json.dumps(dataclasses.asdict(r)) + "\n")
    costs = {name: Run(levers).do(requests, o.days) for name, levers in RUNS.items()}
    (o.out / "expected.json").write_text(json.dumps(costs, indent=1) + "\n")


if __name__ == "__main__":
    main()
