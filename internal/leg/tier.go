package leg

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/capacity"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TierLate is why a call was sent once more on the next service tier, in its record and in metrics: it was without a
// first byte in time. It may be billed, and is in the books for itself. trouble.Kind's Tier are reasons, too.
const TierLate = "late"

// try is the service tier that a plan is asked on. The zero value is that of the request.
type try struct {
	plain  bool   // without cache points of the gateway, because some were refused
	tier   string // by the word of Bedrock, "" for that of the request
	first  bool   // another tier follows when it turns the call away
	before string // the tier that was tried before, "" for none
	why    string // it was left
}

// header says which tiers were tried: "flex", or "flex late, default".
func (t *try) header() string {
	if t.before == "" {
		return t.tier
	}
	return t.before + " " + t.why + ", " + t.tier
}

// asksTier reports whether the request has to name the tier: the default one needs no word.
func (p *Plan) asksTier() bool { return p.try.tier != "" && p.try.tier != config.TierDefault }

// askedTier is the tier that the gateway asks for, "" for none.
func (p *Plan) askedTier() string {
	if p.asksTier() {
		return p.try.tier
	}
	return ""
}

// Tiers are the service tiers that the plan tries, the zero value for that of the request.
func (p *Plan) Tiers() config.Tier { return p.tiers }

// chooseTiers finds the service tiers to try: of the leg in its cascade, of the key, of the tenant. A request that
// names one keeps it, and a tier that the model does not have becomes the default one.
func (p *Plan) chooseTiers(r *Request) *wire.Error {
	if !r.Target.Op.Writes() {
		return nil
	}
	reserved, err := entitled(p, r)
	if err != nil {
		return err
	}
	set := tierPolicy(r, p)
	if reserved {
		set = askable(p, &config.Tier{Try: config.CapacityReserved, Then: config.TierDefault})
	}
	if set == nil {
		return nil
	}
	t := *set
	for _, tier := range []*string{&t.Try, &t.Then} {
		if !p.hasTier(r, *tier) {
			*tier = config.TierDefault
		}
	}
	if t.Try != t.Then {
		p.tiers = t
	}
	return nil
}

// entitled reports whether the call is entitled to the service tier reserved of its model. It fails for one that asks
// for it without being so, and for tiers that are words of the books alone.
func entitled(p *Plan, r *Request) (bool, *wire.Error) {
	asked := p.Facts.ServiceTier
	b := r.Snapshot.Capacity.Reserved(p.Model, seeker(p, r))
	switch {
	case capacity.Word(asked):
		return false, wire.Errorf(wire.KindValidation, "There is no service tier %s that a request can ask for.", asked)
	case asked == config.CapacityReserved && b == nil:
		return false, wire.Errorf(wire.KindAccessDenied, "You do not have access to the service tier reserved of the"+
			" model %s: no capacity of the configuration entitles this tenant to it.", p.Model)
	}
	return b != nil, nil
}

// tierPolicy is which tiers are to be tried, nil for none.
func tierPolicy(r *Request, p *Plan) *config.Tier {
	set := cmp.Or(p.Tier, r.Caller.Tier, r.Caller.Tenant.Tier)
	if set == nil || !r.Target.Op.Writes() {
		return nil
	}
	return askable(p, set)
}

// askable is set where a request can ask for the tier that it tries, nil for one that names a tier or cannot.
func askable(p *Plan, set *config.Tier) *config.Tier {
	if _, _, ok := wire.AskTier(p.Facts, set.Try); !ok {
		return nil
	}
	return set
}

// keepTier goes back from a global profile to the id that was asked for where that alone has the tier that is tried
// first: flex spares a half, the profile a tenth.
func keepTier(r *Request, p *Plan) {
	set := tierPolicy(r, p)
	if p.Named == "" || set == nil || !r.Caller.Tenant.AllowsModel(p.Named) || p.hasTier(r, set.Try) {
		return
	}
	named := *p
	named.Model, named.Named = p.Named, ""
	if named.hasTier(r, set.Try) {
		*p = named
	}
}

// hasTier reports whether the catalogue and the price books have a tier of the model. Capacity of one's own has none.
func (p *Plan) hasTier(r *Request, tier string) bool {
	if tier == config.TierDefault || tier == config.CapacityReserved { // that of others was refused before
		return true
	}
	switch wire.ParseModelID(p.Model).Kind {
	case wire.ModelFoundation, wire.ModelProfile, wire.ModelApplicationProfile:
	default:
		return false
	}
	return p.Spec != nil && slices.Contains(p.Spec.Tiers, tier) && p.on(r, try{tier: tier}).Price != nil
}

// on is the plan on a service tier.
func (p *Plan) on(r *Request, t try) *Plan {
	q := *p
	q.tiers, q.try = config.Tier{}, t
	if q.asksTier() || q.SKU.Tier == config.CapacityReserved {
		q.SKU = r.Snapshot.SKU(q.Model, t.tier, q.Facts.Latency, q.Upstream)
		q.Price = r.Snapshot.Prices.Find(q.SKU, r.Received)
	}
	if t.why != "" {
		q.Reason = "tier_" + t.why
	}
	return &q
}

