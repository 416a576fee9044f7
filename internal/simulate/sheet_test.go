package simulate

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// figures compares figures of a sheet, as people read them, with those of a test's own table.
func figures(t *testing.T, sheet Sheet, want map[string]string) {
	t.Helper()
	seen := map[string]string{}
	for i := range sheet.Figures {
		seen[sheet.Figures[i].Name] = sheet.Figures[i].text()
	}
	for name, value := range want {
		if got, ok := seen[name]; !ok || got != value {
			t.Errorf("%s: %s is %q, want %q; there are %v", sheet.Title, name, got, value, seen)
		}
	}
}

// million is a workload of a million tokens an hour for a day, in so many thousandths of output.
func million(output int64) Demand {
	w, err := NewWorkload(24, 1_000_000-1000*output, 1000*output)
	if err != nil {
		panic(err)
	}
	return NewDemand(w, sonnet, Setup{}, 1)
}

// TestBreakEven: tokens an hour from which a model unit is cheaper than 3 and 15 dollars a million, worked out by hand
// as price / (3 + 12 * output).
func TestBreakEven(t *testing.T) {
	prices := []money.Pico{39_600 * money.Dollar / 1000, 27_720 * money.Dollar / 1000, 19_800 * money.Dollar / 1000}
	for _, row := range []struct {
		output int64
		even   [3]string
	}{
		{0, [3]string{"13,200,000", "9,240,000", "6,600,000"}},
		{80, [3]string{"10,000,000", "7,000,000", "5,000,000"}},
		{100, [3]string{"9,428,571", "6,600,000", "4,714,286"}},
		{250, [3]string{"6,600,000", "4,620,000", "3,300,000"}},
		{1000, [3]string{"2,640,000", "1,848,000", "1,320,000"}},
	} {
		one := Capacity{What: "model units", Prices: prices, Number: 1, Serves: 20_000_000}
		sheet := CapacitySheet(one, million(row.output))
		figures(t, sheet, map[string]string{
			"at $39.60: cheaper from tokens an hour": row.even[0], "at $27.72: cheaper from tokens an hour": row.even[1],
			"at $19.80: cheaper from tokens an hour": row.even[2], "at $27.72: below the first price": "30.0 %",
			"at $19.80: 730 hours": "$14,454.00", "at $39.60: 24 hours": "$950.40",
		})
	}
	two := CapacitySheet(Capacity{What: "model units", Prices: prices[:1], Number: 2, Serves: 400_000}, million(80))
	figures(t, two, map[string]string{
		"at $39.60: cheaper from tokens an hour": "20,000,000", "at $39.60: cheaper from a use of": "2500.0 %",
		"at $39.60: saving": "-1900.0 %", // two units cost 79.20 an hour, the tokens 3.96
	})
	if last := two.Figures[len(two.Figures)-2]; !strings.Contains(last.Note, "does not") {
		t.Errorf("%+v says nothing of what two units do not serve", last)
	}
	alone := Capacity{What: "model units", Prices: prices[:1], Number: 1}
	none := CapacitySheet(alone, Demand{Cost: new(big.Rat), Days: 30})
	if len(none.Figures) != 2 {
		t.Errorf("without a demand: %+v", none.Figures)
	}
}

