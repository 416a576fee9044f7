package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// reference is what the scripts must do, written a second time and in memory:
// rows as the embedded ledger has them, and leases with all that gateways which
// share a ledger need: epochs, recalls, and freezes after a loss.
type reference struct {
	embedded.State
	now     func() time.Time
	marks   map[markKey]mark
	refRoot map[string]*refRoot // by root
}

type markKey struct{ writer, root string }

type mark struct{ seq, epoch uint64 }

func newReference(now func() time.Time) *reference {
	return &reference{now: now, marks: make(map[markKey]mark), refRoot: make(map[string]*refRoot)}
}

// Apply implements ledger.Ledger.
func (s *reference) Apply(ctx context.Context, b *ledger.Batch) (ledger.Reply, error) {
	seq, err := s.post(ctx, b)
	return ledger.Reply{Watermark: seq}, err
}

func (s *reference) post(ctx context.Context, b *ledger.Batch) (uint64, error) {
	key := markKey{b.Writer, b.Root}
	m := s.marks[key]
	_, err := b.Sums(nil)
	if err == nil {
		_, err = b.WindowSums(0)
	}
	if err != nil {
		return m.seq, err
	}
	if m.epoch > b.Epoch {
		return m.seq, ledger.ErrFenced
	}
	if b.From == m.seq+1 {
		charged, err := s.charged(b)
		if err != nil {
			return m.seq, err
		}
		if m.seq, err = s.addRows(ctx, b); err != nil {
			return m.seq, err
		}
		for w, after := range charged {
			s.leases(b.Root).windows[w] = after
		}
	}
	m.epoch = b.Epoch
	s.marks[key] = m
	return m.seq, nil
}

func (s *reference) addRows(ctx context.Context, b *ledger.Batch) (uint64, error) {
	rows := *b
	rows.Postings = slices.Clone(b.Postings)
	for i := range rows.Postings {
		rows.Postings[i].Charges = nil
	}
	reply, err := s.State.Apply(ctx, &rows)
	return reply.Watermark, err
}

// How long a refusal calls idle leases back, and how long a writer that went
// silent is remembered.
const (
	recallFor   = 2 * time.Second
	rememberFor = time.Hour
)

// refRoot is what is leased of one root.
type refRoot struct {
	windows  map[record.Window]*window
	writers  map[string]*refWriter
	begun    bool          // whether there was any request
	longest  time.Duration // the longest ttl that was asked for
	freeze   freeze
	refusals uint64
	recall   time.Time // until then the last refusal is answered
}

// freeze is the time in which nothing is granted, since writes were lost.
type freeze struct {
	since, until time.Time
	early        bool // whether it may end before its time
}

// refWriter is a writer that has or had accounts.
type refWriter struct {
	deadline time.Time // zero when it is gone
	recalled uint64    // the last refusal that it got
	asserted time.Time // the freeze in which it asserted
	after    uint64    // postings up to this number take nothing
}

func (s *reference) leases(root string) *refRoot {
	l := s.refRoot[root]
	if l == nil {
		l = &refRoot{windows: make(map[record.Window]*window), writers: make(map[string]*refWriter)}
		s.refRoot[root] = l
	}
	return l
}

func (l *refRoot) writer(name string) *refWriter {
	if l.writers[name] == nil {
		l.writers[name] = &refWriter{}
	}
	return l.writers[name]
}

// window returns a copy to work on; nothing changes before it is put back.
func (l *refRoot) window(w record.Window) *window {
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
	*refRoot
	root      string
	writer    string
	epoch     uint64
	claimed   uint64 // the watermark that it knows of
	reported  bool   // that writes were lost
	watermark uint64
	ttl       time.Duration
	now       time.Time
}

func (c *caller) me() *refWriter { return c.refRoot.writer(c.writer) }

func (c *caller) frozen() bool { return c.freeze.until.After(c.now) }

// forgotten reports whether the ledger granted more than it has, by what the
// writer knows. Windows that are over may be gone for good, and so may what a silent
// writer had of a loose one, which it then has again.
func (c *caller) forgotten(w *window, told ledger.Account) bool {
	a, end := w.accounts[c.writer], told.Window.UTC().End
	over := !end.IsZero() && !end.After(c.now)
	if told.Granted <= a.granted || over {
		return false
	}
	if !w.loose || c.windows[told.Window.UTC()] != nil && !c.me().deadline.IsZero() {
		return true
	}
	a.granted, a.returned, a.remains = told.Granted, told.Returned, told.Granted-told.Returned
	w.Held += a.remains
	return false
}

