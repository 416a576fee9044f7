package embedded

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

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
func (w *window) sweep(l *lending, me string, now time.Time) {
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

// chargedLocked returns the batch's windows as they are after it.
func (s *State) chargedLocked(b *ledger.Batch) (map[record.Window]*window, error) {
	none := &lending{}
	l := cmp.Or(s.lending[b.Root], none)
	after := uint64(0)
	if me := l.writers[b.Writer]; me != nil && b.Account() == b.Writer {
		after = me.after
	}
	sums, err := b.WindowSums(after)
	if err != nil {
		return nil, err
	}
	charged := make(map[record.Window]*window, len(sums))
	for at, sum := range sums {
		if at.Unit == record.UnitConcurrent || sum == (ledger.WindowSum{}) {
			continue
		}
		w := l.window(at)
		w.charge(w.accounts[b.Account()], sum)
		if tooMuch(w.Posted) || tooMuch(w.Suspense) {
			return nil, fmt.Errorf("%w: a window of tenant %q would be out of range", ledger.ErrBadBatch, at.Tenant)
		}
		charged[at] = w
	}
	return charged, nil
}

func tooMuch(n int64) bool { return n > record.MaxValue || n < -record.MaxValue }

// Windows returns every window of a root.
func (s *State) Windows(_ context.Context, root string) ([]ledger.WindowBook, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var books []ledger.WindowBook
	for at, w := range s.lendingLocked(root).windows {
		b := ledger.WindowBook{Window: at, WindowState: w.WindowState}
		for who, a := range w.accounts {
			b.Accounts = append(b.Accounts, ledger.AccountBook{
				Writer: who, Epoch: a.epoch, Granted: a.granted, Returned: a.returned,
				Remains: a.remains, Expired: a.expired, Left: a.left,
			})
		}
		slices.SortFunc(b.Accounts, func(a, b ledger.AccountBook) int { return strings.Compare(a.Writer, b.Writer) })
		if b.WindowState != (ledger.WindowState{}) || len(b.Accounts) > 0 {
			books = append(books, b)
		}
	}
	slices.SortFunc(books, func(a, b ledger.WindowBook) int {
		return cmp.Or(
			strings.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Unit, b.Unit),
			strings.Compare(a.Period, b.Period), a.Start.Compare(b.Start), a.End.Compare(b.End),
		)
	})
	return books, nil
}
