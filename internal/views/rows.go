package views

import (
	"context"
	"iter"
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

// counted are rows in parts that others have too: nobody copies or changes them.
type counted [][]row

// each yields all rows.
func (c counted) each(yield func(*row) bool) {
	for _, part := range c {
		for i := range part {
			if !yield(&part[i]) {
				return
			}
		}
	}
}

// some reports whether there is any row.
func (c counted) some() bool {
	return slices.ContainsFunc(c, func(part []row) bool { return len(part) > 0 })
}

// only are the rows that keep takes.
func (c counted) only(keep func(*row) bool) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		for r := range c.each {
			if keep(r) && !yield(r) {
				return
			}
		}
	}
}

// cache keeps counters by the day for a moment, because who reads a page opens the next one.
// It is safe for concurrent use.
type cache struct {
	source report.Source
	now    func() time.Time
	mu     sync.Mutex // guards days, and is held while the source is read
	days   map[time.Time]*day
	turn   sync.Mutex // guards saved, and is held while savings are worked out
	saved  []saved
	paying sync.Mutex // guards paid, and is held while it is worked out
	paid   []paid
}

// day is what was counted in one day, as of a time, and how long it is good for.
type day struct {
	at, until time.Time
	rows      []row
	version   uint64
}

// versioned is a ledger that knows whether the counters of a day have changed.
type versioned interface {
	Version(day time.Time) uint64
}

