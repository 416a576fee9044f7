package leg

import (
	"cmp"
	"context"
	"net/http"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/capacity"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Why a call went on demand although there is capacity for it, in its record and in metrics. TierThrottled and TierLate
// are reasons, too.
const (
	SpillFull   = "full"   // by the gateway's own estimate of what is in use
	SpillFailed = "failed" // it could not be reached, or broke before its first byte
)

// place is where in capacity that was bought a plan goes. The zero value is on demand.
type place struct {
	first *capacity.Block // asked before the model itself, nil for none
	own   *capacity.Block // that the call goes to, nil for on demand
	name  string          // of the block, whether it served or was left
	why   string          // it was left
	taken *capacity.Taken
}

// header says which capacity served, or why it did not: "nova-floor", or "nova-floor throttled, on demand".
func (l *place) header() string {
	if l.why == "" {
		return l.name
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
		p.place = place{own: b, name: b.Name}
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
	q.tiers, q.try, q.Pool = config.Tier{}, try{first: true}, router.Route{}
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
			count(b.Name, "served")
		}
		return a, err
	}
	count(b.Name, why)
	return k.ask(ctx, r, spilled(p, why), next)
}

// broke says that the answer of capacity is none: SpillFailed, "" for an answer, and for a caller who left.
func broke(a *Attempt) string {
	switch {
	case a.place.own == nil || a.request.Gone.Err() != nil:
		return ""
	case a.Err != nil, a.Response.Refusal == nil && a.Response.Status >= http.StatusInternalServerError,
		a.Response.Status == http.StatusNotFound,
		a.Fault == "internalServerException", a.Fault == "modelStreamErrorException":
		return SpillFailed
	}
	return ""
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
	input := u.Input.N + u.CacheRead.N + u.CacheWrite5m.N + u.CacheWrite1h.N
	k.Gauge.Settle(b, a.place.taken, input, u.Output.N, a.End.At)
}
