package leg

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// member is at which member of a pool a plan is asked. The zero value is that it has none, or that nobody has chosen.
type member struct {
	seat   *seat  // nil for none
	why    string // it is asked, by failover's words, or the reason that the one before was left
	more   bool   // another member follows when it cannot take the call
	spills bool   // the model is asked in another scope then
	before string // which they were and why each was left, for the answer's header
}

// goesOn reports whether the call is asked elsewhere when this member cannot take it.
func (t *member) goesOn() bool { return t.more || t.spills }

// header says where the call went: "us-west-2", or "us-east-1 throttled, us-west-2".
func (t *member) header(region string) string { return t.before + region }

// route finds where the calls go. What is kept at one upstream, or names something that one region and account alone
// has, goes to the first member that may take it.
func route(r *Request, p *Plan) *wire.Error {
	b := r.bounds()
	to, err := r.Snapshot.Router.Route(p.Origin(), &b)
	if err != nil {
		return err
	}
	p.Upstream = to.Upstream
	switch op := r.Target.Op; {
	case r.kept != nil:
		p.Upstream = r.kept.Upstream
	case op == wire.OpStartAsyncInvoke, p.Facts.Guarded:
	case len(to.Members) > 1 && (op.Writes() || op.Counts()):
		p.Pool = to
	}
	return nil
}

// narrow leaves out the members that cannot take the calls: of another region or account than an ARN that is asked,
// and without a price where that is needed.
func narrow(r *Request, p *Plan) {
	if p.Pool.Pool == "" {
		return
	}
	arn := wire.ParseModelID(p.ID())
	var some []pools.Member
	for _, m := range p.Pool.Members {
		of := upstreamOf(r, m.Upstream)
		switch account := accountOf(of.Role); {
		case arn.Region != "" && (arn.Region != of.Region || account != accountOf(upstreamOf(r, p.Upstream).Role)):
		case r.Snapshot.Config.Unpriced == config.UnpricedRefuse && r.Metered() && at(r, p, m.Upstream).Price == nil:
		default:
			some = append(some, m)
		}
	}
	if p.Pool.Members = some; len(some) < 2 {
		p.Pool = router.Route{}
	}
	if len(some) > 0 && p.Upstream != some[0].Upstream {
		*p = *at(r, p, some[0].Upstream)
	}
}

// upstreamOf is what is configured of one.
func upstreamOf(r *Request, name string) config.Upstream {
	if name == "" {
		return r.Snapshot.Config.Upstream
	}
	return r.Snapshot.Config.Upstreams[name]
}

// accountOf is the account of a role, "" for that of the gateway's own credentials.
func accountOf(r role.Role) string {
	parts := strings.SplitN(r.ARN, ":", 6)
	return parts[min(4, len(parts)-1)]
}

// at is the plan at a member of its pool.
func at(r *Request, p *Plan, upstream string) *Plan {
	q := *p
	q.Upstream = upstream
	q.SKU = r.Snapshot.SKU(q.Model, cmp.Or(q.askedTier(), pricedTier(r.Target.Op, q.Facts)), q.Facts.Latency, upstream)
	q.Price = r.Snapshot.Prices.Find(q.SKU, r.Received)
	return &q
}

// askPool asks a plan at the member of its pool that has the prompt in its cache, or whose turn it is, and at the next
// one when that could not take the call: nothing of it was billed then, and nothing has reached the caller.
func (k *Asker) askPool(ctx context.Context, r *Request, p *Plan, t turn) (*Attempt, *wire.Error) {
	order := choose(k, r, p)
	if p.Payer != nil {
		order = order[:1] // it is not repeated
	}
	q := *p
	q.Pool, q.turn = router.Route{}, member{spills: p.turn.spills}
	for {
		found, i, refused := seated(ctx, k, r, p, order)
		if refused != nil {
			return nil, refused
		}
		choice := order[i]
		if order = slices.Delete(order, i, i+1); i > 0 {
			choice.Why = forRoom
		}
		next := at(r, &q, choice.Upstream)
		next.turn.seat, next.turn.why, next.turn.more = found, choice.Why, len(order) > 0
		a, refused := k.ask(ctx, r, next, t)
		found.take().Settle(0, 0) // where nothing was asked
		if refused != nil {
			return nil, refused
		}
		why := reckon(k, r, a)
		k.Telemetry.Metrics().Levers().PoolCall(p.Pool.Pool, choice.Upstream, choice.Why, string(why))
		if why == "" || !a.turn.more || !t.wanted() || !pause(ctx, a.gone(ctx), 0) {
			return a, nil
		}
		t, q = t.after(a), *after(next, why)
		leave(a)
	}
}

