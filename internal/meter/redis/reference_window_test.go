package redis

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
)

// close gives back what remains, or keeps it in suspense for records that the
// ledger has not seen.
func (w *window) close(writer string, seen bool) {
	a := w.accounts[writer]
	if !seen {
		w.expire(a)
		return
	}
	w.Held -= a.remains
	if !w.loose {
		w.Suspense -= a.left
	}
	*a = account{}
}

// forget drops windows long over and those that hold nothing.
func (c *caller) forget() {
	for w, kept := range c.windows {
		expiry := w.Expiry()
		old := !expiry.IsZero() && expiry.Before(c.now) && kept.Held == 0
		if old || (kept.WindowState == ledger.WindowState{} && len(kept.accounts) == 0) {
			delete(c.windows, w)
		}
	}
}

func states(opened []*window) []ledger.WindowState {
	out := make([]ledger.WindowState, len(opened))
	for i, w := range opened {
		out[i] = w.WindowState
	}
	return out
}

// window is one budget or limit. Held is the sum of what remains in accounts
// that have not expired; what remains in expired ones, and all that older epochs
// left, is part of the suspense, but not where the window is loose.
type window struct {
	ledger.WindowState
	loose    bool
	accounts map[string]*account
}

type account struct {
	epoch                      uint64
	granted, returned, remains int64
	expired                    bool
	left                       int64 // by older epochs
}

func (w *window) expire(a *account) {
	if a.expired {
		return
	}
	a.expired = true
	w.Held -= a.remains
	if !w.loose {
		w.Suspense += a.remains
	}
}

func (w *window) revive(a *account) {
	if !a.expired {
		return
	}
	a.expired = false
	w.Held += a.remains
	if !w.loose {
		w.Suspense -= a.remains
	}
}

// sweep expires the accounts of writers other than me that were not renewed.
func (w *window) sweep(l *refRoot, me string, now time.Time) {
	for who, a := range w.accounts {
		b := l.writers[who]
		if who == me || (b != nil && !b.deadline.Before(now)) {
			continue
		}
		w.expire(a)
		if w.loose && (b == nil || b.deadline.IsZero()) {
			delete(w.accounts, who)
		}
	}
}

// own returns the writer's account. What an older process of it left is set
// apart: the records that spent it may still come.
func (w *window) own(writer string, epoch uint64) *account {
	a := w.accounts[writer]
	if a == nil {
		a = &account{epoch: epoch}
		w.accounts[writer] = a
	}
	if a.epoch < epoch {
		w.expire(a)
		left := a.left
		if !w.loose {
			left += a.remains
		}
		*a = account{epoch: epoch, left: left}
	}
	w.revive(a)
	return a
}

func (w *window) takeBack(a *account, returned int64) {
	if returned <= a.returned {
		return
	}
	back := min(returned-a.returned, a.remains)
	a.returned = returned
	a.remains -= back
	w.Held -= back
}

// charge adds a batch's sum, taking out of what older epochs left first.
func (w *window) charge(a *account, sum ledger.WindowSum) {
	w.Posted += sum.Posted
	w.Suspense += sum.Suspense
	if a == nil {
		return
	}
	left := min(sum.Taken, a.left)
	a.left -= left
	w.Suspense -= left
	out := min(sum.Taken-left, a.remains)
	a.remains -= out
	if a.expired {
		w.Suspense -= out
	} else {
		w.Held -= out
	}
}
