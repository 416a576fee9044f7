package gateway

import (
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// plan decides which models are tried, in which order, and what each may cost.
func (l *Line) plan(c *call) *wire.Error {
	if !c.modelled() {
		return l.planResource(c)
	}
	plan, err := l.route(c)
	for _, failed := range plan.RuleErrors {
		l.Telemetry.Metrics().RuleError(failed.Cascade)
	}
	if err != nil {
		return err
	}
	return l.planLegs(c, plan)
}

// route asks the router for the models to try.
func (l *Line) route(c *call) (*router.Plan, *wire.Error) {
	in := router.Input{
		Facts: &c.facts, Body: c.body, Asked: c.target.Model, Header: c.req.Header,
		Tenant: c.caller.Tenant.ID, Root: c.caller.Tenant.Root, Key: c.caller.KeyID,
		Allowed: c.caller.Tenant.AllowsModel, Now: c.req.Received,
	}
	if t := c.caller.Tenant.Cap; t != nil {
		in.MaxOutput = t.Max
	}
	match := c.snap.Router.Match(&in)
	if match.Open() {
		match.Direct = l.direct(c, match.Cascade)
	}
	return c.snap.Router.Legs(&in, match)
}

// planLegs makes the legs of a plan, the partner among them, and decides whether
// shadows follow.
func (l *Line) planLegs(c *call, plan *router.Plan) *wire.Error {
	c.follow(plan)
	c.legs = make([]*leg, 0, len(plan.Legs)+1)
	for i, planned := range plan.Legs {
		g, err := l.planLeg(c, planned, i)
		if err != nil {
			return err
		}
		c.legs = append(c.legs, g)
	}
	l.planPartner(c)
	l.planSample(c)
	return nil
}

func (c *call) follow(plan *router.Plan) {
	c.plan, c.path, c.reason = plan, plan.Path, plan.Reason
}

// planLeg finds out where a leg goes, how its output is capped and what it is
// priced as.
func (l *Line) planLeg(c *call, planned router.Leg, index int) (*leg, *wire.Error) {
	g := &leg{Leg: planned, index: index, ctx: c.ctx}
	var err *wire.Error
	if g.upstream, err = c.snap.Router.Upstream(planned.Model, c.caller.Tenant.Upstream); err != nil {
		return nil, err
	}
	if g.limit, err = c.facts.Limit(c.outputCap(planned)); err != nil {
		return nil, err
	}
	g.sku = c.snap.SKU(planned.Model, c.facts.ServiceTier)
	g.price = c.snap.Prices.Find(g.sku, c.req.Received)
	return g, c.requirePrice(g)
}

// outputCap is the tenant's cap for one leg.
func (c *call) outputCap(planned router.Leg) wire.Cap {
	var limit wire.Cap
	if planned.Spec != nil {
		limit.ModelMax = planned.Spec.MaxOutput
	}
	if t := c.caller.Tenant.Cap; t != nil && c.metered() {
		limit.Default, limit.Max, limit.Reject = t.Default, t.Max, t.OnExceed == "reject"
	}
	return limit
}

// requirePrice refuses a model that cannot be accounted for where that matters.
func (c *call) requirePrice(g *leg) *wire.Error {
	if g.price != nil || !c.metered() || c.snap.Config.Unpriced != config.UnpricedRefuse {
		return nil
	}
	return wire.Errorf(wire.KindAccessDenied, "model %s has no price and this gateway refuses unpriced models", g.Model)
}

// planResource plans an operation that passes through without a model of its
// own: guardrails, and looking after a job.
func (l *Line) planResource(c *call) *wire.Error {
	if err := l.ownerOnly(c); err != nil {
		return err
	}
	upstream, err := c.snap.Router.Upstream(c.target.Resource, c.caller.Tenant.Upstream)
	if err != nil {
		return err
	}
	c.follow(&router.Plan{Path: router.Passthrough})
	g := &leg{Leg: router.Leg{Model: "guardrail/" + c.target.Resource}, ctx: c.ctx, upstream: upstream, sku: record.SKU{Model: "guardrail"}}
	g.price = c.snap.Prices.Find(g.sku, c.req.Received)
	c.legs = []*leg{g}
	return c.requirePrice(g)
}

// ownerOnly hides a job from every tenant but the one that started it.
func (l *Line) ownerOnly(c *call) *wire.Error {
	if c.target.Op != wire.OpGetAsyncInvoke {
		return nil
	}
	owner, err := l.Jobs.Owner(c.ctx, c.target.Resource)
	if err != nil {
		return &wire.Error{Kind: wire.KindServiceUnavailable, Message: "the ledger cannot be asked who started this job", Cause: err}
	}
	if owner != c.caller.Tenant.ID {
		return wire.Errorf(wire.KindResourceNotFound, "there is no job %s of yours", c.target.Resource)
	}
	return nil
}
