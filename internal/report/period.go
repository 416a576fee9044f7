package report

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// ErrQuery is wrapped by errors about what was asked for.
var ErrQuery = errors.New("the report cannot be made")

// Range reads --from and --to: dates (2006-01-02) or RFC 3339 times, in UTC. An
// empty from is the start of now's month, an empty to the end of from's month or
// of now's, whichever is later. It fails with ErrQuery, also for a bound that rows
// cannot tell: they are whole hours, and days once they are old.
func Range(from, to string, now time.Time) (Query, error) { return RangeKept(from, to, now, nil) }

// RangeKept is Range for a source that has single records since a time: bounds after it may
// be within hours.
func RangeKept(from, to string, now time.Time, since *time.Time) (Query, error) {
	month := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC) }
	q := Query{From: month(now.UTC()), Now: now}
	var err error
	if from != "" {
		if q.From, err = ParseTime(from); err != nil {
			return Query{}, fmt.Errorf("%w: from: %w", ErrQuery, err)
		}
	}
	latest := now.UTC()
	if q.From.After(latest) {
		latest = q.From
	}
	q.To = month(latest).AddDate(0, 1, 0)
	if to != "" {
		if q.To, err = ParseTime(to); err != nil {
			return Query{}, fmt.Errorf("%w: to: %w", ErrQuery, err)
		}
	}
	for _, err := range [...]error{exact("from", q.From, now, since), exact("to", q.To, now, since)} {
		if err != nil {
			return Query{}, err
		}
	}
	if since != nil && !q.To.Before(now) { // the whole hour is the same, as it has no more yet
		q.To = q.To.Add(time.Hour - 1).Truncate(time.Hour)
	}
	if !q.From.Before(q.To) {
		return Query{}, fmt.Errorf("%w: from %s is not before to %s", ErrQuery, stamp(q.From), stamp(q.To))
	}
	return q, nil
}

// exact refuses a bound inside a row, unless its records are kept, and names the nearest
// that are none. Nothing is behind now, so that any time from then on is exact.
func exact(name string, t, now time.Time, since *time.Time) error {
	step, rows, kept := time.Hour, "hours", ""
	old := t.Before(now.Add(-record.KeepHours).UTC().Truncate(day))
	if old {
		step, rows = day, "days where they are so old"
	}
	before := t.Truncate(step)
	if t.Equal(before) || !t.Before(now) || since != nil && !old && !before.Before(*since) {
		return nil
	}
	if since != nil {
		kept = "; single records are kept since " + since.UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("%w: %s %s: counters are of whole %s, in UTC; the nearest bounds that are exact are %s and %s%s",
		ErrQuery, name, t.Format(time.RFC3339Nano), rows, before.Format(time.RFC3339), before.Add(step).Format(time.RFC3339),
		kept)
}

// ParseTime reads a date (2006-01-02) or an RFC 3339 time, in UTC.
func ParseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a date (2026-11-23) nor a time (2026-11-23T17:00:00Z)", s)
	}
	return t.UTC(), nil
}

// stamp writes a bound of the range: a date where it is one.
func stamp(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.UTC().Format(time.DateOnly)
	}
	return t.UTC().Format(time.RFC3339Nano)
}
