package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestBudgetsOfOneWindow: two budgets whose zones give them the same hour count a call
// once, and the lowest holds, whichever comes first.
func TestBudgetsOfOneWindow(t *testing.T) {
	low := config.Budget{Period: "hour", USD: money.Dollar, TimeZone: "UTC"}
	high := config.Budget{Period: "hour", USD: 2 * money.Dollar, TimeZone: "Europe/Berlin"}
	light := config.Budget{Period: "hour", USD: money.Dollar / 2, TimeZone: "Asia/Tokyo", OnExceed: "light_only"}
	for name, c := range map[string]struct {
		budgets      []config.Budget
		served, more int // of class Normal, then of LightOnly
	}{
		"lowest first": {[]config.Budget{low, high}, 3, 0},
		"lowest last":  {[]config.Budget{high, low}, 3, 0},
		"light only":   {[]config.Budget{light, high, low}, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModelLeaser(time.Now)
				d := newLimiter(t, m, "a")
				p := compile(t, config.Tenant{ID: "acme", Budgets: c.budgets})
				serve := func(class Class) (served int) {
					claim := &Claim{Policy: p.For("acme"), Class: class, Cost: usd(300_000_000)}
					for served < 10 && spend(d, m, "a", claim, claim.Cost) == nil {
						served++
					}
					return served
				}
				if served, more := serve(Normal), serve(LightOnly); served != c.served || more != c.more {
					t.Errorf("%d and %d served, want %d and %d", served, more, c.served, c.more)
				}
				closeLimiter(t, d)
				windows := p.Budgets("acme", time.Now())
				if len(windows) != 1 {
					t.Fatalf("%d windows", len(windows))
				}
				if s := m.state(windows[0]); s.Posted != int64(c.served+c.more)*300_000_000 || s.Held != 0 || m.broken != nil {
					t.Errorf("%+v, %v", s, m.broken)
				}
			})
		})
	}
}

// TestWindowsOfZonesPartAndMeet: days in London are those of UTC in winter alone.
func TestWindowsOfZonesPartAndMeet(t *testing.T) {
	p := compile(t, config.Tenant{ID: "acme", Limits: config.Limits{RequestsPerMinute: 5}, Budgets: []config.Budget{
		{Period: "day", USD: 2 * money.Dollar, TimeZone: "UTC"},
		{Period: "day", USD: money.Dollar, TimeZone: "Europe/London"},
		{Period: "month", USD: 9 * money.Dollar, TimeZone: "Europe/London"},
	}}).For("acme")
	for day, want := range map[string][]int64{
		"2026-01-15": {1e9, 9e9, 5},
		"2026-03-29": {2e9, 1e9, 9e9, 5}, // 23 hours in London
		"2026-07-15": {2e9, 1e9, 9e9, 5},
	} {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		limits := p.at(at.Add(12 * time.Hour))
		if len(limits) != len(want) {
			t.Errorf("%s: %d limits, want %d", day, len(limits), len(want))
			continue
		}
		for i, l := range limits {
			if l.hard != want[i] {
				t.Errorf("%s: limit %d is %d, want %d", day, i, l.hard, want[i])
			}
		}
	}
	if n := len(p.limits[0].alerts); n != 1 {
		t.Errorf("merging changed the policy: %d alerts", n)
	}
}
