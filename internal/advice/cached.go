package advice

import (
	"math/big"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// CacheKey is what has one price for input.
type CacheKey struct{ Tenant, Model string }

// Cached is what was read from and written to a prompt cache, and what it cost.
type Cached struct {
	Read, Written5m, Written1h int64
	ReadCost, WriteCost        money.Total
	Plain                      big.Rat // pico-dollars that the same would have cost as input
	Blind                      bool    // Plain is not known: there was no plain input to compare with
}

// Add adds a row. Plain input is priced as the other input of the same row.
func (c *Cached) Add(r *record.Counters) {
	c.Read += r.CacheRead
	c.Written5m += r.CacheWrite5m
	c.Written1h += r.CacheWrite1h
	c.ReadCost.Add(r.CostCacheRead)
	for _, p := range [...]money.Pico{r.CostCacheWrite, r.CostCacheWrite5m, r.CostCacheWrite1h} {
		c.WriteCost.Add(p)
	}
	if r.Input <= 0 {
		c.Blind = true
		return
	}
	price := big.NewRat(int64(r.CostInput), r.Input)
	c.Plain.Add(&c.Plain, price.Mul(price, big.NewRat(r.CacheRead+r.CacheWrite5m+r.CacheWrite1h, 1)))
}

// Saved is what the cache saved in pico-dollars, negative when it did cost more than plain input.
func (c *Cached) Saved() *big.Rat {
	saved := new(big.Rat).Sub(&c.Plain, c.ReadCost.Rat())
	return saved.Sub(saved, c.WriteCost.Rat())
}

// Caches are what was cached, by tenant and model.
type Caches map[CacheKey]*Cached

// Add adds a row of a ledger.
func (all Caches) Add(k *record.RowKey, c *record.Counters) {
	if c.CacheRead == 0 && c.CacheWrite5m == 0 && c.CacheWrite1h == 0 {
		return
	}
	at := CacheKey{k.Tenant, k.Model}
	if all[at] == nil {
		all[at] = &Cached{}
	}
	all[at].Add(c)
}
