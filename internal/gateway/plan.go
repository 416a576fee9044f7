package gateway

import (
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// plan decides which models are tried, in which order, and what each may cost.
func (l *Line) plan(c *call) *wire.Error {
	if err := l.asker.CheckJob(&c.life.Context, &c.Request); err != nil {
		return err
	}
	if !c.Modelled() {
		return c.planResource()
	}
	in := c.RouterInput()
	match := c.Snapshot.Router.Match(in)
	for _, failed := range match.RuleErrors {
		l.asker.Telemetry.Metrics().RuleError(failed.Cascade)
	}
	if match.Cascade != nil {
		c.Cascade = match.Cascade.Name
	}
	if match.Open() {
		match.Direct = l.cascades.direct(c, match.Cascade)
	}
	route, err := c.Snapshot.Router.Legs(in, match)
	if err != nil {
		return err
	}
	c.route, c.path, c.reason = route, route.Path, route.Reason
	partner := route.WantsPartner(c.Facts.Stream, c.prior == score.LightBand)
	if c.legs, err = leg.NewPlans(&c.Request, route, partner); err != nil {
		return err
	}
	c.sample = l.shadows.Pick(&c.Request, route, c.checked())
	return nil
}

// planResource plans an operation that passes through without a model of its own.
func (c *call) planResource() *wire.Error {
	p, err := leg.NewResourcePlan(&c.Request)
	if p != nil {
		c.route, c.path = &router.Plan{Path: router.Passthrough}, router.Passthrough
		c.legs = []*leg.Plan{p}
	}
	return err
}
