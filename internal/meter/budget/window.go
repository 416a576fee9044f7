package budget

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// The periods of windows, as the configuration names them. The empty period is
// that of concurrency, which has no time.
const (
	periodNone   = ""
	periodMinute = "minute"
	periodHour   = "hour"
	periodDay    = "day"
	periodMonth  = "month"
)

// bounds returns the window of a period that holds t, in a time zone. Windows of
// one period and zone touch and do not overlap, whatever the zone's clocks do: a
// minute or hour that a change of the clock cuts is two windows, a day has 23,
// 24 or 25 hours. Both are in UTC, so that equal instants compare equal.
func bounds(period string, t time.Time, zone *time.Location) (start, end time.Time) {
	local := t.In(zone)
	year, month, day := local.Date()
	switch period {
	case periodMinute:
		return aligned(local, time.Minute)
	case periodHour:
		return aligned(local, time.Hour)
	case periodDay:
		return midnight(year, month, day, zone), midnight(year, month, day+1, zone)
	case periodMonth:
		return midnight(year, month, 1, zone), midnight(year, month+1, 1, zone)
	}
	return time.Time{}, time.Time{}
}

// aligned cuts the local clock into steps, and these at changes of the clock.
func aligned(local time.Time, step time.Duration) (start, end time.Time) {
	_, offset := local.Zone()
	shift := time.Duration(offset) * time.Second
	start = local.UTC().Add(shift).Truncate(step).Add(-shift)
	end = start.Add(step)
	from, to := local.ZoneBounds()
	if !from.IsZero() && start.Before(from) {
		start = from.UTC()
	}
	if !to.IsZero() && end.After(to) {
		end = to.UTC()
	}
	return start, end
}

// midnight is the first instant of a local day. Where clocks change at midnight
// there may be none (the day starts at 1 o'clock) or two (the first counts);
// time.Date promises neither.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	naive := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	from, to := t.ZoneBounds()
	if t.Hour() != 0 || t.Minute() != 0 {
		if t.Day() == naive.Day() {
			return from.UTC()
		}
		return to.UTC()
	}
	if !from.IsZero() {
		_, offset := from.Add(-1).Zone()
		if first := naive.Add(-time.Duration(offset) * time.Second); first.Before(from) {
			return first
		}
	}
	return t.UTC()
}

// windowOf is the window of a limit at a time.
func (l *limit) windowOf(now time.Time) record.Window {
	start, end := bounds(l.period, now, l.place)
	return record.Window{Tenant: l.tenant, Unit: l.unit, Period: l.period, Start: start, End: end}
}
