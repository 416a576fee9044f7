package advice

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/decision"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestPulled: flex costs half, so it saved what it cost. What was thrown away may have saved nothing, and was paid for.
func TestPulled(t *testing.T) {
	b := filled(t)
	b.levers, b.found = tiers(), map[key]*Finding{}
	row := func(model, tier string, dollars int64) *decision.Row {
		return &decision.Row{Root: "acme", Model: model, Tier: tier, Input: 10_000_000,
			Cost: decision.Dollars(money.Dollar * money.Pico(dollars))}
	}
	b.addPulled(row(nova, "flex", 4), money.Dollar)
	b.addPulled(row(nova, "batch", 4), 0)
	b.addPulled(row(nova, "", 8), money.Dollar)
	b.addPulled(row("stranger", "flex", 8), 0)
	want := map[string][3]string{"flex": {"4.00", "4.00", "2.00"}, "batch": {"4.00", "4.00", "4.00"}}
	for _, f := range b.Findings() {
		low := f.Low()
		got := [3]string{f.Cost.String(), f.Saved.String(), low.String()}
		if got != want[f.Lever.Name] {
			t.Errorf("%s: %v, want %v", f.Lever.Name, got, want[f.Lever.Name])
		}
		delete(want, f.Lever.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing %v", want)
	}
}
