package leg

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/capacity"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/trouble"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Why a call went elsewhere although there is capacity for it, in its record and in metrics. TierLate and
// trouble.Kind's Capacity are reasons, too.
const (
	SpillFull = "full" // by the gateway's own estimate of what is in use
	// SpillNotReady is why another model answers than an imported one: that was not loaded in time.
	SpillNotReady = "not_ready"
)

// place is where in capacity that was bought a plan goes. The zero value is on demand.
type place struct {
	first *capacity.Block // asked before the model itself, nil for none
	own   *capacity.Block // that the call goes to, nil for on demand
	named bool            // by the call itself
	spare *Plan           // of the model that answers when an imported one is not loaded in time, nil for none
	name  string          // of the block, whether it served or was left
	why   string          // it was left
	// waited is for how long the call was held back, so that it wakes the model together with others.
	waited time.Duration
	taken  *capacity.Taken
}

// header says which capacity served, or why it did not: "nova-floor", or "nova-floor throttled, on demand".
func (l *place) header() string {
	switch l.why {
	case "":
		if l.waited > 0 {
			return l.name + " gathered"
		}
		return l.name
	case SpillNotReady:
		return l.name + " " + l.why + ", spilled"
	}
	return l.name + " " + l.why + ", on demand"
}

// First is the capacity that is asked before the model of a plan itself, nil for none.
func First(p *Plan) *capacity.Block { return p.place.first }

// choosePlace finds the capacity that a call of the model goes to first, and prices one that names its ARN. It fails
// for tenants that may not use what they name.
func choosePlace(p *Plan, r *Request) *wire.Error {
	op, table := r.Target.Op, r.Snapshot.Capacity
	if b := table.Behind(p.Model); b != nil {
		if !b.Entitles(r.Caller.Tenant.ID) {
			return wire.Errorf(wire.KindAccessDenied,
				"You do not have access to the model %s: the capacity is not for this tenant.", p.Model)
		}
		p.place = place{own: b, name: b.Name, named: true, spare: newSpare(p, r, b)}
		p.SKU.Tier, p.SKU.Scope = b.Tier(), wire.ScopeRegion
		return nil
	}
	if !op.IsConverse() && !op.IsInvoke() || r.Snapshot.Router.Mantle(p.Upstream) {
		return nil
	}
	p.place.first = table.Before(p.Model, seeker(p, r))
	return nil
}

// seeker is who looks for capacity.
func seeker(p *Plan, r *Request) capacity.Seeker {
	return capacity.Seeker{Tenant: r.Caller.Tenant.ID, Region: p.SKU.Region, At: r.Received}
}

// inside is the plan in the capacity that is asked first. What it uses there is paid for already.
func inside(p *Plan, r *Request, taken *capacity.Taken) *Plan {
	q := *p
	b := p.place.first
	q.tiers, q.try, q.Pool, q.scopes = config.Tier{}, try{first: true}, router.Route{}, scopes{}
	q.place = place{own: b, name: b.Name, taken: taken}
	q.Profile, q.Reason = b.ARN, cmp.Or(p.Reason, b.Kind)
	q.SKU.Tier, q.SKU.Scope = b.Tier(), wire.ScopeRegion
	q.Price = r.Snapshot.Prices.Find(q.SKU, r.Received)
	q.Cost[record.UnitUSD] = 0
	return &q
}

// spilled is the plan on demand, with the reason why the capacity did not serve it.
func spilled(p *Plan, why string) *Plan {
	q := *p
	q.place = place{name: p.place.first.Name, why: why}
	q.Reason = "spilled_" + why
	return &q
}

// askPlace asks in the capacity of the plan, and on demand when that has no room, throttles, fails before its first
// byte or is late. The call that is left costs nothing more, as the capacity is paid for. It is an attempt of its own
// all the same: what it used is in the books, or unknown.
func (k *Asker) askPlace(ctx context.Context, r *Request, p *Plan, t turn) (*Attempt, *wire.Error) {
	b, count := p.place.first, k.Telemetry.Metrics().Levers().CapacityCall
	t.cost = p.Cost
	need := capacity.Need{Input: int64(p.Facts.InputTokens), Most: p.Limit.Tokens.N}
	taken, ok := k.Gauge.Take(b, need, k.Now())
	if !ok {
		count(b.Name, SpillFull)
		return k.ask(ctx, r, spilled(p, SpillFull), t)
	}
	a, next, why, err := k.askFirst(ctx, r, inside(p, r, &taken), b.FirstByte, t)
	if why == "" {
		if err == nil {
			count(b.Name, fared(a))
		}
		return a, err
	}
	count(b.Name, why)
	if why == trouble.ByAbsence {
		k.Log.Warn("capacity that was bought is not there", "capacity", b.Name, "arn", b.ARN)
	}
	return k.ask(ctx, r, spilled(p, why), next)
}

