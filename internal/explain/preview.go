package explain

import (
	"context"
	"fmt"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// previewed is what the line would do with a request, up to the point where it
// would leave.
type previewed struct {
	request *leg.Request
	route   *router.Plan // also of a request that the router refuses; nil when it is refused before
	legs    []*leg.Plan  // in the order in which they are held, with what they hold
	limited bool         // a budget or limit applies, so that this is held
	prior   score.Band
}

// preview takes the steps of the line. A refusal comes with what was found before
// it.
func preview(s *snapshot.Snapshot, q *Request) (*previewed, *wire.Error) {
	r := &leg.Request{
		Snapshot: s, Caller: &tenant.Identity{Tenant: q.Tenant, KeyID: q.Key},
		Header: q.Header, Target: wire.Target{Op: q.Op, Model: q.Model}, Body: q.Body, Received: q.Now,
		Gone: context.Background(),
	}
	p := &previewed{request: r}
	if err := r.MayName(r.Gone, q.Model); err != nil {
		return p, err
	}
	if err := r.ReadFacts(); err != nil {
		return p, err
	}
	if err := r.Within(r.Gone); err != nil {
		return p, err
	}
	if q.Input > 0 {
		r.Facts.InputTokens = q.Input
		r.Facts.BodyBytes = max(r.Facts.BodyBytes, r.Facts.MediaBytes+q.Input) // a token has a byte or more
	}
	in := r.RouterInput()
	match := s.Router.Match(in)
	if match.Open() {
		r.Cascade = match.Cascade.Name
		match.Direct = p.direct(match.Cascade)
	}
	var err *wire.Error
	if p.route, err = s.Router.Legs(in, match); err != nil {
		return p, err
	}
	return p, p.plan()
}

// direct is what the line decides of a request when it has seen no traffic.
func (p *previewed) direct(to *router.Cascade) string {
	r := p.request
	artifacts := r.Snapshot.Artifacts[to.Name]
	if to.Mode == "enforce" && !certified(artifacts, r) {
		return router.ReasonUncertified
	}
	p.prior = artifacts.Band(func() *score.Input {
		return &score.Input{Prompt: r.Prompt(), Bytes: r.Facts.TextBytes, Route: r.Kind()}
	})
	if p.prior == score.DirectBand {
		return cascade.ReasonPreScore
	}
	return ""
}

// certified reports whether there is a certificate about requests with this one's
// response schema.
func certified(a *snapshot.Artifacts, r *leg.Request) bool {
	if a == nil || a.Certificate == nil {
		return false
	}
	var schemas answer.Schemas
	return a.Certificate.Covers(schemas.Hash(parts.Request(&r.Facts, r.Body)))
}

// plan makes the plans of the legs, with what they would hold.
func (p *previewed) plan() *wire.Error {
	r := p.request
	plans, err := leg.NewPlans(r, p.route, p.route.WantsPartner(r.Facts.Stream, p.prior == score.LightBand))
	if err != nil {
		return err
	}
	policy := r.Snapshot.Budgets.ForKey(r.Caller.Tenant.ID, r.Caller.Own)
	p.limited = policy != nil || r.SessionBudget() != nil
	for i, plan := range plans {
		if err = plan.Estimate(r, &estimate.Table{}, policy); err != nil {
			return err
		}
		path := p.route.PathOf(i)
		if plan.Role == router.RolePartner {
			path = router.Partner
		}
		p.legs = append(p.legs, plan.As(path, ""))
	}
	return nil
}

// shadows are asked of a part of such requests after the answer, should the first
// leg give it; the judge, the last of them, where the answers differ.
func (p *previewed) shadows() []router.Leg {
	checked := p.route.Checked(p.request.Facts.Stream)
	shadows := p.route.Shadowed(checked)
	if p.route.Cascade.Settings.Shadow.Tenant == "" || len(shadows) == 0 {
		return nil
	}
	if p.route.Judge != nil {
		shadows = append(shadows[:len(shadows):len(shadows)], *p.route.Judge)
	}
	return shadows
}

// explain puts a leg into words and amounts.
func (p *previewed) explain(i int, output int64) Leg {
	planned := p.legs[i]
	l := Leg{
		Role: roles[planned.Role], Model: planned.Model, Profile: planned.Profile, Path: string(planned.Path),
		Upstream: planned.Upstream,
		Capped:   planned.Limit.Header(), Cut: planned.Limit.Cut, Named: planned.Named, Cache: leg.Points(p.request, planned),
		Quota: inQuotas(leg.Takes(p.request, planned)), Spills: leg.Scopes(planned),
	}
	if leg.GuardsNewTurn(planned) {
		l.Guardrail = "reads the new turn alone"
	}
	switch t := planned.Tiers(); {
	case t.FirstByte > 0:
		l.Tiers = fmt.Sprintf("%s, after %s without a first byte %s", t.Try, t.FirstByte, t.Then)
	case t.Try != "":
		l.Tiers = t.Try + ", when refused " + t.Then
	}
	if first := leg.First(planned); first != nil {
		l.Capacity = fmt.Sprintf("%s, %s, and on demand when it is full, throttles or fails", first.Name, first.ARN)
	}
	if spare := leg.Spare(planned); spare != nil {
		l.Capacity = fmt.Sprintf("%s, and %s when that is not loaded in time", planned.Model, spare.Model)
	}
	if pool := planned.Pool; pool.Pool != "" {
		l.Pool = pool.Pool
		for _, m := range pool.Members {
			l.Members = append(l.Members, orDefault(m.Upstream))
		}
	}
	if i == 0 {
		l.Reason = p.route.Reason
	}
	if planned.Limit.Tokens.Known {
		l.MaxOutput = &planned.Limit.Tokens.N
		output = min(output, *l.MaxOutput)
	}
	price, input := planned.Price, int64(p.request.Facts.InputTokens)
	if price == nil {
		return l
	}
	l.PriceVersion = price.Version
	reserved := planned.Cost[record.UnitTokens] - planned.Input // of output; a guess when there is no maximum
	if l.AtEstimate.Pico, l.AtEstimate.Known = price.WorstCase(input, reserved); l.AtEstimate.Known {
		l.Reserved = Amount{money.Pico(planned.Cost[record.UnitUSD]) * money.Nano, true}
	}
	if rates, ok := price.TokenRates(); ok {
		l.Expected = Amount{money.Cost(input, rates.Input) + money.Cost(output, rates.Output), true}
	}
	return l
}
