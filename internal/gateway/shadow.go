package gateway

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// maxShadows is how many requests are shadowed at the same time. A sample that
// finds no place is dropped: shadows never wait, and nobody waits for them.
const maxShadows = 8

// sample is a request whose light answer is asked for after the escalation
// model's was served. A nil sample keeps nothing.
type sample struct {
	payer  *tenant.Tenant
	frames [][]byte // of the answer that the caller got, when it was a stream
	size   int
	over   bool // it was too large to be kept
}

// keep copies a frame on its way to the caller.
func (s *sample) keep(raw []byte) {
	if s == nil || s.over {
		return
	}
	if s.size += len(raw); s.size > maxHeld {
		s.over, s.frames = true, nil
		return
	}
	s.frames = append(s.frames, append([]byte(nil), raw...))
}

// planSample decides whether a request is sampled: of a cascade that observes,
// for labels; of one that enforces, to watch its certificate; and of both that
// check answers, to learn how long the escalation model's are where it did not
// serve, without which nobody can say what was saved.
func (l *Line) planSample(c *call) {
	if c.plan.Cascade == nil || len(c.plan.Shadows) == 0 && !c.tried() {
		return
	}
	settings := &c.plan.Cascade.Settings.Shadow
	payer := c.snap.Tenants.Lookup(settings.Tenant)
	if payer == nil || l.Random() >= settings.Fraction {
		return
	}
	c.sample = &sample{payer: payer}
}

// shadowed are the models that a sample is asked of: those that do not serve.
func (c *call) shadowed() []router.Leg {
	if c.tried() {
		return []router.Leg{c.plan.Cascade.Escalation}
	}
	return c.plan.Shadows
}

// shadow asks, on the side, the models that did not serve a sampled request.
// What that costs is the shadow tenant's.
func (l *Line) shadow(c *call) {
	if c.sample == nil || c.served == nil || c.status != 200 {
		return
	}
	escalated := c.served.Role == router.RoleEscalation
	switch tried := c.tried(); {
	case tried && escalated:
		l.watch(c, 0)
		return
	case !tried && !escalated: // a budget kept the escalation model from it
		return
	}
	legs := c.shadowed()
	if reason := l.admitShadow(c); reason != "" {
		l.Telemetry.Metrics().ShadowDropped(c.plan.Cascade.Name, reason)
		return
	}
	c.giveBack() // the caller's request is over, only its body is needed on
	c.users.Add(1)
	l.drains.Go(func() {
		defer l.release(c)
		defer l.shadows.Add(-1)
		l.compare(c, legs)
	})
}

// admitShadow takes a place for a shadow, or says why there is none. Shadows
// are the first to go when the gateway has much to do.
func (l *Line) admitShadow(c *call) (refused string) {
	switch {
	case c.sample.over:
		return "size"
	case c.served.used.Outcome != record.Completed:
		return "incomplete"
	case l.crowded(c.snap):
		return "load"
	case l.shadows.Add(1) > maxShadows:
		l.shadows.Add(-1)
		return "busy"
	}
	return ""
}

// crowded reports whether the gateway has used half of what it may hold: open
// requests, measured by the connections that it takes, or bytes of streams.
func (l *Line) crowded(s *snapshot.Snapshot) bool {
	return l.open.Load() > int64(s.Config.Limits.MaxConnections)/2 || l.held.Load() > maxHeldAll/2
}

// compare runs the shadow legs and compares what they say with what was served.
func (l *Line) compare(c *call, legs []router.Leg) {
	ctx, cancel := context.WithTimeout(l.stop, c.snap.Config.Timeouts.Request)
	defer cancel()
	var asked []*leg
	for i, planned := range legs {
		g, reason := l.admitLeg(ctx, c, planned, i+1)
		if reason != "" {
			l.Telemetry.Metrics().ShadowDropped(c.plan.Cascade.Name, reason)
			l.dismiss(c, asked)
			return
		}
		asked = append(asked, g)
	}
	runs, answers := make([]*run, len(asked)), make([]*said, len(asked))
	for i, g := range asked {
		runs[i] = l.start(c, g, toEnd)
	}
	for i, r := range runs {
		answers[i] = l.endShadow(c, r)
	}
	switch {
	case answers[0] == nil:
	case runs[0].leg.Role == router.RoleLight:
		l.logPair(ctx, c, runs, answers)
	case runs[0].leg.Role == router.RoleEscalation:
		l.watchLight(ctx, c, answers[0])
	}
}

