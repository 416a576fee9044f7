package forecast

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// november is a budget of a month of dollars.
func november(limit int64) budget.Standing {
	return budget.Standing{
		Window: record.Window{
			Tenant: "acme", Period: "month", Start: at("2026-11-01T00:00:00Z"), End: at("2026-12-01T00:00:00Z"),
		},
		Zone: time.UTC, OnExceed: "reject", Limit: limit * 1e9, File: limit * 1e9,
	}
}

// bookOf is a book of one budget of which so much is spent, with a history of hours before
// now.
func bookOf(of budget.Standing, now time.Time, has ledger.WindowState, usd func(time.Time) float64) *Book {
	h := NewHistory([]record.Window{of.Window}, func(t string) []string { return []string{t} }, nil, now)
	if usd != nil {
		from, _ := h.Range()
		for t := from; !t.After(now); t = t.Add(time.Hour) {
			h.count(of.Window.Tenant, int(t.Sub(from)/time.Hour), usd(t))
		}
	}
	return &Book{
		Standings: []budget.Standing{of}, Windows: map[record.Window]ledger.WindowState{of.Window: has}, History: h,
		HeldKnown: true,
	}
}

func dollars(p money.Pico) float64 { return float64(p) / float64(money.Dollar) }

// TestSteadySpending: what goes on as it did is forecast to the cent, and the day on which
// it reaches the limit to the minute.
func TestSteadySpending(t *testing.T) {
	now := at("2026-11-16T00:00:00Z")
	has := ledger.WindowState{Posted: 360e9, Suspense: 1e9, Held: 2e9}
	s := bookOf(november(600), now, has, func(at time.Time) float64 {
		if at.Equal(now) {
			return 0 // the hour has just begun
		}
		return 1
	}).States(now)[0]
	if s.Spent != 360*money.Dollar || s.Suspense != money.Dollar || s.Held != 2*money.Dollar ||
		s.Left != 237*money.Dollar {
		t.Errorf("%+v", s)
	}
	if math.Abs(dollars(s.Forecast.Mid)-720) > 1 || !s.Forecast.Bounded ||
		dollars(s.Forecast.High-s.Forecast.Low) > 2 {
		t.Errorf("forecast %+v", s.Forecast)
	}
	if math.Abs(dollars(s.BurnPerHour)-1) > 0.01 {
		t.Errorf("burn %s", s.BurnPerHour)
	}
	if want := now.Add(239 * time.Hour); s.RunsOut.Sub(want).Abs() > time.Hour {
		t.Errorf("runs out %s, want %s", s.RunsOut, want)
	}
	if s.RunsOutEarliest.After(s.RunsOut) || s.RunsOutLatest.Before(s.RunsOut) {
		t.Errorf("%s is not between %s and %s", s.RunsOut, s.RunsOutEarliest, s.RunsOutLatest)
	}
}

// TestWeekends: a team that rests at weekends does not run out on one.
func TestWeekends(t *testing.T) {
	now := at("2026-11-13T18:00:00Z") // a Friday
	of := november(1000)
	s := bookOf(of, now, ledger.WindowState{Posted: 880e9}, func(at time.Time) float64 {
		if d := at.Weekday(); d == time.Saturday || d == time.Sunday || at.Hour() < 8 || at.Hour() >= 18 {
			return 0
		}
		return 10
	}).States(now)[0]
	if s.RunsOut.Weekday() != time.Tuesday && s.RunsOut.Weekday() != time.Monday {
		t.Errorf("runs out on %s, %s", s.RunsOut.Weekday(), s.RunsOut)
	}
	if mid := dollars(s.Forecast.Mid); math.Abs(mid-(880+11*100)) > 60 {
		t.Errorf("forecast %.2f", mid)
	}
}

// TestIntervalHolds: of many teams, of very different ways to spend, the interval holds the
// truth about as often as it says. A day's spending of one team varies, and so does its
// level from day to day.
func TestIntervalHolds(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 7))
	for _, of := range []struct {
		name      string
		days      int     // of history
		daily     float64 // how days differ
		rests     bool    // at weekends
		perHour   float64 // requests
		from, end string
	}{
		{"four weeks, steady", 28, 0.1, false, 200, "2026-11-15T12:00:00Z", "2026-12-01T00:00:00Z"},
		{"four weeks, weekends, days that differ", 28, 0.5, true, 50, "2026-11-11T09:00:00Z", "2026-12-01T00:00:00Z"},
		{"few large requests", 28, 0.3, false, 0.3, "2026-11-15T12:00:00Z", "2026-12-01T00:00:00Z"},
		{"a week old", 7, 0.3, false, 20, "2026-11-15T12:00:00Z", "2026-12-01T00:00:00Z"},
		{"two days old", 2, 0.1, false, 20, "2026-11-15T12:00:00Z", "2026-11-20T00:00:00Z"},
		{"a day's budget", 28, 0.3, false, 20, "2026-11-15T12:00:00Z", "2026-11-16T00:00:00Z"},
	} {
		const teams = 200
		within := 0
		for range teams {
			now, budgetOf := at(of.from), november(1e6)
			budgetOf.Window.End = at(of.end)
			spent, truth := map[time.Time]float64{}, 0.0
			level := 1.0
			from := now.Truncate(time.Hour).Add(-time.Duration(of.days) * 24 * time.Hour)
			for h := from; h.Before(budgetOf.Window.End); h = h.Add(time.Hour) {
				if h.Hour() == 0 {
					level = math.Exp(of.daily*random.NormFloat64() - of.daily*of.daily/2)
				}
				rate := of.perHour * level * (1 + 0.8*math.Sin(float64(h.Hour())/24*2*math.Pi))
				if d := h.Weekday(); of.rests && (d == time.Saturday || d == time.Sunday) {
					rate /= 10
				}
				usd := 0.0
				for n := poisson(random, rate); n > 0; n-- {
					usd += 0.01 * math.Exp(random.NormFloat64())
				}
				if h.Before(now) {
					spent[h] = usd
				} else {
					truth += usd
				}
			}
			book := bookOf(budgetOf, now, ledger.WindowState{}, func(at time.Time) float64 { return spent[at] })
			s := book.States(now)[0]
			if !s.Forecast.Bounded {
				continue
			}
			if truth >= dollars(s.Forecast.Low) && truth <= dollars(s.Forecast.High) {
				within++
			}
		}
		share := float64(within) / teams
		t.Logf("%s: %.2f", of.name, share)
		if share < 0.7 || share > 0.95 {
			t.Errorf("%s: the interval of 0.8 holds the truth in %.2f of %d teams", of.name, share, teams)
		}
	}
}

func poisson(random *rand.Rand, mean float64) int {
	if mean > 30 {
		return int(max(0, math.Round(mean+math.Sqrt(mean)*random.NormFloat64())))
	}
	n, p := 0, math.Exp(-mean)
	for u := random.Float64(); u > p; n++ {
		u -= p
		p *= mean / float64(n+1)
		if p < 1e-300 {
			break
		}
	}
	return n
}