// after is the plan for the next member, when this one could not take the call.
func after(p *Plan, why failover.Reason) *Plan {
	q := *p
	q.turn.before += p.SKU.Region + " " + string(why) + ", "
	q.Reason = "pool_" + string(why)
	return &q
}

// staying is the plan at this member alone: an attempt before may have been billed.
func staying(p *Plan) *Plan {
	if !p.turn.goesOn() {
		return p
	}
	q := *p
	q.turn.more, q.turn.spills = false, false
	return &q
}

// choose is the order in which members are asked.
func choose(k *Asker, r *Request, p *Plan) []failover.Choice {
	now := k.Now()
	call := failover.Call{Pool: p.Pool.Pool, Order: p.Pool.Order, Members: p.Pool.Members, Model: p.ID()}
	if r.Pointed() && r.Target.Op.Writes() {
		call.Warm = func(upstream string) int64 {
			tokens, _ := k.Prompts.Warm(at(r, p, upstream).prompt(r, false), now)
			return tokens
		}
	}
	return k.Members.Choose(&call, now)
}

// warmest is how many tokens of the prompt the model has in its cache, at the member of its pool that has most.
func warmest(k *Asker, r *Request, p *Plan, now time.Time) (tokens int64, known bool) {
	tokens, known = k.Prompts.Warm(p.prompt(r, false), now)
	for _, m := range p.Pool.Members {
		if m.Upstream != p.Upstream {
			more, also := k.Prompts.Warm(at(r, p, m.Upstream).prompt(r, false), now)
			tokens, known = max(tokens, more), known || also
		}
	}
	return tokens, known
}

// reckon notes how a member took the call, and says why it could not; "" when it did, or may have been billed.
func reckon(k *Asker, r *Request, a *Attempt) failover.Reason {
	why := met(a).Member()
	if why == "" {
		if a.Response != nil && a.Fault == "" && a.Response.Status < 500 && k.Members.Answered(a.Upstream, a.ID()) {
			k.Log.Info("a member of a pool takes calls again", "upstream", cmp.Or(a.Upstream, pools.Default), "model", a.ID())
		}
		return ""
	}
	least := time.Duration(0)
	if why == failover.Breaker {
		least = upstreamOf(r, a.Upstream).Breaker.OpenFor
	}
	if k.Members.Failed(a.Upstream, a.ID(), why, least, k.Now()) {
		k.Log.Warn("a member of a pool is out for a while", "upstream", cmp.Or(a.Upstream, pools.Default), "model", a.ID(),
			"reason", string(why))
	}
	return why
}

// moves reports whether the call is better made at another member than once more at this one.
func moves(a *Attempt) bool {
	stale := a.Err != nil && a.Err.Failure == engine.StaleConn
	renewed := a.Response != nil && a.Response.Refusal != nil && a.Response.Refusal.Renewed
	return !stale && !renewed && met(a).Member() != ""
}

// needs is what a call takes of the quota of an upstream at most. Its limits are zero where that has none of its model.
func needs(k *Asker, r *Request, p *Plan, upstream string) (place quota.Place) {
	if !r.Metered() || !r.Target.Op.Writes() {
		return place
	}
	all, priced := upstreamOf(r, upstream).Quotas, r.Snapshot.Router.Priced(p.Model)
	for i := range all {
		q := &all[i]
		if !q.Models.Match(p.Model) && !q.Models.Match(priced.Foundation) {
			continue
		}
		place.Key = quota.Key{Upstream: upstream, Models: strings.Join(q.Patterns, " "), Role: r.Caller.Tenant.Role().ARN}
		place.Limits = quota.Limits{
			Tokens: q.TokensPerMinute, Requests: q.RequestsPerMinute, Wait: q.Wait, Waiting: q.Waiting,
		}
		if p.Payer != nil || p.turn.spills {
			place.Wait = 0 // it must not take the place of callers in line, or has another place to go
		}
		place.Ask = quota.Ask{
			Input: cmp.Or(p.Input, int64(p.Facts.InputTokens)), Output: longest(k, p),
			Burndown: cmp.Or(q.Burndown, quota.Burndown(priced.Foundation)),
		}
		return place
	}
	return place
}

