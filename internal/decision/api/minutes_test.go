package api

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/decision"
)

// crowded has so many rows in each minute that a day does not fit into one answer.
type crowded struct {
	Decisions
	since time.Time
}

const each = 40

func (c crowded) Minutes(from, to time.Time, yield func(*decision.Row) error) (time.Time, error) {
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		for range each {
			if err := yield(&decision.Row{Minute: at, Root: "acme", Requests: 1}); err != nil {
				return c.since, err
			}
		}
	}
	return c.since, nil
}

// TestMinutesOfAll reads a day and a half of two gateways, each row once, although no answer holds a day.
func TestMinutesOfAll(t *testing.T) {
	start := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	one := httptest.NewServer(Handler(crowded{since: start.Add(-time.Hour)}))
	defer one.Close()
	two := httptest.NewServer(Handler(crowded{since: start.Add(time.Hour)}))
	defer two.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	c := Client{Gateways: []string{one.URL, two.URL, gone.URL}}
	seen := map[time.Time]int{}
	since, silent := c.Minutes(t.Context(), start, start.Add(36*time.Hour), func(r *decision.Row) { seen[r.Minute]++ })
	if len(silent) != 1 || silent[0].Gateway != gone.URL || !since.Equal(start.Add(time.Hour)) {
		t.Errorf("silent %v, since %s", silent, since)
	}
	if len(seen) != 36*60 {
		t.Errorf("%d minutes", len(seen))
	}
	for at, n := range seen {
		if n != 2*each {
			t.Errorf("%s: %d rows", at, n)
		}
	}
	wrong := Client{Gateways: []string{httptest.NewServer(Handler(refusing{})).URL}}
	if _, silent := wrong.Minutes(t.Context(), start, start.Add(time.Hour), nil); len(silent) != 1 ||
		!errors.Is(silent[0].Err, decision.ErrInvalid) {
		t.Errorf("a gateway that refuses each question: %v", silent)
	}
}

// refusing takes no question.
type refusing struct{ Decisions }

func (refusing) Minutes(time.Time, time.Time, func(*decision.Row) error) (time.Time, error) {
	return time.Time{}, decision.ErrInvalid
}
