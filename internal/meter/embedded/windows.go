package embedded

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// window is one budget or limit. Held is the sum of what remains of leases that
// have not expired; what remains of expired ones is part of the suspense, but not
// where the window is loose: a limit of open calls.
type window struct {
	ledger.WindowState
	loose    bool
	accounts map[string]*account // by writer
}

// account is what one writer was granted of a window, what it returned, both as
// totals, and what remains: neither returned nor spent.
type account struct {
	granted, returned, remains int64
	expired                    bool
}

func (w *window) expire(a *account) {
	if !a.expired {
		w.move(-a.remains)
	}
	a.expired = true
}

func (w *window) revive(a *account) {
	if a.expired {
		w.move(a.remains)
	}
	a.expired = false
}

// move makes n of what was in suspense held.
func (w *window) move(n int64) {
	w.Held += n
	if !w.loose {
		w.Suspense -= n
	}
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

// charged returns the window's sums, and what remains of an account, as they are
// after a batch. Without an account nothing is taken out of it.
func (w *window) charged(a *account, sum ledger.WindowSum) (after ledger.WindowState, remains int64) {
	after = ledger.WindowState{Posted: w.Posted + sum.Posted, Held: w.Held, Suspense: w.Suspense + sum.Suspense}
	if a == nil {
		return after, 0
	}
	out := min(sum.Taken, a.remains)
	if a.expired {
		after.Suspense -= out
	} else {
		after.Held -= out
	}
	return after, a.remains - out
}

// charge adds a batch's sums to the windows and takes them out of the accounts of
// a writer, or changes nothing.
func (l *leases) charge(holder string, sums map[record.Window]ledger.WindowSum) error {
	maps.DeleteFunc(sums, func(at record.Window, sum ledger.WindowSum) bool {
		return at.Unit == record.UnitConcurrent || sum == (ledger.WindowSum{})
	})
	for at, sum := range sums {
		w := cmp.Or(l.windows[at], &window{})
		if after, _ := w.charged(w.accounts[holder], sum); tooMuch(after.Posted) || tooMuch(after.Suspense) {
			return fmt.Errorf("%w: a window of tenant %q would be out of range", ledger.ErrBadBatch, at.Tenant)
		}
	}
	for at, sum := range sums {
		w := l.window(at)
		a := cmp.Or(w.accounts[holder], &account{})
		w.WindowState, a.remains = w.charged(a, sum)
	}
	return nil
}

func tooMuch(n int64) bool { return n > record.MaxValue || n < -record.MaxValue }

// Windows returns every window of a root.
func (s *State) Windows(_ context.Context, root string) ([]ledger.WindowBook, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var books []ledger.WindowBook
	for at, w := range s.leasesLocked(root).windows {
		b := ledger.WindowBook{Window: at, WindowState: w.WindowState}
		for who, a := range w.accounts {
			b.Accounts = append(b.Accounts, ledger.AccountBook{
				Writer: who, Granted: a.granted, Returned: a.returned, Remains: a.remains, Expired: a.expired,
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

// Counts returns what the ledger has of windows, each at zero when it has nothing.
func (s *State) Counts(_ context.Context, of []record.Window) (map[record.Window]ledger.WindowState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[record.Window]ledger.WindowState, len(of))
	for _, w := range of {
		all[w.UTC()] = ledger.WindowState{}
		if has := s.leasesLocked(record.RootOf(w.Tenant)).windows[w.UTC()]; has != nil {
			all[w.UTC()] = has.WindowState
		}
	}
	return all, nil
}
