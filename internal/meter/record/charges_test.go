package record

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestCharges: what becomes of each hold, by outcome and unit.
func TestCharges(t *testing.T) {
	usd, tokens := dayWindow("acme", UnitUSD), dayWindow("acme/team", UnitTokens)
	requests, open := Window{Tenant: "acme", Unit: UnitRequests, Period: "minute", Start: testDay,
		End: testDay.Add(time.Minute)}, Window{Tenant: "acme", Unit: UnitConcurrent}
	prices := testPrices(t)
	check := func(name string, op wire.Operation, e End, want []Charge) {
		t.Helper()
		s := newStart()
		s.Op = op
		s.Charges = []Charge{{Window: usd, Amount: 18_000}, {Window: tokens, Amount: 150}, {Window: requests, Amount: 1},
			{Window: open, Amount: 1}}
		e.ID, e.At = s.ID, testDay
		p, _ := Derive(s, &e, prices)
		if diff := cmp.Diff(want, p.Charges); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	used := wire.Usage{Input: wire.Known(10), Output: wire.Known(5)}
	cached := wire.Usage{Input: wire.Known(10), Output: wire.Known(5), CacheRead: wire.Known(3),
		CacheWrite5m: wire.Known(2), CacheWrite1h: wire.Known(1)}
	suspense := []Charge{{usd, 18_000, true}, {tokens, 150, true}, {requests, 1, false}}
	nothing := []Charge{{usd, 0, false}, {tokens, 0, false}, {requests, 1, false}}
	check("completed", wire.OpConverse, End{Outcome: Completed, Usage: used},
		[]Charge{{usd, 1_800, false}, {tokens, 15, false}, {requests, 1, false}})
	check("M29: the caches have no price", wire.OpConverse, End{Outcome: Completed, Usage: cached},
		[]Charge{{usd, 1_800, false}, {usd, 16_200, true}, {tokens, 21, false}, {requests, 1, false}})
	dear := wire.Usage{Input: wire.Known(1000), Output: wire.Known(5), CacheRead: wire.Known(3)}
	check("M29: what has a price is above the hold", wire.OpConverse, End{Outcome: Completed, Usage: dear},
		[]Charge{{usd, 61_200, false}, {usd, 0, true}, {tokens, 1008, false}, {requests, 1, false}})
	flex := used
	flex.ServiceTier = "flex"
	check("M2: the tier that served has no price", wire.OpConverse, End{Outcome: Completed, Usage: flex},
		[]Charge{{usd, 18_000, true}, {tokens, 15, false}, {requests, 1, false}})
	check("failed", wire.OpConverse, End{Outcome: Failed}, nothing)
	check("unknown", wire.OpConverse, End{Outcome: Unknown}, suspense)
	check("M8: half a usage", wire.OpConverse, End{Outcome: Completed, Usage: wire.Usage{Input: wire.Known(1)}},
		[]Charge{{usd, 60, false}, {usd, 17_940, true}, {tokens, 1, false}, {tokens, 149, true}, {requests, 1, false}})
	check("tokens counted", wire.OpCountTokens, End{Outcome: Completed},
		[]Charge{{usd, 0, false}, {tokens, 0, false}, {requests, 1, false}})
}

func TestMoneyIsRoundedUp(t *testing.T) {
	for pico, want := range map[int64]int64{0: 0, 1: 1, 999: 1, 1000: 1, 1001: 2, 5_000: 5} {
		if got := money.Pico(pico).NanosUp(); got != want {
			t.Errorf("%d pico-dollars are %d, want %d", pico, got, want)
		}
	}
}

// TestNoChargesNoAllocation: calls without budgets pay nothing for them.
func TestNoChargesNoAllocation(t *testing.T) {
	s := newStart()
	s.Charges = nil
	if n := testing.AllocsPerRun(100, func() { chargesOf(s, Completed, spent{}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
