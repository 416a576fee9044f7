package record

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Find returns the price of a SKU at a time, nil when it is unpriced: what is
// charged for it, which is the list price where no discount and no guaranteed
// price is lower.
//
// The last book that has a price of that time decides; in it an exact id goes
// before a pattern, a longer pattern before a shorter one, and a later day before
// an earlier one. Tier, latency and scope must match. In a region the rates of
// that region go before those of any region, and a geography's own before those
// of any geography.
//
// The price of something else is taken in two cases, and the version says so: a
// call in a region that has no rates takes those of us-east-1, and a profile
// of a geography without any takes the in-region price, which is what AWS charged
// for all models before Claude 4.5. A global profile, and government regions,
// need prices of their own.
func (t *PriceBook) Find(sku SKU, at time.Time) *Price {
	p := t.listPrice(sku, at)
	if p == nil {
		return nil
	}
	return t.terms.charged(sku, p, at)
}

// listPrice is Find without discounts and guaranteed prices.
func (t *PriceBook) listPrice(sku SKU, at time.Time) *Price {
	sku.Context = ""
	if p := t.find(sku, at); p != nil || sku.Scope == "global" || ofGovernment(&sku) {
		return p
	}
	geo := sku.Scope != ""
	sku.Scope = ""
	if geo {
		if p := t.find(sku, at); p != nil {
			return p.asGeo
		}
	}
	asked := sku.Region
	sku.Region = homeRegion
	p := t.find(sku, at)
	switch {
	case p == nil:
		return nil
	case asked != "":
		return p.elsewhere
	case geo:
		return p.asGeo
	}
	return p // nobody asks for a region
}

// ofGovernment reports whether a call stays in a partition of its own, whose
// prices are not those of the others.
func ofGovernment(sku *SKU) bool {
	return sku.Scope == "us-gov" || strings.HasPrefix(sku.Region, "us-gov-") || strings.HasPrefix(sku.Region, "cn-")
}

// find looks for a price of the SKU itself.
func (t *PriceBook) find(sku SKU, at time.Time) *Price {
	if t == nil || sku.Model == "" {
		return nil
	}
	if sku.Scope != "" {
		sku.Region = "" // a profile has one price, wherever it is called
	}
	for i := len(t.files) - 1; i >= 0; i-- {
		if p := t.files[i].find(&sku, at); p != nil {
			return p
		}
	}
	return nil
}

func (b *priceFile) find(sku *SKU, at time.Time) *Price {
	if p := holding(b.exact[*sku], at); p != nil {
		return p
	}
	if wider, ok := widened(sku); ok {
		if p := holding(b.exact[wider], at); p != nil {
			return p.of(sku)
		}
	}
	for k := range b.globs {
		g := &b.globs[k]
		if g.covers(sku) && g.price.holds(at) && g.pattern.Match(sku.Model) {
			return g.price.of(sku)
		}
	}
	return nil
}

// widened is the SKU whose price holds where sku has none of its own in a book: in
// any region, or in any geography.
func widened(sku *SKU) (SKU, bool) {
	wider := *sku
	switch {
	case sku.Region != "":
		wider.Region = ""
	case sku.Scope != "" && sku.Scope != "global" && sku.Scope != "geo":
		wider.Scope = "geo"
	default:
		return wider, false
	}
	return wider, true
}

// covers reports whether the entry of a pattern is for a scope, region, tier and
// latency.
func (g *globPrice) covers(sku *SKU) bool {
	asked := *sku
	asked.Model = ""
	if g.sku == asked {
		return true
	}
	wider, ok := widened(&asked)
	return ok && g.sku == wider
}

func holding(prices []*Price, at time.Time) *Price {
	for _, p := range prices {
		if p.holds(at) {
			return p
		}
	}
	return nil
}

// terms are what a contract changes of list prices. A guaranteed price comes
// first, class by class where it is lower; the discount is off what is left.
type terms struct {
	locks     *PriceBook
	discounts []config.Discount
}

// term is what is charged instead of a list price, from a moment to before
// another one, which is zero without an end.
type term struct {
	from, to time.Time
	price    *Price
}

func (t *terms) none() bool {
	return len(t.discounts) == 0 && (t.locks == nil || len(t.locks.files) == 0)
}

// settle works out what is charged for the exact ids of a book. A price may be of
// several SKUs, which have different terms, so that each gets its own.
func (t *terms) settle(b *priceFile) {
	if t.none() {
		return
	}
	for sku, prices := range b.exact {
		own := make([]*Price, len(prices))
		for i, p := range prices {
			own[i] = t.settled(sku, p)
		}
		b.exact[sku] = own
	}
	for i := range b.globs {
		p := *b.globs[i].price
		p.narrow = t.narrowed(p.narrow)
		b.globs[i].price = &p
	}
}

// settled is p with what is charged for a SKU instead of it, and instead of the
// prices that are made of it.
func (t *terms) settled(sku SKU, p *Price) *Price {
	own := t.withTerms(sku, p)
	for _, marked := range []**Price{&own.asGeo, &own.elsewhere} {
		*marked = t.withTerms(sku, *marked)
	}
	own.narrow = t.narrowed(own.narrow)
	return own
}

func (t *terms) narrowed(narrow map[SKU]*Price) map[SKU]*Price {
	settled := make(map[SKU]*Price, len(narrow))
	for sku, p := range narrow {
		settled[sku] = t.settled(sku, p)
	}
	return settled
}

