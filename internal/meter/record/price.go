package record

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// MaxPrice bounds a price, in pico-dollars per million units: 4,000 dollars per
// million, fifty times the dearest token that Bedrock lists. With maxCount it
// keeps the cost of one call inside an int64.
const MaxPrice money.Price = 4_000 * money.Price(money.Dollar)

// maxPiecePrice bounds the price of a million searches or images: a dollar for one.
const maxPiecePrice = 1_000_000 * money.Price(money.Dollar)

// longContext is the context of a request that has the rates of a long one.
const longContext = "long"

// maxCount and maxUnits bound what one answer can be believed to report, in
// tokens and in text units. More makes the usage unknown.
const (
	maxCount = 1 << 28
	maxUnits = 1 << 20
)

// GuardrailModel is what guardrail policies are priced under in the books.
const GuardrailModel = "guardrail"

// guardrailNames are the books' names of wire's guardrail policies.
var guardrailNames = [wire.GuardrailPolicies]string{
	wire.GuardrailContent:            "content",
	wire.GuardrailTopic:              "topic",
	wire.GuardrailWord:               "word",
	wire.GuardrailSensitive:          "sensitive",
	wire.GuardrailSensitiveFree:      "sensitive_free",
	wire.GuardrailGrounding:          "grounding",
	wire.GuardrailContentImage:       "content_image",
	wire.GuardrailAutomatedReasoning: "automated_reasoning",
}

// rate is the price of one class. The zero value is not listed, which is not
// the same as free.
type rate struct {
	price  money.Price
	listed bool
}

// cost returns what n units cost, and false when some do and no price says.
func (r rate) cost(n int64) (money.Pico, bool) {
	if n == 0 {
		return 0, true
	}
	return money.Cost(n, r.price), r.listed
}

// rates are the prices of all classes, per million of each.
type rates struct {
	input, output, cacheRead, cacheWrite5m, cacheWrite1h rate
	query, image, millisecond                            rate
	guardrail                                            [wire.GuardrailPolicies]rate
}

// Price is what one SKU costs from a day on.
type Price struct {
	// Version names the rates: the day they hold from and a hash of them, and where
	// they are not the list price of the SKU itself why. "+region" is a profile that
	// takes the in-region price, "+us-east-1" a call that takes the price of that
	// region, "-10%" a discount, "~" and another version the lower price that a
	// contract guarantees.
	Version string

	rates
	effective, until time.Time // until is the moment from which it no longer holds, zero without one
	region           string    // whose in-region rates they are, "" for any
	source           string
	above            int64  // input tokens from which long has the rates
	long             *Price // nil when there is one price for any length
	asGeo, elsewhere *Price // the same rates, marked
	terms            []term // what is charged when it is not these rates
	termsOf          *SKU   // whose terms they are
	list             *Price // of what is charged: the list price
	// narrow is the price for those of its SKUs that keep other rates of the books
	// before than p does.
	narrow map[SKU]*Price
}

// of is the price for one of the SKUs that p holds for.
func (p *Price) of(sku *SKU) *Price {
	if len(p.narrow) == 0 {
		return p
	}
	if own := p.narrow[*sku]; own != nil {
		return own
	}
	if wider, ok := widened(sku); ok && p.narrow[wider] != nil {
		return p.narrow[wider]
	}
	return p
}

// holds reports whether the price is in effect.
func (p *Price) holds(at time.Time) bool {
	return !p.effective.After(at) && (p.until.IsZero() || at.Before(p.until))
}

// PriceBook finds prices. It does not change after CompilePrices.
type PriceBook struct {
	files []priceFile
	terms terms
}

// priceFile is one file, by what its entries name.
type priceFile struct {
	exact map[SKU][]*Price // newest first
	globs []globPrice      // longest pattern first, then newest
}

type globPrice struct {
	pattern glob.Pattern
	sku     SKU // without a model
	price   *Price
}

