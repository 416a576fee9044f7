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

// The names of levers.
const (
	GlobalProfile = "global profile"
	Flex          = "flex"
	Batch         = "batch"
	PromptCache   = "prompt cache"
)

// Policy says what a configuration leaves open.
type Policy interface {
	// Open reports whether a tenant may pull a lever for a model that it used, and has not yet.
	Open(tenant, lever, model string) bool
}

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
	// uncached is whether the lever has no prompt cache, and cached whether all plain input could be read from one.
	uncached, cached bool
}

// Levers are all that can be priced by what is recorded.
func Levers() []Lever {
	return []Lever{
		{
			Name: GlobalProfile, Line: "residency: any", Configured: true, Whole: true,
			Risk: "requests may be processed in any commercial region; caches start anew once",
			other: func(sku record.SKU) (record.SKU, bool) {
				now := sku.Scope
				sku.Scope = "global"
				return sku, now != "global" && now != "us-gov"
			},
		},
		{
			Name: Flex, Line: "tier: {try: flex, first_byte: 20s, then: default}", Configured: true,
			Risk: "answers may come later by as much as first_byte",
			other: func(sku record.SKU) (record.SKU, bool) {
				now := sku.Tier
				sku.Tier = "flex"
				return sku, now == ""
			},
		},
		{
			Name: Batch, Line: "a batch job in place of the request", uncached: true,
			Risk: "no answer at once, no prompt cache, no promise of a time",
			other: func(sku record.SKU) (record.SKU, bool) {
				now := sku.Tier
				sku.Tier = "batch"
				return sku, now == "" || now == "flex"
			},
		},
		{
			Name: PromptCache, Line: "prompt_cache: {inject: auto}", Configured: true, cached: true,
			Risk:  "a write that nobody reads costs a premium: one for each prefix and window at most, and 1 % of a week",
			other: func(sku record.SKU) (record.SKU, bool) { return sku, sku.Tier != Batch },
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
	policy   Policy // nil: all is open
	price    func(record.SKU) *record.Price
	found    map[key]*Finding
	Unpriced int64 // rows without a list price or a cost
}

type key struct {
	tenant string
	lever  int
}

// NewBook is a book over a table of prices at one moment, of levers that a policy leaves open; nil leaves all.
func NewBook(table *record.PriceBook, at time.Time, policy Policy) *Book {
	return &Book{
		levers: Levers(), found: map[key]*Finding{}, policy: policy,
		price: func(sku record.SKU) *record.Price { return table.Find(sku, at) },
	}
}

// Use is what a row of a ledger says of tokens, and what its tokens did cost.
func Use(k *record.RowKey, c *record.Counters) *decision.Row {
	return &decision.Row{
		Root: k.Tenant, Model: k.Model, Tier: k.Tier, Input: c.Input, Output: c.Output,
		CacheRead: c.CacheRead, CacheWrite5m: c.CacheWrite5m, CacheWrite1h: c.CacheWrite1h,
		Cost: decision.Dollars(c.CostInput + c.CostOutput + c.CostCacheRead + c.CostCacheWrite + c.CostCacheWrite5m +
			c.CostCacheWrite1h),
	}
}

// Add adds what a tenant used of a model and tier.
func (b *Book) Add(r *decision.Row) {
	if _, ok := b.price(skuOf(r)).TokenRates(); !ok || r.Cost == 0 {
		b.Unpriced++
		return
	}
	for i := range b.levers {
		l := &b.levers[i]
		if saved := b.saves(r, l); saved > 0 && (b.policy == nil || b.policy.Open(r.Root, l.Name, r.Model)) {
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
	if l.cached {
		rates.Input = rates.CacheRead
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
	found := make([]*Finding, 0, len(b.found))
	for _, f := range b.found {
		found = append(found, f)
	}
	return bySaving(found)
}

// bySaving are findings in their order, the greatest first.
func bySaving(found []*Finding) []Finding {
	slices.SortFunc(found, greater)
	all := make([]Finding, len(found))
	for i, f := range found {
		all[i] = *f
	}
	return all
}

func greater(x, y *Finding) int {
	return cmp.Or(y.Saved.Rat().Cmp(x.Saved.Rat()), cmp.Compare(x.Tenant, y.Tenant),
		cmp.Compare(x.Lever.Name, y.Lever.Name), cmp.Compare(x.Lever.Line, y.Lever.Line))
}