// longest is how many tokens an answer can have, as far as is known.
func longest(k *Asker, p *Plan) int64 {
	switch {
	case p.Limit.Tokens.Known:
		return p.Limit.Tokens.N
	case p.unmapped() && !k.Estimates.Writes(p.Model):
		return 0
	}
	return vagueOutput
}

// forRoom is why a member is asked that has room, in place of one that has none.
const forRoom = "quota"

// seat is room of a quota that was found for the first attempt of a plan at its member.
type seat struct{ hold atomic.Pointer[quota.Hold] }

// take is that room, nil when there is none, or it was taken.
func (s *seat) take() *quota.Hold {
	if s == nil {
		return nil
	}
	return s.hold.Swap(nil)
}

// seated finds room for a plan at one of the members, in their order, or waits for that in the lines of all.
func seated(ctx context.Context, k *Asker, r *Request, p *Plan, order []failover.Choice) (*seat, int, *wire.Error) {
	places := make([]quota.Place, len(order))
	for i, c := range order {
		places[i] = needs(k, r, p, c.Upstream)
	}
	hold, at, err := findRoom(ctx, k, r, p, places)
	if err != nil || hold == nil {
		return nil, at, err
	}
	s := &seat{}
	s.hold.Store(hold)
	return s, at, nil
}

// admit holds what a call can take of the quota of its upstream, and waits in line for it. It fails when there is no
// room.
func admit(ctx context.Context, k *Asker, r *Request, p *Plan, wanted func() bool) (*quota.Hold, *wire.Error) {
	hold := p.turn.seat.take()
	if hold == nil {
		place := needs(k, r, p, p.Upstream)
		if place.Limits == (quota.Limits{}) {
			return nil, nil
		}
		var err *wire.Error
		if hold, _, err = findRoom(ctx, k, r, p, []quota.Place{place}); err != nil {
			return nil, err
		}
	}
	if !wanted() {
		hold.Settle(0, 0)
		return nil, noRoom(p)
	}
	return hold, nil
}

// findRoom holds what a call can take of the quota of one of some upstreams, and says of which. It fails when there is
// none.
func findRoom(
	ctx context.Context, k *Asker, r *Request, p *Plan, places []quota.Place,
) (*quota.Hold, int, *wire.Error) {
	gone := r.Gone
	if p.Payer != nil {
		gone = ctx
	}
	hold, at, outcome := k.Quotas.Admit(ctx, gone, places)
	switch outcome {
	case quota.Admitted:
		return hold, at, nil
	case quota.TooLarge:
		ask := &places[0].Ask
		return nil, 0, wire.Errorf(wire.KindServiceQuota, "The request can take %d tokens of quota, %d of its input and"+
			" %d × %d of its answer, and the quota of model %s is %d per minute: ask for fewer output tokens.",
			ask.Tokens(), ask.Input, ask.Output, ask.Burndown, p.Model, places[0].Limits.Tokens)
	}
	return nil, 0, noRoom(p)
}

// noRoom is what a call gets for which there is no room.
func noRoom(p *Plan) *wire.Error {
	return &wire.Error{
		Kind: wire.KindThrottling, RetryAfterMillis: time.Second.Milliseconds(),
		Message: "The quota of model " + p.Model + " per minute is used up, and the line of those who wait is full or " +
			"too slow.",
	}
}

// upstreamNames lists upstreams as the configuration names them.
func upstreamNames(all []string) string {
	named := make([]string, len(all))
	for i, name := range all {
		named[i] = cmp.Or(name, pools.Default)
	}
	return strings.Join(named, ", ")
}

// Takes is what a plan takes at most of the quotas where it may be asked, in the order of the configuration.
func Takes(r *Request, p *Plan) (all []quota.Place) {
	unlearned := &Asker{Options: Options{Estimates: &estimate.Table{}}}
	members := p.Pool.Members
	if len(members) == 0 {
		members = []pools.Member{{Upstream: p.Upstream}}
	}
	for _, m := range members {
		if place := needs(unlearned, r, p, m.Upstream); place.Limits != (quota.Limits{}) {
			all = append(all, place)
		}
	}
	return all
}

// used settles what an attempt held of a quota by what it took: cached input that was only read is not counted.
func used(a *Attempt) {
	u := &a.End.Usage
	switch {
	case a.quota == nil:
	case a.End.Outcome == record.Failed:
		a.quota.Settle(0, 0)
	case a.End.Outcome == record.Completed && u.Complete():
		a.quota.Settle(u.Input.N+u.CacheWrite5m.N+u.CacheWrite1h.N, u.Output.N)
	default:
		a.quota.Keep()
	}
}