// withTerms is p with what is charged instead of it.
func (t *terms) withTerms(sku SKU, p *Price) *Price {
	q := *p
	q.terms, q.termsOf = []term{}, &sku
	moments := t.moments(sku, p)
	for i, from := range moments {
		if net := t.net(sku, p, from); net != nil {
			var to time.Time
			if i+1 < len(moments) {
				to = moments[i+1]
			}
			q.terms = append(q.terms, term{from, to, net})
		}
	}
	return &q
}

// moments are when what is charged for a SKU may change.
func (t *terms) moments(sku SKU, p *Price) []time.Time {
	all := []time.Time{p.effective}
	add := func(from, to time.Time) {
		all = append(all, from)
		if !to.IsZero() {
			all = append(all, to)
		}
	}
	for i := range t.discounts {
		if d := &t.discounts[i]; d.Applies(sku.Model, sku.Tier) {
			to := d.To
			if !to.IsZero() {
				to = to.AddDate(0, 0, 1)
			}
			add(d.From, to)
		}
	}
	if t.locks != nil {
		for i := range t.locks.files {
			t.locks.files[i].each(&sku, func(l *Price) { add(l.effective, l.until) })
		}
	}
	all = slices.DeleteFunc(all, func(m time.Time) bool { return m.Before(p.effective) })
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// each calls f with all prices that may be found for a SKU.
func (b *priceFile) each(sku *SKU, f func(p *Price)) {
	exact := b.exact[*sku]
	if wider, ok := widened(sku); ok {
		exact = slices.Concat(exact, b.exact[wider])
	}
	for _, p := range exact {
		f(p)
	}
	for k := range b.globs {
		if g := &b.globs[k]; g.covers(sku) && g.pattern.Match(sku.Model) {
			f(g.price)
		}
	}
}

// charged is what is charged at a time for a SKU whose list price is p.
func (t *terms) charged(sku SKU, p *Price, at time.Time) *Price {
	if t.none() {
		return p
	}
	sku.Context = ""
	if sku.Scope != "" {
		sku.Region = ""
	}
	// The terms of a pattern are not known before, and those of a price that is taken
	// for another SKU may not be that SKU's.
	if p.terms == nil || *p.termsOf != sku && t.locks != nil && len(t.locks.files) > 0 {
		if net := t.net(sku, p, at); net != nil {
			return net
		}
		return p
	}
	for i := range p.terms {
		if s := &p.terms[i]; !at.Before(s.from) && (s.to.IsZero() || at.Before(s.to)) {
			return s.price
		}
	}
	return p
}

// net is what is charged at a time instead of the list price p, nil when p is.
func (t *terms) net(sku SKU, p *Price, at time.Time) *Price {
	q := *p
	q.list, q.terms, q.narrow = p, nil, nil
	if lock := t.locks.find(sku, at); lock != nil && q.lower(&lock.rates) {
		q.Version += "~" + lock.Version
	}
	for i := range t.discounts {
		d := &t.discounts[i]
		if d.Holds(at) && d.Applies(sku.Model, sku.Tier) {
			q.discount(d.PPM)
			q.Version += "-" + strconv.FormatFloat(float64(d.PPM)/10_000, 'f', -1, 64) + "%"
			break
		}
	}
	if p.long != nil {
		if long := t.net(longOf(sku), p.long, at); long != nil {
			q.long = long
		}
	}
	if q.Version == p.Version && q.long == p.long {
		return nil
	}
	return &q
}

// longOf is the SKU of a long context, of which no price is guaranteed: locks have
// no steps.
func longOf(sku SKU) SKU {
	sku.Context = longContext
	return sku
}

// lower takes the rates of lock that are lower, and reports whether any is.
func (r *rates) lower(lock *rates) (any bool) {
	guaranteed := lock.all()
	for i, one := range r.all() {
		if g := guaranteed[i]; one.listed && g.listed && g.price < one.price {
			*one, any = *g, true
		}
	}
	return any
}

// discount takes millionths off every rate, rounded to the nearest pico-dollar per
// million, and half to even.
func (r *rates) discount(ppm int64) {
	for _, one := range r.all() {
		one.price = money.Price(money.Cost(1_000_000-ppm, one.price)) // a price is that of a million
	}
}

// SKUOf says what a call is priced as: the foundation model id and the scope
// that the model's id tells, and the tier and latency asked for. For a model behind
// an opaque ARN the caller gives those of the model that the ARN is mapped to.
func SKUOf(foundation, scope, tier, latency string) SKU {
	return SKU{Model: foundation, Scope: scope, Tier: tierName(tier), Latency: latencyName(latency)}
}

// tierName maps Bedrock's names of the default tier to "". OpenAI's "auto" is the
// default tier, too.
func tierName(tier string) string {
	switch tier {
	case "default", "standard", "auto":
		return ""
	}
	return tier
}

// latencyName maps Bedrock's name of the ordinary latency to "".
func latencyName(latency string) string {
	if latency == "standard" {
		return ""
	}
	return latency
}

// bought is a book of capacity: what it serves is paid by the hour or the month, and costs nothing more.
func bought() config.PriceBook {
	var b config.PriceBook
	for _, tier := range config.CapacityKinds() {
		p := config.Price{Models: []string{"*"}, Tier: tier}
		p.HasInput, p.HasOutput, p.HasCacheRead, p.HasCacheWrite5m, p.HasCacheWrite1h = true, true, true, true, true
		p.HasQuery, p.HasImage, p.HasSecond = true, true, true
		b.Prices = append(b.Prices, p)
	}
	return b
}
