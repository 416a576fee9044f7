package leg

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/session"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// once is the request itself, which is counted once for all its attempts.
var once = budget.Amounts{record.UnitRequests: 1}

// Funds are what a request, or one leg of it, holds of budgets and limits. The zero
// value, and nil, is nothing, because nothing limits who pays. They are safe for
// concurrent use.
type Funds struct {
	claim    budget.Claim
	left     budget.Left // of budgets, when the claim was held or refused
	session  budget.Left // likewise, of the request's session
	mu       sync.Mutex  // guards reserved
	reserved []*budget.Reservation
	room     [1]*budget.Reservation // memory of reserved, enough for most
}

// Reserve has f, which holds nothing yet, hold a claim, all or nothing, until
// Funds.Release.
func (k *Asker) Reserve(ctx context.Context, f *Funds, claim budget.Claim) *budget.Refusal {
	if k.Limiter == nil || claim.Policy == nil {
		return nil
	}
	f.claim, f.reserved = claim, f.room[:0]
	_, refusal := f.hold(ctx, k, &f.claim)
	f.left, f.session = k.Limiter.Left(claim.Policy)
	return refusal
}

// Session is which session a request is a call of. The zero value is none.
type Session struct {
	session.ID
	// Signal is what tells that it goes round in circles, "" for nothing.
	Signal session.Signal
	budget *config.SessionBudget // nil: nothing limits it
	key    session.Key           // where something does
}

// Policy is what limits a request: its tenant, its key and its session; nil for nothing. It fails for a session that
// may not be, or may not go on.
func Policy(ctx context.Context, k *Asker, r *Request) (*budget.Policy, *wire.Error) {
	if k.Limiter == nil {
		return nil, nil
	}
	books, tenant, own := r.Snapshot.Budgets, r.Caller.Tenant.ID, r.Caller.Own
	if r.Session.ID = r.SessionID(); r.Metered() {
		if err := enter(ctx, k, r); err != nil {
			return nil, err
		}
	}
	s := &r.Session
	if s.budget == nil {
		return books.ForKey(tenant, own), nil
	}
	limit := budget.Session{
		Name: s.key.Name, Most: s.budget.USD, All: max(s.budget.USD, s.budget.HardUSD), Within: s.budget.Within,
	}
	if s.Signal != "" && s.budget.Loop.Then == "light_only" {
		limit.Most = 0
	}
	return books.ForSession(tenant, own, &limit), nil
}

// SessionID is how the request names its session.
func (r *Request) SessionID() session.ID {
	id := session.Find(r.Header, func(key string) string {
		return cmp.Or(r.Facts.MetadataValue(r.Body, key), r.headerMetadata(key))
	})
	if id.Text == "" && r.Target.Session != "" {
		id = session.ID{Text: r.Target.Session, From: "the path"}
	}
	return id
}

// SessionBudget is what a session of the caller may spend, nil for no bound.
func (r *Request) SessionBudget() *config.SessionBudget {
	return cmp.Or(r.Caller.Session, r.Caller.Tenant.Session)
}

// enter notes the call in its session, if anything limits that.
func enter(ctx context.Context, k *Asker, r *Request) *wire.Error {
	b, s := r.SessionBudget(), &r.Session
	if b == nil {
		return nil
	}
	if s.Text == "" {
		chain(ctx, k, r)
	}
	if s.Text == "" && b.Missing == "reject" {
		return wire.Errorf(wire.KindValidation, "this key needs the session of each request, in the header "+
			"x-sluice-session. Request %s", r.ID)
	}
	if s.Text == "" {
		return nil
	}
	if err := s.Check(); err != nil {
		return err
	}
	s.budget, s.key = b, session.Key{Tenant: r.Caller.Tenant.ID, Name: s.Name()}
	call := session.Call{Turns: r.Facts.Turns, Context: r.Facts.InputTokens}
	if b.Loop.Repeats > 0 {
		call.Tools = session.LastCalls(&r.Facts, r.Body)
	}
	var room bool
	if s.Signal, room = k.sessions.Open(s.key, call, b, k.Now()); !room {
		return &wire.Error{
			Kind: wire.KindThrottling, RetryAfterMillis: time.Minute.Milliseconds(),
			Message: "too many sessions of this tenant are open. Request " + r.ID,
		}
	}
	if s.Signal == "" {
		return nil
	}
	k.Telemetry.Metrics().Levers().SessionSignal(string(s.Signal), b.Loop.Then)
	if b.Loop.Then == "reject" {
		return wire.Errorf(wire.KindServiceQuota, "%s", looping(r))
	}
	return nil
}