// daily is a ledger that keeps the sums of days.
type daily interface {
	// Days is Rows, of which it may yield the sums under record.RowKey.OfDay.
	Days(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
}

// changed reports whether a day is to be read again, in a ledger that knows it.
func (c *cache) changed(at time.Time, d *day, now time.Time) bool {
	of, knows := c.source.(versioned)
	if !knows || d == nil || of.Version(at) != d.version {
		return true
	}
	d.at, d.until = now, now.Add(fresh)
	return false
}

func (c *cache) version(at time.Time) uint64 {
	if of, knows := c.source.(versioned); knows {
		return of.Version(at)
	}
	return 0
}

// rows returns the counters of a period, and as of when they are.
func (c *cache) rows(ctx context.Context, from, to time.Time) (counted, time.Time, error) {
	now := c.now()
	if !from.Equal(from.Truncate(aDay)) || !to.Equal(to.Truncate(aDay)) {
		days, err := readDays(ctx, c.source.Rows, from, to)
		return slices.Collect(maps.Values(days)), now, err
	}
	if end := now.Truncate(aDay).Add(2 * aDay); to.After(end) && from.Before(end) {
		to = end // nothing is counted behind tomorrow, whatever the clocks of gateways say
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refresh(ctx, from, to, now); err != nil {
		return nil, now, err
	}
	all, asOf := counted{}, now
	for at := from; at.Before(to); at = at.Add(aDay) {
		if of := c.days[at].at; of.Before(asOf) {
			asOf = of
		}
		all = append(all, c.days[at].rows)
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
		if d := c.days[at]; (d == nil || !now.Before(d.until)) && c.changed(at, d, now) {
			if end = at.Add(aDay); first.IsZero() {
				first = at
			}
		}
	}
	if first.IsZero() {
		return nil
	}
	fresher := map[time.Time]*day{}
	for at := first; at.Before(end); at = at.Add(aDay) {
		fresher[at] = &day{at: now, version: c.version(at)} // from before its rows are read
	}
	var read reading = c.source.Rows
	if of, sums := c.source.(daily); sums {
		read = of.Days
	}
	days, err := readDays(ctx, read, first, end)
	if err != nil {
		return err
	}
	took := c.now().Sub(now)
	for at, d := range fresher {
		good := fresh
		if at.Before(now.Add(-recent)) {
			good = max(good, rest*took)
		}
		d.rows, d.until = days[at], now.Add(good)
		c.days[at] = d
	}
	return nil
}

// reading is how a ledger yields rows.
type reading func(
	ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error,
) error

// readDays reads the rows of each day that has any.
func readDays(ctx context.Context, read reading, from, to time.Time) (map[time.Time][]row, error) {
	at, days := map[record.RowKey]int{}, map[time.Time][]row{} // where in its day a row is
	err := read(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		if c.Late, c.Withheld = 0, 0; c == (record.Counters{}) {
			return nil
		}
		k = k.OfDay()
		rows := days[k.Hour]
		i, known := at[k]
		if known {
			if sum, fits := rows[i].add.Plus(c); fits {
				rows[i].add = sum
				return nil
			}
		}
		at[k], days[k.Hour] = len(rows), append(rows, row{k, c})
		return nil
	})
	return days, err
}

// sum is what rows come to, without an end.
type sum struct {
	Requests, Legs, Escalated                             int64
	Input, Output, CacheRead, CacheWrite5m, CacheWrite1h  int64
	TokensCut, CapHits, Unpriced, Unknown, SuspenseTokens int64
	cost, wasted, suspense                                money.Total
}

func (s *sum) take(c *record.Counters) {
	s.Requests += c.Requests
	s.Legs += c.Legs
	s.Escalated += c.Escalated
	s.Input += c.Input
	s.Output += c.Output
	s.CacheRead += c.CacheRead
	s.CacheWrite5m += c.CacheWrite5m
	s.CacheWrite1h += c.CacheWrite1h
	s.TokensCut += c.TokensCut
	s.CapHits += c.CapHits
	s.Unpriced += c.Unpriced
	s.Unknown += c.Unknown
	s.SuspenseTokens += c.SuspenseTokens
	for _, class := range c.CostClasses() {
		s.cost.Add(class)
	}
	s.wasted.Add(c.CostWasted)
	s.suspense.Add(c.Suspense)
}

// days reads what the view is about, and notes as of when it is.
func (a *ask) days() (counted, error) { return a.daysOf(a.query.From, a.query.To) }

// span is a time of which rows are, period what was counted in one, as of a time.
type span struct{ from, to time.Time }

type period struct {
	rows counted
	at   time.Time
}

// daysOf reads another period. Nobody may change the rows.
func (a *ask) daysOf(from, to time.Time) (counted, error) {
	a.counted = true
	p, known := a.read[span{from, to}]
	if !known {
		var err error
		if p.rows, p.at, err = a.shelf.cache.rows(a.ctx, from, to); err != nil {
			return nil, err
		}
		if a.query.Tenant != "" {
			var own []row
			for r := range p.rows.only(func(r *row) bool { return a.within(r.key.Tenant) }) {
				own = append(own, *r)
			}
			p.rows = counted{own}
		}
		if a.read == nil {
			a.read = map[span]period{}
		}
		a.read[span{from, to}] = p
	}
	a.asOf(p.at)
	return p.rows, nil
}

// asOf notes as of when something is that the view shows: the whole is as old as its oldest part.
func (a *ask) asOf(at time.Time) {
	if at.Before(a.AsOf) {
		a.AsOf = at.UTC()
	}
}

// source gives the rows that the view is about to other packages.
type source struct{ rows counted }

// Rows implements report.Source.
func (s source) Rows(_ context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	for r := range s.rows.each {
		if k := &r.key; !k.Hour.Before(from.Truncate(24*time.Hour)) && k.Hour.Before(to) {
			if err := yield(*k, r.add); err != nil {
				return err
			}
		}
	}
	return nil
}

// hourly are a ledger's own rows of the subtree that was asked for.
type hourly struct {
	*ask
	rows report.Source
}

// Rows implements report.Source.
func (h hourly) Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error {
	return h.rows.Rows(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		if !h.within(k.Tenant) {
			return nil
		}
		return yield(k, c)
	})
}

// group adds rows up by what key makes of them.
func group[K comparable](rows iter.Seq[*row], key func(*row) K) map[K]*sum {
	sums := map[K]*sum{}
	for r := range rows {
		k := key(r)
		s := sums[k]
		if s == nil {
			s = &sum{}
			sums[k] = s
		}
		s.take(&r.add)
	}
	return sums
}

// inOrder are the keys of a map in an order. Pointers to them are sorted: a sort is compiled anew for each type of key,
// which takes 10 KB of the program, but for all pointers once.
func inOrder[K comparable, V any](of map[K]V, by func(a, b *K) int) []*K {
	keys := make([]*K, 0, len(of))
	for k := range of {
		keys = append(keys, &k)
	}
	slices.SortFunc(keys, by)
	return keys
}

// whole is the sum of all rows.
func whole(rows counted) *sum {
	s := &sum{}
	for r := range rows.each {
		s.take(&r.add)
	}
	return s
}
