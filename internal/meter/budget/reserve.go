package budget

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Amounts is how much of each unit, by record.Unit: nano-dollars, tokens,
// requests, open calls.
type Amounts [4]int64

// Plus adds b to a.
func (a Amounts) Plus(b Amounts) Amounts {
	for u, n := range b {
		a[u] += n
	}
	return a
}

// Claim is what a request asks for.
type Claim struct {
	Policy *Policy // nil: nothing limits the tenant
	Class  Class
	// Cost is the most that the request can come to. Limits hold as far as it is
	// never exceeded; an estimate is not enough, however far the limit is: a request
	// that is let in on one stays open while others use up what is left.
	Cost Amounts
}

// Reservation is what one request holds. nil is a reservation of nothing, which
// every method takes. It belongs to one request; its methods may be called
// concurrently.
type Reservation struct {
	root  *root
	parts []part // empty after Release
	space [8]part
	first Hold // most requests make one attempt
}

// part is a reservation's share in one account.
type part struct {
	account *account
	pool    Class
	covered bool  // taken out of a lease; otherwise only counted
	left    int64 // not yet given to an attempt
}

// Reserve takes the claim out of every window on the tenant's path, all or
// nothing. Where this writer's leases cover it no ledger is asked; otherwise it
// waits for a grant, and before a refusal once for the idle leases of others.
func (l *Limiter) Reserve(ctx context.Context, c *Claim, now time.Time) (*Reservation, *Refusal) {
	if c.Policy == nil {
		return nil, nil
	}
	r := l.root(c.Policy.root)
	now = now.Add(l.opts.Ahead())
	for {
		res, refusal := r.reserve(ctx, c, now)
		if refusal == nil {
			return res, nil
		}
		if !r.waits(refusal) || !pause(ctx, l.opts.Pause) {
			r.refused(refusal)
			return nil, refusal
		}
		now = l.now()
	}
}

func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Left is what a request's answer tells of budgets: see config.Tenant.BudgetHeaders. The
// zero value is nothing.
type Left struct {
	// Nanos are the limit less what is spent, in suspense, and held by open requests, in
	// nano-dollars; never negative.
	Nanos int64
	Reset time.Time // when the window ends, zero for nothing to tell
}

// Left is what is left of the budget that has the least, of those that the policy lets
// answers tell of, and what is left to the session. What other gateways have leased ahead
// is not in it. It is nothing while the ledger has not said how the budgets stand.
func (l *Limiter) Left(p *Policy) (least, session Left) {
	tells := p != nil && p.tells != "" && p.tells != "none"
	ofSession := p != nil && len(p.limits) > 0 && p.limits[0].ofSession() // they are in front
	if !tells && !ofSession {
		return least, session
	}
	r, now := l.root(p.root), l.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if tells {
		least = r.least(p, now, func(o *limit) bool {
			return o.unit == record.UnitUSD && !o.ofSession() && (p.tells == "all" || p.owns(o.tenant))
		})
	}
	return least, r.least(p, now, (*limit).ofSession)
}

// least is what is left of the limit that has the least, of those of a kind.
func (r *root) least(p *Policy, now time.Time, of func(*limit) bool) (least Left) {
	limits := p.at(now)
	for i := range limits {
		limit := &limits[i]
		if !of(limit) {
			continue
		}
		a := r.accounts.byWindow[limit.windowOf(now)]
		if a == nil || !a.known {
			return Left{}
		}
		most := limit.usd()
		if limit.ofSession() {
			most = limit.hard
		}
		if left := a.left(most); least.Reset.IsZero() || left < least.Nanos {
			least = Left{left, a.window.End}
		}
	}
	return least
}

// Rate is how a limit of requests or of tokens stands. The zero value is none.
type Rate struct {
	Unit        record.Unit
	Limit, Left int64
	Reset       time.Time // when the window ends
}

// Rates are the limits of requests and of tokens that have the least left, of those that bind the policy's tenant. One
// is none where nothing limits, or the ledger has not said how it stands.
func (l *Limiter) Rates(p *Policy) (rates [2]Rate) {
	if p == nil {
		return rates
	}
	r, now := l.root(p.root), l.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	limits := p.at(now)
	for i := range limits {
		limit, rate := &limits[i], &rates[0]
		switch limit.unit {
		case record.UnitRequests:
		case record.UnitTokens:
			rate = &rates[1]
		default:
			continue
		}
		a := r.accounts.byWindow[limit.windowOf(now)]
		if a == nil || !a.known {
			continue
		}
		if left := a.left(limit.hard); rate.Limit == 0 || left < rate.Left {
			*rate = Rate{limit.unit, limit.hard, left, a.window.End}
		}
	}
	return rates
}