// lookForLoss freezes the root when writes were lost. An incident freezes once:
// who has not asserted yet reports the same one.
func (c *caller) lookForLoss(forgotten bool) {
	longest := max(c.longest, c.ttl)
	asserted := !c.freeze.since.IsZero() && c.me().asserted.Equal(c.freeze.since)
	if (c.frozen() && asserted && forgotten) || (!c.frozen() && (forgotten || c.reported || c.claimed > c.watermark)) {
		c.freeze = freeze{since: c.now, until: c.now.Add(longest), early: c.begun}
	}
	c.begun, c.longest = true, longest
}

// thaw ends a freeze before its time, when the list of writers was not lost,
// each has had the time to speak, has asserted, and has posted again what it had
// posted.
func (s *reference) thaw(c *caller) {
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
	c.me().deadline = c.now.Add(c.ttl)
	for _, b := range c.writers {
		if !b.deadline.IsZero() && b.deadline.Before(c.now.Add(-rememberFor)) { // zero: it was only refused
			*b = refWriter{after: b.after}
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

// call fails with ledger.ErrFenced when a newer epoch of the writer posts.
func (s *reference) call(writer, root string, epoch, claimed uint64, ttl time.Duration) (*caller, error) {
	key := markKey{writer, root}
	m := s.marks[key]
	if m.epoch > epoch {
		return nil, ledger.ErrFenced
	}
	m.epoch = epoch
	s.marks[key] = m
	return &caller{
		refRoot: s.leases(root), root: root, writer: writer, epoch: epoch, claimed: claimed,
		watermark: m.seq, ttl: ttl.Truncate(time.Millisecond), now: s.now().Truncate(time.Millisecond),
	}, nil
}

// Grant implements ledger.Leaser.
func (s *reference) Grant(_ context.Context, r *ledger.GrantRequest) (*ledger.GrantReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	c, err := s.call(r.Writer, r.Root, r.Epoch, r.Watermark, r.TTL)
	if err != nil {
		return nil, err
	}
	c.reported = r.Lost
	opened, forgotten := make([]*window, len(r.Wants)), false
	for i := range r.Wants {
		want := &r.Wants[i]
		w := c.window(want.Window.UTC())
		w.sweep(c.refRoot, c.writer, c.now)
		w.own(c.writer, c.epoch)
		forgotten = c.forgotten(w, want.Account) || forgotten
		opened[i] = w
	}
	c.lookForLoss(forgotten)
	s.thaw(c)
	if c.frozen() {
		return &ledger.GrantReply{
			State:   ledger.Frozen,
			Until:   c.freeze.until.UTC(),
			Amounts: make([]int64, len(opened)),
			Windows: states(opened),
		}, nil
	}
	return c.grant(r.Wants, opened), nil
}

// grant grants all or nothing.
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
	c.renew()
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
func (s *reference) Renew(_ context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	c, err := s.call(r.Writer, r.Root, r.Epoch, r.Watermark, r.TTL)
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
		w.sweep(c.refRoot, c.writer, c.now)
		w.own(c.writer, c.epoch)
		forgotten = !r.Retire && c.forgotten(w, accounts[i]) || forgotten
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
		named, a := &accounts[i], w.accounts[c.writer]
		if end := named.Window.UTC().End; asserting && (end.IsZero() || end.After(c.now)) {
			w.Held += r.Held[i] - a.remains
			a.granted, a.returned, a.remains = named.Granted, named.Returned, r.Held[i]
		}
		w.takeBack(a, named.Returned)
		if r.Retire {
			w.close(c.writer, head <= c.watermark)
		}
		if a.granted == 0 && a.remains == 0 {
			*a = account{epoch: a.epoch, left: a.left}
		}
		if *a == (account{epoch: a.epoch}) {
			delete(w.accounts, c.writer)
		}
		c.windows[named.Window.UTC()] = w
	}
	if asserting {
		c.me().asserted, c.me().after = c.freeze.since, head
	}
	c.renew()
	if r.Retire {
		*c.me() = refWriter{recalled: c.refusals}
	}
}

// charged returns the batch's windows as they are after it.
func (s *reference) charged(b *ledger.Batch) (map[record.Window]*window, error) {
	l := s.leases(b.Root)
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
func (s *reference) Windows(_ context.Context, root string) ([]ledger.WindowBook, error) {
	var books []ledger.WindowBook
	for at, w := range s.leases(root).windows {
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
