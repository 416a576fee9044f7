package embedded

import (
	"cmp"
	"context"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

var _ ledger.Leaser = (*State)(nil)

// leases are what the writers of one root hold of its windows.
type leases struct {
	windows   map[record.Window]*window
	deadlines map[string]time.Time // of each writer; those that have left have none
}

func (s *State) now() time.Time {
	if s.Now == nil {
		return time.Now() //nolint:forbidigo // the default of a clock that is an option
	}
	return s.Now()
}

func (s *State) leasesLocked(root string) *leases {
	l := s.leases[root]
	if l == nil {
		l = &leases{windows: make(map[record.Window]*window), deadlines: make(map[string]time.Time)}
		if s.leases == nil {
			s.leases = make(map[string]*leases)
		}
		s.leases[root] = l
	}
	return l
}

// window returns a window, a new one when nothing is known of it.
func (l *leases) window(at record.Window) *window {
	w := l.windows[at]
	if w == nil {
		w = &window{loose: at.Unit == record.UnitConcurrent, accounts: make(map[string]*account)}
		l.windows[at] = w
	}
	return w
}

// open returns a window and the writer's account of it, and expires the leases of
// other writers that did not renew them.
func (l *leases) open(at record.Window, writer string, now time.Time) (*window, *account) {
	w := l.window(at)
	for who, a := range w.accounts {
		if who != writer && l.deadlines[who].Before(now) {
			w.expire(a)
		}
	}
	a := w.accounts[writer]
	if a == nil {
		a = &account{}
		w.accounts[writer] = a
	}
	w.revive(a)
	return w, a
}

// Grant implements ledger.Leaser. It grants in all windows or in none. No write is
// ever lost, so its state is Granted or Refused.
func (s *State) Grant(_ context.Context, r *ledger.GrantRequest) (*ledger.GrantReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := s.leasesLocked(r.Root), s.now()
	l.deadlines[r.Writer] = now.Add(r.TTL)
	reply := &ledger.GrantReply{State: ledger.Granted, Amounts: make([]int64, len(r.Wants))}
	more := make([]int64, len(r.Wants))
	for i := range r.Wants {
		want := &r.Wants[i]
		w, a := l.open(want.Window.UTC(), r.Writer, now)
		w.takeBack(a, want.Returned)
		found := max(0, a.granted-want.Granted) // granted before, its reply was lost
		room := max(0, want.Limit-max(0, w.Posted)-w.Held-max(0, w.Suspense))
		if want.Min-found > room && reply.State == ledger.Granted {
			reply.State, reply.Refused = ledger.Refused, i
		}
		more[i] = max(0, min(want.Ask-found, room))
		reply.Amounts[i] = found + more[i]
	}
	if reply.State == ledger.Refused {
		clear(more)
		clear(reply.Amounts)
	}
	for i := range r.Wants {
		w := l.windows[r.Wants[i].Window.UTC()]
		a := w.accounts[r.Writer]
		a.granted += more[i]
		a.remains += more[i]
		w.Held += more[i]
		reply.Windows = append(reply.Windows, w.WindowState)
	}
	l.forget(now)
	return reply, nil
}

// Renew implements ledger.Leaser.
func (s *State) Renew(_ context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := s.leasesLocked(r.Root), s.now()
	if r.Lapsed && !l.deadlines[r.Writer].Before(now) {
		return &ledger.RenewReply{Open: true}, nil
	}
	l.deadlines[r.Writer] = now.Add(r.TTL)
	for i := range r.Accounts {
		w, a := l.open(r.Accounts[i].Window.UTC(), r.Writer, now)
		w.takeBack(a, r.Accounts[i].Returned)
	}
	reply := &ledger.RenewReply{}
	if r.Retire {
		posted := s.marks[markKey{r.Writer, r.Root}] >= cmp.Or(r.Head, r.Watermark)
		l.retire(r.Writer, posted)
		reply.Open = !posted
	}
	for i := range r.Accounts {
		reply.Windows = append(reply.Windows, l.windows[r.Accounts[i].Window.UTC()].WindowState)
	}
	l.forget(now)
	return reply, nil
}

// retire gives back all that a writer has, or keeps it in suspense while records
// of it are not posted.
func (l *leases) retire(writer string, posted bool) {
	for _, w := range l.windows {
		a := w.accounts[writer]
		switch {
		case a == nil:
		case !posted:
			w.expire(a)
		default:
			w.revive(a)
			w.Held -= a.remains
			delete(w.accounts, writer)
		}
	}
	delete(l.deadlines, writer)
}

// forget drops accounts that were never granted anything, and windows that are
// long over or hold nothing.
func (l *leases) forget(now time.Time) {
	for at, w := range l.windows {
		for who, a := range w.accounts {
			if a.granted == 0 {
				delete(w.accounts, who)
			}
		}
		expiry := at.Expiry()
		old := !expiry.IsZero() && expiry.Before(now) && w.Held == 0
		if old || (w.WindowState == ledger.WindowState{} && len(w.accounts) == 0) {
			delete(l.windows, at)
		}
	}
}
