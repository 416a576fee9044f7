package faultmatrix

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// capacityOf is what was bought of a kind, provisioned or imported, for a tenant.
func capacityOf(kind string, tenant int) string {
	return fmt.Sprintf("arn:aws:bedrock:us-east-1:123456789012:%s-model/own-f%d", kind, tenant)
}

// bought is the configuration of it: calls of one model of each tenant go to units first, and imported models spill to
// it. What hangs is asked again, though it may be billed twice.
func (w *world) bought() string {
	text := strings.Replace(w.yaml(), "retry: {", "retry: {on_timeout: true, cold_start: 100ms, ", 1) +
		"timeouts: {first_byte: 600ms, drain: 2s}\ncapacity:\n"
	for i := range tenants {
		model, from := modelOf(i, 1), time.Now().UTC().Format(time.DateOnly)
		text += fmt.Sprintf("  - {name: floor%d, kind: provisioned, arn: %q, models: [%q], usd_per_hour: 10, from: %s}\n",
			i, capacityOf("provisioned", i), model, from)
		text += fmt.Sprintf("  - {name: own%d, kind: imported, arn: %q, models: [amazon.nova-micro-v1:0], units: 8, "+
			"usd_per_minute: 0.05, usd_per_month: 2, spill_to: %q, from: %s}\n", i, capacityOf("imported", i), model, from)
	}
	return text
}

// spilling makes requests that go to capacity, which does with them what their words say.
func spilling(rng *rand.Rand) ask {
	a := saying("#doubt", "#doubt", "#full", "")(rng)
	if a.family = 1; rng.IntN(2) == 0 {
		a.model = capacityOf("imported", a.tenant)
	}
	return a
}

// TestRow29Spills has capacity that hangs, so that what it was asked may be billed, then is not ready or throttles, so
// that the call spills, and gateways that are killed between. Each attempt is in the books for itself: what capacity
// was asked costs nothing more, but is there or unknown; what was spilled is billed once. Budgets hold.
func TestRow29Spills(t *testing.T) {
	var y tally
	reasons, doubted := map[string]int{}, 0
	s, r := startStandIn(t), redistest.NewServer(t)
	for seed := 1; seed <= max(2, share(30)); seed++ {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			began := time.Now()
			r.CLI("flushall")
			w := newWorld(t, uint64(seed), s, r.URL())
			w.budgeted("0.5", "0.4", "0.25")
			gates := 2
			if seed%4 == 2 {
				gates, w.redis = 1, "" // the embedded ledger
			}
			for range gates {
				g := w.gate()
				g.configure(w.bought())
			}
			w.killRound(&y, spilling)
			for _, g := range w.gates {
				g.start("")
				g.traffic(24, 24, spilling)
			}
			v := w.equal(15 * time.Second)
			byRequest := map[string][]*attempt{}
			for _, a := range v.attempts {
				byRequest[a.Start.RequestID] = append(byRequest[a.Start.RequestID], a)
				reasons[a.Start.Reason]++
			}
			for id, all := range byRequest {
				if w.paidOnce(id, all) {
					doubted++
				}
			}
			w.bounded()
			w.broken += len(v.suspense) // their callers have another answer
			y.done(w.prove(), time.Since(began))
			w.bounded()
		})
	}
	if doubted*reasons["spilled_not_ready"]*reasons["spilled_throttled"]*reasons["spilled_failed"] == 0 {
		t.Errorf("%d requests were spilled after doubt; %v", doubted, reasons)
	}
	t.Logf("row 29: %d spilled after an attempt that may be billed; %v; %s", doubted, reasons, &y)
}

// bounded is within for ledgers whose windows can be asked.
func (w *world) bounded() {
	w.t.Helper()
	if w.redis != "" {
		w.within()
	}
}

// paidOnce looks at the attempts of one request, and reports whether it was spilled after one that may be billed.
func (w *world) paidOnce(id string, all []*attempt) (afterDoubt bool) {
	w.t.Helper()
	paid, served, doubt, spilled := 0, 0, false, false
	for _, a := range all {
		if a.End == nil { // it never left
			continue
		}
		own := strings.HasPrefix(a.Start.Model, "arn:")
		switch {
		case a.End.Outcome == record.Unknown && a.Posted.Add.Unknown == 0,
			a.End.Outcome == record.Completed && usageOf(&a.End.Usage).total() == 0:
			w.t.Errorf("request %s: an attempt for %q counts nothing: %+v", id, a.Start.Reason, a.End)
		case a.End.Outcome == record.Completed && !own:
			paid++
		}
		doubt = doubt || own && a.End.Outcome == record.Unknown
		spilled = spilled || strings.HasPrefix(a.Start.Reason, "spilled_") && a.End.Served
		if a.End.Served {
			served++
		}
	}
	if paid > 1 || served > 1 {
		w.t.Errorf("request %s: %d attempts, %d paid on demand, %d served", id, len(all), paid, served)
	}
	return doubt && spilled
}
