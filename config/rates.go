package config

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/sluice-gateway/sluice/internal/money"
)

// expandEntry appends a row per scope, region, tier and context step of e.
func (d *decoder) expandEntry(rows []Price, b *book, e *bookEntry) []Price {
	row, ok := d.entryRow(b, e)
	if !ok {
		return rows
	}
	regions := e.Regions // empty: any
	if regions == nil {
		regions = b.Regions
	}
	inScope := e.scopes(b)
	row.Everywhere = e.Scopes == nil && b.Scopes == nil && len(e.Regions) == 0
	for _, scope := range scopes {
		factor, ok := inScope[scope]
		if !ok {
			continue
		}
		row.Scope, row.Region = scope, ""
		if scope != "region" {
			rows = d.expandTiers(rows, row, b, e, factor)
			continue
		}
		row.Scope = ""
		for _, region := range orAny(regions) {
			row.Region = region
			rows = d.expandTiers(rows, row, b, e, factor)
		}
	}
	return rows
}

// scopes are the scopes of e and their factors. What names a region is of that
// region alone, unless it names scopes too.
func (e *bookEntry) scopes(b *book) map[string]*big.Rat {
	switch {
	case e.Scopes != nil:
		return e.Scopes
	case len(e.Regions) > 0:
		return map[string]*big.Rat{"region": one}
	case b.Scopes != nil:
		return b.Scopes
	}
	return map[string]*big.Rat{"region": one, "geo": one, "global": one}
}

// orAny is the regions, or the one that stands for any.
func orAny(regions []string) []string {
	if len(regions) == 0 {
		return []string{""}
	}
	return regions
}

// expandTiers appends the rows of one scope: the default tier, or the only one
// that e is of, and those that differ from it by a factor.
func (d *decoder) expandTiers(rows []Price, row Price, b *book, e *bookEntry, byScope *big.Rat) []Price {
	factors := e.Tiers
	if factors == nil && e.Tier == "" {
		factors = b.Tiers
	}
	row.Tier, row.Latency = tierAndLatency(e.Tier)
	rows = d.appendRows(rows, row, e, rateUnit(b.Per, byScope))
	for _, tier := range slices.Sorted(maps.Keys(factors)) {
		row.Tier, row.Latency = tierAndLatency(tier)
		rows = d.appendRows(rows, row, e, rateUnit(b.Per, new(big.Rat).Mul(byScope, factors[tier])))
	}
	return rows
}

// tierAndLatency are what a book's word for a tier means: optimized is a latency.
func tierAndLatency(word string) (tier, latency string) {
	if word == "optimized" {
		return "", word
	}
	return word, ""
}

// appendRows appends the row with the rates of e, and one for its long context.
func (d *decoder) appendRows(rows []Price, row Price, e *bookEntry, u units) []Price {
	row.Rates = d.rates(e.at, &e.Rates, u)
	rows = append(rows, row)
	if e.Long != nil {
		row.Above = e.Long.Above
		row.Rates = d.rates(e.at, &e.Long.Rates, u)
		rows = append(rows, row)
	}
	return rows
}

// entryRow is what all rows of e share, and whether e is one at all.
func (d *decoder) entryRow(b *book, e *bookEntry) (Price, bool) {
	row := Price{Models: e.Models, Effective: e.Effective, Until: e.Until, Source: cmp.Or(e.Source, b.Source)}
	if row.Effective.IsZero() {
		row.Effective = b.Effective
	}
	if row.Effective.IsZero() {
		d.fault(e.at, "needs the key %q, here or for the whole book", "effective")
		return row, false
	}
	before := len(d.faults)
	if !row.Until.IsZero() && row.Until.Before(row.Effective) {
		d.fault(e.at, "ends before it begins: until must not be before effective")
	}
	if r := &e.Rates; r.Input == nil && r.Guardrail == nil && r.Query == nil && r.Image == nil && r.Second == nil {
		d.fault(e.at, "needs the key %q", "input")
	}
	if e.Tier != "" && e.Tiers != nil {
		d.fault(e.at, "has both tier, which says of which tier its rates are, and tiers")
	}
	if _, inRegion := e.scopes(b)["region"]; len(e.Regions) > 0 && !inRegion {
		d.fault(e.at, "names regions, but not the scope region that they are of")
	}
	return row, len(d.faults) == before
}

var one = big.NewRat(1, 1)

// units turn a rate into pico-dollars per million, and per million milliseconds
// for seconds.
type units struct{ token, piece, second *big.Rat }

