package budget

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// root is one root tenant: the unit of the ledger's slots, of locking and of
// ledger calls.
type root struct {
	limiter *Limiter
	name    string

	mu       sync.Mutex // guards all below, and every account, reservation and hold of the root
	accounts accounts
	waiting  queue
	ledger   contact
	calling  bool // a goroutine calls the ledger for this root
	due      bool // a renewal is due
	recall   bool // another writer is short
	asked    bool // the ledger has answered a grant since the past was known
	listed   bool // the ledger waits for this writer after a loss
	whole    bool // the ledger wants to hear of all accounts
	renewed  time.Time
}

// retryAfter is how long a ledger that did not answer is not asked for leases
// again; soon is how often it is asked meanwhile whether it is back.
const (
	retryAfter = time.Second
	soon       = 250 * time.Millisecond
)

// contact is how the ledger answered of late.
type contact struct {
	confirmed uint64    // the highest watermark that it ever confirmed
	failed    time.Time // of the last call that brought no answer; zero when it did
	why       error     // that call's
	frozen    time.Time // it grants nothing until then
}

// away reports whether there is no need to ask for leases now.
func (c *contact) away(now time.Time) bool {
	return now.Before(c.frozen) || !c.failed.IsZero() && now.Before(c.failed.Add(retryAfter))
}

func ledgerAway(now time.Time) *Refusal {
	return &Refusal{Reason: LedgerAway, Until: now.Add(retryAfter)}
}

// reserve takes a claim out of leases, or waits until the ledger has answered.
func (r *root) reserve(ctx context.Context, c *Claim, now time.Time) (*Reservation, *Refusal) {
	r.mu.Lock()
	if c.Policy.loss == Deny && !r.ledger.failed.IsZero() {
		r.mu.Unlock()
		return nil, ledgerAway(now)
	}
	if res := r.take(c, now); res != nil {
		r.mu.Unlock()
		return res, nil
	}
	if r.ledger.away(now) || len(r.waiting) >= maxWaiting {
		defer r.mu.Unlock()
		return r.without(c, now)
	}
	w := &waiter{claim: c, now: now, done: make(chan struct{})}
	r.waiting = append(r.waiting, w)
	r.wake()
	r.mu.Unlock()
	select {
	case <-w.done:
		return w.res, w.refusal
	case <-ctx.Done():
		return r.abandon(w, now)
	}
}

// abandon gives up waiting. What was granted meanwhile goes back.
func (r *root) abandon(w *waiter, now time.Time) (*Reservation, *Refusal) {
	r.mu.Lock()
	w.gone = true
	res := w.res
	r.mu.Unlock()
	res.Release()
	return nil, ledgerAway(now)
}

// take takes a claim out of the leases, or returns nil and changes nothing.
func (r *root) take(c *Claim, now time.Time) *Reservation {
	res := &Reservation{root: r}
	parts, ok := r.accounts.take(res.space[:0], c, now)
	if !ok {
		return nil
	}
	res.parts = parts
	return res
}

// without decides about a claim that leases do not cover and the ledger does not
// answer.
func (r *root) without(c *Claim, now time.Time) (*Reservation, *Refusal) {
	if c.Policy.loss != Allow {
		return nil, ledgerAway(now)
	}
	count := &r.limiter.counters
	count.add(&count.stats.Uncovered, 1)
	res := &Reservation{root: r}
	res.parts = r.accounts.uncovered(res.space[:0], c, now)
	return res, nil
}

// recallEvery is how often idle leases of one window are recalled.
const recallEvery = 2 * time.Second

// waits reports whether a refused claim should ask once more: idle leases of
// other gateways have been recalled and may arrive. Only the first refusal of a
// window in a while waits; those that come meanwhile wait with it.
func (r *root) waits(refusal *Refusal) bool {
	a := refusal.account
	if refusal.Reason != UsedUp || refusal.Need > refusal.Limit {
		return false
	}
	now := r.limiter.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if since := now.Sub(a.recalled); since <= recallEvery {
		return since < r.limiter.opts.Patience
	}
	a.recalled = now
	return true
}

// refused counts a refusal that is final, and notifies of a budget that is used up.
func (r *root) refused(refusal *Refusal) {
	count := &r.limiter.counters
	if refusal.Reason != UsedUp {
		count.add(&count.stats.Lost, 1)
		return
	}
	count.add(&count.stats.Refused, 1)
	if refusal.Window.Unit == record.UnitUSD {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.notify(refusal.account, refusal.Need)
	}
}

// notify gives the notices that an account calls for.
func (r *root) notify(a *account, refused int64) {
	for _, n := range a.watch(refused) {
		r.limiter.opts.Notice(n)
	}
}

// troubled reports whether the ledger is away, or frozen as far as is known.
func (r *root) troubled() bool { return r.whole || !r.ledger.failed.IsZero() }

// speaks reports whether there is something to say in a renewal.
func (r *root) speaks() bool {
	return r.listed || r.troubled() || r.accounts.any((*account).needsRenewal)
}

// tick gives back what is idle and decides whether a renewal is due: soon when a
// window is near its limit or the ledger in trouble, otherwise every Renew.
func (r *root) tick(now time.Time) {
	o := &r.limiter.opts
	r.mu.Lock()
	defer r.mu.Unlock()
	now = r.accounts.at(now)
	idleFor := o.Idle
	if r.recall {
		idleFor = 0
	}
	urgent := r.accounts.tend(now, idleFor) || r.recall
	r.recall = false
	every := o.Renew
	if r.troubled() {
		every = min(every, soon)
	}
	if !urgent && now.Sub(r.renewed) < every {
		return
	}
	r.renewed = now
	if r.speaks() {
		r.due = true
		r.wake()
	}
}
