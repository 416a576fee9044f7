// Package advice finds what the recorded use of each tenant would have cost with a lever that
// nobody has pulled: another profile, another service tier, batch jobs.
//
// It prices each minute's tokens anew and keeps the part of the list price that was really
// charged, so that discounts stay. Amounts are pico-dollars, rounded down. It asks nobody.
package advice

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Lever is a way to pay less for the same tokens.
type Lever struct {
	Name string
	Risk string
	// Line is what pulls it: a line of the tenant's configuration where Configured, else what
	// callers have to do.
	Line       string
	Configured bool
	// Whole is whether all of the use can take it. Otherwise what it saves lies between nothing
	// and the amount: how much of the use may wait is not recorded.
	Whole bool

	// other is the SKU in place of one, false where there is none.
	other func(record.SKU) (record.SKU, bool)
	// uncached is whether the lever has no prompt cache.
	uncached bool
}

// Levers are all that can be priced by what is recorded.
func Levers() []Lever {
	return []Lever{
		{
			Name: "global profile", Line: "residency: any", Configured: true, Whole: true,
			Risk: "requests may be processed in any commercial region; caches start anew once",
			other: func(sku record.SKU) (record.SKU, bool) {
				now := sku.Scope
				sku.Scope = "global"
				return sku, now != "global" && now != "us-gov"
			},
		},
		{
			Name: "flex", Line: "tier: {try: flex, first_byte: 20s, then: default}", Configured: true,
			Risk: "answers may come later by as much as first_byte",
			other: func(sku record.SKU) (record.SKU, bool) {
				now := sku.Tier
				sku.Tier = "flex"
				return sku, now == ""
			},
		},
		{
			Name: "batch", Line: "a batch job in place of the request", uncached: true,
			Risk: "no answer at once, no prompt cache, no promise of a time",
			other: func(sku record.SKU) (record.SKU, bool) {
				now := sku.Tier
				sku.Tier = "batch"
				return sku, now == "" || now == "flex"
			},
		},
	}
}

// Finding is what one lever would have saved one tenant in the period.
type Finding struct {
	Tenant string
	Lever  *Lever
	Cost   money.Total // what the use did cost that the lever applies to
	Saved  money.Total
	Least  money.Total // of Saved; that of a lever which is Whole does not count
	// Span is of how much time the amounts are, 0 for the whole period.
	Span time.Duration
}

// Low is what the lever saves at least.
func (f *Finding) Low() money.Total {
	if f.Lever.Whole {
		return f.Saved
	}
	return f.Least
}

// Book adds up findings. Make it with NewBook.
type Book struct {
	levers   []Lever
	price    func(record.SKU) *record.Price
	found    map[key]*Finding
	Unpriced int64 // rows without a list price or a cost
}

type key struct {
	tenant string
	lever  int
}

// NewBook is a book over a table of prices at one moment.
func NewBook(table *record.PriceBook, at time.Time) *Book {
	return &Book{
		levers: Levers(), found: map[key]*Finding{},
		price: func(sku record.SKU) *record.Price { return table.Find(sku, at) },
	}
}

// Add adds what a root tenant used of a model and tier in a minute.
func (b *Book) Add(r *decision.Row) {
	if _, ok := b.price(skuOf(r)).TokenRates(); !ok || r.Cost == 0 {
		b.Unpriced++
		return
	}
	for i := range b.levers {
		if saved := b.saves(r, &b.levers[i]); saved > 0 {
			f := b.finding(key{r.Root, i})
			f.Cost.Add(money.Pico(r.Cost))
			f.Saved.Add(saved)
		}
	}
}

// skuOf is what a row is priced as.
func skuOf(r *decision.Row) record.SKU {
	id := wire.ParseModelID(r.Model)
	return record.SKUOf(id.Foundation, id.Scope, r.Tier, "")
}

// saves is how much of a row's cost a lever would have saved, 0 where it cannot be pulled or priced.
func (b *Book) saves(r *decision.Row, l *Lever) money.Pico {
	now := skuOf(r)
	list, ok := b.price(now).TokenRates()
	other, possible := l.other(now)
	if !ok || !possible {
		return 0
	}
	rates, ok := b.price(other).TokenRates()
	if !ok {
		return 0
	}
	if l.uncached {
		rates.CacheRead, rates.CacheWrite5m, rates.CacheWrite1h = rates.Input, rates.Input, rates.Input
	}
	return part(r, &list, &rates)
}

func (b *Book) finding(k key) *Finding {
	f := b.found[k]
	if f == nil {
		f = &Finding{Tenant: k.tenant, Lever: &b.levers[k.lever]}
		b.found[k] = f
	}
	return f
}

// part is how much of a row's cost the other rates would have saved; negative when they cost more.
func part(r *decision.Row, list, other *record.TokenRates) money.Pico {
	before, after := at(r, list), at(r, other)
	if before.Sign() == 0 {
		return 0
	}
	saved := new(big.Int).Sub(before, after)
	saved.Mul(saved, big.NewInt(int64(r.Cost)))
	return money.Pico(saved.Quo(saved, before).Int64())
}

// at is what a row's tokens cost at rates, times a million.
func at(r *decision.Row, rates *record.TokenRates) *big.Int {
	sum := new(big.Int)
	for _, class := range [...]struct {
		tokens int64
		price  money.Price
	}{
		{r.Input, rates.Input}, {r.Output, rates.Output}, {r.CacheRead, rates.CacheRead},
		{r.CacheWrite5m, rates.CacheWrite5m}, {r.CacheWrite1h, rates.CacheWrite1h},
	} {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(class.tokens), big.NewInt(int64(class.price))))
	}
	return sum
}

// Findings are those that save something, the greatest first.
func (b *Book) Findings() []Finding {
	var all []Finding
	for _, f := range b.found {
		all = append(all, *f)
	}
	slices.SortFunc(all, bySaving)
	return all
}

// bySaving brings the greatest first.
func bySaving(x, y Finding) int {
	return cmp.Or(y.Saved.Rat().Cmp(x.Saved.Rat()), cmp.Compare(x.Tenant, y.Tenant),
		cmp.Compare(x.Lever.Name, y.Lever.Name), cmp.Compare(x.Lever.Line, y.Lever.Line))
}
