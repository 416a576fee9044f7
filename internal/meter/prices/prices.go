// Package prices makes price books from lists that others publish, and keeps what
// each version of a price meant.
package prices

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// List is what was read from a published list. Each price has one model.
type List struct {
	Source    string // what it is and of which version
	Prices    []config.Price
	Lifecycle []config.Lifecycle
	// Unpriced are names of models that the list has no usable price for.
	Unpriced []config.Unlisted
	// Skipped are entries that are no prices of tokens, by why.
	Skipped map[string]int
	// Unnamed are the names of models for which no id is known.
	Unnamed []string
	// Doubts are warnings about what may be a price and is not read.
	Doubts []config.Fault

	doc    *document
	places map[string]span // of classes, by the name of the price
}

// skip notes an entry that is not read, and names its model as unpriced unless it
// is "".
func (l *List) skip(model, reason string) {
	if l.Skipped == nil {
		l.Skipped = map[string]int{}
	}
	l.Skipped[reason]++
	if model == "" {
		return
	}
	i := slices.IndexFunc(l.Unpriced, func(u config.Unlisted) bool { return u.Reason == reason })
	if i < 0 {
		i = len(l.Unpriced)
		l.Unpriced = append(l.Unpriced, config.Unlisted{Reason: reason})
	}
	l.Unpriced[i].Models = append(l.Unpriced[i].Models, model)
}

// Without leaves out what a table has a price of its own for: the same model,
// scope, region, tier and latency.
func (l *List) Without(table *record.PriceBook, at time.Time) {
	l.Prices = slices.DeleteFunc(l.Prices, func(p config.Price) bool {
		return table.Lists(SKU(&p), at)
	})
}

// SKU is what a price with one model is the price of.
func SKU(p *config.Price) record.SKU {
	return record.SKU{Model: p.Models[0], Scope: p.Scope, Region: p.Region, Tier: p.Tier, Latency: p.Latency}
}

// maxJump is how many times a price may be off the one in the books: below the
// factor of a thousand between the units of price lists, above any real change.
const maxJump = 10

// Check fails with a *config.Error that names what cannot be believed: rates more than
// ten times off those that a table finds for the same SKU, and classes of one price
// that cannot be in one unit.
func (l *List) Check(table *record.PriceBook, at time.Time) error {
	for i := range l.Prices {
		p := &l.Prices[i]
		for _, doubt := range record.Doubts(&p.Rates) {
			class, _, _ := strings.Cut(doubt, " ")
			l.doc.fault(l.at(p, class), "%s: %s", Name(p), doubt)
		}
		before := priceBefore(table, p, at)
		if before == nil {
			continue
		}
		for k, c := range p.Classes() {
			was := before.Classes()[k]
			low, high := min(c.Price, was.Price), max(c.Price, was.Price)
			if low > 0 && (high/low > maxJump || high/low == maxJump && high%low > 0) {
				l.doc.fault(l.at(p, c.Name), "%s: %s is %s, %s before: it differs too much from the books to be believed",
					Name(p), c.Name, exact(c.Price, unitsOf(c.Name)), exact(was.Price, unitsOf(c.Name)))
			}
		}
	}
	return l.doc.err()
}

// priceBefore is the list price that a table finds for what p is the price of.
func priceBefore(table *record.PriceBook, p *config.Price, at time.Time) *config.Rates {
	found := table.Find(SKU(p), at)
	if found == nil {
		return nil
	}
	if long, _ := found.Long(); p.Above != 0 && long != nil {
		found = long
	}
	return found.List()
}

// note keeps where a class of a price comes from.
func (l *List) note(p *config.Price, class string, at span) {
	if l.places == nil {
		l.places = map[string]span{}
	}
	l.places[Name(p)+"|"+class] = at
}

// at is where a class of a price comes from.
func (l *List) at(p *config.Price, class string) span { return l.places[Name(p)+"|"+class] }

// doubt notes what is not read and may be a price.
func (l *List) doubt(at span, message string) {
	l.Doubts = append(l.Doubts, config.Fault{Position: l.doc.position(at.from), Message: message, Warning: true})
}

// unnamed notes that a price is not read because its model's name is of no known id.
func (l *List) unnamed(name string) {
	l.skip("", "no id is known for its name")
	if !slices.Contains(l.Unnamed, name) {
		l.Unnamed = append(l.Unnamed, name)
	}
}

// Name is a price for people: the id as it is called, and where, in which tier and
// length it differs.
func Name(p *config.Price) string {
	name := p.Models[0]
	if p.Scope != "" {
		name = p.Scope + "." + name
	}
	for _, part := range []string{p.Region, p.Tier, p.Latency} {
		if part != "" {
			name += " " + part
		}
	}
	if p.Above != 0 {
		name += fmt.Sprintf(" above %d", p.Above)
	}
	return name
}

// Dollars writes a price in dollars per million, exactly.
func Dollars(p money.Price) string {
	text := money.Pico(p).String()
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// IDs are the models that a configuration knows: of its prices, of its catalogue, and
// those that it has no price for on purpose.
func IDs(cfg *config.Config, table *record.PriceBook) []string {
	var ids []string
	for _, sku := range table.SKUs() {
		ids = append(ids, sku.Model)
	}
	for i := range cfg.Models {
		ids = append(ids, cfg.Models[i].IDs...)
	}
	return ids
}
