// Package prices makes price books from lists that others publish, and keeps what
// each version of a price meant.
package prices

import (
	"errors"
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

// ErrJump is wrapped by the error about prices that changed too much to be
// believed.
var ErrJump = errors.New("differs too much from the books to be believed")

// maxJump is how many times a price may be off the one in the books: below the
// factor of a thousand between the units of price lists, above any real change.
const maxJump = 10

// CheckJumps fails with ErrJump when a rate is more than ten times off the one that
// a table has for the same SKU.
func (l *List) CheckJumps(table *record.PriceBook, at time.Time) error {
	var errs []error
	for i := range l.Prices {
		p := &l.Prices[i]
		if p.Above != 0 || !table.Lists(SKU(p), at) {
			continue
		}
		before := table.Find(SKU(p), at).List()
		for k, c := range p.Classes() {
			was := before.Classes()[k]
			low, high := min(c.Price, was.Price), max(c.Price, was.Price)
			if low > 0 && high/low >= maxJump && (high/low > maxJump || high%low > 0) {
				errs = append(errs, fmt.Errorf("%s: %s is %s, %s before: %w",
					Name(p), c.Name, Dollars(c.Price), Dollars(was.Price), ErrJump))
			}
		}
	}
	return errors.Join(errs...)
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
