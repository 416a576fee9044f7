"""The traffic of a simulated month: six kinds of tenants, drawn from a seed.

A request is a point in time, a model, a system prompt, and the turns of a conversation. Texts are
named, not written: whoever sends them makes so many bytes of the name. What the stand-in does with a
request stands in its last text, in brackets, so that it is the same whichever lever is pulled:
[o=N] is the number of output tokens, [hard] has a light model decline, [busy] has flex throttle it,
[late] has flex answer after 25 seconds.
"""

import dataclasses
import random

DAY = 86_400_000  # milliseconds

CHAT, AGENT = "us.anthropic.claude-sonnet-5-5", "us.anthropic.claude-sonnet-5"
SMALL = "us.anthropic.claude-haiku-5-5"
NIGHT, STEADY, OPEN = "us.amazon.nova-pro-v1:0", "us.amazon.nova-2-lite-v1:0", "openai.gpt-oss-120b-1:0"


@dataclasses.dataclass
class Request:
    at: int  # milliseconds since the month began
    tenant: str
    op: str  # converse, converse-stream, invoke
    model: str
    system: str  # the name of the system prompt
    system_bytes: int
    talk: str  # the name of the conversation
    turn: int  # messages of the user so far
    user_bytes: int  # of each message of the user
    reply_bytes: int  # of each answer in between
    marks: str
    own: bool = False  # the caller has set a point behind the system prompt


OUTPUTS = (60, 150, 300, 600, 1200)


class World:
    """Draws requests. No two come in the same hundredth of a second."""

    def __init__(self, seed, days):
        self.random, self.days = random.Random(seed), days
        self.requests, self.taken, self.talks = [], set(), 0

    def add(self, at, **rest):
        at = int(at) // 10 * 10
        while at in self.taken:
            at += 10
        self.taken.add(at)
        if at < self.days * DAY:
            self.requests.append(Request(at=at, **rest))

    def marks(self, weights=(1, 2, 4, 2, 1), busy=0.0, late=0.0, hard=0.0):
        text = "[o=%d]" % self.random.choices(OUTPUTS, weights)[0]
        draw = self.random.random()
        if draw < busy:
            text = "[busy]" + text
        elif draw < busy + late:
            text = "[late]" + text
        if self.random.random() < hard:
            text = "[hard]" + text
        return text

    def talk(self, tenant):
        self.talks += 1
        return "%s-%d" % (tenant, self.talks)

    def office(self, day):
        """A time of a working day, mostly between 8 and 18 o'clock."""
        return day * DAY + min(max(self.random.gauss(13, 2.5), 0), 23.9) * 3_600_000

    def conversation(self, at, tenant, turns, gap, **rest):
        """Turns that go on from one another, after a gap of at least four seconds each."""
        talk = self.talk(tenant)
        marks = self.marks()
        for turn in range(1, turns + 1):
            self.add(at, tenant=tenant, talk=talk, turn=turn, marks=marks, **rest)
            at += 4000 + gap()

    def chat(self, day, weekend):
        """People who talk with an assistant that has a long system prompt."""
        for _ in range(30 if weekend else 110):
            self.conversation(
                self.office(day), "chat", self.random.randint(1, 9), lambda: self.random.expovariate(1 / 45_000),
                op=self.random.choice(("converse", "converse-stream")), model=CHAT, system="assistant",
                system_bytes=6000, user_bytes=240, reply_bytes=800)

    def agents(self, day, weekend):
        """Loops of tools: long prompts that grow, with a pause now and then until somebody answers."""
        for k in range(6 if weekend else 30):
            slow = self.random.random() < 0.25

            def gap():
                if slow and self.random.random() < 0.2:
                    return self.random.uniform(6, 25) * 60_000
                return self.random.expovariate(1 / 9_000)

            self.conversation(
                self.office(day), "agents", self.random.randint(4, 24), gap, op="invoke", model=AGENT,
                system="agent-%d" % (k % 3), system_bytes=9000, user_bytes=1600, reply_bytes=400)

    def bursts(self, day, weekend):
        """A document, and many questions about it within two minutes. Its data may not leave the geography."""
        for k in range(2 if weekend else 7):
            at, document = self.office(day), "document-%d-%d" % (day, k)
            for _ in range(60):
                self.add(at + self.random.uniform(0, 120_000), tenant="bursts", talk=self.talk("bursts"), turn=1,
                         marks=self.marks((4, 3, 1, 0, 0)), op="converse", model=SMALL, system=document,
                         system_bytes=16_000, user_bytes=200, reply_bytes=0)

    def nightly(self, day, weekend):
        """A job from one o'clock on, one call after the other, which nobody waits for."""
        for k in range(800):
            self.add(day * DAY + 3_600_000 + k * 12_000, tenant="nightly", talk=self.talk("nightly"), turn=1,
                     marks=self.marks(busy=0.04, late=0.03), op="converse", model=NIGHT, system="job",
                     system_bytes=1200, user_bytes=4000, reply_bytes=0)

    def steady(self, day, weekend):
        """A floor of calls around the clock, and spikes in which flex throttles many of them."""
        for k in range(720):
            self.add(day * DAY + k * 120_000 + self.random.uniform(0, 100_000), tenant="steady",
                     talk=self.talk("steady"), turn=1, marks=self.marks(busy=0.02, late=0.01), op="converse",
                     model=STEADY, system="classify", system_bytes=2000, user_bytes=1200, reply_bytes=0)
        for _ in range(2):
            at = self.office(day)
            for _ in range(100):
                self.add(at + self.random.uniform(0, 60_000), tenant="steady", talk=self.talk("steady"), turn=1,
                         marks=self.marks(busy=0.4, late=0.05), op="converse-stream", model=STEADY,
                         system="classify", system_bytes=2000, user_bytes=1200, reply_bytes=0)

    def mixed(self, day, weekend):
        """Questions for whichever model is good enough, an open model, conversations, and own points."""
        for _ in range(40 if weekend else 140):
            self.add(self.office(day), tenant="mixed", talk=self.talk("mixed"), turn=1, marks=self.marks(hard=0.2),
                     op="converse", model="auto", system="help", system_bytes=800, user_bytes=600, reply_bytes=0)
        for _ in range(80):
            self.add(day * DAY + self.random.uniform(0, DAY), tenant="mixed", talk=self.talk("mixed"), turn=1,
                     marks=self.marks(busy=0.1), op="converse", model=OPEN, system="label", system_bytes=600,
                     user_bytes=1000, reply_bytes=0)
        for _ in range(5 if weekend else 15):
            self.conversation(self.office(day), "mixed", self.random.randint(2, 6),
                              lambda: self.random.expovariate(1 / 60_000), op="invoke", model=SMALL,
                              system="desk", system_bytes=4800, user_bytes=400, reply_bytes=600)
        for _ in range(20):
            self.add(self.office(day), tenant="mixed", talk=self.talk("mixed"), turn=1, marks=self.marks(),
                     op="converse", model=CHAT, system="pointed", system_bytes=8000, user_bytes=300, reply_bytes=0,
                     own=True)

    def draw(self):
        for day in range(self.days):
            weekend = (day + 1) % 7 >= 5  # the month begins on a Tuesday
            for kind in (self.chat, self.agents, self.bursts, self.nightly, self.steady, self.mixed):
                kind(day, weekend)
        return sorted(self.requests, key=lambda r: r.at)