// spent adds what an attempt cost to what its session spends.
func spent(a *Attempt) {
	if s := &a.request.Session; s.budget != nil && a.Payer == nil {
		a.asker.sessions.Spent(s.key, a.Costs.Total(), a.End.At)
	}
}

// embedded counts texts that were embedded before, unchanged, and what they cost again.
func embedded(a *Attempt) {
	k := a.asker
	if a.End.Served && a.Dialect.Embeds() && k.embedded.Again(a.Start.Tenant, a.Model, a.Body(a.request)) {
		k.Telemetry.Metrics().Levers().EmbeddedAgain(a.Start.Root, a.Costs.Total())
	}
}

// AppendLeft adds what is left to the session, and what the tenant's answers tell of its budgets, if they do: how
// they stood when the request was let in, or refused. With rates it adds how limits of
// requests and tokens stand now, by the names that OpenAI's clients read.
func (k *Asker) AppendLeft(h wire.Header, f *Funds, rates bool) wire.Header {
	if rates && k.Limiter != nil {
		now := k.Now()
		for _, r := range k.Limiter.Rates(f.claim.Policy) {
			h = appendRate(h, r, now)
		}
	}
	if !f.session.Reset.IsZero() {
		h = append(h, wire.Field{Name: "x-sluice-session-left-usd", Value: dollars(f.session.Nanos)})
	}
	if f.left.Reset.IsZero() {
		return h
	}
	return append(h,
		wire.Field{Name: "x-sluice-budget-left-usd", Value: dollars(f.left.Nanos)},
		wire.Field{Name: "x-sluice-budget-reset", Value: f.left.Reset.UTC().Format(time.RFC3339)})
}

func dollars(nanos int64) string { return (money.Pico(nanos) * money.Nano).String() }

func appendRate(h wire.Header, r budget.Rate, now time.Time) wire.Header {
	if r.Limit == 0 {
		return h
	}
	what := "requests"
	if r.Unit == record.UnitTokens {
		what = "tokens"
	}
	return append(h,
		wire.Field{Name: "x-ratelimit-limit-" + what, Value: strconv.FormatInt(r.Limit, 10)},
		wire.Field{Name: "x-ratelimit-remaining-" + what, Value: strconv.FormatInt(r.Left, 10)},
		wire.Field{Name: "x-ratelimit-reset-" + what, Value: max(r.Reset.Sub(now), 0).Round(time.Millisecond).String()})
}

// Claim is the claim of several legs of one request: every leg may run, and the
// request takes one open call. It puts into legs what they may use. What is not
// metered takes no more than its place.
func (k *Asker) Claim(r *Request, legs []*Plan, policy *budget.Policy) (budget.Claim, *wire.Error) {
	claim := budget.Claim{Policy: policy, Cost: budget.Amounts{record.UnitConcurrent: 1}}
	if !r.Metered() {
		return claim, nil
	}
	claim.Cost = claim.Cost.Plus(once)
	for _, p := range legs {
		if err := p.Estimate(r, k.Estimates, policy); err != nil {
			return budget.Claim{}, err
		}
		claim.Cost = claim.Cost.Plus(p.Cost)
	}
	return claim, nil
}

// again holds one attempt more, because an earlier one may have been billed and
// keeps what it took. It reports false when there is no room.
func (f *Funds) again(ctx context.Context, k *Asker, cost budget.Amounts) (*budget.Reservation, bool) {
	if f == nil || f.claim.Policy == nil {
		return nil, true
	}
	res, refusal := f.hold(ctx, k, &budget.Claim{Policy: f.claim.Policy, Class: f.claim.Class, Cost: cost})
	return res, refusal == nil
}

func (f *Funds) hold(ctx context.Context, k *Asker, claim *budget.Claim) (*budget.Reservation, *budget.Refusal) {
	res, refusal := k.Limiter.Reserve(ctx, claim, k.Now())
	if refusal == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.reserved = append(f.reserved, res)
	}
	return res, refusal
}

// first is the reservation that attempts are paid from unless one may have been
// billed, nil when nothing is held.
func (f *Funds) first() *budget.Reservation {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.reserved) == 0 {
		return nil
	}
	return f.reserved[0]
}

// Release gives back what no attempt holds, the request's place among the
// concurrent ones included. It may be called again.
func (f *Funds) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.reserved {
		r.Release()
	}
}