// admitLeg plans a leg at the cost of the sample's payer, or says why it is not
// to be had: the day's allowance, or a budget or limit of the payer, may have no
// room for it. Without one leg of a sample the others are not asked.
func (l *Line) admitLeg(ctx context.Context, c *call, planned router.Leg, index int) (g *leg, refused string) {
	g, err := l.planLeg(c, planned, index)
	if err != nil {
		return nil, "unfit"
	}
	g.ctx, g.payer, g.path, g.reason = ctx, c.sample.payer, router.Shadow, cascade.ReasonShadow
	switch {
	case !l.affords(c, g):
		return nil, "allowance"
	case !l.holdShadow(c, g):
		l.dismiss(c, []*leg{g})
		return nil, "budget"
	}
	return g, ""
}

// dismiss gives back what legs hold that are not asked.
func (l *Line) dismiss(c *call, legs []*leg) {
	for _, g := range legs {
		g.reserved.Release()
		l.memory.Of(c.plan.Cascade.Name).Shadow.Settle(g.worst(c), 0)
	}
}

// endShadow waits for a shadow leg to be in the books, and returns what it said.
func (l *Line) endShadow(c *call, r *run) *said {
	<-r.ready
	answer := r.said()
	r.leave(consulted, c.snap.Config.Timeouts.Drain)
	<-r.ended
	r.leg.reserved.Release()
	l.memory.Of(c.plan.Cascade.Name).Shadow.Settle(r.leg.worst(c), r.leg.costs.Total())
	return answer
}

// watchLight counts a light answer that was served, by a certificate, against
// what the escalation model says. Where nobody can tell which is better, it is
// no sample.
func (l *Line) watchLight(ctx context.Context, c *call, strong *said) {
	if c.plan.Cascade.Mode != "enforce" {
		return
	}
	light := (&said{c.target.Op, c.sample.frames, c.served.res.Body}).answer()
	if loss, known := l.labelled(ctx, c, light, strong.answer()).loss(); known {
		l.watch(c, loss)
	}
}

// affords takes a shadow leg's worst case out of what is left of the day.
func (l *Line) affords(c *call, g *leg) bool {
	limit := c.plan.Cascade.Settings.Shadow.USDPerDay
	if limit > 0 && g.price == nil {
		return false
	}
	return l.memory.Of(c.plan.Cascade.Name).Shadow.Take(g.worst(c), limit, l.Now())
}

// observeShadow counts a shadow leg, which is no part of the request's own cost.
func (l *Line) observeShadow(g *leg, end *record.End, costs record.Costs) {
	m := l.Telemetry.Metrics()
	m.Leg(g.upstream, g.outcomeName())
	m.Usage(g.start.Root, &end.Usage, costs.Total())
	g.endSpan(end, costs)
}

// logPair compares what the models said and appends a line to the log.
func (l *Line) logPair(ctx context.Context, c *call, runs []*run, answers []*said) {
	if l.PairsDir == "" {
		return
	}
	p := l.pair(ctx, c, runs, answers)
	if err := l.pairs.Append(p); err != nil {
		l.Log.Error("pair not logged", "cascade", p.Cascade, "request", c.req.ID, "err", err)
	}
}

// usage is what a leg used, for the log.
func (g *leg) usage() pairs.Leg {
	return pairs.Leg{Model: g.Model, Input: g.used.Usage.Input.N, Output: g.used.Usage.Output.N, Cost: g.costs.Total()}
}
