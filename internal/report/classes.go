package report

import (
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// classColumn is the column whose values are parts of one row of the source.
const classColumn = "class"

// Class is a kind of what is used and paid for.
type Class struct {
	Name string // as price files and reports call it
	Unit string // of its quantities
	n    func(*record.Counters) *int64
	cost func(*record.Counters) *money.Pico
}

// Classes are all classes of usage.
func Classes() []Class {
	type c = record.Counters
	return []Class{
		{"input", tokens, func(c *c) *int64 { return &c.Input }, func(c *c) *money.Pico { return &c.CostInput }},
		{"output", tokens, func(c *c) *int64 { return &c.Output }, func(c *c) *money.Pico { return &c.CostOutput }},
		{"cache_read", tokens, func(c *c) *int64 { return &c.CacheRead },
			func(c *c) *money.Pico { return &c.CostCacheRead }},
		{"cache_write_5m", tokens, func(c *c) *int64 { return &c.CacheWrite5m },
			func(c *c) *money.Pico { return &c.CostCacheWrite5m }},
		{"cache_write_1h", tokens, func(c *c) *int64 { return &c.CacheWrite1h },
			func(c *c) *money.Pico { return &c.CostCacheWrite1h }},
		{"guardrail", "Text Units", func(c *c) *int64 { return &c.GuardrailUnits },
			func(c *c) *money.Pico { return &c.CostGuardrail }},
		{"query", "Search Units", func(c *c) *int64 { return &c.Queries }, func(c *c) *money.Pico { return &c.CostQuery }},
		{"image", "Images", func(c *c) *int64 { return &c.Images }, func(c *c) *money.Pico { return &c.CostImage }},
		{"second", "Milliseconds", func(c *c) *int64 { return &c.Milliseconds },
			func(c *c) *money.Pico { return &c.CostSecond }},
	}
}

const tokens = "Tokens"

// fixedClass has what is paid by the hour or the month. callClass has what belongs to
// whole calls, and has no price. otherClass has what rows of usage cost beside quantity
// times price: what was rounded for each call, and amounts without a quantity.
const (
	callClass  = "call"
	otherClass = "other"
	fixedClass = "fixed"
)

// split yields the parts of a row of the source by class.
func (s *sums) split(c *record.Counters, yield func(class string, part *record.Counters) error) error {
	part, rest := &s.part, &s.rest
	*rest = *c
	for i := range s.classes {
		class := &s.classes[i]
		n, cost := *class.n(c), *class.cost(c)
		if n == 0 && cost == 0 {
			continue
		}
		*part = record.Counters{}
		*class.n(part), *class.n(rest) = n, 0
		*class.cost(part), *class.cost(rest) = cost, 0
		s.noPrice = cost == 0 && c.Unpriced > 0
		if err := yield(class.Name, part); err != nil {
			return err
		}
		s.noPrice = false
	}
	if old := rest.CostCacheWrite; old != 0 {
		*part, rest.CostCacheWrite = record.Counters{CostCacheWrite: old}, 0
		if err := yield(otherClass, part); err != nil {
			return err
		}
	}
	if *rest == (record.Counters{}) {
		return nil
	}
	return yield(callClass, rest)
}

// Prices finds what a price version says: what is charged and the list price, in
// pico-dollars per million. It is false for a version that nobody knows.
type Prices func(version string) (charged, list *config.Rates, ok bool)

// perPrice is how many units a rate is for.
const perPrice = 1_000_000

// Unit is what one unit of a row of usage costs, of one class. The zero value is that
// of other rows.
type Unit struct {
	Name string // of the unit, "" for a row that is not of one class
	// Price and List are pico-dollars for a unit, as charged and by the list; nil where the
	// row has no one price.
	Price, List *big.Rat
}

// Quantity is how many units there are, in a row of one class.
func (r *Row) Quantity() int64 {
	if r.Unit.Name == requestUnit {
		return r.Requests
	}
	return r.Tokens() + r.GuardrailUnits + r.Queries + r.Images + r.Milliseconds
}

// requestUnit is the unit of what belongs to whole calls.
const requestUnit = "Requests"

// price finds the unit prices of rows of one class and one price version, and moves what
// such rows cost beside quantity times price to rows of otherClass.
func (s *sums) price() {
	class, version := s.at(classColumn), s.at("price_version")
	if class < 0 {
		return
	}
	for _, r := range slices.Collect(maps.Values(s.rows)) {
		at := slices.IndexFunc(s.classes, func(c Class) bool { return c.Name == r.By[class] })
		switch {
		case r.By[class] == callClass:
			r.Unit = Unit{Name: requestUnit, Price: new(big.Rat), List: new(big.Rat)}
		case at >= 0 && r.Correction == "" && r.Quantity() > 0:
			r.Unit.Name = s.classes[at].Unit
			if version >= 0 && !r.noPrice {
				s.priceRow(r, class, r.By[version])
			}
		}
	}
}

// at is where a column is among those grouped by, -1 for nowhere.
func (s *sums) at(name string) int {
	return slices.IndexFunc(s.by, func(c column) bool { return c.name == name })
}

// priceRow gives a row of one class and version its unit price: that of the version, if
// it explains the cost but for what was rounded for each call, or else cost by quantity.
func (s *sums) priceRow(r *Row, class int, version string) {
	n := new(big.Rat).SetInt64(r.Quantity())
	charged, list := s.rates(version, r.By[class])
	if charged != nil {
		rest := new(big.Rat).Sub(r.Cost().Rat(), new(big.Rat).Mul(n, charged))
		half := new(big.Rat).Add(new(big.Rat).Quo(n, big.NewRat(2, 1)), big.NewRat(1, 1))
		if new(big.Rat).Abs(rest).Cmp(half) <= 0 {
			r.Unit.Price, r.Unit.List = charged, list
			s.round(r, class, new(big.Rat).Mul(n, charged), rest)
		}
	}
	if r.Unit.Price == nil {
		r.Unit.Price = new(big.Rat).Quo(r.Cost().Rat(), n)
		if _, exact := decimal(r.Unit.Price); !exact {
			r.Unit.Price = nil
		}
	}
	if r.Unit.Price != nil && r.Unit.List == nil {
		r.Unit.List = r.Unit.Price
	}
	s.discount(r, class, n)
}

// round takes out of a row what was rounded for each call.
func (s *sums) round(r *Row, class int, cost, rest *big.Rat) {
	if rest.Sign() == 0 {
		return
	}
	r.exact = cost
	other := s.rowLike(r, class, otherClass)
	if other.exact == nil {
		other.exact = other.Cost().Rat()
	}
	other.exact.Add(other.exact, rest)
}

// discount gives a row its part of what the call saved against list price.
func (s *sums) discount(r *Row, class int, n *big.Rat) {
	if r.Unit.Price == nil || r.Unit.List.Cmp(r.Unit.Price) == 0 {
		return
	}
	less := new(big.Rat).Sub(r.Unit.List, r.Unit.Price)
	var part money.Total
	part.AddRat(less.Mul(less, n))
	r.Discount.AddTotal(&part)
	s.rowLike(r, class, callClass).Discount.SubTotal(&part)
}

// rates are what a version charges for a unit of a class, and the list price; nil where
// nobody knows.
func (s *sums) rates(version, class string) (charged, list *big.Rat) {
	if s.query.Prices == nil || version == "" {
		return nil, nil
	}
	found, known := s.versions[version]
	if !known {
		found.charged, found.list, _ = s.query.Prices(version)
		s.versions[version] = found
	}
	rate := func(of *config.Rates) *big.Rat {
		if of == nil {
			return nil
		}
		if c := of.Class(class); c.Listed {
			return big.NewRat(int64(c.Price), perPrice)
		}
		return nil
	}
	return rate(found.charged), rate(found.list)
}

// versioned are the rates of a price version.
type versioned struct{ charged, list *config.Rates }

// rowLike is the row that is like another one but for its class.
func (s *sums) rowLike(r *Row, class int, name string) *Row {
	copy(s.cells, r.By)
	s.cells[class] = name
	return s.row(r.Correction, &record.RowKey{Tenant: r.tenant})
}

// mostDecimals are those of an amount that is a quantity times a unit price, in dollars.
const mostDecimals = 18

// decimal writes pico-dollars as dollars, and reports whether all of them could be.
func decimal(pico *big.Rat) (text string, exact bool) {
	dollars := new(big.Rat).Quo(pico, new(big.Rat).SetInt64(int64(money.Dollar)))
	text = dollars.FloatString(mostDecimals)
	read, _ := new(big.Rat).SetString(text)
	least := strings.IndexByte(text, '.') + 3
	for len(text) > least && text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	return text, read.Cmp(dollars) == 0
}

// costText is what the row costs, "" when it has no price.
func (r *Row) costText() string {
	switch {
	case r.noPrice:
		return ""
	case r.exact != nil:
		text, _ := decimal(r.exact)
		return text
	}
	return costText(r.Cost(), r.Unpriced)
}

// listText is the same at list price.
func (r *Row) listText() string {
	if r.Calls.Sign() != 0 {
		return "" // discounts of single calls are not kept
	}
	if r.exact == nil || r.noPrice {
		return charged("", func(r *Row) *money.Total { return r.List() }).text(r)
	}
	list := r.exact
	if r.Unit.List != nil {
		list = new(big.Rat).Mul(r.Unit.List, new(big.Rat).SetInt64(r.Quantity()))
	}
	text, _ := decimal(list)
	return text
}

// unitPrice writes one, "" for none.
func unitPrice(of *big.Rat) string {
	if of == nil {
		return ""
	}
	text, _ := decimal(of)
	return text
}

// Amount is what the row costs in pico-dollars, exactly; nil when it has no price.
func (r *Row) Amount() *big.Rat {
	switch {
	case r.noPrice || r.Unpriced > 0 && r.Cost().Sign() == 0:
		return nil
	case r.exact != nil:
		return r.exact
	}
	return r.Cost().Rat()
}

// TagMap are the tags of whom the row is of, and their cost center.
func (r *Row) TagMap() map[string]string {
	all := maps.Clone(r.Tenant.Tags)
	if r.Tenant.CostCenter != "" {
		if all == nil {
			all = map[string]string{}
		}
		all["sluice/cost_center"] = r.Tenant.CostCenter
	}
	return all
}
