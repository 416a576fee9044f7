package record

import (
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

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
			own[i] = t.withTerms(sku, p)
			for _, marked := range []**Price{&own[i].asGeo, &own[i].elsewhere} {
				*marked = t.withTerms(sku, *marked)
			}
		}
		b.exact[sku] = own
	}
}

// withTerms is p with what is charged instead of it.
func (t *terms) withTerms(sku SKU, p *Price) *Price {
	q := *p
	q.terms = []term{}
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
	if p.terms == nil { // of a pattern
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
	q.list, q.terms = p, nil
	if lock := t.locks.find(sku, at); lock != nil && q.rates.lower(&lock.rates) {
		q.Version += "~" + lock.Version
	}
	for i := range t.discounts {
		d := &t.discounts[i]
		if d.Holds(at) && d.Applies(sku.Model, sku.Tier) {
			q.rates.discount(d.PPM)
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
		one.price = share(one.price, 1_000_000-ppm)
	}
}

// share is so many millionths of a price.
func share(p money.Price, ppm int64) money.Price {
	const whole = 1_000_000
	product := new(big.Int).Mul(big.NewInt(int64(p)), big.NewInt(ppm))
	q, rest := new(big.Int).QuoRem(product, big.NewInt(whole), new(big.Int))
	n := q.Int64()
	if rest.Int64()*2 > whole || rest.Int64()*2 == whole && n%2 != 0 {
		n++
	}
	return money.Price(n)
}
