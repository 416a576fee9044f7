package faultmatrix

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// clocked puts budgets of every period on acme, in a zone whose clocks change,
// and a limit of requests per minute. Those of hour and minute are tight enough
// to be reached.
func (w *world) clocked(zone string) {
	budget := func(period, usd string) string {
		w.caps = append(w.caps, limit{"acme " + period, nanosOf(usd)})
		return fmt.Sprintf("{period: %s, usd: %s, on_exceed: reject, time_zone: %s}", period, usd, zone)
	}
	w.limits = map[string]string{"acme": "budgets: [" + budget("month", "5") + ", " + budget("day", "4") + ", " +
		budget("hour", "0.2") + ", " + budget("minute", "0.1") + "], limits: {requests_per_minute: 100000}"}
}

// setClock sets the gateway's clock to a time, from where it goes on.
func (g *gate) setClock(at time.Time) {
	g.w.t.Helper()
	next := g.clock() + ".next"
	g.w.write(next, time.Until(at).String())
	if err := os.Rename(next, g.clock()); err != nil {
		g.w.t.Fatal(err)
	}
}

func (g *gate) clock() string { return filepath.Join(g.dir, "clock") }

// TestRow10Clocks runs two gateways whose clocks are 90 seconds apart on one
// ledger, steps both back and forth under load, and takes them over the edges
// of all windows and over both changes of the clock in the budgets' time zone:
// the books are equal, every call is charged once to one window of each period,
// and none holds more than its limit.
func TestRow10Clocks(t *testing.T) {
	var y tally
	defer func() { t.Logf("row 10: %s", &y) }()
	s, r := startStandIn(t), redistest.NewServer(t)
	check := func(name, zone, edge string, steps ...time.Duration) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			r.CLI("flushall")
			at, err := time.Parse(time.RFC3339, edge)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, 10, s, r.URL())
			w.around = at
			w.clocked(zone)
			for i := range 2 {
				g := w.gate()
				g.setClock(at.Add(steps[0] + time.Duration(i)*90*time.Second))
				g.start("")
			}
			w.during(func() {
				for _, step := range steps {
					for i, g := range w.gates {
						g.setClock(at.Add(step + time.Duration(i)*90*time.Second))
						w.pause(20*time.Millisecond, 120*time.Millisecond)
					}
					w.pause(100*time.Millisecond, 200*time.Millisecond)
				}
			})
			y.kill("clock stepped")
			w.equal(10 * time.Second)
			// The first step and the last are on two sides of an edge at least.
			if n := w.chargedOnce(); n <= len(w.caps) {
				t.Errorf("%d windows of %d periods: no edge was crossed", n, len(w.caps))
			}
			o := w.prove()
			w.chargedOnce()
			w.rightHours()
			y.done(o, time.Since(began))
		})
	}
	_, long := seeds()
	const s1, m1, h1, d1 = time.Second, time.Minute, time.Hour, 24 * time.Hour
	check("clocks go forward", "Europe/Berlin", "2027-03-28T01:00:00Z", -91*s1, -s1/5, -95*s1, 0, -89*s1, 2*s1, -s1)
	check("an hour back and a day on", "UTC", "2027-02-03T10:20:00Z", 0, -h1, 0, d1, 0, 5*m1)
	if !long {
		return
	}
	check("minute", "UTC", "2027-02-03T10:20:00Z", -91*s1, -89*s1, -s1/5, -100*s1, 0, -90*s1, s1)
	check("month and year", "UTC", "2027-01-01T00:00:00Z", -91*s1, -s1/5, -95*s1, 0, -89*s1, 2*s1, -s1)
	check("month of the zone", "Europe/Berlin", "2027-04-30T22:00:00Z", -91*s1, -s1/5, -95*s1, 0, -89*s1, 2*s1, -s1)
	check("clocks go back", "Europe/Berlin", "2027-10-31T01:00:00Z", -91*s1, -s1/5, -95*s1, 0, -89*s1, 2*s1, -s1)
	check("the second hour of that name begins", "Europe/Berlin", "2027-10-31T00:00:00Z", 0, h1-91*s1, h1, 2*h1-91*s1,
		2*h1)
	check("half an hour", "Australia/Lord_Howe", "2027-04-03T15:00:00Z", -91*s1, -s1/5, -95*s1, 0, 29*m1, 31*m1)
}

// chargedOnce demands that the windows of a period do not overlap, that together
// they have what the upstream billed, and that none has more than its limit.
// It returns how many windows there are.
func (w *world) chargedOnce() (n int) {
	w.t.Helper()
	ledger, err := redis.New(redis.Options{URL: w.redis, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer ledger.Close()
	books, err := ledger.Windows(context.Background(), "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	var spent int64
	for _, s := range w.standIn.billed(w.t) {
		if record.RootOf(tenantOf(s.Model)) == "acme" {
			spent += billedFor(&s).cost().Int64() / 1000
		}
	}
	for _, l := range w.caps {
		var posted int64
		var windows []record.Window
		for _, b := range books {
			if b.Unit != record.UnitUSD || b.Tenant+" "+b.Period != l.window {
				continue
			}
			posted += b.Posted
			if sum := b.Posted + b.Held + b.Suspense; sum > l.nanos {
				w.t.Errorf("%s from %s: %d posted, %d held, %d in suspense of %d", l.window, b.Start, b.Posted, b.Held, b.Suspense,
					l.nanos)
			}
			for _, other := range windows {
				if b.Start.Before(other.End) && other.Start.Before(b.End) {
					w.t.Errorf("%s: the windows from %s and from %s overlap", l.window, b.Start, other.Start)
				}
			}
			windows = append(windows, b.Window)
		}
		if len(windows) == 0 || posted != spent {
			w.t.Errorf("%s: %d windows have %d, the upstream billed %d", l.window, len(windows), posted, spent)
		}
		n += len(windows)
	}
	return n
}

// rightHours demands that every attempt was posted to the hour of its END.
func (w *world) rightHours() {
	w.t.Helper()
	v, err := w.look(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for id, a := range v.attempts {
		if a.Posted != nil && !a.Posted.Row.Hour.Equal(a.End.At.UTC().Truncate(time.Hour)) {
			w.t.Errorf("record %s ended at %s and was posted to the hour of %s", id, a.End.At, a.Posted.Row.Hour)
		}
	}
}