// TestLevers: what caches and batch cost, by hand from 3, 15, a read at 0.75 and a write at 3.75 dollars a million.
func TestLevers(t *testing.T) {
	cached := sonnet
	cached.Rates.CacheRead, cached.Rates.CacheWrite5m = cached.Rates.Input/4, cached.Rates.Input*5/4
	cached.Rates.CacheWrite1h = cached.Rates.Input * 2
	cached.Batch = record.TokenRates{Input: cached.Rates.Input / 2, Output: cached.Rates.Output / 2}
	f := func(l Levers, m Model, want map[string]string) {
		t.Helper()
		figures(t, LeverSheet(document, m, m, Setup{Levers: l}), want)
	}
	f(Levers{CacheHit: share("0.7"), CacheWrite: share("0.1")}, cached, map[string]string{
		"without levers": "$31,500.00", "saving": "28.6 %",
		"as asked": "$22,500.00", // 18,000 * (0.2 + 0.7/4 + 0.1*1.25) + 13,500
		"uses of a prefix from which it pays, 5 minutes": "1.33 x", "share of hits above which it pays, 5 minutes": "25.0 %",
		"uses of a prefix from which it pays, 1 hour": "2.33 x", "share of hits above which it pays, 1 hour": "57.1 %",
		"a read is below fresh input by": "75.0 %", "1,000 tokens read from the cache": "$0.000750",
	})
	f(Levers{Batch: share("1")}, cached, map[string]string{"as asked": "$15,750.00", "saving": "50.0 %"})
	f(Levers{Batch: share("0.5"), CacheHit: share("1")}, cached,
		map[string]string{"as asked": "$16,875.00"}) // 15,750/2 + 18,000/2
	f(Levers{Batch: share("1")}, sonnet, map[string]string{"as asked": "$31,500.00", "requests that may wait": "100.0 %"})
	f(Levers{CacheHit: share("1")}, Model{ID: "x", Rates: record.TokenRates{Input: 5, CacheRead: 5}},
		map[string]string{"cache": "0.0 %"})
	for _, l := range []Levers{
		{CacheHit: share("0.7"), CacheWrite: share("0.4")}, {CacheHit: share("-0.1")}, {Batch: share("1.1")},
		{CacheWrite: share("-0.1")}, {Batch: share("-1")},
	} {
		if _, err := RunAlone(document, nil, Setup{Levers: l}); !errors.Is(err, ErrLevers) {
			t.Errorf("%+v: %v", l, err)
		}
		if _, err := Run(document, nil, Setup{Light: haiku, Escalation: sonnet, Levers: l}); !errors.Is(err, ErrLevers) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if _, err := RunAlone(document, nil, Setup{Discount: share("1")}); !errors.Is(err, ErrFactor) {
		t.Error(err)
	}
}

// TestHosting: figures that were worked out by hand, from prices per unit.
func TestHosting(t *testing.T) {
	prices := DefaultUnitPrices()
	d := million(0) // three dollars a million
	figures(t, ImportedSheet(Imported{Units: 8, Copies: 2, Awake: share("12")}, prices, 30, &d), map[string]string{
		"a lone call": "$2.29", "a copy, an hour": "$27.45", "a copy, 24 hours": "$658.71",
		"all copies, days 30, awake 12.0 hours": "$19,761.41", "all copies, 730 hours": "$40,071.74",
		"storage, a month": "$15.60", "cheaper from tokens an hour": "18,297,600",
	})
	figures(t, KnowledgeBaseSheet(KnowledgeBase{
		Documents: 5_000_000, Tokens: 400, Bytes: 435_000, OCUs: 2, Embedding: "e", Again: share("0.25"),
		Rate: 100_000 * money.Price(money.Dollar) / 1_000_000, // 0.10 dollars a million
	}, prices), map[string]string{
		"OpenSearch Serverless, 2 units, 720 hours": "$345.60", "OpenSearch Serverless, 2 units, 730 hours": "$350.40",
		"tokens to embed": "2,000,000,000", "embedding all of them once": "$200.00", "embedding again, a month": "$50.00",
		"gigabytes in S3": "2,175", "S3, a month": "$50.03", "1,000 tokens embedded": "$0.000100",
	})
	figures(t, SeatsSheet(NewDemand(document, sonnet, Setup{}, 250), 100), map[string]string{
		"all seats, 250 days": "$31,500.00", "a seat, 250 days": "$315.00", "a seat, a twelfth of that": "$26.25",
	})
	for _, wrong := range []string{"ocu-hour", "ocu-hour=x", "ocu-hour=-1", "oil=3", ""} {
		if err := prices.Set(wrong); !errors.Is(err, ErrUnitPrice) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// TestChain adds up six calls of 4,000 and 600 tokens that each carry the answers before them, one after the other.
func TestChain(t *testing.T) {
	one := Workload{10, 40_000, 6_000}
	chain, err := one.Chained(6)
	want := Workload{Requests: 60}
	for call := range int64(6) {
		want.Input += 10 * (4000 + 600*call)
		want.Output += 10 * 600
	}
	if err != nil || chain != want {
		t.Errorf("%+v, %v, want %+v", chain, err, want)
	}
	figures(t, ChainSheet(NewDemand(one, sonnet, Setup{}, 1), NewDemand(chain, sonnet, Setup{}, 1), 6),
		map[string]string{"one call": "$0.210000", "calls that carry nothing over": "$1.26",
			"calls that carry the answers before": "$1.53", "over one call": "7.29 x"})
	for _, calls := range []int64{0, -1, 1001} {
		if _, err := one.Chained(calls); !errors.Is(err, ErrChain) {
			t.Errorf("%d: %v", calls, err)
		}
	}
	if _, err := (Workload{1, 1 << 52, 0}).Chained(2); !errors.Is(err, ErrChain) {
		t.Error(err)
	}
}

// TestTiers: prices of the shipped books in a tier, and those of guardrails and embeddings.
func TestTiers(t *testing.T) {
	cfg, err := config.LoadPrices(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	table, _ := record.Compile(cfg)
	all := ListPrices(cfg.Prices, table, time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC))
	flex := all.InTier("flex")
	pro, err := flex.Find("nova-pro")
	if err != nil || pro.Rates.Input != rates("0.40", "0").Input || pro.Rates.Output != rates("0", "1.60").Output {
		t.Errorf("%+v, %v", pro, err)
	}
	if _, err := flex.Find("claude-3-5-sonnet"); !errors.Is(err, ErrModel) {
		t.Errorf("Claude has no price in the tier flex: %v", err)
	}
	if m, err := all.Find("us.anthropic.claude-3-5-sonnet-20241022-v2:0"); err != nil || m.Batch.Input*2 != m.Rates.Input {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := all.InTier("default").Find("claude-3-5-sonnet"); err != nil || m.Rates.Input != sonnet.Rates.Input {
		t.Errorf("%+v, %v", m, err)
	}
	g := Guarded{Policies: []string{"content", "word"}, Texts: []int64{2000, 1001, 0}, Requests: 10}
	sheet, err := all.GuardrailSheet(g, UnitPrices{})
	if err != nil {
		t.Fatal(err)
	}
	figures(t, sheet, map[string]string{
		"text units of a request": "4", "a request": "$0.003000", "10 requests": "$0.030000",
	})
	if _, err := all.GuardrailSheet(Guarded{Policies: []string{"luck"}}, UnitPrices{}); !errors.Is(err, ErrGuardrail) {
		t.Error(err)
	}
	if _, err := all.Embedding("nothing"); !errors.Is(err, ErrModel) {
		t.Error(err)
	}
}
