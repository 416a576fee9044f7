package gateway

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// The reason of a request that a light_only budget keeps from escalation.
const reasonLightOnly = "light_only"

// reserve holds the worst case of the plan against every budget and limit of
// the tenant's path, all or nothing. What it holds is released by finish.
func (l *Line) reserve(c *call) *wire.Error {
	policy := c.Snapshot.Budgets.For(c.Caller.Tenant.ID)
	if policy == nil || l.asker.Limiter == nil {
		return nil
	}
	refusal, err := l.hold(c, policy, budget.Normal)
	if refusal != nil && refusal.LightOnly && c.lightAlone() {
		refusal, err = l.hold(c, policy, budget.LightOnly)
	}
	if refusal != nil {
		return c.exceeded(refusal)
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

// lightAlone leaves nothing of the plan but the light leg of its cascade, and
// reports whether there is one that can serve the request.
func (c *call) lightAlone() bool {
	to := c.route.Cascade
	if to == nil {
		return false
	}
	light := c.legs[0]
	if light.Role != router.RoleLight {
		var err *wire.Error
		if c.route.Unfit(to.Light.Model) {
			return false
		}
		if light, err = leg.NewPlan(&c.Request, to.Light, 0); err != nil {
			return false
		}
	}
	c.legs = []*leg.Plan{light}
	c.path, c.reason = router.Light, reasonLightOnly
	return true
}

// unitNames are how limits are called towards callers.
var unitNames = [...]string{
	record.UnitUSD: "dollars", record.UnitTokens: "tokens", record.UnitRequests: "requests",
	record.UnitConcurrent: "concurrent requests",
}

// exceeded is the answer to a request that a budget or limit refuses. Money is
// 400, which no SDK repeats; a rate that will pass is 429, which all do. A
// caller sees its own tenant's numbers, and of a parent that there is one.
func (c *call) exceeded(r *budget.Refusal) *wire.Error {
	wait := max(1, r.Until.Sub(c.Received).Milliseconds())
	if r.Reason != budget.UsedUp {
		return &wire.Error{
			Kind: wire.KindServiceUnavailable, RetryAfterMillis: wait,
			Message: "budgets and limits cannot be checked at the moment. Request " + c.ID,
		}
	}
	e := &wire.Error{Kind: wire.KindServiceQuota, Message: c.exceededText(r)}
	if r.Window.Unit != record.UnitUSD && r.Need <= r.Limit {
		e.Kind, e.RetryAfterMillis = wire.KindThrottling, wait
		if r.Window.Unit == record.UnitConcurrent {
			e.RetryAfterMillis = time.Second.Milliseconds()
		}
	}
	return e
}

func (c *call) exceededText(r *budget.Refusal) string {
	what := c.limitName(r)
	if r.Need > r.Limit {
		what += " is smaller than this request"
	} else {
		what += " is used up"
	}
	if r.Window.Tenant == c.Caller.Tenant.ID {
		what += fmt.Sprintf(": %s spent + %s held of %s; this request could take %s",
			amount(r.Window.Unit, r.Posted), amount(r.Window.Unit, r.Held+r.Suspense),
			amount(r.Window.Unit, r.Limit), amount(r.Window.Unit, r.Need))
	}
	what += "."
	if !r.Window.End.IsZero() {
		what += " Resets " + r.Window.End.Format(time.RFC3339) + "."
	}
	for _, p := range c.legs {
		if r.Need > r.Limit {
			what += p.Vague()
		}
	}
	return what + " Request " + c.ID
}

// limitName names a budget or limit: `budget "acme/support month"`.
func (c *call) limitName(r *budget.Refusal) string {
	what := "limit"
	if r.Window.Unit == record.UnitUSD {
		what = "budget"
	}
	if r.Window.Tenant != c.Caller.Tenant.ID {
		return "a parent " + what
	}
	of := cmp.Or(r.Window.Period, unitNames[r.Window.Unit])
	if what == "limit" && r.Window.Period != "" {
		of = unitNames[r.Window.Unit] + " per " + r.Window.Period
	}
	return fmt.Sprintf("%s %q", what, r.Window.Tenant+" "+of)
}

func amount(u record.Unit, n int64) string {
	if u == record.UnitUSD {
		return "$" + money.Pico(n*1000).String()
	}
	return strconv.FormatInt(n, 10)
}
