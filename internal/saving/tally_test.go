package saving

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

func baseline(cascade string) Baseline {
	return Baseline{Cascade: cascade, Model: strong, SKU: record.SKU{Model: strong}, Quality: bound}
}

// TestTallyAgreesWithTheLedger gives a tally, attempt by attempt, what a ledger
// has, and compares both.
func TestTallyAgreesWithTheLedger(t *testing.T) {
	prices := strongPrices(t)
	rapid.Check(t, func(rt *rapid.T) {
		var tally Tally
		var ledger rows
		for n := range rapid.IntRange(1, 40).Draw(rt, "attempts") {
			r := counted(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "cascade"),
				rapid.SampledFrom([]string{"light", "partner", "shadow", "direct", "escalated"}).Draw(rt, "path"),
				rapid.SampledFrom([]string{strong, weak}).Draw(rt, "model"),
				rapid.IntRange(0, 23).Draw(rt, "hour"),
				record.Counters{
					Requests: 1, Legs: 1, Input: rapid.Int64Range(0, 1e6).Draw(rt, "input"),
					Output: rapid.Int64Range(0, 1e6).Draw(rt, "output"), CostInput: money.Pico(rapid.Int64Range(0, 1e13).Draw(rt,
						"cost")),
				})
			r.Key.Key, r.Key.PriceVersion = fmt.Sprint(n), "1"
			ledger = append(ledger, r)
			tally.Add(&r.Key, &r.Add)
		}
		now := at(2, 0)
		q := Query{From: now.Add(-Window), To: now, Baselines: []Baseline{baseline("a"), baseline("b")}, Prices: prices}
		want, err := Of(t.Context(), ledger, q)
		if err != nil {
			rt.Fatal(err)
		}
		got := tally.Savings(q.Baselines, prices, now)
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
			rt.Fatalf("-ledger +tally:\n%s", diff)
		}
	})
}

// TestTallyForgets keeps as many hours as Window has, whatever comes when.
func TestTallyForgets(t *testing.T) {
	var tally Tally
	tally.Add(&record.RowKey{Hour: at(1, 0)}, &record.Counters{Legs: 1})
	for hour := range 400 {
		tally.Add(&record.RowKey{Hour: at(1, hour), Cascade: "c", Path: "light"}, &record.Counters{Legs: 1})
	}
	tally.Add(&record.RowKey{Hour: at(1, 399), Cascade: "other"}, &record.Counters{Legs: 1})
	if n := len(tally.copied()); n != int(Window/time.Hour)+1 {
		t.Errorf("%d rows", n)
	}
	tally.Add(&record.RowKey{Hour: at(200, 0), Cascade: "other"}, &record.Counters{Legs: 1})
	if n := len(tally.copied()); n != 1 {
		t.Errorf("%d rows after a pause", n)
	}
}

// TestRequest works out single requests by hand: 40 answers of 500 tokens are
// the length, at 3 and 15 dollars per million tokens.
func TestRequest(t *testing.T) {
	prices := strongPrices(t)
	var tally Tally
	light := counted("c", "light", weak, 1, record.Counters{Requests: 1, Legs: 1, Input: 1000, Output: 9000,
		CostInput: cent / 100})
	f := func(what, saved, spent string, attempts ...Row) {
		t.Helper()
		s := tally.Request(baseline("c"), prices, attempts)
		if got := s.Saved.String(); s.NotMeasured != "" || got != saved || s.Spent.String() != spent || !s.Interval {
			t.Errorf("%s: %q %s, spent %s; want %s, spent %s", what, s.NotMeasured, got, s.Spent.String(), saved, spent)
		}
	}
	if s := tally.Request(baseline("c"), prices, []Row{light}); s.NotMeasured == "" {
		t.Error("a saving without a length")
	}
	for hour := range 2 {
		r := strongHour("c", hour, 10_000)
		tally.Add(&r.Key, &r.Add)
	}
	f("light", "0.0104", "0.0001", light) // 0.003 + 0.0075 - 0.0001
	wasted := counted("c", "light", weak, 1, record.Counters{Legs: 1, Input: 1000, CostInput: cent, CostWasted: cent})
	escalated := counted("c", "escalated", strong, 1, record.Counters{Requests: 1, Legs: 1, Escalated: 1, Output: 500,
		CostOutput: 2 * cent})
	f("escalated", "-0.01", "0.03", wasted, escalated)
}
