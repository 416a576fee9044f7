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

// maxCount and maxUnits bound what one answer can be believed to report, in
// tokens and in text units. More makes the usage unknown.
const (
	maxCount = 1 << 28
	maxUnits = 1 << 20
)

// guardrailModel is what guardrail policies are priced under in the books.
const guardrailModel = "guardrail"

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

// Price is what one SKU costs from a day on.
type Price struct {
	// Version names the rates: the day they hold from and a hash of them. It ends
	// in "+region" when a geo profile takes the in-region price.
	Version string

	effective                                            time.Time
	input, output, cacheRead, cacheWrite5m, cacheWrite1h rate
	query, image, millisecond                            rate
	guardrail                                            [wire.GuardrailPolicies]rate
	asGeo                                                *Price
}

// PriceBook has the prices. It does not change after CompilePrices.
type PriceBook struct{ files []priceFile }

// priceFile is one file, by what its entries name.
type priceFile struct {
	exact map[SKU][]*Price // newest first
	globs []globPrice      // longest pattern first, then newest
}

type globPrice struct {
	pattern     glob.Pattern
	scope, tier string
	price       *Price
}

// CompilePrices makes one price book of several files, of which later ones override
// earlier ones. Prices out of range are problems; one that differs a hundredfold
// from what it overrides is a warning, because prices are quoted per thousand
// and per million.
func CompilePrices(books []config.PriceBook) (*PriceBook, []config.Problem) {
	t := &PriceBook{}
	var problems []config.Problem
	for i := range books {
		b := priceFile{exact: make(map[SKU][]*Price)}
		for k := range books[i].Prices {
			entry := &books[i].Prices[k]
			path := fmt.Sprintf("prices[%d].prices[%d]", i, k)
			p, wrong := compilePrice(entry)
			if wrong != "" {
				problems = append(problems, config.Problem{Path: path, Message: wrong})
				continue
			}
			if jump := t.jump(entry, p); jump != "" {
				problems = append(problems, config.Problem{Path: path, Message: jump, Warning: true})
			}
			b.add(entry, p)
		}
		b.sort()
		t.files = append(t.files, b)
	}
	return t, problems
}

func compilePrice(e *config.Price) (*Price, string) {
	p := &Price{
		effective:    e.Effective.UTC(),
		input:        rate{e.Input, len(e.Guardrail) == 0},
		output:       rate{e.Output, e.HasOutput},
		cacheRead:    rate{e.CacheRead, e.HasCacheRead},
		cacheWrite5m: rate{e.CacheWrite5m, e.HasCacheWrite5m},
		cacheWrite1h: rate{e.CacheWrite1h, e.HasCacheWrite1h},
	}
	for name, price := range e.Guardrail {
		i := slices.Index(guardrailNames[:], name)
		if i < 0 {
			return nil, fmt.Sprintf("there is no guardrail policy %q", name)
		}
		p.guardrail[i] = rate{price, true}
	}
	for _, r := range p.rates() {
		if r.price < 0 || r.price > MaxPrice {
			return nil, "a price is negative or above 4,000 dollars per million"
		}
	}
	p.Version = p.effective.Format(time.DateOnly) + "-" + p.hash()
	geo := *p
	geo.Version += "+region"
	p.asGeo = &geo
	return p, ""
}

func (p *Price) rates() []rate {
	return append([]rate{p.input, p.output, p.cacheRead, p.cacheWrite5m, p.cacheWrite1h}, p.guardrail[:]...)
}

// hash is 32 bits of what the price says; equal rates from a day have one version.
func (p *Price) hash() string {
	sum := sha256.Sum256(fmt.Append(nil, p.rates()))
	return fmt.Sprintf("%x", sum[:4])
}