// Compile makes a table of the price books of a configuration, with its discounts
// and guaranteed prices: see CompilePrices.
func Compile(c *config.Config) (*PriceBook, []config.Problem) {
	t, problems := compileBooks("prices", c.Prices)
	if len(c.Capacity) > 0 {
		own, _ := CompilePrices([]config.PriceBook{bought()})
		t.files = append(own.files, t.files...)
	}
	locks, wrong := compileBooks("price_locks", c.Locks)
	t.terms = terms{locks: locks, discounts: c.Discounts}
	for i := range t.files {
		t.terms.settle(&t.files[i])
	}
	return t, append(problems, wrong...)
}

// CompilePrices makes a table of price books, of which later ones override
// earlier ones. A class of tokens that a later one does not name keeps the rate of
// the earlier. Prices out of range are problems; one that differs a hundredfold
// from what it overrides is a warning, because prices are quoted per thousand
// and per million.
func CompilePrices(books []config.PriceBook) (*PriceBook, []config.Problem) {
	return compileBooks("prices", books)
}

func compileBooks(section string, books []config.PriceBook) (*PriceBook, []config.Problem) {
	t := &PriceBook{}
	var problems []config.Problem
	for i := range books {
		b := priceFile{exact: make(map[SKU][]*Price)}
		o := overriding{t, t.byModel(), books[i].Shipped}
		for k := range books[i].Prices {
			entry := &books[i].Prices[k]
			path := fmt.Sprintf("%s[%d].prices[%d]", section, i, k)
			r, wrong := compileRates(entry)
			if wrong != "" {
				problems = append(problems, config.Problem{Path: path, Message: wrong})
				continue
			}
			for _, doubt := range append(r.doubts(), o.add(&b, entry, r)...) {
				problems = append(problems, config.Problem{Path: path, Message: doubt, Warning: true})
			}
		}
		b.sort()
		t.files = append(t.files, b)
	}
	return t, problems
}

func compileRates(e *config.Price) (rates, string) {
	r := rates{
		input:        rate{e.Input, e.HasInput},
		output:       rate{e.Output, e.HasOutput},
		cacheRead:    rate{e.CacheRead, e.HasCacheRead},
		cacheWrite5m: rate{e.CacheWrite5m, e.HasCacheWrite5m},
		cacheWrite1h: rate{e.CacheWrite1h, e.HasCacheWrite1h},
		query:        rate{e.Query, e.HasQuery},
		image:        rate{e.Image, e.HasImage},
		millisecond:  rate{e.Second, e.HasSecond},
	}
	for name, price := range e.Guardrail {
		i := slices.Index(guardrailNames[:], name)
		if i < 0 {
			return r, fmt.Sprintf("there is no guardrail policy %q", name)
		}
		r.guardrail[i] = rate{price, true}
	}
	for _, one := range r.all() {
		most := MaxPrice
		if one == &r.query || one == &r.image {
			most = maxPiecePrice
		}
		if one.price < 0 || one.price > most {
			return r, "a price is negative or above 4,000 dollars per million"
		}
	}
	return r, ""
}

// all are the rates in the order of their hash.
func (r *rates) all() []*rate {
	all := []*rate{
		&r.input, &r.output, &r.cacheRead, &r.cacheWrite5m, &r.cacheWrite1h, &r.query, &r.image, &r.millisecond,
	}
	for i := range r.guardrail {
		all = append(all, &r.guardrail[i])
	}
	return all
}

// keep takes what r does not list from what it overrides.
func (r *rates) keep(old *rates) {
	before := old.all()
	for i, one := range r.all() {
		if !one.listed {
			*one = *before[i]
		}
	}
}

// newPrice is the price of an entry that takes the place of old, which may be nil:
// it keeps what the entry does not name. Where old has the rates of something else,
// what is kept of them is marked as they are.
func newPrice(e *config.Price, r rates, old *Price) *Price {
	full := r
	if old != nil {
		full.keep(&old.rates)
	}
	p := &Price{rates: full, effective: e.Effective.UTC(), region: e.Region, source: e.Source, above: e.Above}
	if !e.Until.IsZero() {
		p.until = e.Until.UTC().AddDate(0, 0, 1)
	}
	p.Version = p.effective.Format(time.DateOnly) + "-" + p.hash()
	if old != nil {
		if _, whose, marked := strings.Cut(old.Version, "+"); marked && full != r {
			p.Version += "+" + whose
		}
		if e.Above == 0 && old.long != nil {
			p.above, p.long = old.above, old.long
		}
	}
	p.mark()
	return p
}

