// Package report turns the ledger's counters into the rows that people read:
// who used how much of which model, and what it cost. It reads rows and adds
// them up; it estimates nothing and leaves nothing out. A Report is the one value
// that commands, the API and the page print.
package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// Currency is that of all amounts.
const Currency = "USD"

// Source is where counters are read: a ledger.
type Source interface {
	// Rows yields every row of an hour at or after from and before to,
	// in any order, and stops at the first error of yield.
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
}

// Query says what to report.
type Query struct {
	From, To time.Time // UTC; To is exclusive
	// Zone is that of days and months; nil is UTC. Hours are of UTC in any zone.
	Zone *time.Location
	// By are the columns to group by: see Columns. None gives one row in all.
	By []string
	// Within leaves only a tenant and those below it; "" is all. Where leaves only what
	// has these values, by column.
	Within string
	Where  map[string]string

	Now      time.Time // as of when it is made
	Tenants  Tenants
	Gateways []Gateway // that post to the source
	// Models are what opaque ARNs stand for, as model_map of the configuration says.
	Models map[string]string
	// Corrections are those made by hand that the source has among its rows. The report
	// has them apart, a row for each reason.
	Corrections []*record.Adjustment
	// Savings are what the savings of cascades are measured by; nil measures none. Rows that
	// are grouped by cascade, and by nothing that parts the legs of a request, have them.
	Savings *saving.Query
	// Sessions are decisions of single requests, which say whose sessions they were; nil for none. They are read where
	// rows are grouped by SessionColumn, and the total stays that of the source.
	Sessions Sessions
	// Fixed is what was paid whether it was used or not, beside what the source has.
	Fixed []Fixed
	// Prices give rows of one class and price version their unit prices; nil knows none.
	Prices Prices
}

// Fixed is a part of a cost by the hour or the month, of one row.
type Fixed struct {
	Row record.RowKey
	USD money.Pico
}

// Gateway is how far one of the gateways that post to a ledger is.
type Gateway struct {
	Name string
	// UpTo is until when all that it finished is in the report.
	UpTo time.Time
	// Behind is whether it may have finished more since, which the ledger lacks. One that
	// ended in order has not.
	Behind bool
}

// Report is the answer to a query.
type Report struct {
	From, To time.Time
	Zone     *time.Location // of days and months, nil for UTC
	By       []string
	AsOf     time.Time
	Rows     []*Row // in the order of their By values
	Total    Row    // of all rows; its By values are ""
	Gateways []Gateway
	// Warnings say in what the rows are not the whole truth.
	Warnings []Warning
}

// CompleteUpTo is until when every gateway has posted all that it finished: the time of
// the report where none is behind.
func (r *Report) CompleteUpTo() time.Time {
	upTo := r.AsOf
	for _, g := range r.Gateways {
		if g.Behind && g.UpTo.Before(upTo) {
			upTo = g.UpTo
		}
	}
	return upTo
}

// Coverage says of how many legs of a report the cost is known.
type Coverage struct{ Legs, Settled, Suspense, Unpriced int64 }

// Coverage counts by legs, because what has no price has no share of money.
func (r *Report) Coverage() Coverage {
	t := &r.Total
	c := Coverage{Legs: t.Legs, Suspense: min(t.Unknown, t.Legs)}
	c.Unpriced = min(t.Unpriced, c.Legs-c.Suspense)
	c.Settled = c.Legs - c.Suspense - c.Unpriced
	return c
}

// String says it in words.
func (c Coverage) String() string {
	if c.Legs <= 0 {
		return "no traffic"
	}
	share := func(n int64) float64 { return 100 * float64(n) / float64(c.Legs) }
	return fmt.Sprintf("%.1f %% settled, %.1f %% suspense, %.1f %% unpriced", share(c.Settled), share(c.Suspense),
		share(c.Unpriced))
}

// Warning is why the rows are not the whole truth.
type Warning string

// Build reads the source and adds its rows up. It fails with ErrQuery or what the source
// fails with.
func Build(ctx context.Context, source Source, q Query) (*Report, error) {
	by, err := resolve(q.By)
	if err != nil {
		return nil, err
	}
	s, err := newSums(&q, by)
	if err != nil {
		return nil, err
	}
	if err := source.Rows(ctx, q.From, q.To, s.add); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	if s.saving {
		if err := s.save(ctx); err != nil { // corrections count, as the ledger has them
			return nil, err
		}
	}
	for _, a := range q.Corrections {
		if err := s.correct(a); err != nil {
			return nil, err
		}
	}
	s.price()
	if err := s.attribute(ctx); err != nil {
		return nil, err
	}
	for i := range q.Fixed {
		s.addFixed(&q.Fixed[i])
	}
	r := &Report{From: q.From, To: q.To, Zone: q.Zone, By: q.By, AsOf: q.Now, Gateways: q.Gateways, Total: s.total}
	r.Rows = make([]*Row, 0, len(s.rows))
	for _, row := range s.rows {
		if !row.empty() {
			r.Rows = append(r.Rows, row)
		}
	}
	slices.SortFunc(r.Rows, func(a, b *Row) int {
		return cmp.Or(slices.Compare(a.By, b.By), cmp.Compare(a.Correction, b.Correction))
	})
	r.Warnings = r.warnings()
	if s.left > 0 {
		r.Warnings = append(r.Warnings, Warning(fmt.Sprintf("%d calls of further sessions are %s: a report has %d rows of "+
			"sessions at most", s.left, Unattributed, mostSessions)))
	}
	return r, nil
}

func (r *Report) warnings() []Warning {
	var out []Warning
	t := &r.Total
	if t.Unpriced != 0 {
		out = append(out, Warning(fmt.Sprintf("%d legs were served by models without a price: "+
			"the cost is too low; see column unpriced", t.Unpriced)))
	}
	if t.Unknown != 0 {
		out = append(out, Warning(fmt.Sprintf("%d attempts ended without known usage and may have been billed: "+
			"up to %d tokens and %s USD are in suspense, in no cost",
			t.Unknown, t.SuspenseTokens, t.Suspense.String())))
	}
	for _, g := range r.Gateways {
		if g.Behind {
			out = append(out, Warning(fmt.Sprintf("gateway %s has posted up to %s: what it finished since is missing",
				g.Name, g.UpTo.UTC().Format(time.RFC3339))))
		}
	}
	return out
}
