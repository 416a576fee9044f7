package budget

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// maxWaiting bounds the reservations of one root that wait for a grant.
const maxWaiting = 10_000

// root is the accounts of one root tenant: the unit of the ledger's slots, of
// locking and of ledger calls.
type root struct {
	desk *Desk
	name string

	mu       sync.Mutex // guards all below, and every account, reservation and hold of the root
	accounts map[record.Window]*account
	current  map[gaugeKey]*account // the newest window of each gauge
	clock    time.Time             // the latest time seen, so that windows never come back
	waiting  []*waiter
	calling  bool // one goroutine talks to the ledger for this root
	due      bool // a settlement is due
	recall   bool // another writer is short
	ticked   time.Time
	renewed  time.Time
	recalled map[*account]time.Time // when idle slices were last called back

	confirmed uint64 // the highest watermark that the ledger ever confirmed

	failed time.Time // of the last ledger call that brought no answer; zero when it did
	frozen time.Time // nothing is granted until then
	fenced bool
}

func newRoot(d *Desk, name string) *root {
	return &root{
		desk: d, name: name, accounts: make(map[record.Window]*account),
		current: make(map[gaugeKey]*account), recalled: make(map[*account]time.Time),
	}
}

// waiter is a claim that waits for a grant.
type waiter struct {
	claim   *Claim
	now     time.Time
	res     *Reservation
	refusal *Refusal
	done    chan struct{} // closed when either is set
	gone    bool          // nobody waits any more
}

// reserve takes a claim from slices, or waits until the ledger has answered.
func (r *root) reserve(ctx context.Context, c *Claim, now time.Time) (*Reservation, *Refusal) {
	r.mu.Lock()
	if c.Policy.loss == Deny && !r.failed.IsZero() {
		r.mu.Unlock()
		return nil, r.away(now)
	}
	if res := r.take(c, now); res != nil {
		r.mu.Unlock()
		return res, nil
	}
	if r.unanswered(now) || len(r.waiting) >= maxWaiting {
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
		return r.leave(w, now)
	}
}

// leave gives up waiting. What was granted meanwhile goes back.
func (r *root) leave(w *waiter, now time.Time) (*Reservation, *Refusal) {
	r.mu.Lock()
	w.gone = true
	res := w.res
	r.mu.Unlock()
	res.Release()
	return nil, r.away(now)
}

// wake makes sure that somebody talks to the ledger.
func (r *root) wake() {
	if !r.calling {
		r.calling = true
		r.desk.calls.Go(r.talk)
	}
}

// retryAfter is how long a ledger that did not answer is left alone.
const retryAfter = time.Second

// unanswered reports whether the ledger need not be asked for now.
func (r *root) unanswered(now time.Time) bool {
	return r.fenced || now.Before(r.frozen) || !r.failed.IsZero() && now.Before(r.failed.Add(retryAfter))
}

func (r *root) away(now time.Time) *Refusal {
	return &Refusal{Reason: LedgerAway, Until: now.Add(retryAfter)}
}

// without decides about a claim that slices do not cover and the ledger does
// not answer.
func (r *root) without(c *Claim, now time.Time) (*Reservation, *Refusal) {
	if c.Policy.loss != Allow {
		return nil, r.away(now)
	}
	r.desk.stats.uncovered.Add(1)
	res := r.begin()
	for i := range c.Policy.gauges {
		g := &c.Policy.gauges[i]
		if need := c.Cost[g.unit]; need > 0 {
			res.parts = append(res.parts, part{account: r.account(g, now), pool: g.pool(c.Lane), left: need})
		}
	}
	return res, nil
}

func (r *root) begin() *Reservation {
	res := &Reservation{root: r}
	res.parts = res.space[:0]
	return res
}

// take takes a claim out of the slices held, or returns nil and changes nothing.
func (r *root) take(c *Claim, now time.Time) *Reservation {
	res := r.begin()
	for i := range c.Policy.gauges {
		p, need := r.part(&c.Policy.gauges[i], c, now)
		if need == 0 {
			continue
		}
		if p.covered && p.account.free[p.pool] < need {
			return nil
		}
		p.left = need
		res.parts = append(res.parts, p)
	}
	for i := range res.parts {
		if p := &res.parts[i]; p.covered {
			p.account.hold(p.pool, p.left, now)
		}
	}
	return res
}

// part says how a claim stands to one gauge, and how much of it it needs.
func (r *root) part(g *gauge, c *Claim, now time.Time) (part, int64) {
	need := c.Cost[g.unit]
	if need == 0 {
		return part{}, 0
	}
	return part{account: r.account(g, now), pool: g.pool(c.Lane), covered: g.limit(c.Lane) != unlimited}, need
}

// account returns the account of a gauge's window at a time. Time does not go
// back: a window that has ended and was forgotten must not be opened again,
// because its totals would start from nothing.
func (r *root) account(g *gauge, now time.Time) *account {
	if now.Before(r.clock) {
		now = r.clock
	}
	r.clock = now
	a := r.current[g.gaugeKey]
	if a == nil || a.over(now) {
		w := g.windowOf(now)
		if a = r.accounts[w]; a == nil {
			a = &account{window: w, last: now}
			r.accounts[w] = a
		}
		r.current[g.gaugeKey] = a
	}
	a.gauge = g
	return a
}

// waits reports whether a refused claim should ask once more: idle slices of
// other gateways have been called back and may arrive. Only the first refusal
// of a window in a while waits; those that come meanwhile wait with it.
func (r *root) waits(refusal *Refusal) bool {
	a := refusal.account
	if refusal.Reason != UsedUp || refusal.Need > refusal.Limit {
		return false
	}
	now := r.desk.opts.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	since, called := r.recalled[a]
	if !called || now.Sub(since) > recallEvery {
		r.recalled[a] = now
		return true
	}
	return now.Sub(since) < r.desk.opts.Patience
}

// recallEvery is how often idle slices of one window are called back.
const recallEvery = 2 * time.Second
