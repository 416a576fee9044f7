package gateway

import (
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// reserve holds the worst case of the plan against every budget and limit of
// the tenant's path, of the key and of the session, all or nothing. What it holds is released by finish.
func (l *Line) reserve(c *call) *wire.Error {
	policy, err := leg.Policy(&c.life.Context, l.asker, &c.Request)
	if policy == nil || err != nil {
		return err
	}
	refusal, err := l.hold(c, policy, budget.Normal)
	if refusal != nil && refusal.LightOnly && c.lightAlone(refusal) {
		refusal, err = l.hold(c, policy, budget.LightOnly)
	}
	if refusal != nil {
		return leg.Exceeded(&c.Request, c.legs, refusal)
	}
	return err
}

// hold makes the reservation of all legs.
func (l *Line) hold(c *call, policy *budget.Policy, class budget.Class) (*budget.Refusal, *wire.Error) {
	claim, err := l.asker.Claim(&c.Request, c.legs, policy)
	if err != nil {
		return nil, err
	}
	claim.Class = class
	return l.asker.Reserve(&c.life.Context, &c.funds, claim), nil
}

// lightAlone leaves nothing of the plan but the light leg of its cascade, because of a
// refusal, and reports whether there is one that can serve the request.
func (c *call) lightAlone(refusal *budget.Refusal) bool {
	light := leg.LightAlone(&c.Request, c.route, c.legs[0])
	if light == nil {
		return false
	}
	c.legs = []*leg.Plan{light}
	c.path, c.reason = router.Light, c.LightReason(refusal)
	return true
}
