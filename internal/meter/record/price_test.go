package record

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const perMillion = 1_000_000 * money.Price(1) // a pico-dollar per unit

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func entry(model, scope, tier, from string, input int64) config.Price {
	return config.Price{
		Models: []string{model}, Scope: scope, Tier: tier, Effective: day(from),
		Rates: config.Rates{
			Input: money.Price(input) * perMillion, HasInput: true,
			Output: 2 * money.Price(input) * perMillion, HasOutput: true,
		},
	}
}

func TestFind(t *testing.T) {
	table, problems := CompilePrices([]config.PriceBook{
		{Name: "shipped", Prices: []config.Price{
			entry("a", "", "", "2026-01-01", 10),
			entry("a", "", "", "2026-06-01", 11),
			entry("a", "", "flex", "2026-01-01", 5),
			entry("a", "global", "", "2026-01-01", 9),
			entry("b", "geo", "", "2026-01-01", 30),
			entry("b", "", "", "2026-01-01", 20),
			entry("c*", "", "", "2026-01-01", 40),
			entry("c-1*", "", "", "2026-01-01", 41),
			entry("c-1-x", "", "", "2026-01-01", 42),
		}},
		{Name: "own", Prices: []config.Price{entry("a", "", "", "2025-01-01", 7), entry("d", "", "", "2026-12-01", 1)}},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f := func(sku SKU, at string, want int64, suffix string) {
		t.Helper()
		p := table.Find(sku, day(at))
		if p == nil {
			if want != 0 {
				t.Errorf("%v on %s is unpriced, want %d", sku, at, want)
			}
			return
		}
		if p.input.price != money.Price(want)*perMillion || strings.HasSuffix(p.Version, "+region") != (suffix != "") {
			t.Errorf("%v on %s: %d (%s), want %d%s", sku, at, p.input.price/perMillion, p.Version, want, suffix)
		}
	}
	f(SKU{Model: "a"}, "2026-03-01", 7, "") // the later book wins, whatever its day
	f(SKU{Model: "a"}, "2024-12-31", 0, "") // before any price
	f(SKU{Model: "a", Tier: "flex"}, "2026-03-01", 5, "")
	f(SKU{Model: "a", Tier: "priority"}, "2026-03-01", 0, "") // a tier is never guessed
	f(SKU{Model: "a", Scope: "geo"}, "2026-03-01", 7, "+region")
	f(SKU{Model: "a", Scope: "global"}, "2026-03-01", 9, "")
	f(SKU{Model: "b", Scope: "geo"}, "2026-03-01", 30, "")
	f(SKU{Model: "b", Scope: "global"}, "2026-03-01", 0, "") // nor a global price
	f(SKU{Model: "c-9"}, "2026-03-01", 40, "")
	f(SKU{Model: "c-1-y"}, "2026-03-01", 41, "")
	f(SKU{Model: "c-1-x"}, "2026-03-01", 42, "")
	f(SKU{Model: "d"}, "2026-11-30", 0, "")
	f(SKU{Model: "d"}, "2026-12-01", 1, "")
	f(SKU{Model: ""}, "2026-03-01", 0, "")
	var none *PriceBook
	if none.Find(SKU{Model: "a"}, testDay) != nil {
		t.Error("a nil table has prices")
	}
}

func TestFindNewestDay(t *testing.T) {
	table, _ := CompilePrices([]config.PriceBook{{Prices: []config.Price{
		entry("a", "", "", "2026-06-01", 11), entry("a", "", "", "2026-01-01", 10), entry("a", "", "", "2026-09-01", 12),
	}}})
	for at, want := range map[string]int64{"2026-05-31": 10, "2026-06-01": 11, "2026-08-31": 11, "2027-01-01": 12} {
		if p := table.Find(SKU{Model: "a"}, day(at)); p == nil || p.input.price != money.Price(want)*perMillion {
			t.Errorf("%s: %+v, want %d", at, p, want)
		}
	}
}

func TestCompileProblems(t *testing.T) {
	f := func(warning bool, want string, books ...config.PriceBook) {
		t.Helper()
		_, problems := CompilePrices(books)
		if len(problems) != 1 || !strings.Contains(problems[0].Message, want) || problems[0].Warning != warning {
			t.Errorf("got %v, want %q", problems, want)
		}
	}
	book := func(p ...config.Price) config.PriceBook { return config.PriceBook{Prices: p} }
	negative := entry("a", "", "", "2026-01-01", -1)
	f(false, "negative", book(negative))
	dear := entry("a", "", "", "2026-01-01", 1)
	dear.Output = MaxPrice + 1
	f(false, "4,000", book(dear))
	guard := config.Price{Models: []string{"guardrail"}, Rates: config.Rates{Guardrail: map[string]money.Price{"mood": 1}}}
	f(false, `"mood"`, book(guard))
	f(true, "1000 times", book(entry("a", "", "", "2026-01-01", 10)), book(entry("a", "", "", "2026-01-01", 10_000)))
}

func TestVersion(t *testing.T) {
	version := func(p config.Price) string {
		table, _ := CompilePrices([]config.PriceBook{{Prices: []config.Price{p}}})
		return table.Find(SKU{Model: "a"}, testDay).Version
	}
	a := version(entry("a", "", "", "2026-01-01", 10))
	if b := version(entry("a", "", "", "2026-01-01", 10)); a != b {
		t.Errorf("%s and %s for equal prices", a, b)
	}
	if b := version(entry("a", "", "", "2026-01-01", 11)); a == b {
		t.Errorf("%s for two prices", a)
	}
	unlisted := entry("a", "", "", "2026-01-01", 10)
	unlisted.HasCacheRead = true // free is not unlisted
	if b := version(unlisted); a == b {
		t.Errorf("%s for free and for unlisted", a)
	}
}

func priceOf(t *testing.T, e *config.Price) *Price {
	t.Helper()
	r, wrong := compileRates(e)
	if wrong != "" {
		t.Fatal(wrong)
	}
	return newPrice(e, r, nil)
}

func TestWorstCase(t *testing.T) {
	e := entry("a", "", "", "2026-01-01", 10)
	e.CacheWrite5m, e.HasCacheWrite5m = 12*perMillion, true
	e.CacheWrite1h, e.HasCacheWrite1h = 20*perMillion, true
	p := priceOf(t, &e)
	if got, ok := p.WorstCase(100, 10); got != 100*20+10*20 || !ok {
		t.Error(got, ok)
	}
	e.HasOutput = false
	p = priceOf(t, &e)
	if _, ok := p.WorstCase(100, 10); ok {
		t.Error("output without a price")
	}
	if got, ok := p.WorstCase(100, 0); got != 2000 || !ok {
		t.Error(got, ok)
	}
	if _, ok := (*Price)(nil).WorstCase(1, 1); ok {
		t.Error("no price at all")
	}
	if got, ok := p.WorstCase(1<<62, 0); got <= 0 || !ok {
		t.Error(got, ok)
	}
}

func TestDerive(t *testing.T) {
	model := entry("light", "", "", "2026-01-01", 10)
	model.CacheRead, model.HasCacheRead = 1*perMillion, true
	flex := entry("light", "", "flex", "2026-01-01", 5)
	guard := config.Price{Models: []string{"guardrail"}, Rates: config.Rates{
		Guardrail: map[string]money.Price{"topic": 100 * perMillion, "word": 0},
	}}
	table, problems := CompilePrices([]config.PriceBook{{Prices: []config.Price{model, flex, guard}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f := func(name string, change func(*Start, *End), want Counters) {
		t.Helper()
		s := newStart()
		e := &End{ID: s.ID, Outcome: Completed, Usage: wire.Usage{Input: wire.Known(100), Output: wire.Known(10)},
			At: testDay}
		change(s, e)
		p, costs := Derive(s, e, table)
		if p.Add != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, p.Add, want)
		}
		var sum money.Pico
		for _, class := range p.Add.CostClasses() {
			sum += class
		}
		if costs.Total() != sum {
			t.Errorf("%s: costs %+v", name, costs)
		}
	}
	plain := Counters{Legs: 1, Input: 100, Output: 10, CostInput: 1000, CostOutput: 200}
	with := func(change func(*Counters)) Counters { c := plain; change(&c); return c }
	f("plain", func(*Start, *End) {}, plain)
	f("served, escalated, drained, cut", func(_ *Start, e *End) {
		e.Served, e.Escalated, e.Drained, e.TokensCut = true, true, true, 7
	}, with(func(c *Counters) { c.Requests, c.Escalated, c.Drained, c.TokensCut = 1, 1, 1, 7 }))
	f("wasted", func(_ *Start, e *End) { e.Wasted = true }, with(func(c *Counters) { c.CostWasted = 1200 }))
	f("the tier that served", func(_ *Start, e *End) { e.Usage.ServiceTier = "flex" },
		Counters{Legs: 1, Input: 100, Output: 10, CostInput: 500, CostOutput: 100})
	f("default tier", func(_ *Start, e *End) { e.Usage.ServiceTier = "default" }, plain)
	f("tier without a price", func(_ *Start, e *End) { e.Usage.ServiceTier = "priority" },
		Counters{Legs: 1, Input: 100, Output: 10, Unpriced: 1})
	f("model without a price", func(s *Start, _ *End) { s.SKU.Model = "other" },
		Counters{Legs: 1, Input: 100, Output: 10, Unpriced: 1})
	f("cache read", func(_ *Start, e *End) { e.Usage.CacheRead = wire.Known(50) },
		with(func(c *Counters) { c.CacheRead, c.CostCacheRead = 50, 50 }))
	f("class without a price", func(_ *Start, e *End) { e.Usage.CacheWrite5m = wire.Known(50) },
		with(func(c *Counters) { c.CacheWrite5m, c.Unpriced = 50, 1 }))
	f("guardrail", func(_ *Start, e *End) {
		e.Usage.GuardrailUnits[wire.GuardrailTopic], e.Usage.GuardrailUnits[wire.GuardrailWord] = 2, 3
	}, with(func(c *Counters) { c.GuardrailUnits, c.CostGuardrail = 5, 200 }))
	f("guardrail policy without a price", func(_ *Start, e *End) { e.Usage.GuardrailUnits[wire.GuardrailGrounding] = 1 },
		with(func(c *Counters) { c.GuardrailUnits, c.Unpriced = 1, 1 }))
	f("failed", func(_ *Start, e *End) { e.Outcome, e.Usage = Failed, wire.Usage{} }, Counters{Legs: 1})
	suspense := Counters{Legs: 1, Unknown: 1, SuspenseTokens: 150, Suspense: 100*10 + 50*20}
	f("unknown", func(_ *Start, e *End) { e.Outcome, e.Usage = Unknown, wire.Usage{} }, suspense)
	f("M8: input alone is known", func(_ *Start, e *End) { e.Usage.Output = wire.Count{} },
		Counters{Legs: 1, Unknown: 1, Input: 100, CostInput: 1000, SuspenseTokens: 50, Suspense: 50 * 20})
	f("M8: output alone is known", func(_ *Start, e *End) { e.Usage.Input = wire.Count{} },
		Counters{Legs: 1, Unknown: 1, Output: 10, CostOutput: 200, SuspenseTokens: 140, Suspense: 100*10 + 40*20})
	f("M8: input alone is known, with a hold and without output", func(s *Start, e *End) {
		s.Hold, s.MaxOutput, e.Usage.Output = 1500, 0, wire.Count{}
	}, Counters{Legs: 1, Unknown: 1, Input: 100, CostInput: 1000})
	f("M8: half known of what has no price any more", func(s *Start, e *End) {
		s.Hold, s.SKU.Model, e.Usage.Output = 1500, "other", wire.Count{}
	}, Counters{Legs: 1, Unknown: 1, Input: 100, SuspenseTokens: 50, Suspense: 1500, Unpriced: 1})
	f("M8: a stream that was cut behind a running count", func(_ *Start, e *End) { e.Outcome = Unknown },
		Counters{Legs: 1, Unknown: 1, Input: 100, Output: 10, CostInput: 1000, CostOutput: 200, SuspenseTokens: 40,
			Suspense: 40 * 20})
	f("M8: cache alone is known", func(_ *Start, e *End) {
		e.Usage = wire.Usage{CacheRead: wire.Known(50)}
	}, Counters{Legs: 1, Unknown: 1, CacheRead: 50, CostCacheRead: 50, SuspenseTokens: 150, Suspense: 100*10 + 50*20})
	f("absurd usage", func(_ *Start, e *End) { e.Usage.Input = wire.Known(1 << 60) }, suspense)
	f("unknown with a hold", func(s *Start, e *End) { s.Hold, e.Outcome, e.Usage = 9, Unknown, wire.Usage{} },
		Counters{Legs: 1, Unknown: 1, SuspenseTokens: 150, Suspense: 9})
	f("search units, images and time without a price", func(_ *Start, e *End) {
		e.Usage.Queries, e.Usage.Images, e.Usage.Milliseconds = wire.Known(2), wire.Known(3), wire.Known(4)
	}, with(func(c *Counters) { c.Queries, c.Images, c.Milliseconds, c.Unpriced = 2, 3, 4, 1 }))
	f("guardrail call", func(s *Start, e *End) {
		s.Op, s.SKU, e.Usage = wire.OpApplyGuardrail, SKU{}, wire.Usage{}
		e.Usage.GuardrailUnits[wire.GuardrailTopic] = 4
	}, Counters{Legs: 1, GuardrailUnits: 4, CostGuardrail: 400})
	f("count tokens", func(s *Start, _ *End) { s.Op = wire.OpCountTokens }, Counters{})
}
