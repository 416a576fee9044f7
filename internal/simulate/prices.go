package simulate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// ErrModel is wrapped by errors about a model's name.
var ErrModel = errors.New("which model is meant?")

// PriceList is the models of price books at one moment.
type PriceList struct {
	models []Model // as listed, each once
	main   int     // how many of the first are of the main book and the user's files
	price  func(record.SKU) *record.Price
}

// further is the place of the second shipped book, whose models come last.
const further = 1

// ListPrices lists the models that books name and table prices at a time: those
// of the main book and the user's files before those of the further shipped book.
func ListPrices(books []config.PriceBook, table *record.PriceBook, at time.Time) *PriceList {
	l := &PriceList{price: func(sku record.SKU) *record.Price { return table.Find(sku, at) }}
	add := func(book *config.PriceBook) {
		for _, listed := range table.List(book, at) {
			m := Model{ID: listed.ID, Rates: listed.Rates, Batch: l.batch(listed.ID, "")}
			if !slices.Contains(l.models, m) {
				l.models = append(l.models, m)
			}
		}
	}
	for i := range books {
		if i != further {
			add(&books[i])
		}
	}
	l.main = len(l.models)
	if len(books) > further {
		add(&books[further])
	}
	return l
}

// batch is what a million tokens cost in the tier batch, all zero without a price.
func (l *PriceList) batch(foundation, scope string) record.TokenRates {
	rates, ok := l.price(record.SKUOf(foundation, scope, "batch", "")).TokenRates()
	if !ok {
		return record.TokenRates{}
	}
	return rates
}

// InTier is the models that have a price in a service tier, such as flex, at that price.
func (l *PriceList) InTier(tier string) *PriceList {
	in := &PriceList{price: func(sku record.SKU) *record.Price {
		if sku.Tier == "" {
			sku.Tier = record.SKUOf("", "", tier, "").Tier
		}
		return l.price(sku)
	}}
	for i, m := range l.models {
		rates, ok := in.price(record.SKUOf(m.ID, "", "", "")).TokenRates()
		if !ok {
			continue
		}
		in.models = append(in.models, Model{ID: m.ID, Rates: rates, Batch: m.Batch})
		if i < l.main {
			in.main++
		}
	}
	return in
}

// Find finds a model by its id, by the full id of a profile, which has the
// profile's price, or by an unambiguous part of its id; in the main book before
// the others. It fails with ErrModel.
func (l *PriceList) Find(name string) (Model, error) {
	id := wire.ParseModelID(name)
	if rates, ok := l.price(record.SKUOf(id.Foundation, id.Scope, "", "")).TokenRates(); ok && id.Foundation != "" {
		return Model{ID: name, Rates: rates, Batch: l.batch(id.Foundation, id.Scope)}, nil
	}
	m, err := pick(l.models[:l.main], name)
	if err != nil {
		m, err = pick(l.models, name)
	}
	return m, err
}

// Shown is the models to compare a setup with: all, or those of the main book and
// of the setup.
func (l *PriceList) Shown(all bool, s Setup) []Model {
	if all {
		return l.models
	}
	models := slices.Clone(l.models[:l.main])
	for _, m := range []Model{s.Light, s.Escalation} {
		if m.ID != "" && !slices.Contains(models, m) {
			models = append(models, m)
		}
	}
	return models
}

// pick finds a model by its id or by a part of it that no other id of the list
// has: "claude-3.5-haiku". A part starts where a word of the id starts; case,
// dots and colons are as good as dashes. The error names what fits.
func pick(models []Model, name string) (Model, error) {
	var found, all []string
	var last Model
	for _, m := range models {
		if m.ID == name {
			return m, nil
		}
		all = append(all, m.ID)
		if name != "" && strings.Contains("-"+plain(m.ID), "-"+plain(name)) {
			found, last = append(found, m.ID), m
		}
	}
	switch len(found) {
	case 1:
		return last, nil
	case 0:
		return Model{}, fmt.Errorf("%w no model with a price is called %q; there are %s",
			ErrModel, name, strings.Join(all, ", "))
	default:
		return Model{}, fmt.Errorf("%w %q fits %s", ErrModel, name, strings.Join(found, ", "))
	}
}

func plain(s string) string {
	return strings.NewReplacer(".", "-", ":", "-", "_", "-", " ", "-").Replace(strings.ToLower(s))
}
