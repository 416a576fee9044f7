package budget

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// talk makes ledger calls, one after another, until nothing is to be said.
func (r *root) talk() {
	for {
		r.mu.Lock()
		switch {
		case r.due:
			r.due = false
			r.settle()
		case len(r.waiting) > 0:
			r.lend()
		default:
			r.calling = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
	}
}

// group is the waiters that one grant serves.
type group struct {
	lane    Lane
	waiters []*waiter
	wants   []want
}

// want is what a group needs of one account.
type want struct {
	account *account
	pool    Lane
	limit   int64
	first   int64 // what the first waiter is short of
	all     int64 // what all need
}

// lend asks the ledger for what the waiters are short of. It is called with the
// lock held, which it gives up during the call.
//
// Only the first waiter's need is a condition, so a grant serves it or refuses
// it for good; the others get what there is, and are refused when the answer
// shows that there is not enough for them either.
func (r *root) lend() {
	r.serve(r.waiting)
	g := r.gather()
	if len(g.wants) == 0 {
		return
	}
	req := r.request(g)
	r.mu.Unlock()
	req.Watermark, _ = r.numbers()
	reply, err := call(r.desk, func(ctx context.Context) (*ledger.GrantReply, error) {
		return r.desk.opts.Leaser.Grant(ctx, req)
	})
	r.mu.Lock()
	now := r.desk.opts.Now()
	if err != nil {
		r.lost(g, now, err)
		return
	}
	r.failed = time.Time{}
	r.granted(g, reply, now)
}

// numbers are those of the writer. A ledger that has forgotten what it once
// confirmed is told so until it has caught up. Only talk and retire call it.
func (r *root) numbers() (watermark, head uint64) {
	head, applied := r.desk.opts.Numbers(r.name)
	r.confirmed = max(r.confirmed, applied)
	return r.confirmed, max(head, r.confirmed)
}

// call gives one ledger call its time.
func call[T any](d *Desk, do func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d.opts.Timeout)
	defer cancel()
	d.stats.calls.Add(1)
	return do(ctx)
}

// serve ends all waiters that slices cover by now, and forgets those who left.
func (r *root) serve(waiters []*waiter) {
	for _, w := range waiters {
		if w.ended() {
			continue
		}
		if res := r.take(w.claim, w.now); res != nil {
			w.res = res
			close(w.done)
		}
	}
	r.sweep()
}

func (r *root) sweep() {
	r.waiting = slices.DeleteFunc(r.waiting, (*waiter).ended)
}

func (w *waiter) ended() bool { return w.gone || w.res != nil || w.refusal != nil }

// maxGroup bounds the waiters that one grant is for.
const maxGroup = 512

// gather makes a group of the first waiter and those behind it in its lane.
func (r *root) gather() group {
	if len(r.waiting) == 0 {
		return group{}
	}
	g := group{lane: r.waiting[0].claim.Lane}
	for _, w := range r.waiting {
		if w.claim.Lane == g.lane && len(g.waiters) < maxGroup {
			g.waiters = append(g.waiters, w)
			r.want(&g, w)
		}
	}
	g.wants = slices.DeleteFunc(g.wants, func(w want) bool { return w.all <= w.account.free[w.pool] })
	return g
}

// want adds what a waiter needs to what its group does.
func (r *root) want(g *group, w *waiter) {
	for i := range w.claim.Policy.gauges {
		gauge := &w.claim.Policy.gauges[i]
		p, need := r.part(gauge, w.claim, w.now)
		if !p.covered {
			continue
		}
		k := slices.IndexFunc(g.wants, func(o want) bool { return o.account == p.account && o.pool == p.pool })
		if k < 0 {
			k = len(g.wants)
			g.wants = append(g.wants, want{account: p.account, pool: p.pool, limit: unlimited})
		}
		o := &g.wants[k]
		o.limit = min(o.limit, gauge.limit(w.claim.Lane))
		o.all += need
		if w == g.waiters[0] {
			o.first = max(0, need-p.account.free[p.pool])
		}
	}
}

func (r *root) request(g group) *ledger.GrantRequest {
	o := &r.desk.opts
	now := o.Now()
	req := &ledger.GrantRequest{Writer: o.Writer, Epoch: o.Epoch, Root: r.name, TTL: o.TTL}
	for _, w := range g.wants {
		ask := w.all - w.account.free[w.pool] + w.account.ahead(w.limit, w.all, now)
		req.Wants = append(req.Wants, ledger.Want{
			Account: w.account.told(), Limit: w.limit, Min: w.first, Ask: max(w.first, ask),
		})
	}
	return req
}

func (a *account) told() ledger.Account {
	return ledger.Account{Window: a.window, Granted: a.granted, Returned: a.returned}
}

// lost is for a call without an answer: it may have lent something, which the
// next settlement finds out.
func (r *root) lost(g group, now time.Time, err error) {
	if errors.Is(err, ledger.ErrFenced) {
		r.fence()
	}
	if r.failed.IsZero() {
		r.desk.opts.Log.Warn("ledger lends nothing", "root", r.name, "err", err)
	}
	r.failed, r.due = now, true
	for _, w := range g.wants {
		w.account.unsure = true
	}
	r.turnAway(now)
}

// turnAway ends all waiters by their tenants' on_ledger_loss.
func (r *root) turnAway(now time.Time) {
	for _, w := range r.waiting {
		if w.ended() {
			continue
		}
		w.res, w.refusal = r.without(w.claim, now)
		close(w.done)
	}
	r.waiting = nil
}

// granted takes in a grant's answer.
func (r *root) granted(g group, reply *ledger.GrantReply, now time.Time) {
	for i, w := range g.wants {
		w.account.unsure = w.account.unsure && reply.State != ledger.Granted
		if i < len(reply.Windows) {
			w.account.state, w.account.known = reply.Windows[i], true
		}
		if i < len(reply.Amounts) {
			w.account.granted += reply.Amounts[i]
			w.account.give(w.pool, reply.Amounts[i])
			w.account.lent, w.account.lentAt = reply.Amounts[i], now
		}
	}
	r.recall = r.recall || reply.Recall
	switch reply.State {
	case ledger.Granted:
		r.serve(g.waiters)
	case ledger.Refused:
		r.refuse(g, reply.Refused)
	case ledger.Frozen:
		r.freeze(reply.Until, now)
		r.turnAway(now)
	case ledger.Fenced:
		r.fence()
		r.turnAway(now)
	}
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
		need := r.needOf(w, a)
		if w.ended() || w != g.waiters[0] && (need == 0 || need <= left) {
			continue
		}
		w.refusal = usedUp(a, g.lane, need)
		close(w.done)
	}
	r.sweep()
	r.tell(a.watch(0))
}

func (r *root) needOf(w *waiter, a *account) int64 {
	for i := range w.claim.Policy.gauges {
		if p, need := r.part(&w.claim.Policy.gauges[i], w.claim, w.now); p.account == a {
			return need
		}
	}
	return 0
}

func (r *root) freeze(until, now time.Time) {
	if !now.Before(r.frozen) {
		r.desk.opts.Log.Warn("ledger has lost writes and lends nothing for now", "root", r.name, "until", until)
	}
	r.frozen, r.due = until, true
}

func (r *root) fence() {
	if !r.fenced {
		r.desk.opts.Log.Error("another process reserves as this writer", "root", r.name)
	}
	r.fenced = true
}

func (r *root) tell(notices []Notice) {
	for _, n := range notices {
		r.desk.opts.Notice(n)
	}
}