// jump says that an entry differs a hundredfold from the one it overrides.
func (t *PriceBook) jump(e *config.Price, p *Price) string {
	for _, model := range e.Models {
		old := t.find(SKU{Model: model, Scope: e.Scope, Tier: e.Tier}, e.Effective)
		if old == nil {
			continue
		}
		for i, r := range p.rates() {
			before := old.rates()[i]
			low, high := min(r.price, before.price), max(r.price, before.price)
			if low > 0 && high/low >= 100 {
				return fmt.Sprintf("%s: a price is %d times off the one it overrides; is it per thousand or per million?",
					model, high/low)
			}
		}
	}
	return ""
}

func (b *priceFile) add(e *config.Price, p *Price) {
	for _, model := range e.Models {
		if !strings.Contains(model, "*") {
			sku := SKU{Model: model, Scope: e.Scope, Tier: e.Tier}
			b.exact[sku] = append(b.exact[sku], p)
			continue
		}
		b.globs = append(b.globs, globPrice{glob.Compile(model), e.Scope, e.Tier, p})
	}
}

func (b *priceFile) sort() {
	newest := func(x, y *Price) int { return y.effective.Compare(x.effective) }
	for _, prices := range b.exact {
		slices.SortStableFunc(prices, newest)
	}
	slices.SortStableFunc(b.globs, func(x, y globPrice) int {
		return cmp.Or(len(y.pattern.String())-len(x.pattern.String()), newest(x.price, y.price))
	})
}

// Find returns the price of a SKU at a time, nil when it is unpriced.
//
// The last book that has a price from that day or before decides; in it an
// exact id goes before a pattern, a longer pattern before a shorter one, and a
// later day before an earlier one. Tier and scope must match, with one
// exception: a geo profile without a price of its own takes the in-region
// price, which is what AWS charged for all models before Claude 4.5, and its
// version says so. A global profile needs its own price.
func (t *PriceBook) Find(sku SKU, at time.Time) *Price {
	if p := t.find(sku, at); p != nil || sku.Scope != "geo" {
		return p
	}
	sku.Scope = ""
	if p := t.find(sku, at); p != nil {
		return p.asGeo
	}
	return nil
}

func (t *PriceBook) find(sku SKU, at time.Time) *Price {
	if t == nil || sku.Model == "" {
		return nil
	}
	sku.Region, sku.Context = "", ""
	for i := len(t.files) - 1; i >= 0; i-- {
		b := &t.files[i]
		for _, p := range b.exact[sku] {
			if !p.effective.After(at) {
				return p
			}
		}
		for k := range b.globs {
			g := &b.globs[k]
			same := g.scope == sku.Scope && g.tier == sku.Tier && sku.Latency == ""
			if same && !g.price.effective.After(at) && g.pattern.Match(sku.Model) {
				return g.price
			}
		}
	}
	return nil
}

// WorstCase is the most that a call of so many tokens can cost, with all input
// written to the dearest cache that the model lists. It is false when the model
// has no price for output and output is asked for, or p is nil.
func (p *Price) WorstCase(input, output int64) (money.Pico, bool) {
	if p == nil {
		return 0, false
	}
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

// GuardrailWorstCase is the most that a guardrail can cost for so many text
// units: every policy that the price lists counts each of them. It is false when
// p is nil or lists none.
func (p *Price) GuardrailWorstCase(units int64) (money.Pico, bool) {
	if p == nil {
		return 0, false
	}
	var sum money.Pico
	listed := false
	for _, r := range p.guardrail {
		cost, _ := r.cost(min(max(units, 0), maxUnits))
		sum += cost
		listed = listed || r.listed
	}
	return sum, listed
}

func clamp(n int64) int64 { return min(max(n, 0), maxCount) }

// SKUOf says what a call is priced as: the foundation model id and the scope
// that the model's id has, and the tier asked for. For a model behind an
// opaque ARN the caller gives those of the model that the ARN is mapped to.
func SKUOf(foundation, scope, tier string) SKU {
	return SKU{Model: foundation, Scope: scope, Tier: tierName(tier)}
}

// tierName maps Bedrock's names of the default tier to "".
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
