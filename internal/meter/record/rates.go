package record

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TokenRates are what a million tokens of each class cost. A cache class that
// the book does not list has the input price: without a cache the tokens would
// be plain input.
type TokenRates struct {
	Input, Output, CacheRead, CacheWrite5m, CacheWrite1h money.Price
}

// TokenRates returns the listed rates, for what-if arithmetic: calls are billed
// by Meter.End alone. It is false when the input or the output of the model has
// no price, or p is nil.
func (p *Price) TokenRates() (TokenRates, bool) {
	if p == nil {
		return TokenRates{}, false
	}
	orInput := func(r rate) money.Price {
		if r.listed {
			return r.price
		}
		return p.input.price
	}
	return TokenRates{
		Input: p.input.price, Output: p.output.price, CacheRead: orInput(p.cacheRead),
		CacheWrite5m: orInput(p.cacheWrite5m), CacheWrite1h: orInput(p.cacheWrite1h),
	}, p.input.listed && p.output.listed
}

// PricedModel is a model with its listed rates.
type PricedModel struct {
	ID    string
	Rates TokenRates
}

// List returns the models that a book's entries name, each once and in the order
// of the entries, with the rates that t has for them at a time: in-region and in
// the default tier. Patterns, and models without a price for input and output,
// are left out.
func (t *PriceBook) List(book *config.PriceBook, at time.Time) []PricedModel {
	var list []PricedModel
	seen := map[string]bool{}
	for i := range book.Prices {
		for _, id := range book.Prices[i].Models {
			rates, ok := t.Find(SKU{Model: id}, at).TokenRates()
			if ok && !seen[id] && !strings.Contains(id, "*") {
				seen[id] = true
				list = append(list, PricedModel{id, rates})
			}
		}
	}
	return list
}

// Lists reports whether a table has a price of a SKU itself, not one of another
// region or scope.
func (t *PriceBook) Lists(sku SKU, at time.Time) bool {
	return t.find(sku, at) != nil
}

// Rates are the rates charged.
func (p *Price) Rates() *config.Rates {
	r := &config.Rates{
		Input: p.input.price, HasInput: p.input.listed, Output: p.output.price, HasOutput: p.output.listed,
		CacheRead: p.cacheRead.price, HasCacheRead: p.cacheRead.listed,
		CacheWrite5m: p.cacheWrite5m.price, HasCacheWrite5m: p.cacheWrite5m.listed,
		CacheWrite1h: p.cacheWrite1h.price, HasCacheWrite1h: p.cacheWrite1h.listed,
		Query: p.query.price, HasQuery: p.query.listed, Image: p.image.price, HasImage: p.image.listed,
		Second: p.millisecond.price, HasSecond: p.millisecond.listed,
	}
	for i, g := range p.guardrail {
		if !g.listed {
			continue
		}
		if r.Guardrail == nil {
			r.Guardrail = map[string]money.Price{}
		}
		r.Guardrail[guardrailNames[i]] = g.price
	}
	return r
}

// List are the rates of the list price, which are those charged where nothing is
// discounted.
func (p *Price) List() *config.Rates { return p.listed().Rates() }

// Long is the price of a request with more than above tokens of input, nil when its
// length makes no difference.
func (p *Price) Long() (_ *Price, above int64) { return p.long, p.above }

// Source is where the price comes from.
func (p *Price) Source() string { return p.source }

// Effective is the day from which the price holds, in UTC.
func (p *Price) Effective() time.Time { return p.effective }

// Discounted reports whether what is charged is not the list price.
func (p *Price) Discounted() bool { return p.discounted() }

// Prices are all prices of a table: the list prices, what is charged instead, and
// those of long contexts. Prices of patterns come without what is charged instead.
func (t *PriceBook) Prices() []*Price {
	var all []*Price
	add := func(p *Price) {
		all = append(all, p)
		if p.long != nil {
			all = append(all, p.long)
		}
	}
	for i := range t.files {
		for _, prices := range t.files[i].exact {
			for _, p := range prices {
				add(p)
				for k := range p.terms {
					add(p.terms[k].price)
				}
			}
		}
		for k := range t.files[i].globs {
			add(t.files[i].globs[k].price)
		}
	}
	slices.SortStableFunc(all, func(a, b *Price) int { return strings.Compare(a.Version, b.Version) })
	return all
}

// SKUs are what the exact entries of the books are the prices of, each once, in
// order.
func (t *PriceBook) SKUs() []SKU {
	seen := map[SKU]bool{}
	var all []SKU
	for i := range t.files {
		for sku := range t.files[i].exact {
			if !seen[sku] {
				seen[sku] = true
				all = append(all, sku)
			}
		}
	}
	slices.SortFunc(all, func(a, b SKU) int {
		return cmp.Or(strings.Compare(a.Model, b.Model), strings.Compare(a.Scope, b.Scope),
			strings.Compare(a.Region, b.Region), strings.Compare(a.Tier, b.Tier), strings.Compare(a.Latency, b.Latency))
	})
	return all
}
