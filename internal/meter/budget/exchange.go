package budget

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// wake makes sure that a goroutine calls the ledger.
func (r *root) wake() {
	if !r.calling {
		r.calling = true
		r.limiter.calls.Go(r.exchange)
	}
}

// exchange makes ledger calls, one after another, until there is nothing to do.
func (r *root) exchange() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.due:
			r.due = false
			r.renew()
		case len(r.waiting) > 0:
			r.lease()
		default:
			r.calling = false
			return
		}
	}
}

// call makes one ledger call, without the root's lock meanwhile. The numbers of
// the writer are read after what it holds was taken: a record between the two is
// then in both, and the ledger holds too much for a while instead of too little.
func call[T any](r *root, do func(ctx context.Context, watermark, head uint64) (T, error)) (T, error) {
	l := r.limiter
	r.mu.Unlock()
	defer r.mu.Lock()
	watermark, head := r.numbers()
	ctx, cancel := context.WithTimeout(context.Background(), l.opts.Timeout)
	defer cancel()
	l.counters.add(&l.counters.stats.LedgerCalls, 1)
	return do(ctx, watermark, head)
}

// numbers are those of the writer. A ledger that has forgotten what it once
// confirmed gets them until it has caught up. Only exchange and retire call it.
func (r *root) numbers() (watermark, head uint64) {
	head, applied := r.limiter.opts.Numbers(r.name)
	r.ledger.confirmed = max(r.ledger.confirmed, applied)
	return r.ledger.confirmed, max(head, r.ledger.confirmed)
}

// lease asks the ledger for what the waiters are short of.
//
// Only the first waiter's need is a condition, so a grant serves it or refuses
// it for good; the others get what there is, and are refused when the answer
// shows that there is not enough for them either.
func (r *root) lease() {
	r.serve(r.waiting)
	if g := r.waiting.group(&r.accounts, r.limiter.now()); len(g.wants) > 0 {
		r.grant(g)
	}
}

// grant makes the call for a group and reports whether the ledger answered.
func (r *root) grant(g group) bool {
	o := &r.limiter.opts
	req := &ledger.GrantRequest{Writer: o.Writer, Epoch: o.Epoch, Root: r.name, TTL: o.TTL}
	for _, w := range g.wants {
		req.Wants = append(req.Wants, ledger.Want{Account: w.account.totals(), Limit: w.limit, Min: w.first, Ask: w.ask})
	}
	reply, err := call(r, func(ctx context.Context, watermark, _ uint64) (_ *ledger.GrantReply, err error) {
		req.Watermark = watermark
		if req.Lost, err = r.past(ctx); err != nil {
			return nil, err
		}
		return o.Leaser.Grant(ctx, req)
	})
	if err != nil {
		r.unanswered(err)
		for _, w := range g.wants {
			w.account.unsure = true
		}
		return false
	}
	r.ledger.failed, r.asked = time.Time{}, true
	r.noteTrouble()
	r.granted(g, reply, r.limiter.now())
	return true
}

// errPast is why nothing is leased of a root yet.
var errPast = errors.New("the ledger is not known to have what earlier processes spent")

// pastEvery is how often the past is looked at until it is known.
const pastEvery = 5 * time.Millisecond

// past waits until the ledger is known to have what earlier processes of this
// journal spent of the root. The first grant says whether some of it was lost.
func (r *root) past(ctx context.Context) (lost bool, err error) {
	known := r.asked
	for !known {
		if known, lost = r.limiter.opts.Past(r.name); !known && !pause(ctx, pastEvery) {
			return false, errPast
		}
	}
	return lost, nil
}

// unanswered is for a call without an answer: it may have granted something,
// which the next renewal finds out.
func (r *root) unanswered(err error) {
	o := &r.limiter.opts
	if r.ledger.failed.IsZero() {
		o.Log.Warn("ledger grants no leases", "root", r.name, "err", err)
	}
	r.ledger.failed, r.ledger.why, r.due = r.limiter.now(), err, true
	r.noteTrouble()
	r.endAll(r.ledger.failed)
}

// endAll ends all waiters by their tenants' on_ledger_loss.
func (r *root) endAll(now time.Time) {
	for _, w := range r.waiting {
		if !w.ended() {
			w.end(r.without(w.claim, now))
		}
	}
	r.waiting = nil
}

// granted takes in a grant's answer.
func (r *root) granted(g group, reply *ledger.GrantReply, now time.Time) {
	for i, w := range g.wants {
		a := w.account
		a.unsure = a.unsure && reply.State != ledger.Granted
		if i < len(reply.Windows) {
			a.saw(reply.Windows[i])
		}
		if i < len(reply.Amounts) {
			a.granted += reply.Amounts[i]
			a.give(w.pool, reply.Amounts[i])
			a.leased, a.leasedAt = reply.Amounts[i], now
		}
	}
	r.recall = r.recall || reply.Recall
	switch reply.State {
	case ledger.Granted:
		r.listed = true
		r.serve(g.waiters)
	case ledger.Refused:
		r.refuse(g, reply.Refused)
	case ledger.Frozen:
		r.froze(reply.Until, now)
	}
}

// froze is for a ledger that wants to hear of all accounts before it grants
// anything: because it has lost writes, or may have. One that waits for this writer
// alone is told at once, and then asked again.
func (r *root) froze(until, now time.Time) {
	again := !r.whole && !until.After(now)
	r.due, r.whole = true, true
	if again {
		return
	}
	if !now.Before(r.ledger.frozen) {
		r.limiter.opts.Log.Warn("ledger has lost writes, or may have, and grants no leases for now",
			"root", r.name, "at_most_until", until)
	}
	r.ledger.frozen = until
	r.noteTrouble()
	r.endAll(now)
}

// serve ends all waiters that leases cover by now, and forgets those whose callers left.
func (r *root) serve(waiters []*waiter) {
	for _, w := range waiters {
		if w.ended() {
			continue
		}
		if res := r.take(w.claim, w.now); res != nil {
			w.end(res, nil)
		}
	}
	r.waiting.sweep()
}

// refuse ends every waiter that the refusing window has too little for. The
// first always is; another one only by the same numbers.
func (r *root) refuse(g group, index int) {
	r.serve(g.waiters)
	if index < 0 || index >= len(g.wants) {
		index = 0
	}
	short := g.wants[index]
	a := short.account
	left := a.free[short.pool] + a.remaining(short.limit)
	for _, w := range g.waiters {
		if w.ended() {
			continue
		}
		need := w.needOf(&r.accounts, a)
		if w == g.waiters[0] || need > max(left, 0) {
			w.end(nil, usedUp(a, g.class, need))
		}
	}
	r.waiting.sweep()
	r.notify(a, 0)
}
