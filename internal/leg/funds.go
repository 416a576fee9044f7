package leg

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
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
	f.left = k.Limiter.Left(claim.Policy)
	return refusal
}

// AppendLeft adds what the tenant's answers tell of its budgets, if they do: how they
// stood when the request was let in, or refused. With rates it adds how limits of
// requests and tokens stand now, by the names that OpenAI's clients read.
func (k *Asker) AppendLeft(h wire.Header, f *Funds, rates bool) wire.Header {
	if rates && k.Limiter != nil {
		now := k.Now()
		for _, r := range k.Limiter.Rates(f.claim.Policy) {
			h = appendRate(h, r, now)
		}
	}
	if f.left.Reset.IsZero() {
		return h
	}
	return append(h,
		wire.Field{Name: "x-sluice-budget-left-usd", Value: (money.Pico(f.left.Nanos) * money.Nano).String()},
		wire.Field{Name: "x-sluice-budget-reset", Value: f.left.Reset.UTC().Format(time.RFC3339)})
}

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