// rateUnit returns the units of a book whose rates are multiplied by factor. What
// a guardrail costs depends on neither scope nor tier.
func rateUnit(per string, factor *big.Rat) units {
	tokens := map[string]int64{"thousand": 1000, "million": 1}[per]
	return units{
		token:  new(big.Rat).Mul(factor, big.NewRat(tokens, 1)),
		piece:  new(big.Rat).Mul(factor, big.NewRat(1_000_000, 1)),
		second: new(big.Rat).Mul(factor, big.NewRat(1000, 1)),
	}
}

// rates are those written, in the unit of rows.
func (d *decoder) rates(at value, w *writtenRates, u units) Rates {
	var r Rates
	r.Input, r.HasInput = d.price(at, w.Input, u.token, maxPrice)
	r.Output, r.HasOutput = d.price(at, w.Output, u.token, maxPrice)
	r.CacheRead, r.HasCacheRead = d.price(at, w.CacheRead, u.token, maxPrice)
	r.CacheWrite5m, r.HasCacheWrite5m = d.price(at, w.Write5m, u.token, maxPrice)
	r.CacheWrite1h, r.HasCacheWrite1h = d.price(at, w.Write1h, u.token, maxPrice)
	r.Query, r.HasQuery = d.price(at, w.Query, u.piece, maxPiece)
	r.Image, r.HasImage = d.price(at, w.Image, u.piece, maxPiece)
	r.Second, r.HasSecond = d.price(at, w.Second, u.second, maxPrice)
	for _, policy := range policies {
		amount, ok := d.price(at, w.Guardrail[policy], big.NewRat(1_000_000, 1), maxPrice)
		if !ok {
			continue
		}
		if r.Guardrail == nil {
			r.Guardrail = map[string]money.Price{}
		}
		r.Guardrail[policy] = amount
	}
	return r
}

// maxPrice is a dollar per thousand, maxPiece a dollar for one. They catch a rate in
// the wrong unit and keep any cost far inside an int64.
const (
	maxPrice = 1_000_000_000_000_000
	maxPiece = 1000 * maxPrice
)

// price returns rate in pico-dollars per million, and whether there is one.
func (d *decoder) price(v value, rate, unit *big.Rat, most int64) (money.Price, bool) {
	if rate == nil {
		return 0, false
	}
	amount := new(big.Rat).Mul(rate, unit)
	switch {
	case !amount.IsInt():
		d.fault(v, "has a price with more decimals than a pico-dollar per million tokens")
	case amount.Cmp(big.NewRat(most, 1)) > 0:
		d.fault(v, "has a price of more than a dollar per thousand: is it in the unit that %q names?", "per")
	default:
		return money.Price(amount.Num().Int64()), true
	}
	return 0, true
}

// sku is what a row prices, for messages and to find a second one.
func (p *Price) sku(model string) string {
	return fmt.Sprintf("%s|%s|%s|%s|%s|%d", model, p.Scope, p.Region, p.Tier, p.Latency, p.Above)
}

// Class is one of the classes that a price has rates of.
type Class struct {
	Name   string // as in price files
	Price  money.Price
	Listed bool
}

// classField is where Rates have a class.
type classField struct {
	name   string
	price  *money.Price
	listed *bool
}

func (r *Rates) fields() [8]classField {
	return [...]classField{
		{"input", &r.Input, &r.HasInput},
		{"output", &r.Output, &r.HasOutput},
		{"cache_read", &r.CacheRead, &r.HasCacheRead},
		{"cache_write_5m", &r.CacheWrite5m, &r.HasCacheWrite5m},
		{"cache_write_1h", &r.CacheWrite1h, &r.HasCacheWrite1h},
		{"query", &r.Query, &r.HasQuery},
		{"image", &r.Image, &r.HasImage},
		{"second", &r.Second, &r.HasSecond},
	}
}

// Classes are the rates in the order of documentation, without guardrails.
func (r *Rates) Classes() []Class {
	var all []Class
	for _, f := range r.fields() {
		all = append(all, Class{f.name, *f.price, *f.listed})
	}
	return all
}

// Class returns the rate of a class of that name, not listed when there is none.
func (r *Rates) Class(name string) Class {
	for _, f := range r.fields() {
		if f.name == name {
			return Class{f.name, *f.price, *f.listed}
		}
	}
	return Class{Name: name}
}

// Set sets the rate of a class. It panics when there is no class of that name.
func (r *Rates) Set(c Class) {
	for _, f := range r.fields() {
		if f.name == c.Name {
			*f.price, *f.listed = c.Price, c.Listed
			return
		}
	}
	panic("BUG: no class of rates is named " + c.Name)
}
