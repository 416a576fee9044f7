package record

import (
	"testing"
	"time"
)

func TestHeldBy(t *testing.T) {
	at := func(s string) time.Time {
		when, err := time.Parse("2006-01-02T15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	window := func(tenant, period, start string) Charge {
		return Charge{Window: Window{Tenant: tenant, Period: period, Start: at(start), End: at(start).Add(time.Hour)}}
	}
	limit := window("a", "day", "2026-11-01T00:00")
	limit.Window.Unit = UnitTokens
	suspense := window("a", "month", "2026-11-01T00:00")
	suspense.Suspense = true
	for _, c := range []struct {
		want    string
		charges []Charge
	}{
		{"-", nil},
		{"-", []Charge{limit, window("a", "minute", "2026-11-01T00:00")}},
		{"1m", []Charge{window("a", "month", "2026-11-01T00:00"), suspense}},
		{"2m,1d,1h", []Charge{window("a/b", "month", "2026-11-01T00:00"), window("a", "day", "2026-11-30T00:00"),
			window("a", "hour", "2026-11-01T07:00")}},
		{"1m-3600,1d39600,1h1800", []Charge{window("a", "month", "2026-10-31T23:00"), window("a", "day", "2026-11-30T11:00"),
			window("a", "hour", "2026-11-01T07:30")}},
		{"1m43200,1m-50400", []Charge{window("a", "month", "2026-11-01T12:00"), window("a", "month", "2026-10-31T10:00")}},
		{"0xd", []Charge{window("x", "day", "2026-11-01T00:00")}},
	} {
		if got := HeldBy("a/b", c.charges); got != c.want {
			t.Errorf("%+v: %q, want %q", c.charges, got, c.want)
		}
	}
	for mark, want := range map[string]bool{"1m": true, "2d": true, "1": false, "m": false, "": false, "2d,1m": false} {
		if Holds("2d,1m", mark) != want {
			t.Errorf("Holds(%q) is %v", mark, !want)
		}
	}
}

// TestCorrectionsOfUnmarkedRows: a correction of a row that an older program made goes to that row.
func TestCorrectionsOfUnmarkedRows(t *testing.T) {
	for _, held := range []string{"", "-", "1m"} {
		p, _ := sampleEnd()
		p.Row.Held = held
		for kind, b := range map[byte][]byte{
			KindResolve: bytesOf(&ResolveEntry{*p, *sampleResolution()}),
			KindAdjust:  bytesOf(&AdjustEntry{*p, *sampleAdjustment()}),
		} {
			if got, err := NewCorrections().Add("w", kind, b); err != nil || got.Row.Held != held {
				t.Errorf("kind %d: %q is read as %q, %v", kind, held, got.Row.Held, err)
			}
		}
	}
}
