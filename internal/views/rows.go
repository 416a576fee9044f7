package views

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
)

// fresh is how old counters may be that are shown; kept is how many periods of them are kept.
const (
	fresh = 5 * time.Second
	kept  = 4
)

// row is what was counted in one day of what is left of a key: users, prices and budgets
// are not told apart, which keeps pages fast.
type row struct {
	key record.RowKey // Hour is the day
	add record.Counters
}

// cache keeps counters of a period by the day for a moment, because who reads a page opens
// the next one. It is safe for concurrent use.
type cache struct {
	source  report.Source
	now     func() time.Time
	mu      sync.Mutex // guards the following
	periods []*period
}

type period struct {
	from, to time.Time
	once     sync.Mutex // is held while it is read
	at       time.Time
	rows     []row
}

// rows returns the counters of a period, and as of when they are.
func (c *cache) rows(ctx context.Context, from, to time.Time) ([]row, time.Time, error) {
	p := c.period(from, to)
	p.once.Lock()
	defer p.once.Unlock()
	now := c.now()
	if age := now.Sub(p.at); p.rows != nil && age >= 0 && age < fresh {
		return p.rows, p.at, nil
	}
	rows, err := readDays(ctx, c.source, from, to)
	if err != nil {
		return nil, now, err
	}
	p.rows, p.at = rows, now
	return rows, now, nil
}

// period is the one of these bounds; it takes the place of the one that was asked for longest ago.
func (c *cache) period(from, to time.Time) *period {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &period{from: from, to: to}
	rest := make([]*period, 0, kept)
	for _, old := range c.periods {
		if old.from.Equal(from) && old.to.Equal(to) {
			p = old
		} else if len(rest) < kept-1 {
			rest = append(rest, old)
		}
	}
	c.periods = append([]*period{p}, rest...)
	return p
}

func readDays(ctx context.Context, source report.Source, from, to time.Time) ([]row, error) {
	at, rows := map[record.RowKey]int{}, []row{}
	err := source.Rows(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		if c.Late, c.Withheld = 0, 0; c == (record.Counters{}) {
			return nil
		}
		k.Hour = k.Hour.UTC().Truncate(24 * time.Hour)
		k.User, k.Held, k.PriceVersion = "", "", ""
		i, known := at[k]
		if known {
			if sum, fits := rows[i].add.Plus(c); fits {
				rows[i].add = sum
				return nil
			}
		}
		at[k], rows = len(rows), append(rows, row{k, c})
		return nil
	})
	return rows, err
}

// sum is what rows come to, without an end.
type sum struct {
	record.Counters // counts alone; money is below
	cost, wasted    money.Total
	suspense        money.Total
}

func (s *sum) take(c *record.Counters) {
	s.cost.AddTotal(c.Cost())
	s.wasted.Add(c.CostWasted)
	s.suspense.Add(c.Suspense)
	counts := *c
	for _, m := range []*money.Pico{
		&counts.CostInput, &counts.CostOutput, &counts.CostCacheRead, &counts.CostCacheWrite, &counts.CostCacheWrite5m,
		&counts.CostCacheWrite1h, &counts.CostGuardrail, &counts.CostQuery, &counts.CostImage, &counts.CostSecond,
		&counts.CostWasted, &counts.Suspense, &counts.Discount,
	} {
		*m = 0
	}
	s.Counters, _ = s.Plus(counts)
}

// days reads what the view is about, and notes as of when it is.
func (a *ask) days() ([]row, error) { return a.daysOf(a.query.From, a.query.To) }

func (a *ask) daysOf(from, to time.Time) ([]row, error) {
	all, at, err := a.shelf.cache.rows(a.ctx, from, to)
	if err != nil {
		return nil, err
	}
	a.AsOf = at.UTC()
	if a.query.Tenant == "" {
		return all, nil
	}
	var own []row
	for i := range all {
		if a.within(all[i].key.Tenant) {
			own = append(own, all[i])
		}
	}
	return own, nil
}

// source gives the rows that the view is about to other packages.
type source struct{ rows []row }

// Rows implements report.Source.
func (s source) Rows(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	for i := range s.rows {
		if k := &s.rows[i].key; !k.Hour.Before(from.Truncate(24*time.Hour)) && k.Hour.Before(to) {
			if err := yield(*k, s.rows[i].add); err != nil {
				return err
			}
		}
	}
	return nil
}

// hourly are the ledger's own rows of the subtree that was asked for.
type hourly struct{ *ask }

// Rows implements report.Source.
func (h hourly) Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	return h.shelf.from.Ledger.Rows(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		if !h.within(k.Tenant) {
			return nil
		}
		return yield(k, c)
	})
}

// group adds rows up by what key makes of them.
func group[K comparable](rows []row, key func(*row) K) map[K]*sum {
	sums := map[K]*sum{}
	for i := range rows {
		k := key(&rows[i])
		s := sums[k]
		if s == nil {
			s = &sum{}
			sums[k] = s
		}
		s.take(&rows[i].add)
	}
	return sums
}

// whole is the sum of all rows.
func whole(rows []row) *sum {
	s := &sum{}
	for i := range rows {
		s.take(&rows[i].add)
	}
	return s
}
