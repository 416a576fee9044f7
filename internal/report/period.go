package report

import (
	"cmp"
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
	return (&Asked{From: from, To: to, Since: since}).Query(now)
}

// Asked is a period as it was asked for: see Range.
type Asked struct {
	From, To string
	// Zone is that of dates, and of days and months of the report; nil is UTC.
	Zone *time.Location
	// Since is from when on the source has single records, so that bounds may be within hours; nil is
	// never.
	Since *time.Time
}

// Zone is the time zone of a name, nil for UTC. It fails with ErrQuery.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return nil, nil //nolint:nilnil // nil is UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("%w: there is no time zone %q; they are called as Europe/Berlin", ErrQuery, name)
	}
	return zone, nil
}

// Query is the query of the period.
func (p *Asked) Query(now time.Time) (Query, error) {
	zone := cmp.Or(p.Zone, time.UTC)
	month := func(t time.Time, months int) time.Time {
		t = t.In(zone)
		return time.Date(t.Year(), t.Month()+time.Month(months), 1, 0, 0, 0, 0, zone)
	}
	q := Query{From: month(now, 0), Now: now, Zone: p.Zone}
	var err error
	if p.From != "" {
		if q.From, err = parseTime(p.From, zone); err != nil {
			return Query{}, fmt.Errorf("%w: from: %w", ErrQuery, err)
		}
	}
	latest := now
	if q.From.After(latest) {
		latest = q.From
	}
	q.To = month(latest, 1)
	if p.To != "" {
		if q.To, err = parseTime(p.To, zone); err != nil {
			return Query{}, fmt.Errorf("%w: to: %w", ErrQuery, err)
		}
	}
	q.From, q.To = q.From.UTC(), q.To.UTC()
	for _, err := range [...]error{exact("from", q.From, now, p.Since), exact("to", q.To, now, p.Since)} {
		if err != nil {
			return Query{}, err
		}
	}
	if p.Since != nil && !q.To.Before(now) { // the whole hour is the same, as it has no more yet
		q.To = q.To.Add(time.Hour - 1).Truncate(time.Hour)
	}
	if !q.From.Before(q.To) {
		return Query{}, fmt.Errorf("%w: from %s is not before to %s", ErrQuery, stamp(q.From), stamp(q.To))
	}
	return q, p.days(&q)
}

// days refuses days of a zone that counters cannot tell: those that begin within an hour of which no
// records are kept, and those of before hours became days.
func (p *Asked) days(q *Query) error {
	if p.Zone == nil {
		return nil
	}
	for _, edge := range q.Midnights() {
		if err := exact("a day of "+p.Zone.String()+" that begins at", edge, q.Now, p.Since); err != nil {
			return err
		}
	}
	return nil
}

// Midnights are when days of the query's zone begin within the period; none without a zone.
func (q *Query) Midnights() (all []time.Time) {
	if q.Zone == nil {
		return nil
	}
	for at := q.From.In(q.Zone); ; {
		at = time.Date(at.Year(), at.Month(), at.Day()+1, 0, 0, 0, 0, q.Zone)
		if !at.Before(q.To) {
			return all
		}
		all = append(all, at.UTC())
	}
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
func ParseTime(s string) (time.Time, error) { return parseTime(s, time.UTC) }

// parseTime is ParseTime with dates of a zone.
func parseTime(s string, zone *time.Location) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, s, zone); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a date (2026-11-23) nor a time (2026-11-23T17:00:00Z)", s)
	}
	return t.UTC(), nil
}

// stampIn is stamp of a report in a zone, nil for UTC.
func stampIn(t time.Time, zone *time.Location) string {
	if zone == nil {
		return stamp(t)
	}
	return t.In(zone).Format(time.RFC3339Nano)
}

// stamp writes a bound of the range: a date where it is one.
func stamp(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.UTC().Format(time.DateOnly)
	}
	return t.UTC().Format(time.RFC3339Nano)
}
