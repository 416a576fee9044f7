package snapshot

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/prices"
)

// endingSoon is how long before a configured model ends that is a warning.
const endingSoon = 90 * 24 * time.Hour

// Endings warns of models that aliases and cascades name and that AWS does not serve
// any more, or not for long. The warning names what follows them and its price.
func (s *Snapshot) Endings(now time.Time) []config.Problem {
	var all []config.Problem
	warn := func(path, model string) {
		id := s.Router.Priced(s.Router.Resolve(model))
		life := s.Lifecycle(id.Foundation)
		if life == nil || life.Ends.Sub(now) > endingSoon {
			return
		}
		text := fmt.Sprintf("%s ends on %s", id.Foundation, life.Ends.Format(time.DateOnly))
		if life.Successor == "" {
			text += "; no successor is named"
		} else {
			text += "; its successor is " + life.Successor + s.priceOf(life.Successor, id.Scope, now)
		}
		all = append(all, config.Problem{Path: path, Message: text, Warning: true})
	}
	for _, alias := range slices.Sorted(maps.Keys(s.Config.Aliases)) {
		warn("aliases."+alias, s.Config.Aliases[alias])
	}
	for i := range s.Config.Cascades {
		c := &s.Config.Cascades[i]
		path := fmt.Sprintf("cascades[%d].", i)
		warn(path+"light", c.Light)
		warn(path+"partner", c.Partner)
		warn(path+"escalation", c.Escalation)
	}
	return all
}

// Lifecycle is when a foundation model ends, by the last book that says so, and nil where
// none does.
func (s *Snapshot) Lifecycle(model string) *config.Lifecycle {
	for i := len(s.Config.Prices) - 1; i >= 0; i-- {
		for k := range s.Config.Prices[i].Lifecycle {
			if life := &s.Config.Prices[i].Lifecycle[k]; model != "" && slices.Contains(life.Models, model) {
				return life
			}
		}
	}
	return nil
}

// priceOf says what a model costs in a scope.
func (s *Snapshot) priceOf(model, scope string, now time.Time) string {
	id := model
	if scope != "" {
		id = scope + "." + model
	}
	rates, ok := s.Prices.Find(s.SKU(id, "", "", ""), now).TokenRates()
	if !ok {
		return ", which has no price"
	}
	return fmt.Sprintf(", at $%s for a million tokens of input and $%s of output",
		prices.Dollars(rates.Input), prices.Dollars(rates.Output))
}
