package embedded

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

var _ ledger.Leaser = (*State)(nil)

// How long a refusal calls idle slices back, and how long a writer that went
// silent is remembered.
const (
	recallFor   = 2 * time.Second
	rememberFor = time.Hour
)

// lending is what the ledger lends of one root.
type lending struct {
	windows  map[record.Window]*window
	writers  map[string]*borrower
	begun    bool          // whether anybody has asked
	longest  time.Duration // the longest term that was asked for
	freeze   freeze
	refusals uint64
	recall   time.Time // until then the last refusal is told
}

// freeze is the time in which nothing is granted, since writes were lost.
type freeze struct {
	since, until time.Time
	early        bool // whether it may end before its time
}

// borrower is a writer that has or had accounts.
type borrower struct {
	deadline time.Time // zero when it is gone
	recalled uint64    // the last refusal that it was told
	asserted time.Time // the freeze in which it asserted
	after    uint64    // postings up to this number take nothing
}

func (s *State) now() time.Time {
	if s.Now == nil {
		return time.Now() //nolint:forbidigo // the default of a clock that is an option
	}
	return s.Now()
}

func (s *State) lendingLocked(root string) *lending {
	l := s.lending[root]
	if l == nil {
		l = &lending{windows: make(map[record.Window]*window), writers: make(map[string]*borrower)}
		if s.lending == nil {
			s.lending = make(map[string]*lending)
		}
		s.lending[root] = l
	}
	return l
}

func (l *lending) writer(name string) *borrower {
	if l.writers[name] == nil {
		l.writers[name] = &borrower{}
	}
	return l.writers[name]
}

// window returns a copy to work on; nothing changes before it is put back.
func (l *lending) window(w record.Window) *window {
	out := &window{loose: w.Unit == record.UnitConcurrent, accounts: make(map[string]*account)}
	if kept := l.windows[w]; kept != nil {
		out.WindowState = kept.WindowState
		for who, a := range kept.accounts {
			copied := *a
			out.accounts[who] = &copied
		}
	}
	return out
}

// caller is the writer of a request and the root as it finds it.
type caller struct {
	*lending
	root      string
	writer    string
	epoch     uint64
	claimed   uint64 // the watermark that it knows of
	told      bool   // that writes were lost
	watermark uint64
	term      time.Duration
	now       time.Time
}

func (c *caller) me() *borrower { return c.lending.writer(c.writer) }

func (c *caller) frozen() bool { return c.freeze.until.After(c.now) }

// forgotten reports whether the ledger granted more than it has, by what the
// writer knows. Windows that are over may be gone for good.
func (c *caller) forgotten(w record.Window, a *account, granted int64) bool {
	over := !w.End.IsZero() && !w.End.After(c.now)
	gone := w.Unit == record.UnitConcurrent && c.windows[w] == nil
	return granted > a.granted && !over && !gone
}

// lookForLoss freezes the root when writes were lost. An incident freezes once:
// who has not asserted yet reports the same one.
func (c *caller) lookForLoss(forgotten bool) {
	longest := max(c.longest, c.term)
	asserted := !c.freeze.since.IsZero() && c.me().asserted.Equal(c.freeze.since)
	if (c.frozen() && asserted && forgotten) || (!c.frozen() && (forgotten || c.told || c.claimed > c.watermark)) {
		c.freeze = freeze{since: c.now, until: c.now.Add(longest), early: c.begun}
	}
	c.begun, c.longest = true, longest
}

// thaw ends a freeze before its time, when the list of writers was not lost,
// each has had the time to speak, has asserted, and has posted again what it had
// posted.
func (s *State) thaw(c *caller) {
	half := c.freeze.until.Sub(c.freeze.since) / 2
	if !c.frozen() || !c.freeze.early || c.now.Before(c.freeze.since.Add(half)) {
		return
	}
	for who, b := range c.writers {
		if b.deadline.Before(c.now) {
			continue
		}
		if !b.asserted.Equal(c.freeze.since) || s.marks[markKey{who, c.root}].seq < b.after {
			return
		}
	}
	c.freeze.until = time.Time{}
}

func (c *caller) renew() {
	c.me().deadline = c.now.Add(c.term)
	for _, b := range c.writers {
		if b.deadline.Before(c.now.Add(-rememberFor)) {
			*b = borrower{after: b.after}
		}
	}
}

// recalled answers each refusal once to each other writer.
func (c *caller) recalled() bool {
	if !c.recall.After(c.now) || c.me().recalled >= c.refusals {
		return false
	}
	c.me().recalled = c.refusals
	return true
}

// callLocked fails with ledger.ErrFenced when a newer epoch of the writer posts.
func (s *State) callLocked(writer, root string, epoch, claimed uint64, term time.Duration) (*caller, error) {
	key := markKey{writer, root}
	m := s.marks[key]
	if m.epoch > epoch {
		return nil, ledger.ErrFenced
	}
	m.epoch = epoch
	if s.marks == nil {
		s.marks = make(map[markKey]mark)
	}
	s.marks[key] = m
	return &caller{
		lending: s.lendingLocked(root), root: root, writer: writer, epoch: epoch, claimed: claimed,
		watermark: m.seq, term: term.Truncate(time.Millisecond), now: s.now().Truncate(time.Millisecond),
	}, nil
}

