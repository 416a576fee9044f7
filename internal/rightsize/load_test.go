package rightsize

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/simulate"
)

const sonnet = "anthropic.claude-3-5-sonnet-20241022-v2:0"

func listed(name string) (simulate.Model, error) {
	if !strings.HasSuffix(name, sonnet) {
		return simulate.Model{}, simulate.ErrModel
	}
	million := money.Price(money.Dollar)
	return simulate.Model{ID: name, Rates: record.TokenRates{
		Input: 3 * million, Output: 15 * million, CacheRead: million / 10 * 3, CacheWrite5m: million / 4 * 15,
		CacheWrite1h: 6 * million,
	}}, nil
}

// TestLoad has three rows of two minutes, of which what is asked for was added by hand.
func TestLoad(t *testing.T) {
	start := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	fill := func(tenant, model string) *Load {
		l := NewLoad(tenant, model, listed)
		l.Add(Row{At: start, Root: "acme", Model: sonnet, Input: 100_000, Output: 10_000, Cost: money.Dollar * 45 / 100})
		l.Add(Row{At: start, Root: "acme", Model: "us." + sonnet, Input: 10_000, CacheRead: 80_000, CacheWrite5m: 10_000,
			Output: 1_000, Cost: money.Dollar * 1065 / 20_000}) // half of 0.03 + 0.024 + 0.0375 + 0.015: a discount
		l.Add(Row{At: start.Add(3 * time.Minute), Root: "umbrella", Model: sonnet, Input: 1000, Output: 100, Cost: 4500})
		l.Add(Row{At: start, Root: "acme", Model: sonnet, Tier: "batch", Input: 9, Cost: money.Dollar})
		l.Add(Row{At: start, Root: "acme", Model: sonnet, Input: 7})
		l.Add(Row{At: start, Root: "acme", Model: "amazon.nova-pro-v1:0", Input: 7, Cost: 7})
		return l
	}
	offers := []Offer{ModelUnits(Unit{1000, 100}), ReservedInput(money.Dollar), ReservedOutput(money.Dollar)}
	r, err := fill("acme", "sonnet").Report(start, start.Add(10*time.Minute), offers)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ peak, cost string }{
		{"200.000", "0.50325"}, // all tokens of input, also those of the cache
		{"120.000", "0.33375"}, // 0.30 and the half of 0.03 + 0.0375
		{"11.000", "0.1575"},   // 0.15 and the half of 0.015
	} {
		s := r.Sides[i]
		cost := s.Curve.Cost()
		if text(s.Curve.Peak()) != want.peak || cost.String() != want.cost {
			t.Errorf("%s: peak %s, %s; want %+v", s.Unit, text(s.Curve.Peak()), cost.String(), want)
		}
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "$1.00") || !strings.Contains(notes, "7 tokens") {
		t.Errorf("notes: %s", notes)
	}
	all, err := fill("", "sonnet").Report(start, start.Add(10*time.Minute), offers[:1])
	if err != nil {
		t.Fatal(err)
	}
	if minutes, used := all.Sides[0].Curve.Minutes(); minutes != 10 || used != 2 {
		t.Errorf("%d of %d minutes", used, minutes)
	}
	for _, wrong := range []*Load{fill("acme", "opus"), fill("acme", ""), fill("nobody", "sonnet")} {
		if _, err := wrong.Report(start, start.Add(time.Hour), offers); !errors.Is(err, ErrLoad) {
			t.Errorf("%v", err)
		}
	}
	_, err = fill("acme", "sonnet").Report(start.Add(time.Minute), start.Add(time.Hour), offers)
	if !errors.Is(err, ErrLoad) {
		t.Errorf("%v", err)
	}
	if _, err := fill("", "nova").Report(start, start.Add(time.Hour), offers); !errors.Is(err, simulate.ErrModel) {
		t.Errorf("%v", err)
	}
}
