package record

import (
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

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
