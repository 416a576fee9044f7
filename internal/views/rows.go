package views

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
)

const (
	aDay = 24 * time.Hour
	// fresh is how old counters may be that are shown. After a read that took long they may
	// be older, so that reading takes at most a small part of the time.
	fresh, rest = 5 * time.Second, 30
	// recent is how many days still change often.
	recent = 2 * aDay
	// kept is how long days are kept that nobody asks for.
	kept = time.Hour
)

// row is what was counted in one day of what is left of a key: users, prices, budgets, and what
// came too late for a closed month are not told apart, which keeps pages fast and each sum one row.
type row struct {
	key record.RowKey // Hour is the day
	add record.Counters
}

// cache keeps counters by the day for a moment, because who reads a page opens the next one.
// It is safe for concurrent use.
type cache struct {
	source report.Source
	now    func() time.Time
	mu     sync.Mutex // guards days, and is held while the source is read
	days   map[time.Time]*day
}

// day is what was counted in one day, as of a time, and how long it is good for.
type day struct {
	at, until time.Time
	rows      []row
}

// rows returns the counters of a period, and as of when they are.
func (c *cache) rows(ctx context.Context, from, to time.Time) ([]row, time.Time, error) {
	now := c.now()
	if !from.Equal(from.Truncate(aDay)) || !to.Equal(to.Truncate(aDay)) {
		rows, err := readDays(ctx, c.source, from, to)
		return rows, now, err
	}
	if end := now.Truncate(aDay).Add(2 * aDay); to.After(end) && from.Before(end) {
		to = end // nothing is counted behind tomorrow, whatever the clocks of gateways say
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refresh(ctx, from, to, now); err != nil {
		return nil, now, err
	}
	n, asOf := 0, now
	for at := from; at.Before(to); at = at.Add(aDay) {
		n += len(c.days[at].rows)
		if of := c.days[at].at; of.Before(asOf) {
			asOf = of
		}
	}
	all := make([]row, 0, n)
	for at := from; at.Before(to); at = at.Add(aDay) {
		all = append(all, c.days[at].rows...)
	}
	return all, asOf, nil
}

// refresh reads the days of a period that are not good any more, in one go.
func (c *cache) refresh(ctx context.Context, from, to, now time.Time) error {
	if c.days == nil {
		c.days = map[time.Time]*day{}
	}
	maps.DeleteFunc(c.days, func(_ time.Time, d *day) bool { return now.Sub(d.at) > kept || now.Before(d.at) })
	var first, end time.Time
	for at := from; at.Before(to); at = at.Add(aDay) {
		if d := c.days[at]; d == nil || !now.Before(d.until) {
			if end = at.Add(aDay); first.IsZero() {
				first = at
			}
		}
	}
	if first.IsZero() {
		return nil
	}
	rows, err := readDays(ctx, c.source, first, end)
	if err != nil {
		return err
	}
	took := c.now().Sub(now)
	for at := first; at.Before(end); at = at.Add(aDay) {
		good := fresh
		if at.Before(now.Add(-recent)) {
			good = max(good, rest*took)
		}
		c.days[at] = &day{at: now, until: now.Add(good)}
	}
	for i := range rows {
		d := c.days[rows[i].key.Hour]
		d.rows = append(d.rows, rows[i])
	}
	return nil
}

func readDays(ctx context.Context, source report.Source, from, to time.Time) ([]row, error) {
	at, rows := map[record.RowKey]int{}, []row{}
	err := source.Rows(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		if c.Late, c.Withheld = 0, 0; c == (record.Counters{}) {
			return nil
		}
		k.Hour = k.Hour.UTC().Truncate(aDay)
		k.User, k.Held, k.PriceVersion, k.Corrects = "", "", "", ""
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

// span is a time of which rows are, period what was counted in one, as of a time.
type span struct{ from, to time.Time }

type period struct {
	rows []row
	at   time.Time
}

// daysOf reads another period. Nobody may change the rows.
func (a *ask) daysOf(from, to time.Time) ([]row, error) {
	p, known := a.read[span{from, to}]
	if !known {
		var err error
		if p.rows, p.at, err = a.shelf.cache.rows(a.ctx, from, to); err != nil {
			return nil, err
		}
		if a.query.Tenant != "" {
			p.rows = slices.DeleteFunc(p.rows, func(r row) bool { return !a.within(r.key.Tenant) })
		}
		if a.read == nil {
			a.read = map[span]period{}
		}
		a.read[span{from, to}] = p
	}
	a.AsOf = p.at.UTC()
	return p.rows, nil
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
