package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Inquiry is a request that is not sent.
type Inquiry struct {
	Target wire.Target // of an operation that runs a model
	Header wire.Header
	Body   []byte
	Tenant *tenant.Tenant
	Key    string // key id, for conditions that name it; may be ""
	Now    time.Time
	// Input replaces the estimate of input tokens when it is above zero.
	Input int
}

// Preview is what the line would do with a request, up to the point where it
// would leave.
type Preview struct {
	Facts *wire.Facts
	// Plan is the router's, also of a request that it refuses; nil when the
	// request is refused before.
	Plan *router.Plan
	Legs []PreviewLeg // in the order in which they are held
	// Shadows are asked of a part of such requests after the answer, should the
	// first leg give it, and Judge, nil for none, where the answers differ.
	Shadows []router.Leg
	Judge   *router.Leg
	// Limited reports whether a budget or limit applies, so that the legs' Cost
	// is held.
	Limited bool
	// Quality is the bound of the cascade's certificate, Threshold the highest
	// risk that it serves; nil outside of enforce.
	Quality   saving.Quality
	Threshold *float64
}

// PreviewLeg is one leg as it was planned.
type PreviewLeg struct {
	router.Leg
	Path     router.Path // of its record, should the answer be needed
	Upstream string
	Limit    wire.Limit    // of output tokens
	Price    *record.Price // nil: unpriced
	Output   int64         // what is reserved of output tokens; a guess when Limit knows no maximum
	// Cost is what one attempt holds.
	Cost budget.Amounts
}

// NewPreview takes the steps of the line up to the reservation, with a line that
// has seen no traffic. It asks no ledger. A refusal comes with what was found
// before it.
func NewPreview(s *snapshot.Snapshot, q *Inquiry) (*Preview, *wire.Error) {
	l := New(Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return q.Now }})
	defer l.halt()
	c := &call{
		req:  &Request{Header: q.Header, Received: q.Now, Caller: context.Background()}, //nolint:contextcheck // nobody waits
		snap: s, target: q.Target, caller: &tenant.Identity{Tenant: q.Tenant, KeyID: q.Key}, body: q.Body,
	}
	p := &Preview{Facts: &c.facts}
	if err := c.readFacts(); err != nil {
		return p, err
	}
	if q.Input > 0 {
		c.facts.InputTokens = q.Input
		c.facts.BodyBytes = max(c.facts.BodyBytes, c.facts.MediaBytes+q.Input) // a token has a byte or more
	}
	var err *wire.Error
	if p.Plan, err = l.route(c); err != nil {
		return p, err
	}
	if err := l.planLegs(c, p.Plan); err != nil {
		return p, err
	}
	p.certificate(c)
	p.sample(c)
	return p, p.hold(l, c)
}

// hold adds the legs with what they hold.
func (p *Preview) hold(l *Line, c *call) *wire.Error {
	policy := c.snap.Budgets.For(c.caller.Tenant.ID)
	p.Limited = policy != nil
	for i, g := range c.legs {
		if err := l.estimate(c, g, policy); err != nil {
			return err
		}
		leg := PreviewLeg{
			Leg: g.Leg, Path: p.Plan.PathOf(i), Upstream: g.upstream, Limit: g.limit, Price: g.price, Cost: g.cost,
			Output: g.cost[record.UnitTokens] - g.input,
		}
		if g.Role == router.RolePartner {
			leg.Path = router.Partner
		}
		p.Legs = append(p.Legs, leg)
	}
	return nil
}

func (p *Preview) sample(c *call) {
	to := p.Plan.Cascade
	if to == nil || to.Settings.Shadow.Tenant == "" {
		return
	}
	if p.Shadows = c.shadowed(); len(p.Shadows) > 0 {
		p.Judge = p.Plan.Judge
	}
}

func (p *Preview) certificate(c *call) {
	to := p.Plan.Cascade
	if to == nil {
		return
	}
	p.Quality = c.snap.Artifacts[to.Name].Quality()
	if p.Quality.Bound {
		p.Threshold = &c.snap.Artifacts[to.Name].Certificate.Threshold
	}
}