// dearest is the worst case on the dearest of the tiers that the plan may be asked on, at the dearest member of its
// pool.
func (p *Plan) dearest(r *Request, input, output int64) (money.Pico, bool) {
	worst, priced := dearestTier(r, p, input, output)
	for _, m := range p.Pool.Members {
		if m.Upstream != p.Upstream {
			most, known := dearestTier(r, at(r, p, m.Upstream), input, output)
			worst, priced = max(worst, most), priced && known
		}
	}
	return worst, priced
}

func dearestTier(r *Request, p *Plan, input, output int64) (money.Pico, bool) {
	worst, priced := p.worstCase(r, input, output)
	tiers := [...]string{p.tiers.Try, p.tiers.Then}
	switch {
	case p.SKU.Tier == config.CapacityReserved: // what goes beyond it AWS serves on demand
		tiers = [...]string{config.CapacityReserved, config.TierDefault}
	case p.tiers.Try == "":
		return worst, priced
	}
	for _, tier := range tiers {
		most, known := p.on(r, try{tier: tier}).worstCase(r, input, output)
		worst, priced = max(worst, most), priced && known
	}
	return worst, priced
}

// turnedAway says why a call is made again where capacity or a service tier is left, "" when the answer stands. What
// capacity did not do nobody misses who has left.
func turnedAway(a *Attempt) string {
	switch {
	case a.place.own == nil:
		return met(a).Tier()
	case a.request.Gone.Err() == nil:
		return met(a).Capacity()
	}
	return ""
}

// askTiers asks a plan on the tier that it tries first, and once more on the next one when that turns it away or has no
// first byte in time.
func (k *Asker) askTiers(ctx context.Context, r *Request, p *Plan, t turn) (*Attempt, *wire.Error) {
	first := p.on(r, try{tier: p.tiers.Try, first: true})
	t.cost = p.Cost
	a, next, why, err := k.askFirst(ctx, r, first, p.tiers.FirstByte, t)
	if next.stays {
		p = staying(p)
	}
	if why == "" {
		if err == nil {
			k.Telemetry.Metrics().Levers().TierTry(p.tiers.Try, "served")
		}
		return a, err
	}
	k.Telemetry.Metrics().Levers().TierTry(p.tiers.Try, why)
	return k.repeat(ctx, r, p.on(r, try{tier: p.tiers.Then, before: p.tiers.Try, why: why}), next)
}

// askFirst asks a plan that another one follows, and says why: "" when its answer stands, because it is one or nobody
// waits for another. Without a first byte within some time, 0 for any, the attempt is left: it is read to its end
// beside the request, for its usage, within the drain bound; what it holds it keeps. Without room in the budgets for a
// second one the first goes on.
func (k *Asker) askFirst(ctx context.Context, r *Request, p *Plan, within time.Duration, t turn) (
	a *Attempt, next turn, why string, refused *wire.Error,
) {
	if within == 0 {
		a, refused = k.repeat(ctx, r, p, t)
	} else {
		s := k.beside(ctx, r, p, t, ToHead)
		next = t
		if !s.readyWithin(within) && t.wanted() && r.Gone.Err() == nil && ctx.Err() == nil && next.more(ctx, k) {
			next.made, next.took, next.stays = next.made+1, next.took+within, true
			s.Discard(LeftBehind, r.Snapshot.Config.Timeouts.Drain)
			return nil, next, TierLate, nil
		}
		s.Accept()
		a, refused = s.Attempt, s.Refused
	}
	if refused != nil {
		return nil, t, "", refused
	}
	next = t.after(a)
	next.stays = p.turn.goesOn() && !a.turn.goesOn()
	if why = turnedAway(a); why == "" || !t.wanted() || a.outcome() == record.Unknown && !next.more(ctx, k) {
		return a, next, "", nil
	}
	leave(a)
	return nil, next, why, nil
}

// more has a turn paid from a hold of its own, because an attempt that may be billed keeps what it took. It reports
// false when there is no room.
func (t *turn) more(ctx context.Context, k *Asker) bool {
	more, ok := t.funds.again(ctx, k, t.cost)
	t.from = cmp.Or(more, t.from)
	return ok
}

// leave closes an attempt that the next tier takes the place of.
func leave(a *Attempt) {
	if a.Streams() {
		a.Response.Frames.Close() // its first frame said all
	}
	a.Close(Lost)
}

// attempts is how many attempts at the leg were made with this one, 0 for one that is not metered.
func attempts(a *Attempt) int {
	if a.Start == nil {
		return 0
	}
	return a.Start.Attempt
}

// readyWithin waits until the leg can be looked at, or for so long.
func (s *Side) readyWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.ready:
		return true
	case <-timer.C:
		return false
	}
}
