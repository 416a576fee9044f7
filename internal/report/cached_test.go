package report

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestCachedCosts has rows of prompts that were written to caches and read from them: what that cost and spared against
// plain input of the same price.
func TestCachedCosts(t *testing.T) {
	f := func(premium, saved string, rows ...record.Counters) {
		t.Helper()
		var r Row
		for i := range rows {
			r.add(&rows[i])
		}
		if r.CachePremium.String() != premium || r.CacheSaved.String() != saved {
			t.Errorf("premium %s, saved %s; want %s and %s", &r.CachePremium, &r.CacheSaved, premium, saved)
		}
	}
	of := func(millions float64) money.Pico { return money.Pico(millions * float64(money.Dollar)) }
	wrote := record.Counters{Input: 1e6, CostInput: of(3), CacheWrite5m: 2e6, CostCacheWrite5m: of(7.5),
		CacheWrite1h: 1e6, CostCacheWrite1h: of(6)}
	read := record.Counters{Input: 5e5, CostInput: of(1.5), CacheRead: 4e6, CostCacheRead: of(1.2)}
	f("4.50", "0.00", wrote)
	f("0.00", "10.80", read)
	f("4.50", "10.80", wrote, read)
	f("0.00", "0.00", record.Counters{Input: 1e6, CostInput: of(3), Output: 5, CostOutput: 9})
	f("0.00", "0.00", record.Counters{CacheRead: 1e6, CostCacheRead: of(1)})            // plain input: not known
	f("0.00", "0.00", record.Counters{Input: 1e6, CacheRead: 1e6, Unpriced: 1})         // nor here
	f("0.00", "0.00", wrote, wrote.Negative(), record.Counters{Input: 1, CostInput: 3}) // taken back
}
