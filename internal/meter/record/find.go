package record

import (
	"strings"
	"time"
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
			return p
		}
	}
	for k := range b.globs {
		g := &b.globs[k]
		if g.covers(sku) && g.price.holds(at) && g.pattern.Match(sku.Model) {
			return g.price
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