// Grant implements ledger.Leaser.
func (s *State) Grant(_ context.Context, r *ledger.GrantRequest) (*ledger.GrantReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.callLocked(r.Writer, r.Root, r.Epoch, r.Watermark, r.TTL)
	if err != nil {
		return &ledger.GrantReply{State: ledger.Fenced}, nil
	}
	c.told = r.Lost
	opened, forgotten := make([]*window, len(r.Wants)), false
	for i := range r.Wants {
		want := &r.Wants[i]
		w := c.window(want.Window.UTC())
		w.sweep(c.lending, c.writer, c.now)
		a := w.own(c.writer, c.epoch)
		forgotten = forgotten || c.forgotten(want.Window.UTC(), a, want.Granted)
		opened[i] = w
	}
	c.lookForLoss(forgotten)
	s.thaw(c)
	c.renew()
	if c.frozen() {
		return &ledger.GrantReply{State: ledger.Frozen, Until: c.freeze.until.UTC(), Amounts: make([]int64, len(opened)), Windows: states(opened)}, nil
	}
	return c.grant(r.Wants, opened), nil
}

// grant lends all or nothing.
func (c *caller) grant(wants []ledger.Want, opened []*window) *ledger.GrantReply {
	reply := &ledger.GrantReply{State: ledger.Granted, Amounts: make([]int64, len(wants))}
	more := make([]int64, len(wants))
	for i, w := range opened {
		a, want := w.accounts[c.writer], &wants[i]
		w.takeBack(a, want.Returned)
		found := max(0, a.granted-want.Granted) // granted before, its reply was lost
		room := want.Limit - max(0, w.Posted) - w.Held - max(0, w.Suspense)
		if want.Min-found > max(0, room) && reply.State == ledger.Granted {
			reply.State, reply.Refused = ledger.Refused, i
		}
		more[i] = max(0, min(want.Ask-found, room))
		reply.Amounts[i] = found + more[i]
	}
	if reply.State == ledger.Refused {
		c.refusals++
		c.recall, c.me().recalled = c.now.Add(recallFor), c.refusals
		clear(reply.Amounts)
		reply.Windows = states(opened)
		return reply
	}
	reply.Recall = c.recalled()
	for i, w := range opened {
		a := w.accounts[c.writer]
		a.granted += more[i]
		a.remains += more[i]
		w.Held += more[i]
		c.windows[wants[i].Window.UTC()] = w
	}
	reply.Windows = states(opened)
	c.forget()
	return reply
}

// Renew implements ledger.Leaser. It fails with ledger.ErrFenced when a newer
// epoch of the writer is known.
func (s *State) Renew(_ context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.callLocked(r.Writer, r.Root, r.Epoch, r.Watermark, r.TTL)
	if err != nil {
		return nil, err
	}
	if r.Lapsed && !c.me().deadline.Before(c.now) {
		return &ledger.RenewReply{Open: true}, nil
	}
	accounts := r.Accounts
	if r.Retire {
		accounts = c.withAll(accounts)
	}
	opened, forgotten := make([]*window, len(accounts)), false
	for i := range accounts {
		w := c.window(accounts[i].Window.UTC())
		w.sweep(c.lending, c.writer, c.now)
		a := w.own(c.writer, c.epoch)
		forgotten = forgotten || (!r.Retire && c.forgotten(accounts[i].Window.UTC(), a, accounts[i].Granted))
		opened[i] = w
	}
	c.lookForLoss(forgotten)
	c.settle(r, accounts, opened)
	s.thaw(c)
	reply := &ledger.RenewReply{
		Frozen: c.frozen(), Recall: c.recalled(), Windows: states(opened[:len(r.Accounts)]),
		Open: r.Retire && headOf(r) > c.watermark,
	}
	if c.frozen() {
		reply.Until = c.freeze.until.UTC()
	}
	if r.Retire {
		delete(c.writers, c.writer)
	}
	c.forget()
	return reply, nil
}

// withAll adds the accounts of all other windows.
func (c *caller) withAll(accounts []ledger.Account) []ledger.Account {
	listed := make(map[record.Window]bool, len(accounts))
	for i := range accounts {
		listed[accounts[i].Window.UTC()] = true
	}
	out := slices.Clone(accounts)
	for w := range c.windows {
		if !listed[w] {
			out = append(out, ledger.Account{Window: w})
		}
	}
	return out
}

func headOf(r *ledger.RenewRequest) uint64 {
	if r.Head == 0 {
		return r.Watermark
	}
	return r.Head
}

func (c *caller) settle(r *ledger.RenewRequest, accounts []ledger.Account, opened []*window) {
	head := headOf(r)
	asserting := c.frozen() && !r.Retire && len(r.Held) == len(r.Accounts)
	for i, w := range opened {
		word, a := &accounts[i], w.accounts[c.writer]
		if end := word.Window.UTC().End; asserting && (end.IsZero() || end.After(c.now)) {
			w.Held += r.Held[i] - a.remains
			a.granted, a.returned, a.remains = word.Granted, word.Returned, r.Held[i]
		}
		w.takeBack(a, word.Returned)
		if r.Retire {
			w.close(c.writer, head <= c.watermark)
		}
		if a.granted == 0 && a.remains == 0 {
			*a = account{epoch: a.epoch, left: a.left}
		}
		if *a == (account{epoch: a.epoch}) {
			delete(w.accounts, c.writer)
		}
		c.windows[word.Window.UTC()] = w
	}
	if asserting {
		c.me().asserted, c.me().after = c.freeze.since, head
	}
	c.renew()
	if r.Retire {
		*c.me() = borrower{recalled: c.refusals}
	}
}

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
