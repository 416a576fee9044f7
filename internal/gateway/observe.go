package gateway

import (
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/telemetry"
)

// costState says how far a cost can be trusted.
const (
	costKnown    = "known"
	costUnpriced = "unpriced"
	costUnknown  = "unknown"
)

// observe ends the request's span and counts it, all from what its steps noted.
func (l *Line) observe(c *call) {
	total := c.over.Sub(c.req.Received)
	head := total
	if !c.answered.IsZero() {
		head = c.answered.Sub(c.req.Received)
	}
	l.Telemetry.Metrics().Request(telemetry.RequestCount{
		Operation: c.target.Op.String(), Path: string(c.path), Status: c.status,
		Added: head - c.waited, FirstByte: head, Duration: total,
	})
	if c.served != nil && c.served.limit.Changed {
		l.Telemetry.Metrics().CapCut(c.served.limit.Cut)
	}
	if !c.span.Sampled() {
		return
	}
	e := c.spanEnd()
	e.Saving = l.saved(c)
	c.span.End(e)
}

func (c *call) spanEnd() telemetry.RequestEnd {
	e := telemetry.RequestEnd{
		ID: c.req.ID, Method: c.req.Method, Operation: c.target.Op.String(), Status: c.status,
		Asked: c.target.Model, Path: string(c.path), Reason: c.reason, Cost: c.cost, CostState: c.costState,
		Error: c.refusal,
	}
	if e.Error == "" && c.served != nil && c.served.res != nil {
		e.Error = c.served.res.ErrorType()
	}
	if c.caller != nil {
		e.Tenant, e.Key = c.caller.Tenant.ID, c.caller.KeyID
	}
	if c.plan != nil && c.plan.Cascade != nil {
		e.Cascade, e.Rule = c.plan.Cascade.Name, c.plan.Reason
	}
	if c.served != nil {
		e.Served, e.Cap, e.Cut = c.served.Model, c.served.limit.Tokens.N, c.served.limit.Cut
	}
	return e
}

// observeLeg counts an attempt that has ended and ends its span.
func (l *Line) observeLeg(c *call, g *leg, end *record.End, costs record.Costs) {
	g.used, g.costs = *end, costs
	if g.payer != nil {
		l.observeShadow(g, end, costs)
		return
	}
	c.mu.Lock()
	c.cost += costs.Total()
	c.costState = worse(c.costState, costState(g, end))
	c.mu.Unlock()
	l.learnLeg(c, g, end, costs)
	m := l.Telemetry.Metrics()
	m.Leg(g.upstream, g.outcomeName())
	m.Usage(g.start.Root, &end.Usage, costs.Total())
	g.endSpan(end, costs)
}

func (g *leg) endSpan(end *record.End, costs record.Costs) {
	e := telemetry.LegEnd{
		Status: end.Status, Usage: end.Usage, Outcome: outcomeNames[end.Outcome],
		AWSRequestID: end.AWSRequestID, Cost: costs.Total(), CostState: costState(g, end),
	}
	if g.err != nil {
		e.Error, e.FirstByte = g.err.Failure.String(), g.err.Timing.FirstByte
	}
	if g.res != nil {
		e.Error, e.FirstByte = g.res.ErrorType(), g.res.Timing.FirstByte
	}
	switch {
	case end.Wasted:
		e.Verdict = "escalate"
	case end.Served && g.Role == router.RoleLight:
		e.Verdict = "accept"
	}
	if g.start != nil {
		e.PriceBook = g.start.PriceVersion
	}
	g.span.End(e)
}

var outcomeNames = [...]string{record.Unknown: "unknown", record.Completed: "completed", record.Failed: "failed"}

func costState(g *leg, end *record.End) string {
	switch {
	case end.Outcome == record.Unknown:
		return costUnknown
	case g.price == nil && end.Outcome == record.Completed:
		return costUnpriced
	default:
		return costKnown
	}
}

// worse keeps the less trusted of two states.
func worse(a, b string) string {
	for _, state := range [...]string{costUnknown, costUnpriced, costKnown} {
		if a == state || b == state {
			return state
		}
	}
	return ""
}
