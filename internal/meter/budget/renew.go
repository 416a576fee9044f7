package budget

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// renew renews the root's leases and hands in returns.
func (r *root) renew() {
	if !r.probe() {
		return
	}
	if !r.speaks() {
		return
	}
	accounts, req := r.renewal()
	reply, err := call(r, func(ctx context.Context, watermark, head uint64) (*ledger.RenewReply, error) {
		req.Watermark, req.Head = watermark, head
		return r.limiter.opts.Leaser.Renew(ctx, req)
	})
	if err != nil {
		r.unanswered(err)
		r.due = false // the next tick asks again
		for _, a := range accounts {
			a.touched = true
		}
		return
	}
	r.ledger.failed = time.Time{}
	r.tookRenewal(accounts, req, reply)
}

// probe finds out what a grant without an answer has granted, by asking for
// nothing more. It reports whether the ledger answered.
func (r *root) probe() bool {
	var g group
	for _, a := range r.accounts.byWindow {
		if a.unsure {
			limit := int64(unlimited)
			if a.limit != nil {
				limit = a.limit.of(Normal)
			}
			g.wants = append(g.wants, want{account: a, limit: min(limit, record.MaxValue)})
		}
	}
	if len(g.wants) == 0 {
		return true
	}
	answered := r.grant(g)
	r.due = false
	return answered
}

// renewal is the request that renews the root's accounts, and which these are.
func (r *root) renewal() ([]*account, *ledger.RenewRequest) {
	o := &r.limiter.opts
	req := &ledger.RenewRequest{Writer: o.Writer, Epoch: o.Epoch, Root: r.name, TTL: o.TTL}
	var accounts []*account
	if r.whole {
		accounts = r.accounts.all()
	} else {
		accounts, req.Part = r.accounts.speaking()
	}
	req.Leaves = !r.accounts.any((*account).has)
	head, _ := o.Numbers(r.name) // an attempt's record is journalled before it is settled
	for _, a := range accounts {
		if a.touched {
			a.touched, a.posting = false, head
		}
		req.Accounts = append(req.Accounts, a.totals())
		req.Held = append(req.Held, a.idle()+a.held)
	}
	return accounts, req
}

func (r *root) tookRenewal(accounts []*account, req *ledger.RenewRequest, reply *ledger.RenewReply) {
	for i, a := range accounts {
		a.confirmed = max(a.confirmed, req.Accounts[i].Returned)
		if i < len(reply.Windows) {
			a.saw(reply.Windows[i])
			a.posted(req.Watermark)
			r.notify(a, 0)
		}
	}
	r.recall = r.recall || reply.Recall
	r.listed, r.whole = !req.Leaves, reply.Frozen
	if !reply.Frozen && !r.ledger.frozen.IsZero() {
		r.limiter.opts.Log.Info("ledger grants leases again", "root", r.name)
	}
	r.ledger.frozen = time.Time{}
	if reply.Frozen {
		r.ledger.frozen = reply.Until
	}
	r.noteTrouble()
}

// retire closes all accounts of the root for good, also those that only the
// ledger knows of.
func (r *root) retire(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounts.giveBack()
	accounts, req := r.renewal()
	req.Retire = true
	req.Watermark, req.Head = r.numbers()
	ctx, cancel := context.WithTimeout(ctx, max(r.limiter.opts.Timeout, 2*time.Second))
	defer cancel()
	reply, err := r.limiter.opts.Leaser.Renew(ctx, req)
	if err == nil {
		r.tookRenewal(accounts, req, reply) // the last records may have passed a threshold
	}
	return err
}

// Inherit gives back what a writer before this one still has of the limiter's
// roots and of those that it journalled in, and reports whether nothing is left. If
// that writer may still run, its TTL has to pass first. It may be repeated.
func (l *Limiter) Inherit(ctx context.Context, p *ledger.Predecessor) (bool, error) {
	done := true
	for _, root := range l.rootsOf(p) {
		ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
		reply, err := l.opts.Leaser.Renew(ctx, &ledger.RenewRequest{
			Writer: p.Writer, Epoch: p.Epoch, Root: root, Head: p.Heads[root],
			TTL: l.opts.TTL, Retire: true, Lapsed: !p.Here,
		})
		cancel()
		if err != nil {
			return false, err
		}
		done = done && !reply.Open
	}
	return done, nil
}

// rootsOf are the roots in which a writer may have leased: this configuration's, and
// those of its records, which another gateway's file may have limited.
func (l *Limiter) rootsOf(p *ledger.Predecessor) []string {
	roots := slices.AppendSeq(slices.Clone(l.opts.Roots), maps.Keys(p.Heads))
	slices.Sort(roots)
	return slices.Compact(roots)
}