// vacate tells the gauge what an attempt used of capacity. One of unknown outcome keeps what it took. What the service
// tier reserved had no room for AWS has served on another one.
func vacate(k *Asker, a *Attempt) {
	b, u := a.place.own, &a.End.Usage
	if served := u.ServiceTier; a.try.tier == config.CapacityReserved && served != "" && served != a.try.tier {
		k.Telemetry.Metrics().Levers().TierTry(a.try.tier, "overflowed")
	}
	if b == nil || a.End.Outcome == record.Unknown {
		return
	}
	if b.Kind == config.CapacityImported && a.End.Outcome == record.Completed {
		k.sleepers.Called(b, a.End.At)
	}
	input := u.Input.N + u.CacheRead.N + u.CacheWrite5m.N + u.CacheWrite1h.N
	k.Gauge.Settle(b, a.place.taken, input, u.Output.N, a.End.At)
}

// Spare is the plan of the model that answers when the imported one of a plan is not loaded in time, nil for none.
func Spare(p *Plan) *Plan { return p.place.spare }

// newSpare plans the model that an imported one spills to, nil where none can answer: a cascade has another leg for
// that, the caller may not have it, or it reads other bodies. Then the call waits for the imported one alone.
func newSpare(p *Plan, r *Request, b *capacity.Block) *Plan {
	op := r.Target.Op
	switch {
	case b.SpillTo == "", p.Role == router.RoleLight, p.Role == router.RolePartner, len(r.Further) > 0:
		return nil
	case !op.IsConverse() && !op.IsInvoke():
		return nil
	}
	planned := r.Snapshot.Router.Leg(p.Role, b.SpillTo)
	planned.Tier = p.Tier
	again := r.Snapshot.Capacity.Behind(planned.Model)
	switch {
	case again != nil && again.Kind == config.CapacityImported, !r.Caller.Tenant.AllowsModel(planned.Model),
		r.Caller.Tenant.DeniesModels() && r.Snapshot.Router.Hidden(planned.Model):
		return nil
	case op.IsInvoke() && (p.Dialect == nil || planned.Dialect != p.Dialect):
		return nil
	}
	spare, err := NewPlan(r, planned, p.Index)
	if err != nil {
		return nil
	}
	return spare
}

// holdSpare has a plan hold what the spare one may come to: the imported one costs nothing more. A spare one that
// cannot be accounted for under a budget is left out.
func holdSpare(p *Plan, r *Request, table *estimate.Table, policy *budget.Policy) {
	s := p.place.spare
	if s == nil {
		return
	}
	if err := s.Estimate(r, table, policy); err != nil {
		p.place.spare = nil
		return
	}
	p.Cost = dearer(p.Cost, s.Cost)
}

// askNamed asks capacity that the call names itself. An imported model has its time to be loaded, and then the spare
// one is asked. Nothing of that was billed: AWS answers 429 before anything is read.
func askNamed(ctx context.Context, k *Asker, r *Request, p *Plan, t turn) (*Attempt, *wire.Error) {
	first, count := *p, k.Telemetry.Metrics().Levers().CapacityCall
	first.place.named, first.place.spare = false, nil
	if b := p.place.own; b.Kind == config.CapacityImported {
		if p.Payer == nil && b.Gathers(r.Caller.Tenant.ID) {
			first.place.waited = k.sleepers.Wait(ctx, r.Gone.Done(), b, k.Now)
		}
		if first.place.waited > 0 && (ctx.Err() != nil || r.Gone.Err() != nil) {
			return nil, noRoom(p) // which nobody reads: a call must not wake the model for a caller who left
		}
		k.sleepers.Called(b, k.Now())
	}
	if p.place.spare != nil {
		first.Cost[record.UnitUSD] = 0
		t.cost = p.Cost
	}
	a, err := k.ask(ctx, r, &first, t)
	if err != nil {
		return nil, err
	}
	count(p.place.name, fared(a))
	left := ctx.Err() != nil || r.Gone.Err() != nil
	if left || p.place.spare == nil || p.Payer != nil || met(a) != trouble.NotReady || !t.wanted() {
		return a, nil
	}
	t = t.after(a)
	leave(a)
	spare := *p.place.spare
	spare.Path, spare.Reason = p.Path, "spilled_"+SpillNotReady
	spare.place = place{name: p.place.name, why: SpillNotReady}
	return k.ask(ctx, r, &spare, t)
}

