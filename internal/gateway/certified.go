package gateway

import (
	"fmt"
	"math"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/snapshot"
)

// certified reports whether a cascade has a certificate that holds, that is
// about requests with this one's response schema, and that what happened since
// has not refuted.
func (l *Line) certified(c *call, to *router.Cascade) bool {
	artifacts := c.snap.Artifacts[to.Name]
	if artifacts == nil || artifacts.Certificate == nil || l.memory.Of(to.Name).Watch.Refuted(artifacts.Certificate) {
		return false
	}
	c.asked = c.request()
	schema := l.schemas.Hash(c.asked)
	if artifacts.Certificate.Covers(schema) {
		return true
	}
	l.Telemetry.Metrics().UncertifiedSchema(to.Name)
	if l.memory.Of(to.Name).Strangers.New(artifacts.Certificate.Hash + schema) {
		l.Log.Warn("requests with this response schema are not certified: no pair of the certificate had it; the escalation model serves them",
			"cascade", to.Name, "schema", schema, "certificate", artifacts.Certificate.Hash, "request", c.req.ID)
	}
	return false
}

// request is what the checks need to know about the request. Who may run beside
// others must not keep it in asked.
func (c *call) request() *answer.Request {
	if c.asked != nil {
		return c.asked
	}
	return parts.Request(&c.facts, c.body)
}

// threshold is what the certificate of an enforcing cascade allows, and the
// watch over it, nil elsewhere.
func (l *Line) threshold(c *call) *cascade.Threshold {
	to := c.plan.Cascade
	if to.Mode != "enforce" {
		return nil
	}
	artifacts := c.snap.Artifacts[to.Name]
	t := &cascade.Threshold{AtMost: l.memory.Of(to.Name).Watch.Threshold(artifacts.Certificate), Order: artifacts.Order()}
	if t.Order != nil {
		t.Prompt, t.Route = c.prompt(), c.route(to)
	}
	return t
}

// watch counts the loss of a sampled request against the certificate, if one
// decided about it. An answer that a used-up escalation budget let through would
// be let through at any threshold.
func (l *Line) watch(c *call, loss float64) {
	if c.plan.Cascade.Mode != "enforce" {
		return
	}
	name := c.plan.Cascade.Name
	certificate := c.snap.Artifacts[name].Certificate
	risk := c.risk
	if c.reason == cascade.ReasonGuard {
		risk = math.Inf(-1)
	}
	watch := &l.memory.Of(name).Watch
	back, refuted := watch.Observe(certificate, memory.Sample{Risk: risk, Loss: loss})
	if !refuted {
		return
	}
	l.Telemetry.Metrics().Refuted(name)
	l.Telemetry.Metrics().StepsBack(name, back)
	l.Log.Error("the light model loses more than the certificate's bound: the threshold is stepped back; calibrate again",
		"cascade", name, "certificate", certificate.Hash, "bound", certificate.MaxLoss,
		"steps_back", back, "of", len(certificate.Steps), "threshold", fmt.Sprint(watch.Threshold(certificate)))
	l.memory.ShareWatch(name)
	if err := l.Tightened.Keep(name, watch); err != nil {
		l.Log.Error("a restart would forget that the threshold was stepped back", "cascade", name, "err", err)
	}
}

// Restore steps certified thresholds back as far as they were before a restart.
// It belongs before the first request.
func (l *Line) Restore() error {
	if err := l.Tightened.Restore(l.memory); err != nil {
		return err
	}
	if s := l.Snapshot(); s != nil {
		l.showSteps(s)
	}
	return nil
}

// showSteps keeps the metric of how far certificates in use are stepped back.
func (l *Line) showSteps(s *snapshot.Snapshot) {
	for name, artifacts := range s.Artifacts {
		if c := artifacts.Certificate; c != nil {
			l.Telemetry.Metrics().StepsBack(name, l.memory.Of(name).Watch.Back(c.Hash))
		}
	}
}
