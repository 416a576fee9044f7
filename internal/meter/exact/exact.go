// Package exact answers for times that part hours. A ledger counts by the hour: of an hour that is
// parted, the single records of journals say what was before and what behind.
package exact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// ErrMissing is for an hour of which the ledger has other sums than the records that are at hand.
var ErrMissing = errors.New("the records at hand are not all of the hour")

// Ledger counts by the hour, and knows which months are closed.
type Ledger interface {
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
	Closings(ctx context.Context, root string) (ledger.Closings, error)
}

// Source is a ledger that can be asked for any time of which records are kept.
type Source struct {
	Ledger Ledger
	// Moments yields what the records post, each once, and when it happened.
	Moments func(yield func(at time.Time, writer string, p *record.Posting) error) error
	// Edges are times that part hours too, in order: what happened from an edge on is in rows of the
	// edge, and not of the hour.
	Edges []time.Time
	// Shared is whether others post to the ledger, whose records are not at hand: then an hour that is
	// parted must have the same sums in both. ErrMissing says that one has not.
	Shared bool
}

// reading is one run of Rows.
type reading struct {
	*Source
	from, to time.Time
	edges    []time.Time // in parted hours
	parted   map[int64]bool
	closed   map[string]ledger.Closings
	missing  map[record.RowKey]record.Counters // what the ledger has and records have not
	yield    func(record.RowKey, record.Counters) error
}

// Rows yields what was counted from a time up to another one, in any order. What came too late for a
// closed month counts at the beginning of the hour that it is in. It stops at the first error of yield.
func (s *Source) Rows(
	ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error,
) error {
	r := &reading{
		Source: s, from: from, to: to, parted: map[int64]bool{}, closed: map[string]ledger.Closings{},
		missing: map[record.RowKey]record.Counters{}, yield: yield,
	}
	for _, edge := range slices.Concat([]time.Time{from}, s.Edges, []time.Time{to}) {
		if !edge.Equal(hourOf(edge)) && !edge.Before(from) && !edge.After(to) {
			r.edges = append(r.edges, edge)
			r.parted[hourOf(edge).Unix()] = true
		}
	}
	if len(r.edges) == 0 {
		return s.Ledger.Rows(ctx, from, to, yield)
	}
	if err := s.Ledger.Rows(ctx, hourOf(from), hourOf(to.Add(time.Hour-1)), r.hour); err != nil {
		return err
	}
	err := s.Moments(func(at time.Time, writer string, p *record.Posting) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return r.moment(ctx, at, writer, p)
	})
	if err != nil {
		return err
	}
	return r.complete()
}

func hourOf(t time.Time) time.Time { return t.UTC().Truncate(time.Hour) }

// hour takes in a row of the ledger.
func (r *reading) hour(k record.RowKey, c record.Counters) error {
	if !r.parted[hourOf(k.Hour).Unix()] {
		return r.yield(k, c)
	}
	return r.count(k, c)
}

// count adds to what the ledger has and records have not, in a ledger that others post to.
func (r *reading) count(k record.RowKey, c record.Counters) error {
	if !r.Shared {
		return nil
	}
	k.Hour, k.Held = hourOf(k.Hour), ""
	c.Late, c.Withheld = 0, 0
	sum, fits := r.missing[k].Plus(c)
	if r.missing[k] = sum; !fits {
		return fmt.Errorf("%w: a sum of tenant %q is out of range", ledger.ErrBadBatch, k.Tenant)
	}
	return nil
}

// moment takes in what a record posts.
func (r *reading) moment(ctx context.Context, at time.Time, writer string, p *record.Posting) error {
	if !p.Add.Storable() {
		return fmt.Errorf("%w: number %d: an amount is out of range", ledger.ErrBadBatch, p.Seq)
	}
	closed, known := r.closed[p.Root]
	if !known {
		var err error
		if closed, err = r.Ledger.Closings(ctx, p.Root); err != nil {
			return err
		}
		r.closed[p.Root] = closed
	}
	key := p.Row
	key.Hour = hourOf(key.Hour)
	if p.Seq > 0 {
		key = closed.Place(writer, p.Seq, key)
	}
	if !hourOf(at).Equal(key.Hour) {
		at = key.Hour
	}
	if !r.parted[key.Hour.Unix()] {
		return nil
	}
	if err := r.count(key, p.Add.Negative()); err != nil {
		return err
	}
	if at.Before(r.from) || !at.Before(r.to) || p.Add == (record.Counters{}) {
		return nil
	}
	for _, edge := range r.edges {
		if edge.After(key.Hour) && !edge.After(at) {
			key.Hour = edge.UTC()
		}
	}
	return r.yield(key, p.Add)
}

// complete fails when the ledger has other sums than the records.
func (r *reading) complete() error {
	var first time.Time
	for k, c := range r.missing {
		if c != (record.Counters{}) && (first.IsZero() || k.Hour.Before(first)) {
			first = k.Hour
		}
	}
	if first.IsZero() {
		return nil
	}
	hour, next := first.Format(time.RFC3339), first.Add(time.Hour).Format(time.RFC3339)
	return fmt.Errorf("%w from %s on: the ledger has other sums; another gateway has some of them, or one posts at this "+
		"moment; the nearest bounds that are exact are %s and %s", ErrMissing, hour, hour, next)
}