// mark makes the prices that say whose rates they are.
func (p *Price) mark() {
	p.asGeo, p.elsewhere = nil, nil
	geo, elsewhere := *p, *p
	geo.narrow, elsewhere.narrow = nil, nil
	geo.Version += "+region"
	elsewhere.Version += "+" + p.region
	if p.long != nil {
		geo.long, elsewhere.long = p.long.asGeo, p.long.elsewhere
	}
	p.asGeo, p.elsewhere = &geo, &elsewhere
}

// hash is 32 bits of what the price says; equal rates from a day have one version.
// Classes that later versions of this program added count only where listed, so
// that the versions of before stay what they were.
func (p *Price) hash() string {
	old := []rate{p.input, p.output, p.cacheRead, p.cacheWrite5m, p.cacheWrite1h}
	text := fmt.Append(nil, append(old, p.guardrail[:]...))
	if added := [...]rate{p.query, p.image, p.millisecond}; added != [3]rate{} {
		text = fmt.Append(text, added)
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%x", sum[:4])
}

// skuOf is what an entry is the price of, for one of its models.
func skuOf(e *config.Price, model string) SKU {
	return SKU{Model: model, Scope: e.Scope, Region: e.Region, Tier: e.Tier, Latency: e.Latency}
}

// overriding is a book that comes after others.
type overriding struct {
	before  *PriceBook
	models  map[string][]SKU // of the exact entries before
	shipped bool             // with the program
}

// add adds an entry to the book, and says what may be meant otherwise.
func (o *overriding) add(b *priceFile, e *config.Price, r rates) (doubts []string) {
	for _, model := range e.Models {
		sku := skuOf(e, model)
		old := o.overridden(sku, e) // a pattern matches itself
		if old != nil {
			if jump := jump(&r, &old.rates); jump > 0 {
				doubts = append(doubts, fmt.Sprintf(
					"%s: a price is %d times off the one it overrides; is it per thousand or per million?", model, jump))
			}
		}
		if doubt := o.leveled(e, model); doubt != "" {
			doubts = append(doubts, doubt)
		}
		p := newPrice(e, r, old)
		o.narrow(p, e, r, sku)
		if !strings.Contains(model, "*") {
			b.exact[sku] = append(b.exact[sku], p)
			continue
		}
		sku.Model = ""
		b.globs = append(b.globs, globPrice{glob.Compile(model), sku, p})
	}
	return doubts
}

// byModel are the SKUs of the exact entries.
func (t *PriceBook) byModel() map[string][]SKU {
	all := map[string][]SKU{}
	for _, sku := range t.SKUs() {
		all[sku.Model] = append(all[sku.Model], sku)
	}
	return all
}

// narrow finds the SKUs for which p keeps other rates than for the widest that it
// holds for: a price of any geography takes the place of one of us and one of eu,
// and a price of a pattern that of each model, which differ in what they name.
func (o *overriding) narrow(p *Price, e *config.Price, r rates, wide SKU) {
	if !strings.Contains(wide.Model, "*") && (wide.Region != "" || wide.Scope != "" && wide.Scope != "geo") {
		return // as narrow as can be
	}
	for _, model := range o.matching(wide.Model) {
		anywhere := wide
		anywhere.Model = model
		for _, sku := range append(slices.Clip(o.models[model]), anywhere) {
			g := globPrice{sku: wide}
			if g.sku.Model = ""; sku == wide || !g.covers(&sku) {
				continue
			}
			own := newPrice(e, r, o.overridden(sku, e))
			if own.rates == p.rates && own.long == p.long {
				continue
			}
			if p.narrow == nil {
				p.narrow = map[SKU]*Price{}
			}
			p.narrow[sku] = own
		}
	}
}

// matching are the models that a model of an entry stands for.
func (o *overriding) matching(model string) []string {
	if !strings.Contains(model, "*") {
		return []string{model}
	}
	var all []string
	pattern := glob.Compile(model)
	for m := range o.models {
		if pattern.Match(m) {
			all = append(all, m)
		}
	}
	slices.Sort(all)
	return all
}

// overridden is what an entry takes the place of: the price that the books before
// have for the SKU and context step, on the day of the entry or else on the first.
// For a book of the operator that may be the price of something else, which Find
// would take. Those that ship name what they have, and leave the rest unpriced.
func (o *overriding) overridden(sku SKU, e *config.Price) *Price {
	find := o.before.listPrice
	if o.shipped {
		find = o.before.find
	}
	old := find(sku, e.Effective)
	if old == nil {
		old = find(sku, time.Unix(1<<40, 0))
	}
	if old == nil || e.Above == 0 {
		return old
	}
	if old.long != nil && old.above == e.Above {
		return old.long
	}
	return nil
}

// sort brings the newest first, and joins the prices of long contexts with those
// that they are a step of.
func (b *priceFile) sort() {
	newest := func(x, y *Price) int { return y.effective.Compare(x.effective) }
	for sku, prices := range b.exact {
		slices.SortStableFunc(prices, newest)
		b.exact[sku] = joinSteps(prices)
	}
	b.globs = joinGlobs(b.globs)
	slices.SortStableFunc(b.globs, func(x, y globPrice) int {
		return cmp.Or(len(y.pattern.String())-len(x.pattern.String()), newest(x.price, y.price))
	})
}

// isStep reports whether p is the price of a long context alone.
func (p *Price) isStep() bool { return p.above != 0 && p.long == nil }

// setLong makes step the long context of p, for each SKU that of its own.
func (p *Price) setLong(step *Price) {
	for sku, long := range step.narrow {
		if p.narrow[sku] == nil {
			if p.narrow == nil {
				p.narrow = map[SKU]*Price{}
			}
			own := *p
			own.narrow, own.long = nil, long
			p.narrow[sku] = &own
		}
	}
	for sku, own := range p.narrow {
		own.setLong(step.of(&sku))
	}
	p.above, p.long = step.above, step
	p.mark()
}

func joinSteps(prices []*Price) []*Price {
	var all []*Price
	for _, p := range prices {
		if !p.isStep() {
			all = append(all, p)
		}
	}
	for _, step := range prices {
		if !step.isStep() {
			continue
		}
		for _, p := range all {
			if p.effective.Equal(step.effective) {
				p.setLong(step)
			}
		}
	}
	return all
}

func joinGlobs(globs []globPrice) []globPrice {
	var all []globPrice
	for _, g := range globs {
		if !g.price.isStep() {
			all = append(all, g)
		}
	}
	for _, step := range globs {
		for _, g := range all {
			if step.price.isStep() && g.sku == step.sku && g.pattern.String() == step.pattern.String() &&
				g.price.effective.Equal(step.price.effective) {
				g.price.setLong(step.price)
			}
		}
	}
	return all
}

// homeRegion is the region whose prices are taken where a region has none: the one
// that lists of prices quote.
const homeRegion = "us-east-1"

// forInput is the price of a request with so much input: all of a long one has the
// rates of a long context.
func (p *Price) forInput(tokens int64) *Price {
	if p.long != nil && tokens > p.above {
		return p.long
	}
	return p
}

// forUsage is the price of a usage, and whether it is that of a long context. What
// is read from a cache and written to it is input, too.
func (p *Price) forUsage(u *wire.Usage) (_ *Price, long bool) {
	if p == nil || p.long == nil {
		return p, false
	}
	q := p.forInput(u.Input.N + u.CacheRead.N + u.CacheWrite5m.N + u.CacheWrite1h.N)
	return q, q != p
}

func clamp(n int64) int64 { return min(max(n, 0), maxCount) }
