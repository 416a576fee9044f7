// Package statement closes months: what a root tenant is billed for one becomes a
// file that never changes, and what comes later is a correction in the open month.
package statement

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// ErrInput is wrapped by errors about what was asked for.
var ErrInput = errors.New("the month cannot be closed so")

// Period is a month in a time zone.
type Period struct {
	Month string // "2026-11"
	Zone  string // IANA name
	// From and To are its bounds in UTC, To exclusive. Both are whole hours.
	From, To time.Time
}

const monthLayout = "2006-01"

// PeriodOf returns a month of a time zone. It fails with ErrInput for what is no
// month or zone, and for a zone whose months do not begin at a whole hour of UTC:
// counters are of such hours.
func PeriodOf(month, zone string) (Period, error) {
	start, err := time.Parse(monthLayout, month)
	if err != nil || start.Format(monthLayout) != month {
		return Period{}, fmt.Errorf("%w: %q is no month, as 2026-11 is", ErrInput, month)
	}
	in, err := time.LoadLocation(zone)
	if err != nil {
		return Period{}, fmt.Errorf("%w: there is no time zone %q", ErrInput, zone)
	}
	p := Period{Month: month, Zone: zone, From: monthStart(start, in), To: monthStart(start.AddDate(0, 1, 0), in)}
	for _, bound := range [...]time.Time{p.From, p.To} {
		if !bound.Equal(bound.Truncate(time.Hour)) {
			return Period{}, fmt.Errorf("%w: %s begins at %s, and counters are of whole hours in UTC",
				ErrInput, month, bound.Format(time.RFC3339))
		}
	}
	return p, nil
}

// monthStart is when the month of a day begins in a time zone.
func monthStart(day time.Time, in *time.Location) time.Time {
	return time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, in).UTC()
}

// KeepsHours reports whether the counters of a day (UTC) must stay hours: those of
// a month that is not closed yet, of a root that closes months, and those of a day
// in which a month of its time zone begins. zone is nil where none is configured.
func KeepsHours(zone *time.Location, closed ledger.Closings, day time.Time) bool {
	if zone == nil && len(closed) == 0 {
		return false
	}
	end := day.Add(24 * time.Hour)
	if end.After(closed.Last()) {
		return true
	}
	for i := range closed {
		if begins := closed[i].Through; begins.After(day) && begins.Before(end) {
			return true
		}
	}
	return zone != nil && begunWithin(zone, day, end)
}

// Zones says in which time zone the months of a root are closed, nil where that is not
// configured.
type Zones interface {
	BillingZone(root string) (*time.Location, error)
}

// Marks says which months of a root are closed.
type Marks interface {
	Closings(ctx context.Context, root string) (ledger.Closings, error)
}

// Hours returns KeepsHours of every root. It is for one goroutine, for a while. What
// cannot be found out is kept.
func Hours(ctx context.Context, zones Zones, marks Marks) func(root string, day time.Time) bool {
	type months struct {
		zone   *time.Location
		closed ledger.Closings
	}
	known := map[string]months{}
	return func(root string, day time.Time) bool {
		of, is := known[root]
		if !is {
			var err error
			if of.zone, err = zones.BillingZone(root); err != nil {
				return true
			}
			if of.closed, err = marks.Closings(ctx, root); err != nil {
				return true
			}
			known[root] = of
		}
		return KeepsHours(of.zone, of.closed, day)
	}
}

// begunWithin reports whether a month begins after day and before end.
func begunWithin(zone *time.Location, day, end time.Time) bool {
	start := monthStart(end.In(zone), zone)
	return start.After(day) && start.Before(end)
}

// Before is the month before.
func (p Period) Before() string {
	start, err := time.Parse(monthLayout, p.Month)
	if err != nil {
		return ""
	}
	return start.AddDate(0, -1, 0).Format(monthLayout)
}
