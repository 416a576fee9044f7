package prices

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

// An offer is a file of AWS's price list for one service code: AmazonBedrock (models
// of Amazon and open ones, dollars per thousand tokens), AmazonBedrockFoundationModels
// (models of the Marketplace, dollars per million, their unit called "Units") or
// AmazonBedrockService. It has a product for each class, region, tier and scope of a
// model, and most of what a product is stands in its usage type.

// offer is what is read of a file besides its products and prices.
type offer struct {
	OfferCode       string
	Version         string
	PublicationDate string
}

// product is one entry of an offer.
type product struct {
	at         span // of its key
	value      span
	Attributes struct {
		RegionCode, Model, TitanModel, ServiceName string
		UsageType, InferenceType, TokenType        string
		Feature                                    string
		ServiceTier                                string `json:"service_tier"`
	}
}

// offerReader makes prices of an offer.
type offerReader struct {
	*document
	offer
	day      time.Time // on which the prices hold
	names    nameIndex
	list     *List
	products map[string]*product // by SKU
	order    []string            // of the SKUs
	terms    map[string]span     // by SKU
	found    map[string]*offered // by the names of prices
	unknown  map[string]bool     // usage that was named as unknown
}

// offered is one price that products add classes to.
type offered struct {
	price config.Price
	from  map[string]span // where each class comes from
}

// readOffer reads the prices of an offer that hold on a day. ids are the models that
// names may mean. It fails with a *config.Error that lists what cannot be right;
// what is no price of inference is left out and counted.
func readOffer(d *document, ids []string, day time.Time) (*List, error) {
	r := offerReader{document: d, day: day, names: newNameIndex(ids), list: &List{doc: d}, products: map[string]*product{},
		terms: map[string]span{}, found: map[string]*offered{}, unknown: map[string]bool{}}
	if err := r.members(r.whole(), r.section); err != nil {
		return nil, err
	}
	r.list.Source = "AWS price list " + strings.TrimSpace(r.OfferCode+" "+cmp.Or(r.Version, r.PublicationDate))
	for _, sku := range r.order {
		r.product(sku, r.products[sku])
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	r.finish()
	if len(r.list.Prices) == 0 {
		r.fault(r.whole(), "the offer has no price of a model that is known")
	}
	return r.list, r.err()
}

func (r *offerReader) section(name string, _, value span) error {
	text := map[string]*string{
		"offerCode": &r.OfferCode, "version": &r.Version, "publicationDate": &r.PublicationDate,
	}[name]
	switch {
	case text != nil:
		if r.decode(value, text) != nil {
			r.fault(value, "%s is no text", name)
		}
	case name == "products":
		return r.members(value, r.readProduct)
	case name == "terms":
		return r.members(value, func(kind string, _, value span) error {
			if kind != "OnDemand" {
				return nil
			}
			return r.members(value, func(sku string, _, value span) error {
				r.terms[sku] = value
				return nil
			})
		})
	}
	return nil
}

func (r *offerReader) readProduct(sku string, key, value span) error {
	p := &product{at: key, value: value}
	if err := r.decode(value, p); err != nil {
		r.fault(key, "%s is no product: %v", sku, err)
		return nil
	}
	if r.products[sku] == nil {
		r.order = append(r.order, sku)
	}
	r.products[sku] = p
	return nil
}

// product adds the price of a product, or notes why it is not read.
func (r *offerReader) product(sku string, p *product) {
	a := &p.Attributes
	if reason := skipped(p); reason != "" {
		r.list.skip("", reason)
		return
	}
	u, unknown := parseUsage(p)
	if unknown != "" {
		if r.list.skip("", "its usage is not known"); !r.unknown[unknown] { // the same word is in many
			r.unknown[unknown] = true
			r.list.doubt(r.inside(p.value, "usagetype"), "usagetype "+a.UsageType+" is not read: "+unknown)
		}
		return
	}
	name := modelName(p)
	id := r.names.find(name)
	if id == "" {
		r.list.unnamed(name)
		return
	}
	rate, at, ok := r.rate(sku, p, &u)
	if !ok {
		return
	}
	price := config.Price{Models: []string{id}, Tier: u.tier, Latency: u.latency, Scope: u.scope}
	if u.scope != "global" {
		price.Region = a.RegionCode
	}
	if u.long {
		price.Above = longStep
	}
	r.add(price, u.class, rate, at)
}

// longStep is the input above which AWS bills a long context. Offers do not have it.
const longStep = 200_000

// add sets the rate of one class. Two products may say the same; if they say
// different things nobody knows what is billed.
func (r *offerReader) add(p config.Price, class string, rate money.Price, at span) {
	name := Name(&p)
	o := r.found[name]
	if o == nil {
		o = &offered{price: p, from: map[string]span{}}
		r.found[name] = o
	}
	have := o.price.Class(class)
	if have.Listed && have.Price != rate {
		first := r.position(o.from[class].from)
		r.fault(at, "%s has a second price for %s: %s, and %s in line %d", name, class,
			exact(rate, unitsOf(class)), exact(have.Price, unitsOf(class)), first.Line)
		return
	}
	if !have.Listed {
		o.from[class] = at
	}
	o.price.Set(config.Class{Name: class, Price: rate, Listed: true})
}

// term is one price of a product, from a day on.
type term struct {
	at              span
	EffectiveDate   string
	PriceDimensions map[string]struct {
		BeginRange   string
		Unit         string
		PricePerUnit map[string]json.RawMessage
	}
}

// rate is what a product costs on the day, for a million of what its class counts.
func (r *offerReader) rate(sku string, p *product, u *usage) (money.Price, span, bool) {
	where, ok := r.terms[sku]
	if !ok {
		r.list.skip("", "it has no price on demand")
		return 0, span{}, false
	}
	t, ok := r.newest(where)
	if !ok {
		return 0, span{}, false
	}
	if len(t.PriceDimensions) != 1 {
		r.list.skip("", "its price depends on the volume")
		return 0, span{}, false
	}
	for _, dim := range t.PriceDimensions {
		usd, ok := dim.PricePerUnit["USD"]
		if !ok {
			r.list.skip("", "it is not billed in dollars")
			return 0, span{}, false
		}
		units, wrong := u.units(dim.Unit, p.marketplace() || r.OfferCode == "AmazonBedrockFoundationModels")
		if wrong != "" {
			r.fault(r.inside(t.at, "unit"), "unit %q of %s: %s", dim.Unit, p.Attributes.UsageType, wrong)
			return 0, span{}, false
		}
		at := r.inside(t.at, "USD")
		rate, _, err := decimal(json.RawMessage(strings.Trim(string(usd), `"`)), units)
		if err != nil {
			r.fault(at, "%s: the price %v", p.Attributes.UsageType, err)
			return 0, span{}, false
		}
		return rate, at, true
	}
	return 0, span{}, false
}

// newest is the term of a product that holds on the day.
func (r *offerReader) newest(where span) (found term, ok bool) {
	var from time.Time
	later := false
	err := r.members(where, func(name string, _, value span) error {
		t := term{at: value}
		if err := r.decode(value, &t); err != nil {
			r.fault(value, "%s is no term: %v", name, err)
			return nil
		}
		effective, err := time.Parse(time.RFC3339, t.EffectiveDate)
		switch {
		case err != nil:
			r.fault(r.inside(value, "effectiveDate"), "effectiveDate %q is no time", t.EffectiveDate)
		case effective.After(r.day):
			later = true
		case ok && effective.Equal(from):
			r.fault(value, "%s overlaps with another term: both hold from %s", name, t.EffectiveDate)
		case !ok || effective.After(from):
			found, from, ok = t, effective, true
		}
		return nil
	})
	if err == nil && !ok && later {
		r.list.skip("", "it holds from a later day")
	}
	return found, ok
}

// finish makes the list of what was found: with the profiles of geographies, which
// are billed as a call in their region is, and without what no call can cost.
func (r *offerReader) finish() {
	for _, name := range slices.Sorted(maps.Keys(r.found)) {
		o := r.found[name]
		p := &o.price
		if !p.HasInput && !p.HasQuery && !p.HasImage && !p.HasSecond {
			r.list.skip("", "it has no price for input")
			delete(r.found, name)
		}
	}
	r.geographies()
	for _, name := range slices.Sorted(maps.Keys(r.found)) {
		o := r.found[name]
		if base := o.price; o.price.Above != 0 {
			base.Above = 0
			if r.found[Name(&base)] == nil {
				r.list.skip("", "it is for long contexts of what has no price")
				continue
			}
		}
		r.list.Prices = append(r.list.Prices, o.price)
		for class, at := range o.from {
			r.list.note(&o.price, class, at)
		}
	}
	slices.SortStableFunc(r.list.Prices, func(a, b config.Price) int {
		return cmp.Or(cmp.Compare(a.Models[0], b.Models[0]), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Region, b.Region),
			cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Latency, b.Latency), cmp.Compare(a.Above, b.Above))
	})
}

