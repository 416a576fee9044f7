package budget

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// tick gives back what is idle and decides whether the ledger must hear from
// this root now: often when a window is near its limit, else every Renew.
func (r *root) tick(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.clock) {
		now = r.clock
	}
	r.clock = now
	elapsed := now.Sub(r.ticked)
	measure := elapsed >= time.Second/2
	if measure {
		r.ticked = now
	}
	urgent := r.recall
	for w, a := range r.accounts {
		if measure {
			a.measure(elapsed)
		}
		urgent = r.tend(a, now) || urgent
		if a.over(now) && a.done() {
			delete(r.accounts, w)
			delete(r.recalled, a)
			if a.gauge != nil && r.current[a.gauge.gaugeKey] == a {
				delete(r.current, a.gauge.gaugeKey)
			}
		}
	}
	r.recall = false
	if r.fenced || !urgent && now.Sub(r.renewed) < r.desk.opts.Renew {
		return
	}
	r.renewed = now
	if r.speaks() {
		r.due = true
		r.wake()
	}
}

// tend returns the idle slice of an account whose window is over, which nobody
// used for a while, or which another writer is short of, and of others what is
// too much. It reports whether the ledger should hear of it soon.
func (r *root) tend(a *account, now time.Time) (urgent bool) {
	if a.idle() > 0 && (a.over(now) || r.recall || now.Sub(a.last) >= r.desk.opts.Idle) {
		a.giveBack()
		urgent = true
	}
	if a.gauge == nil || a.idle()+a.held == 0 {
		return urgent
	}
	limit := a.gauge.limit(Full)
	if limit == unlimited {
		return urgent
	}
	return a.trim(limit) || urgent || a.remaining(limit) < limit/100*nearPercent
}

// speaks reports whether any account has something to tell or to ask.
func (r *root) speaks() bool {
	for _, a := range r.accounts {
		if a.speaks() {
			return true
		}
	}
	return false
}

func (a *account) speaks() bool {
	return a.touched || a.unsure || a.acked != a.returned || a.held != 0 || a.idle() != 0
}

// settle renews the root's accounts and hands in returns. It is called with the
// lock held, which it gives up during calls.
func (r *root) settle() {
	if !r.probe() {
		return
	}
	accounts, req := r.word()
	if len(accounts) == 0 {
		return
	}
	reply, err := r.send(req)
	now := r.desk.opts.Now()
	if err != nil {
		r.lost(group{}, now, err)
		r.due = false
		for _, a := range accounts {
			a.touched = true // tell it the next time
		}
		return
	}
	r.failed = time.Time{}
	r.settled(accounts, req, reply)
}

// word is all that there is to tell about the root.
func (r *root) word() ([]*account, *ledger.RenewRequest) {
	o := &r.desk.opts
	req := &ledger.RenewRequest{Writer: o.Writer, Epoch: o.Epoch, Root: r.name, TTL: o.TTL}
	var accounts []*account
	for _, a := range r.accounts {
		if !a.speaks() {
			continue
		}
		a.touched = false
		accounts = append(accounts, a)
		req.Accounts = append(req.Accounts, a.told())
		req.Held = append(req.Held, a.idle()+a.held)
	}
	return accounts, req
}

// send makes the call without the lock. The number journalled last is read
// after Held was taken: a record between the two is then in both, and the
// ledger holds too much for a while instead of too little.
func (r *root) send(req *ledger.RenewRequest) (*ledger.RenewReply, error) {
	r.mu.Unlock()
	defer r.mu.Lock()
	req.Watermark, req.Head = r.numbers()
	return call(r.desk, func(ctx context.Context) (*ledger.RenewReply, error) {
		return r.desk.opts.Leaser.Renew(ctx, req)
	})
}

func (r *root) settled(accounts []*account, req *ledger.RenewRequest, reply *ledger.RenewReply) {
	for i, a := range accounts {
		a.acked = max(a.acked, req.Accounts[i].Returned)
		if i < len(reply.Windows) {
			a.state, a.known = reply.Windows[i], true
			r.tell(a.watch(0))
		}
	}
	r.recall = r.recall || reply.Recall
	if reply.Frozen {
		r.frozen = reply.Until
		return
	}
	r.frozen = time.Time{}
}

// probe finds out what a grant without an answer has lent, by asking for
// nothing. It reports whether the ledger answered.
func (r *root) probe() bool {
	var g group
	for _, a := range r.accounts {
		if a.unsure {
			g.wants = append(g.wants, want{account: a, limit: a.probeLimit()})
		}
	}
	if len(g.wants) == 0 {
		return true
	}
	o := &r.desk.opts
	req := &ledger.GrantRequest{Writer: o.Writer, Epoch: o.Epoch, Root: r.name, TTL: o.TTL}
	for _, w := range g.wants {
		req.Wants = append(req.Wants, ledger.Want{Account: w.account.told(), Limit: w.limit})
	}
	r.mu.Unlock()
	req.Watermark, _ = r.numbers()
	reply, err := call(r.desk, func(ctx context.Context) (*ledger.GrantReply, error) { return o.Leaser.Grant(ctx, req) })
	r.mu.Lock()
	now := o.Now()
	if err != nil {
		r.lost(g, now, err)
		r.due = false
		return false
	}
	r.failed = time.Time{}
	r.granted(g, reply, now)
	r.due = false
	return true
}

func (a *account) probeLimit() int64 {
	if a.gauge == nil {
		return record.MaxValue
	}
	return min(a.gauge.limit(Full), record.MaxValue)
}

// retire closes all accounts of the root for good, those of the writer's earlier
// lives too: without any of its own it still has to say so.
func (r *root) retire(ctx context.Context) error {
	r.mu.Lock()
	for _, a := range r.accounts {
		a.giveBack()
		a.touched = true
	}
	accounts, req := r.word()
	r.mu.Unlock()
	req.Retire = true
	req.Watermark, req.Head = r.numbers()
	ctx, cancel := context.WithTimeout(ctx, max(r.desk.opts.Timeout, 2*time.Second))
	defer cancel()
	reply, err := r.desk.opts.Leaser.Renew(ctx, req)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled(accounts, req, reply) // the last records may have passed a threshold
	return nil
}
