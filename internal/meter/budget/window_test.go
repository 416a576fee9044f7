package budget

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// zones have whole hours, half hours, changes at midnight in both directions,
// and a change by half an hour.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Beirut", "America/Havana",
	"America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo", "Asia/Tehran", "America/Asuncion",
}

func TestWindowsTileTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(1.0e9, 2.0e9).Draw(t, "seconds"), 0)
		if _, change := at.In(zone).ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
			at = change.Add(time.Duration(rapid.Int64Range(-90_000, 90_000).Draw(t, "off")) * time.Second)
		}
		for _, period := range []string{periodMinute, periodHour, periodDay, periodMonth} {
			start, end := bounds(period, at, zone)
			if at.Before(start) || !at.Before(end) {
				t.Fatalf("%s: %v is not in [%v, %v)", period, at.In(zone), start.In(zone), end.In(zone))
			}
			for _, inside := range []time.Time{start, end.Add(-1), at.Add(end.Sub(at) / 2)} {
				if s, e := bounds(period, inside, zone); s != start || e != end {
					t.Fatalf("%s: %v is in [%v, %v), %v in [%v, %v)", period, at.In(zone), start, end, inside.In(zone), s, e)
				}
			}
		}
	})
}

func TestWindowBounds(t *testing.T) {
	f := func(period, zone, at, start, end string) {
		t.Helper()
		place, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		s, e := bounds(period, now, place)
		if got := s.Format(time.RFC3339) + " " + e.Format(time.RFC3339); got != start+" "+end {
			t.Errorf("%s of %s in %s: %s, want %s %s", period, at, zone, got, start, end)
		}
	}
	f("minute", "UTC", "2026-11-23T18:34:50Z", "2026-11-23T18:34:00Z", "2026-11-23T18:35:00Z")
	f("hour", "Asia/Kolkata", "2026-11-23T18:34:50Z", "2026-11-23T18:30:00Z", "2026-11-23T19:30:00Z")
	f("day", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z") // 23 hours
	f("day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z") // 25 hours
	f("month", "Europe/Berlin", "2026-10-31T23:30:00Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z")
	f("month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")
	f("day", "America/Havana", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z") // no midnight
	// Two midnights.
	f("day", "America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z")
	f("hour", "Australia/Lord_Howe", "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z") // cut
}