// geographies adds the prices of profiles of a geography. A call of us.… costs what
// one in its region costs, unless the file says otherwise. Where regions differ there
// is no one price, and none is added.
func (r *offerReader) geographies() {
	added := map[string]*offered{}
	for _, name := range slices.Sorted(maps.Keys(r.found)) {
		o := r.found[name]
		own := o.price
		own.Scope = "geo"
		if o.price.Scope == "global" || o.price.Scope == "" && r.found[Name(&own)] != nil {
			continue
		}
		if o.price.Scope == "geo" {
			delete(r.found, name)
		}
		for _, scope := range geographiesOf(o.price.Region) {
			p := o.price
			p.Scope, p.Region = scope, ""
			have, seen := added[Name(&p)]
			switch {
			case !seen:
				added[Name(&p)] = &offered{price: p, from: o.from}
			case have != nil && !sameRates(&have.price.Rates, &p.Rates):
				added[Name(&p)] = nil
				r.list.skip("", "its profile has no one price: the regions of its geography differ")
			}
		}
	}
	for name, o := range added {
		if o != nil {
			r.found[name] = o
		}
	}
}

func sameRates(a, b *config.Rates) bool { return slices.Equal(a.Classes(), b.Classes()) }

// geographies are the scopes whose profiles may be called in regions.
var geographies = []struct {
	regions *regexp.Regexp
	scope   string
}{
	{regexp.MustCompile(`^us-gov-`), "us-gov"}, {regexp.MustCompile(`^us-(east|west)-`), "us"},
	{regexp.MustCompile(`^eu-`), "eu"}, {regexp.MustCompile(`^ca-`), "ca"}, {regexp.MustCompile(`^ap-`), "apac"},
	{regexp.MustCompile(`^ap-northeast-[13]$`), "jp"}, {regexp.MustCompile(`^ap-southeast-[24]$`), "au"},
	{regexp.MustCompile(`^ap-south-`), "in"},
}

func geographiesOf(region string) (scopes []string) {
	for _, g := range geographies {
		if g.regions.MatchString(region) {
			scopes = append(scopes, g.scope)
		}
	}
	return scopes
}