// fared is how a call in capacity fared, in the words of metrics: those of spills, too, where there is none.
func fared(a *Attempt) string {
	switch kind := met(a); kind {
	case trouble.None:
		return telemetry.CapacityServed
	case trouble.NotReady:
		return SpillNotReady
	default:
		return cmp.Or(kind.Capacity(), trouble.ByRefusal)
	}
}

// dearer is the greater of two costs in each unit.
func dearer(a, b budget.Amounts) budget.Amounts {
	for unit, n := range b {
		a[unit] = max(a[unit], n)
	}
	return a
}

// scopes are as what else the model of a plan is asked when it throttles. The zero value is nothing.
type scopes struct {
	further []*Plan
	last    bool   // none follows, because it is one of these
	before  string // which throttled and why, for the answer's header
}

// Scopes are the ids that are asked in turn when the model of a plan is throttled, as the tenant's spill says.
func Scopes(p *Plan) (ids []string) {
	for _, q := range p.scopes.further {
		ids = append(ids, q.Model)
	}
	return ids
}

// inScope is what a plan of another scope is asked as: it has no further ones.
var inScope = asked{scopes: scopes{last: true}}

// chooseScopes plans what else the model is asked as by the tenant's spill. What residency or policy bars is left out,
// and what has no price.
func chooseScopes(p *Plan, r *Request) {
	op, t := r.Target.Op, r.Caller.Tenant
	if len(t.Spill) == 0 || p.scopes.last || p.Profile != "" || len(r.Further) > 0 || !op.IsConverse() && !op.IsInvoke() {
		return
	}
	ids := []string{p.Model}
	for _, as := range t.Spill {
		id := p.Named
		if as == wire.ScopeGlobal {
			id = router.Global(r.Snapshot.Router, p.Model, p.Upstream)
		}
		if id == "" || slices.Contains(ids, id) || !t.AllowsModel(id) {
			continue
		}
		ids = append(ids, id)
		planned := r.Snapshot.Router.Leg(p.Role, id)
		planned.Tier = p.Tier
		q := &Plan{Leg: planned, Index: p.Index, asked: inScope}
		if err := q.make(r); err == nil && q.Price != nil && q.Profile == "" {
			q.place = place{}
			p.scopes.further = append(p.scopes.further, q)
		}
	}
}

// holdScopes has a plan hold what it may come to in any scope. One that cannot be accounted for under a budget is left
// out.
func holdScopes(p *Plan, r *Request, table *estimate.Table, policy *budget.Policy) {
	p.scopes.further = slices.DeleteFunc(p.scopes.further, func(q *Plan) bool {
		if err := q.Estimate(r, table, policy); err != nil {
			return true
		}
		p.Cost = dearer(p.Cost, q.Cost)
		return false
	})
}

// askScopes asks the model of a plan as it was asked for, and in other scopes in turn while it is throttled: nothing of
// it was billed then. The last one waits and is repeated as a model by itself is.
func askScopes(ctx context.Context, k *Asker, r *Request, p *Plan, t turn) (*Attempt, *wire.Error) {
	further, before := p.scopes.further, ""
	if p.Payer != nil {
		further = nil // it is not repeated
	}
	q := *p
	q.scopes = scopes{}
	for {
		q.turn.spills = len(further) > 0
		a, refused := k.ask(ctx, r, &q, t)
		why := throttled(a, refused)
		if why == "" || len(further) == 0 || !t.wanted() || ctx.Err() != nil || r.Gone.Err() != nil {
			return a, refused
		}
		if refused == nil {
			t = t.after(a)
			leave(a)
		}
		k.Telemetry.Metrics().Levers().ScopeSpill(scopeOf(q.Model), scopeOf(further[0].Model), why)
		before += scopeOf(q.Model) + " " + why + ", "
		q = *further[0]
		further = further[1:]
		q.Path, q.Reason, q.scopes.before = p.Path, "scope_"+why, before
		q.place.name, q.place.why = p.place.name, p.place.why
	}
}

// throttled says why a call is asked in another scope, "" when it is not: only what concerns quotas, which each scope
// has of its own.
func throttled(a *Attempt, refused *wire.Error) string {
	switch {
	case refused != nil && refused.Kind == wire.KindThrottling:
		return forRoom
	case refused != nil || !a.turn.spills:
		return ""
	}
	switch why := met(a).Member(); why {
	case failover.Throttled, failover.Quota, failover.Unavailable:
		return string(why)
	}
	return ""
}

// scopeOf is the scope of a model's id: region, global, or that of a geography.
func scopeOf(model string) string { return cmp.Or(wire.ParseModelID(model).Scope, wire.ScopeRegion) }
