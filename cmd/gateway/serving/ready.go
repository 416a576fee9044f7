package serving

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/meter/peers"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/telemetry"
)

// readiness is what /readyz shows. Only what would refuse new requests makes
// the gateway unready; everything else is degraded and listed. Callers are not
// authenticated here, so nothing of the configuration is in it.
type readiness struct {
	Ready    bool              `json:"ready"`
	Draining bool              `json:"draining,omitempty"`
	Degraded map[string]string `json:"degraded,omitempty"`
	// Restart are keys that a reload could not take.
	Restart []string `json:"restart_needed,omitempty"`
	Backlog uint64   `json:"ledger_backlog"`
}

func (a *app) ready() (ok bool, state any) {
	r := a.readiness()
	return r.Ready, r
}

func (a *app) readiness() readiness {
	s := a.accounts.meter.Status()
	r := readiness{Draining: a.draining.Load(), Degraded: a.accounts.ledgerTrouble(), Backlog: s.Backlog}
	r.Ready = s.Fault == nil && !r.Draining
	if s.Missing != nil {
		r.Degraded["journal"] = s.Missing.Error()
	}
	if s.Fault != nil {
		r.Degraded["journal"] = s.Fault.Error()
	}
	if identity := identityTrouble(a.troubles()); identity != "" {
		r.Degraded["identity"] = identity
	}
	if out := absentMembers(a.members.Out(time.Now())); out != "" {
		r.Degraded["pools"] = out
	}
	if lines := linesOf(a.quotas.States()); lines != "" {
		r.Degraded["quotas"] = lines
	}
	if err := a.keys.Trouble(); err != nil {
		r.Degraded["keys"] = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	r.Restart = a.reloads.trouble(r.Degraded)
	return r
}

// inFlight counts the requests whose upstream may be working: those that are being
// answered, and those whose callers have left.
func (a *app) inFlight() int64 { return a.edge.Stats().InFlight + a.line.Abandoned.Load() }

// watch gives the metrics their gauges.
func (a *app) watch(m *telemetry.Metrics) {
	m.Watch(telemetry.GaugeInFlight, func() float64 { return float64(a.inFlight()) })
	m.Watch(telemetry.GaugeConnections, func() float64 { return float64(a.edge.Stats().Connections) })
	m.Watch(telemetry.GaugePendingConnections, func() float64 { return float64(a.edge.Stats().Pending) })
	m.Watch(telemetry.GaugeBufferedBytes, func() float64 { return float64(a.edge.Stats().BufferedBytes) })
	m.Watch(telemetry.GaugeBufferedLimit, func() float64 { return float64(a.edge.Stats().BufferedLimit) })
	m.Watch(telemetry.GaugeQueueDelay, func() float64 { return a.edge.Stats().QueueDelay.Seconds() })
	m.Watch(telemetry.GaugeJournalBacklog, func() float64 { return float64(a.accounts.meter.Status().Backlog) })
	m.Watch(telemetry.GaugeJournalAge, func() float64 { return a.accounts.meter.Status().Since.Seconds() })
	m.WatchSavings(func() []saving.Saving { return a.line.Savings(time.Now()) })
	m.Watch(telemetry.GaugeFactsWaiting, func() float64 { return float64(a.memory.Board().Stats().Waiting) })
	m.Watch(telemetry.GaugeFactsDropped, func() float64 { return float64(a.memory.Board().Stats().Dropped) })
	m.Watch(telemetry.GaugeLedgerDegraded, func() float64 {
		if t := a.accounts.ledgerTrouble(); t["ledger"] != "" || t["budgets"] != "" || t["rows"] != "" {
			return 1
		}
		return 0
	})
	m.Watch(telemetry.GaugeBudgetsFrozen, func() float64 {
		t := a.accounts.limiter.Trouble()
		roots, _ := a.accounts.freeze(&t)
		return float64(roots)
	})
	m.Watch(telemetry.GaugeLimitsDiffering, func() float64 { return float64(a.accounts.peers.State().Total) })
	m.WatchLists(a.differing, a.absent, a.quotaStates)
	m.Watch(telemetry.GaugeIdentityFailing, func() float64 { return float64(len(a.troubles())) })
	m.Watch(telemetry.GaugeKeysDegraded, func() float64 {
		if a.keys.Trouble() != nil {
			return 1
		}
		return 0
	})
	m.Watch(telemetry.GaugeClockBehind, func() float64 {
		behind, _ := a.accounts.health.state()
		return behind.Seconds()
	})
	m.WatchBudgets(func() ([]forecast.State, bool) {
		all, err := a.board.States("", a.ledgerNow())
		return all, err == nil
	})
	a.accounts.wg.Go(func() { a.accounts.atOnceAndEvery(forecast.Every, a.refreshBudgets) })
}

// budgetsWithin is how long reading how budgets stand may take: the first time it reads
// four weeks of rows.
const budgetsWithin = 30 * time.Second

// refreshBudgets reads how budgets stand, for the metrics and pages.
func (a *app) refreshBudgets() (more bool) {
	now := a.ledgerNow()
	if !a.board.Due(now) {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), budgetsWithin)
	defer cancel()
	go func() { // a stop does not wait for it
		select {
		case <-a.accounts.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := a.board.Refresh(ctx, a.budgetSource(), now); err != nil {
		a.log.Debug("how budgets stand is not known", "err", err)
	}
	return true
}

// mostOut bounds the members of pools that metrics and /readyz list.
const mostOut = 100

// absent lists the members of pools that are out, for the metrics.
func (a *app) absent() []telemetry.Absent {
	var all []telemetry.Absent
	out := a.members.Out(time.Now())
	for _, o := range out[:min(mostOut, len(out))] {
		all = append(all, telemetry.Absent{Upstream: o.Upstream, Model: o.Model, Reason: string(o.Why)})
	}
	return all
}

// quotaStates are how quotas stand, for the metrics: those of all roles together.
func (a *app) quotaStates() []telemetry.Quota {
	var all []telemetry.Quota
	for _, s := range a.quotas.States() {
		one := telemetry.Quota{Upstream: s.Upstream, Models: s.Models}
		for i, n := range [...]int64{
			s.Limits.Tokens, s.Tokens, s.Requests, int64(s.Waiting), s.Held, s.Used, s.Waited, s.Refused, s.Cap, s.Freed,
		} {
			one.Values[i] = float64(n)
		}
		if last := len(all) - 1; last >= 0 && all[last].Upstream == s.Upstream && all[last].Models == s.Models {
			for i := range one.Values {
				all[last].Values[i] += one.Values[i]
			}
			continue
		}
		all = append(all, one)
	}
	return all[:min(mostOut, len(all))]
}

// linesOf is the text for /readyz on calls that wait in line for quota, "" for none.
func linesOf(states []quota.State) string {
	var texts []string
	for _, s := range states {
		if s.Waiting > 0 && len(texts) < mostOut {
			texts = append(texts, fmt.Sprintf("upstream %s, %s: %d calls, %d of %d tokens taken",
				cmp.Or(s.Upstream, pools.Default), s.Models, s.Waiting, s.Tokens, s.Limits.Tokens))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "calls wait for quota: " + strings.Join(texts, "; ")
}

// absentMembers is the text for /readyz on members of pools that are out, "" for none.
func absentMembers(out []failover.Out) string {
	if len(out) == 0 {
		return ""
	}
	texts := make([]string, 0, len(out))
	for _, o := range out[:min(mostOut, len(out))] {
		texts = append(texts, fmt.Sprintf("upstream %s, %s: %s since %s, asked again at %s",
			cmp.Or(o.Upstream, pools.Default), cmp.Or(o.Model, "all models"), o.Why, o.Since.UTC().Format(time.RFC3339),
			o.Until.UTC().Format(time.RFC3339)))
	}
	return "members of pools are out, and others take their calls: " + strings.Join(texts, "; ")
}

// differing lists the tenants whose limits differ, for the metrics.
func (a *app) differing() []telemetry.Differing {
	var all []telemetry.Differing
	for _, d := range a.accounts.peers.State().Differ {
		all = append(all, telemetry.Differing(d))
	}
	return all
}

// differing is the text for /readyz on limits that differ between gateways, "" for none.
func differing(s *peers.State) string {
	if s.Total == 0 {
		return ""
	}
	const most = 5
	var named []string
	for _, d := range s.Differ[:min(most, len(s.Differ))] {
		named = append(named, fmt.Sprintf("%s at gateway %s", d.Tenant, d.Gateway))
	}
	text := "budgets or limits differ, and the strictest hold: " + strings.Join(named, ", ")
	if more := s.Total - len(named); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// ledgerNow is the time that budgets go by.
func (a *app) ledgerNow() time.Time { return a.accounts.now().Add(a.accounts.health.ahead()) }
