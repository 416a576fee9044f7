// Package commitment says how far what was promised to AWS is spent, at list price, what
// will be missing at its end, and on whose models it went: one page to take into a
// negotiation.
package commitment

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Page is one commitment as of a time.
type Page struct {
	From, To, AsOf time.Time // To is exclusive
	Promised       money.Total
	List, Net      money.Total // spent so far, at list price and as charged, capacity included
	Fixed          money.Total // of that for capacity, which has no other price
	// Low, Mid and High are what List will be at the end, in dollars: estimates. Known is
	// whether there is history for Mid, and Bounded for the other two.
	Low, Mid, High float64
	Known, Bounded bool
	Providers      []Provider // the largest first
	Warnings       []report.Warning
	// Missing is until when nothing of the term is known, because counters are not kept
	// for so long; zero for nothing missing.
	Missing time.Time
}

// Provider is what went to the models of one maker.
type Provider struct {
	Name      string
	List, Net money.Total
}

// Shortfall is what will be missing of the promise in dollars, when so much is spent.
func (p *Page) Shortfall(spent float64) float64 { return max(0, dollars(&p.Promised)-spent) }

func dollars(t *money.Total) float64 {
	usd, _ := t.Rat().Float64()
	return usd / float64(money.Dollar)
}

// Read reads a commitment's page. models are what opaque ARNs stand for. It fails with what
// reading the ledger fails with.
func Read(
	ctx context.Context, source report.Source, c *config.Commitment, models map[string]string, now time.Time,
) (*Page, error) {
	now = now.UTC()
	p := &Page{From: c.From, To: c.To.AddDate(0, 0, 1), AsOf: now}
	// An amount is less than nine million dollars, and a promise need not be.
	p.Promised.AddRat(new(big.Rat).Mul(big.NewRat(c.USD, 1), big.NewRat(int64(money.Dollar), 1)))
	if kept := now.Add(-record.KeepDays).Truncate(24 * time.Hour); c.From.Before(kept) {
		p.Missing = kept
	}
	r, err := report.Build(ctx, source, report.Query{
		From: p.From, To: p.To, By: []string{"base_model"}, Now: now, Models: models,
	})
	if err != nil {
		return nil, err
	}
	p.Warnings = r.Warnings
	p.List.AddTotal(r.Total.List())
	p.Net.AddTotal(r.Total.Cost())
	p.addProviders(r.Rows)
	return p, p.predict(ctx, source)
}

// AddFixed counts capacity towards the promise: what it cost in the term, used or not, and what it will cost until the
// end, if nothing is given up. Bills are those of the term until now.
func (p *Page) AddFixed(bills []*Bill) {
	for _, b := range bills {
		for _, sum := range []*money.Total{&p.List, &p.Net, &p.Fixed} {
			sum.Add(b.Cost)
		}
		maker := p.provider(b.Models[0])
		maker.List.Add(b.Cost)
		maker.Net.Add(b.Cost)
		sum := usdOf(b.Cost) + b.further(p.To)
		p.Low, p.Mid, p.High = p.Low+sum, p.Mid+sum, p.High+sum
	}
	p.sort()
}

// further is what will be paid until the end of a term, in dollars: that of hours and months is known, that of windows
// goes on as it was.
func (b *Bill) further(end time.Time) float64 {
	if last := b.Capacity.To; !last.IsZero() && last.AddDate(0, 0, 1).Before(end) {
		end = last.AddDate(0, 0, 1)
	}
	switch {
	case !end.After(b.To):
		return 0
	case !inWindows(b.Capacity):
		return usdOf(paid(b.Capacity, end) - paid(b.Capacity, b.To))
	case !b.To.After(b.From):
		return 0
	}
	return usdOf(b.Cost) * float64(end.Sub(b.To)) / float64(b.To.Sub(b.From))
}

func usdOf(p money.Pico) float64 { return float64(p) / float64(money.Dollar) }

func (p *Page) addProviders(rows []*report.Row) {
	for i := range rows {
		of := p.provider(rows[i].By[0])
		of.List.AddTotal(rows[i].List())
		of.Net.AddTotal(rows[i].Cost())
	}
	p.sort()
}

// provider is the maker of a model, on the page.
func (p *Page) provider(model string) *Provider {
	name, _, _ := strings.Cut(wire.BaseModel(model, nil), ".")
	at := slices.IndexFunc(p.Providers, func(of Provider) bool { return of.Name == name })
	if at < 0 {
		at = len(p.Providers)
		p.Providers = append(p.Providers, Provider{Name: name})
	}
	return &p.Providers[at]
}

func (p *Page) sort() {
	slices.SortFunc(p.Providers, func(a, b Provider) int {
		return cmp.Or(b.List.Rat().Cmp(a.List.Rat()), strings.Compare(a.Name, b.Name))
	})
}

// predict goes by the last four weeks, at list price, of all tenants together.
func (p *Page) predict(ctx context.Context, source report.Source) error {
	const all = "all"
	spent := dollars(&p.List)
	p.Low, p.Mid, p.High = spent, spent, spent
	if !p.AsOf.Before(p.To) { // it is over
		p.Known, p.Bounded = true, true
		return nil
	}
	window := record.Window{Tenant: all}
	h := forecast.NewHistory([]record.Window{window}, func(string) []string { return []string{all} }, nil, p.AsOf)
	from, to := h.Range()
	err := source.Rows(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		c.CostInput += c.Discount // list price
		return h.Add(k, c)
	})
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	low, mid, high, known, bounded := h.Until(all, latest(p.AsOf, p.From), p.To)
	p.Low, p.Mid, p.High, p.Known, p.Bounded = spent+low, spent+mid, spent+high, known, bounded
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