// Attempt takes a part of the reservation for one attempt, as much as is left
// of it. The request itself is counted by the first attempt that is journalled,
// however that ends.
func (r *Reservation) Attempt(cost Amounts) *Hold {
	if r == nil {
		return nil
	}
	r.root.mu.Lock()
	defer r.root.mu.Unlock()
	h := &r.first
	if h.reservation != nil {
		h = &Hold{}
	}
	h.reservation, h.amounts = r, h.space[:0]
	for i := range r.parts {
		p := &r.parts[i]
		n := min(p.left, cost[p.account.window.Unit])
		if p.account.window.Unit == record.UnitConcurrent {
			n = 0
		}
		p.left -= n
		h.amounts = append(h.amounts, n)
	}
	h.parts = r.parts
	h.open = true
	return h
}

// Release gives back what no attempt took, and the open call. Holds stay.
func (r *Reservation) Release() {
	if r == nil {
		return
	}
	r.root.mu.Lock()
	defer r.root.mu.Unlock()
	for i := range r.parts {
		p := &r.parts[i]
		if p.covered {
			p.settle(p.left, 0)
		}
		p.left = 0
	}
	r.parts = nil
}

// Hold is what one attempt holds. nil is a hold of nothing.
type Hold struct {
	reservation *Reservation
	parts       []part
	amounts     []int64 // by part
	space       [8]int64
	open        bool
}

// Charges are those of AppendCharges.
func (h *Hold) Charges() []record.Charge { return h.AppendCharges(nil) }

// AppendCharges appends what the attempt's START names: each window with what is
// held of it. A window of requests is named by the one attempt that counts the
// request.
func (h *Hold) AppendCharges(charges []record.Charge) []record.Charge {
	if h == nil {
		return charges
	}
	charges = slices.Grow(charges, len(h.parts))
	for i := range h.parts {
		w := &h.parts[i].account.window
		if w.Unit == record.UnitConcurrent || w.Unit == record.UnitRequests && h.amounts[i] == 0 {
			continue
		}
		charges = append(charges, record.Charge{Window: *w, Amount: h.amounts[i]})
	}
	return charges
}

// Settle ends a hold whose attempt was billed: spent is what its END charges.
// What is left goes back; what was spent above the hold is counted as overshoot.
func (h *Hold) Settle(spent Amounts) { h.settle(spent, false) }

// SettleUnpriced is Settle for an attempt that used something without a price:
// dollars are charged at least as held, because spent lacks a part.
func (h *Hold) SettleUnpriced(spent Amounts) { h.settle(spent, true) }

func (h *Hold) settle(spent Amounts, unpriced bool) {
	h.end(func(p *part, held int64) {
		switch u := p.account.window.Unit; u {
		case record.UnitRequests:
			p.settle(held, held)
		case record.UnitConcurrent:
			p.settle(held, 0)
		case record.UnitUSD, record.UnitTokens:
			if unpriced && u == record.UnitUSD && spent[u] < held {
				p.settle(held, held)
				return
			}
			p.settle(held, spent[u])
			if p.covered && spent[u] > held {
				h.reservation.root.limiter.counters.overshoot(u, spent[u]-held)
			}
		}
	})
}

// Unknown ends a hold whose attempt may or may not have been billed: all of it is
// charged, as suspense.
func (h *Hold) Unknown() { h.end(func(p *part, held int64) { p.settle(held, held) }) }

// Fail ends a hold whose attempt was journalled and provably not billed. Its
// part goes back into the reservation, for another attempt. The request was
// made and stays counted.
func (h *Hold) Fail() {
	h.end(func(p *part, held int64) {
		if p.account.window.Unit == record.UnitRequests {
			p.settle(held, held)
			return
		}
		h.back(p, held)
	})
}

// Release ends a hold whose attempt was not journalled, so that nothing charges
// it. All of it goes back into the reservation.
func (h *Hold) Release() { h.end(h.back) }

// back returns what an attempt held to its reservation, or, when that has been
// released, to the account.
func (h *Hold) back(p *part, held int64) {
	if len(h.reservation.parts) > 0 {
		p.left += held
		return
	}
	p.settle(held, 0)
}

// end ends every part, once. The root's lock is held meanwhile.
func (h *Hold) end(part func(p *part, held int64)) {
	if h == nil {
		return
	}
	root := h.reservation.root
	root.mu.Lock()
	defer root.mu.Unlock()
	if !h.open {
		return
	}
	h.open = false
	for i := range h.parts {
		part(&h.parts[i], h.amounts[i])
	}
}

// settle ends a hold of the part's account of which spent is charged. What is
// only counted was never taken out of a lease.
func (p *part) settle(held, spent int64) {
	if !p.covered {
		held = 0
	}
	p.account.settle(p.pool, held, spent)
}
