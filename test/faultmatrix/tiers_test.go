package faultmatrix

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// flexFirst is the policy of the tenants, and flexible the catalogue in which one family has the tier.
const (
	flexFirst = "tier: {try: flex, first_byte: 300ms, then: default}"
	flexible  = `source: tests
models:
  - {ids: ["amazon.nova-f*-v1:0"], dialect: nova, tiers: [flex]}
`
)

// TestRow29Tiers has callers whose calls go to flex first, which throttles some, is late with others, and never answers
// the rest. Each is sent once more, on the default tier, and at most once. The call that was left is an attempt of its
// own: with the tokens that were billed for it, or unknown, but never zero. Budgets hold, also at their last dollar.
func TestRow29Tiers(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 29, s, r.URL())
	w.budgeted("0.25", "0.2", "0.12")
	w.limits["acme"] += ", " + flexFirst
	w.limits["beta/x"] = flexFirst
	for range 2 {
		g := w.gate()
		w.write(filepath.Join(g.dir, "models.yaml"), flexible)
		tiered := strings.ReplaceAll(priceBook, "    input:", "    tiers: {flex: 1}\n    input:")
		w.write(filepath.Join(g.dir, "prices.yaml"), tiered)
		g.configure(w.yaml() + "models: [models.yaml]\ntimeouts: {drain: 2s}\n")
		g.start("")
	}
	for _, g := range w.gates {
		g.traffic(max(60, share(10)), 16, saying("#flexlate", "#flexbusy", "#flexhang", ""))
	}
	time.Sleep(3 * time.Second) // what hangs is given up
	v := w.equal(15 * time.Second)
	byRequest, reasons := map[string][]*attempt{}, map[string]int{}
	for _, a := range v.attempts {
		byRequest[a.Start.RequestID] = append(byRequest[a.Start.RequestID], a)
		reasons[a.Start.Reason]++
	}
	for id, all := range byRequest {
		w.replayedOnce(id, all)
	}
	if reasons["tier_late"] == 0 || reasons["tier_throttled"] == 0 || len(v.suspense) == 0 {
		t.Errorf("%d late, %d throttled, %d unknown", reasons["tier_late"], reasons["tier_throttled"], len(v.suspense))
	}
	left := w.within()
	w.broken += len(v.suspense) // the answers of those are others'
	w.healed(&y, began)
	w.within()
	t.Logf("row 29: %d late, %d throttled, %d unknown, %.4f dollars left; %s", reasons["tier_late"],
		reasons["tier_throttled"], len(v.suspense), float64(left)/1e9, &y)
}

// replayedOnce looks at the attempts of one request.
func (w *world) replayedOnce(id string, all []*attempt) {
	w.t.Helper()
	billed, served := 0, 0
	for _, a := range all {
		known := usageOf(&a.End.Usage).total()
		switch {
		case a.End.Outcome == record.Unknown && a.Posted.Add.Unknown == 0,
			a.End.Outcome == record.Completed && known == 0:
			w.t.Errorf("request %s: an attempt for %q counts nothing: %+v", id, a.Start.Reason, a.End)
		case a.End.Outcome != record.Failed:
			billed++
		}
		if a.End.Served {
			served++
		}
		if a.End.Wasted && a.Start.AskedTier != "flex" {
			w.t.Errorf("request %s: what was wasted asked for the tier %q", id, a.Start.AskedTier)
		}
	}
	if billed > 2 || len(all) > 2 || served != 1 {
		w.t.Errorf("request %s: %d attempts, %d billed, %d served", id, len(all), billed, served)
	}
}
