package views

import (
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/internal/money"
)

// TestControlBand: a day is outside when it is further from the mean than three standard deviations of as many
// requests, and one without requests has no band.
func TestControlBand(t *testing.T) {
	all := &sum{Requests: 10_000, Escalated: 1_000}
	for _, c := range []struct {
		requests, escalated int64
		want                []string
	}{
		{100, 10, []string{"1.0", "19.0", ""}}, {100, 19, []string{"1.0", "19.0", ""}}, // 10 % ± 9
		{100, 20, []string{"1.0", "19.0", "above"}}, {100, 0, []string{"1.0", "19.0", "below"}},
		{10_000, 1_091, []string{"9.1", "10.9", "above"}}, {10_000, 1_089, []string{"9.1", "10.9", ""}},
		{4, 4, []string{"0.0", "55.0", "above"}}, {1, 1, []string{"0.0", "100.0", ""}}, {0, 0, []string{"", "", ""}},
	} {
		got := bandCells(expected(all, c.requests), 100*float64(c.escalated)/float64(max(1, c.requests)), c.requests)
		if !slices.Equal(got, c.want) {
			t.Errorf("%d of %d: %q, want %q", c.escalated, c.requests, got, c.want)
		}
	}
	if got := bandCells(expected(&sum{}, 5), 0, 5); got[2] != "" {
		t.Errorf("nothing escalates: %q", got)
	}
}

// TestTrend has an amount for each day, also for those without one.
func TestTrend(t *testing.T) {
	of := &sum{}
	of.cost.Add(money.Dollar / 4)
	got := trend([]string{"2026-11-01", "2026-11-02"}, func(day string) *sum {
		return map[string]*sum{"2026-11-02": of}[day]
	})
	if got != "0 0.25" {
		t.Errorf("%q", got)
	}
}
