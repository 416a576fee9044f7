package record

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
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

// Prices are all prices of a table: the list prices, what is charged instead, those
// of long contexts, and guaranteed ones. What is charged for a pattern, and for a SKU
// that takes the price of another, is not among them: see Terms.
func (t *PriceBook) Prices() []*Price {
	var all []*Price
	var add func(p *Price)
	add = func(p *Price) {
		all = append(all, p)
		if p.long != nil {
			add(p.long)
		}
		for k := range p.terms {
			add(p.terms[k].price)
		}
		for _, own := range p.narrow {
			add(own)
		}
	}
	for i := range t.files {
		for _, prices := range t.files[i].exact {
			for _, p := range prices {
				add(p)
			}
		}
		for k := range t.files[i].globs {
			add(t.files[i].globs[k].price)
		}
	}
	if t.terms.locks != nil {
		all = append(all, t.terms.locks.Prices()...)
	}
	slices.SortStableFunc(all, func(a, b *Price) int { return strings.Compare(a.Version, b.Version) })
	return all
}

// Terms are what a version says of what is charged instead of a list price.
type Terms struct {
	List string // version of the list price
	Lock string // version of the guaranteed price, "" without one
	PPM  int64  // discount in millionths
}

var versionForm = regexp.MustCompile(
	`^(\d{4}-\d\d-\d\d-[0-9a-f]+)(?:\+[a-z0-9-]+?)*(?:~(\d{4}-\d\d-\d\d-[0-9a-f]+)(?:\+[a-z0-9-]+?)*)?(?:-([0-9.]+)%)?$`)

// ParseVersion reads the version of a price. It leaves out whose price was taken, which
// changes no rate, and is false for what is no version.
func ParseVersion(version string) (Terms, bool) {
	m := versionForm.FindStringSubmatch(version)
	if m == nil {
		return Terms{}, false
	}
	terms := Terms{List: m[1], Lock: m[2]}
	if m[3] != "" {
		percent, err := money.ParseDollars(m[3])
		if err != nil || percent > 100*money.Dollar {
			return Terms{}, false
		}
		terms.PPM = int64(percent / (money.Dollar / 10_000))
	}
	return terms, true
}

// Charged is what is charged by the terms for list rates, and for guaranteed ones
// where lock is not nil.
func (t *Terms) Charged(list, lock *config.Rates) (*config.Rates, error) {
	r, wrong := compileRates(&config.Price{Rates: *list})
	if lock != nil && wrong == "" {
		var guaranteed rates
		guaranteed, wrong = compileRates(&config.Price{Rates: *lock})
		r.lower(&guaranteed)
	}
	if wrong != "" {
		return nil, errors.New(wrong)
	}
	r.discount(t.PPM)
	return (&Price{rates: r}).Rates(), nil
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

// WorstCase is the most that a call of so many tokens can cost, with all input
// written to the dearest cache that the model lists. It is false when the model
// has no price for output and output is asked for, or p is nil.
func (p *Price) WorstCase(input, output int64) (money.Pico, bool) {
	if p == nil {
		return 0, false
	}
	p = p.forInput(input)
	dearest := p.input
	for _, r := range []rate{p.cacheWrite5m, p.cacheWrite1h} {
		if r.listed && r.price > dearest.price {
			dearest = r
		}
	}
	in, inOK := dearest.cost(clamp(input))
	out, outOK := p.output.cost(clamp(output))
	return in + out, inOK && outOK
}

// PiecesCost is what so many search units, images and milliseconds cost. It is false
// when there are some and they have no price, or p is nil.
func (p *Price) PiecesCost(n wire.Pieces) (money.Pico, bool) {
	if p == nil {
		return 0, n.Queries == 0 && n.Images == 0 && n.Milliseconds == 0
	}
	queries, queried := p.query.cost(clamp(n.Queries))
	images, seen := p.image.cost(clamp(n.Images))
	length, heard := p.millisecond.cost(clamp(n.Milliseconds))
	return queries + images + length, queried && seen && heard
}

// GuardrailWorstCase is the most that a guardrail can cost for so many text units
// and images: every policy that the price lists counts each of them. It is false
// when p is nil or lists none.
func (p *Price) GuardrailWorstCase(units, images int64) (money.Pico, bool) {
	if p == nil {
		return 0, false
	}
	var sum money.Pico
	listed := false
	for i, r := range p.guardrail {
		n := units
		if i == wire.GuardrailContentImage {
			n = images
		}
		cost, _ := r.cost(min(max(n, 0), maxUnits))
		sum += cost
		listed = listed || r.listed
	}
	return sum, listed
}

// leveled says when an entry that names no scopes takes away that some of them cost
// more in the books before.
func (o *overriding) leveled(e *config.Price, model string) string {
	if !e.Everywhere || e.Scope != "global" || e.Tier != "" || e.Latency != "" || e.Above != 0 {
		return "" // it is said once for all rows of an entry
	}
	for _, m := range o.matching(model) {
		var low, high *Price
		var cheap, dear SKU
		for _, sku := range o.models[m] {
			p := o.overridden(sku, e)
			if p == nil || sku.Tier != "" || sku.Latency != "" || ofGovernment(&sku) || !p.input.listed {
				continue
			}
			if low == nil || p.input.price < low.input.price {
				low, cheap = p, sku
			}
			if high == nil || p.input.price > high.input.price {
				high, dear = p, sku
			}
		}
		if low != nil && low.input.price < high.input.price {
			return fmt.Sprintf("names no scopes, so that %s costs the same everywhere; "+
				"today its input is %s %s and %s %s: name scopes, "+
				"such as {region: 1.1, geo: 1.1, global: 1}, or put what you save under discounts",
				m, perMillionText(low.input.price), cheap.where(), perMillionText(high.input.price), dear.where())
		}
	}
	return ""
}

// where is where a SKU is asked, for people.
func (s *SKU) where() string {
	switch {
	case s.Scope != "":
		return "as " + s.Scope
	case s.Region != "":
		return "in " + s.Region
	}
	return "in a region"
}

func perMillionText(p money.Price) string { return "$" + money.Pico(p).String() }

// Doubts say when rates of one price cannot be in one unit. Each begins with the class.
func Doubts(of *config.Rates) []string {
	r, wrong := compileRates(&config.Price{Rates: *of})
	if wrong != "" {
		return []string{"input and the rest: " + wrong}
	}
	return r.doubts()
}

// mixed is how many times a class of tokens can be off the input before its unit is
// doubted: cached reads go down to a fortieth, output up to some ten times of it.
const mixed = 200

// doubts say when rates of one entry cannot be in one unit.
func (r *rates) doubts() []string {
	var doubts []string
	for name, one := range map[string]*rate{
		"output": &r.output, "cache_read": &r.cacheRead,
		"cache_write_5m": &r.cacheWrite5m, "cache_write_1h": &r.cacheWrite1h,
	} {
		low, high := min(one.price, r.input.price), max(one.price, r.input.price)
		if low > 0 && high/low >= mixed {
			doubts = append(doubts, fmt.Sprintf(
				"%s is %d times off input: are both in the unit that per names?", name, high/low))
		}
	}
	slices.Sort(doubts)
	return doubts
}

// jump is how many times a rate is off the one before, 0 when less than a
// hundredfold.
func jump(r, old *rates) money.Price {
	before := old.all()
	for i, one := range r.all() {
		low, high := min(one.price, before[i].price), max(one.price, before[i].price)
		if low > 0 && high/low >= 100 {
			return high / low
		}
	}
	return 0
}
