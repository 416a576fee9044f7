package gateway

import (
	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/router"
)

// certified reports whether a cascade has a certificate that holds, that is
// about requests with this one's response schema, and that what happened since
// has not refuted.
func (l *Line) certified(c *call, to *router.Cascade) bool {
	learned := c.snap.Learned[to.Name]
	if learned == nil || learned.Certificate == nil || l.memory.Of(to.Name).Watch.Refuted(learned.Certificate) {
		return false
	}
	c.asked = c.request()
	schema := l.schemas.Hash(c.asked)
	if learned.Certificate.Covers(schema) {
		return true
	}
	l.Telemetry.Metrics().UncertifiedSchema(to.Name)
	if l.memory.Of(to.Name).Strangers.New(learned.Certificate.Hash + schema) {
		l.Log.Warn("requests with this response schema are not certified: no pair of the certificate had it; the escalation model serves them",
			"cascade", to.Name, "schema", schema, "certificate", learned.Certificate.Hash, "request", c.req.ID)
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

// threshold is what the certificate of an enforcing cascade allows, nil
// elsewhere.
func (c *call) threshold() *cascade.Threshold {
	to := c.plan.Cascade
	if to.Mode != "enforce" {
		return nil
	}
	learned := c.snap.Learned[to.Name]
	t := &cascade.Threshold{AtMost: learned.Certificate.Threshold, Order: learned.order()}
	if t.Order != nil {
		t.Prompt, t.Route = c.prompt(), c.route(to)
	}
	return t
}
