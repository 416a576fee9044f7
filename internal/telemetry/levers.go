package telemetry

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Levers counts what levers of cost did.
type Levers struct{ m *Metrics }

// Levers returns the counters of levers. Those of nil metrics count nothing.
func (m *Metrics) Levers() Levers { return Levers{m} }

// TierTry counts a call on a service tier that the gateway chose: served, throttled, late or refused.
func (l Levers) TierTry(tier, outcome string) { l.m.add(tierTries, 1, tier, outcome) }

// SessionSignal counts a call of a session that seems to go round in circles: what tells of it, and what becomes of it.
func (l Levers) SessionSignal(signal, action string) { l.m.add(sessionSignals, 1, signal, action) }

// PoolCall counts a call for which a member of a pool was chosen, why, and whether it was taken, or why not.
func (l Levers) PoolCall(pool, upstream, why, outcome string) {
	l.m.add(poolCalls, 1, pool, upstream, why, cmp.Or(outcome, "taken"))
}

// EmbeddedAgain counts an embedding of what was embedded before, unchanged, and what it cost.
func (l Levers) EmbeddedAgain(tenant string, cost money.Pico) {
	if l.m == nil {
		return
	}
	tenant = l.m.tenants.bounded(tenant)
	l.m.add(embeddedAgain, 1, tenant)
	l.m.add(embeddedAgainCost, float64(cost)/float64(money.Dollar), tenant)
}

// ScopeSpill counts a call that was asked in another scope, and why.
func (l Levers) ScopeSpill(from, to, why string) { l.m.add(scopeSpills, 1, from, to, why) }

// CapacityServed is the outcome of a call that the capacity served.
const CapacityServed = "served"

// CapacityCall counts a call that was to go to capacity that was bought: served, or why it went on demand.
func (l Levers) CapacityCall(name, outcome string) { l.m.add(capacityCalls, 1, name, outcome) }

// GuardrailCall counts a call that a guardrail looked at, and whether it intervened. id is "" for one that has none.
// Both series are there from the first call on: Prometheus does not see an increase that makes its series.
func (l Levers) GuardrailCall(id string, intervened int) {
	if l.m == nil {
		return
	}
	name := otherLabel
	if id != "" {
		name = l.m.guardrails.bounded(id)
	}
	l.m.add(guardrailCalls, float64(1-intervened), name, "passed")
	l.m.add(guardrailCalls, float64(intervened), name, "intervened")
}

// CapacityCalls is how many calls capacity that was bought was asked for, by what became of them.
type CapacityCalls struct {
	Capacity, Outcome string
	Calls             int64
}

// CapacityCalls are what CapacityCall has counted since the start, in no order.
func (l Levers) CapacityCalls() (all []CapacityCalls) {
	if l.m == nil {
		return nil
	}
	alone := prometheus.NewRegistry()
	alone.MustRegister(l.m.counters[capacityCalls])
	families, err := alone.Gather()
	if err != nil {
		panic("BUG: counters of capacity: " + err.Error())
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := m.GetLabel() // by name
			all = append(all, CapacityCalls{labels[0].GetValue(), labels[1].GetValue(), int64(m.GetCounter().GetValue())})
		}
	}
	return all
}
