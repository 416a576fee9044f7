package gateway

import (
	"cmp"
	"context"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Budgets reserves. *budget.Desk is the real one.
type Budgets interface {
	// Reserve holds a claim against every budget and limit, all or nothing.
	Reserve(ctx context.Context, c *budget.Claim, now time.Time) (*budget.Reservation, *budget.Refusal)
}

// vagueOutput is what is held of a token limit for a model whose maximum output
// nobody knows. Under a budget such a model is refused.
const vagueOutput = 4096

// textUnit is how many characters of text a guardrail bills as one unit (Amazon
// Bedrock pricing, "Guardrails").
const textUnit = 1000

// The reason of a request that a light_only budget keeps from escalation.
const reasonLightOnly = "light_only"

// once is the request itself, which is counted once for all its attempts.
var once = budget.Amounts{record.UnitRequests: 1}

// reserve holds the worst case of the plan against every budget and limit of
// the tenant's path, all or nothing. What it holds is released by finish.
func (l *Line) reserve(c *call) *wire.Error {
	policy := c.snap.Budgets.For(c.caller.Tenant.ID)
	if policy == nil || l.Budgets == nil {
		return nil
	}
	claim, err := l.claim(c, policy)
	if err != nil {
		return err
	}
	c.claim = claim
	_, refusal := l.hold(c, claim)
	if refusal == nil {
		return nil
	}
	if !refusal.LightOnly || !l.lightAlone(c) {
		return c.exceeded(refusal)
	}
	if claim, err = l.claim(c, policy); err != nil {
		return err
	}
	claim.Lane = budget.LightOnly
	c.claim = claim
	if _, refusal = l.hold(c, claim); refusal != nil {
		return c.exceeded(refusal)
	}
	return nil
}

// claim is the plan's worst case: every leg that may run, the request, and the
// open call. What is not metered takes no more than its place.
func (l *Line) claim(c *call, policy *budget.Policy) (*budget.Claim, *wire.Error) {
	claim := &budget.Claim{Policy: policy}
	open := budget.Amounts{record.UnitConcurrent: 1}
	if c.metered() {
		for _, g := range c.legs {
			if err := l.estimate(c, g, policy); err != nil {
				return nil, err
			}
			claim.Cost = claim.Cost.Plus(g.cost)
		}
		open = open.Plus(once)
	}
	claim.Cost = claim.Cost.Plus(open)
	return claim, nil
}

// hold makes a reservation, which finish releases.
func (l *Line) hold(c *call, claim *budget.Claim) (*budget.Reservation, *budget.Refusal) {
	res, refusal := l.Budgets.Reserve(c.ctx, claim, l.Now())
	if refusal == nil {
		c.mu.Lock()
		c.reserved = append(c.reserved, res)
		c.mu.Unlock()
	}
	return res, refusal
}

// holdShadow holds the worst case of a leg for the tenant that pays for it, and
// reports whether its budgets and limits have room. Who started the leg releases
// it.
func (l *Line) holdShadow(c *call, g *leg) bool {
	policy := c.snap.Budgets.For(g.payer.ID)
	if policy == nil || l.Budgets == nil {
		return true
	}
	if l.estimate(c, g, policy) != nil {
		return false
	}
	g.claim = &budget.Claim{Policy: policy, Cost: g.cost.Plus(once).Plus(budget.Amounts{record.UnitConcurrent: 1})}
	var refusal *budget.Refusal
	g.reserved, refusal = l.Budgets.Reserve(g.ctx, g.claim, l.Now())
	return refusal == nil
}

// holdAgain holds one leg once more, because an attempt at it may have been
// billed and keeps what it took. Without it there is no further attempt.
func (l *Line) holdAgain(c *call, g *leg) bool {
	claim := c.claim
	if g.payer != nil {
		claim = g.claim
	}
	if claim == nil || g.outcome() != record.Unknown {
		return true
	}
	var refusal *budget.Refusal
	g.again, refusal = l.hold(c, &budget.Claim{Policy: claim.Policy, Lane: claim.Lane, Cost: g.cost})
	return refusal == nil
}

// take gives an attempt its part of what is held for it: last for another
// attempt, else for its leg alone, else for the plan.
func (c *call) take(g *leg) *budget.Hold {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := cmp.Or(g.again, g.reserved)
	if from == nil && g.payer == nil && len(c.reserved) > 0 {
		from = c.reserved[0]
	}
	return from.Attempt(g.cost.Plus(once))
}

// settle tells the hold of an attempt what its END says.
func (l *Line) settle(c *call, g *leg, end *record.End, costs record.Costs) {
	how, nanoUSD, tokens := end.Billed(g.start.Op, costs)
	switch how {
	case record.Completed:
		g.hold.Settle(budget.Amounts{record.UnitUSD: nanoUSD, record.UnitTokens: tokens})
	case record.Failed:
		g.hold.Fail()
	case record.Unknown:
		g.hold.Unknown()
	}
	g.hold = nil
	if u := &end.Usage; how == record.Completed && c.modelled() && u.Complete() {
		l.Estimates.Observe(g.Model, c.facts.DialectName(), int64(c.facts.InputTokens), tokens-u.Output.N)
	}
}

// estimate is what one leg may use. Under a budget that refuses, a model that
// cannot be accounted for cannot be used.
func (l *Line) estimate(c *call, g *leg, policy *budget.Policy) *wire.Error {
	var model estimate.Model
	if g.Spec != nil {
		model.Context = g.Spec.Context
		if g.Spec.Dialect != nil {
			model.Dialect = g.Spec.Dialect.Name
		}
	}
	bound, _ := estimate.Bound(&c.facts, model)
	g.input = l.Estimates.Likely(g.Model, c.facts.DialectName(), int64(c.facts.InputTokens), bound)
	output := g.limit.Tokens
	if !c.modelled() {
		output = wire.Known(0)
	}
	if !output.Known {
		if policy.Strict() {
			return wire.Errorf(wire.KindAccessDenied, "model %s has no known maximum of output tokens, and a budget applies: set a maximum in the request", g.Model)
		}
		output.N = vagueOutput
	}
	worst, priced := c.worstCase(g, bound, output.N)
	if !priced && policy.Strict() {
		return wire.Errorf(wire.KindAccessDenied, "model %s has no price, and a budget applies", g.Model)
	}
	g.cost = budget.Amounts{record.UnitUSD: nanos(worst), record.UnitTokens: bound + output.N}
	return nil
}

// worstCase prices a leg; a guardrail of its own is billed by text units.
func (c *call) worstCase(g *leg, input, output int64) (money.Pico, bool) {
	if !c.modelled() {
		return g.price.GuardrailWorstCase(int64(len(c.body))/textUnit + 1)
	}
	return g.price.WorstCase(input, output)
}

func nanos(p money.Pico) int64 { return (int64(p) + 999) / 1000 }

// lightAlone leaves nothing of the plan but the light leg of its cascade, and
// reports whether there is one that can serve the request.
func (l *Line) lightAlone(c *call) bool {
	if c.plan.Cascade == nil {
		return false
	}
	light := c.legs[0]
	if light.Role != router.RoleLight {
		if c.plan.Unfit(c.plan.Cascade.Light.Model) {
			return false
		}
		var err *wire.Error
		if light, err = l.planLeg(c, c.plan.Cascade.Light, 0); err != nil {
			return false
		}
	}
	c.legs = []*leg{light}
	c.path, c.reason = router.Light, reasonLightOnly
	return true
}
