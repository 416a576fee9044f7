package meter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// fleet is meters on copies of one directory, which share a ledger, and what
// must come out.
type fleet struct {
	t       *testing.T
	ledger  *modelLedger
	saved   modelState
	opts    Options
	members []*member
	next    int
	want    map[string]record.Counters
	budgets map[chargeKey]int64
}

type member struct {
	meter *Meter
	dir   string
	open  []*record.Start
}

func newFleet(t *testing.T) *fleet {
	l := newModelLedger()
	f := &fleet{
		t: t, ledger: l, saved: newModelLedger().state, opts: testOptions(t, "", l),
		want: map[string]record.Counters{}, budgets: map[chargeKey]int64{},
	}
	f.opts.Now = time.Now
	f.add(t.TempDir())
	return f
}

func (f *fleet) add(dir string) *member {
	m := &member{dir: dir}
	f.reopen(m)
	f.members = append(f.members, m)
	return m
}

func (f *fleet) reopen(m *member) {
	o := f.opts
	o.Disk = journal.Dir(m.dir)
	m.meter = openMeter(f.t, o)
}

func (f *fleet) expect(s *record.Start, e *record.End) {
	p, _ := record.Derive(s, e, testPrices)
	f.want[s.Root], _ = f.want[s.Root].Plus(p.Add)
	addCharges(f.budgets, p.Charges)
}

func (f *fleet) begin(m *member, root string) {
	f.next++
	s := newStart(f.next, root)
	if err := m.meter.Begin(s); err != nil {
		f.t.Fatal(err)
	}
	m.open = append(m.open, s)
}

func (f *fleet) endAll(m *member) {
	for _, s := range m.open {
		e := newEnd(s, int64(f.next), 3)
		if err := m.meter.End(s, e, testPrices, &record.Booked{}); err != nil {
			f.t.Fatal(err)
		}
		f.expect(s, e)
	}
	m.open = nil
}

// crash kills a member; what is in flight becomes unknown, once, however many
// copies are made of what it leaves.
func (f *fleet) crash(m *member, copies int) {
	m.dir = kill(f.t, m.meter, m.dir)
	for _, s := range m.open {
		f.expect(s, &record.End{Outcome: record.Unknown, At: s.At})
	}
	m.open = nil
	for range copies {
		f.add(copied(f.t, m.dir))
	}
	f.reopen(m)
}

// copyRunning copies a member's directory between two calls and lets both go on.
func (f *fleet) copyRunning(m *member) {
	f.endAll(m)
	if err := m.meter.log.Sync(); err != nil {
		f.t.Fatal(err)
	}
	f.add(copied(f.t, m.dir))
}

// settled lets each member post what it has and compares the ledger with what
// is wanted, and with the journals, each partition of them once.
func (f *fleet) settled(t testing.TB) {
	f.ledger.set(func(l *modelLedger) { l.before, l.after = nil, nil })
	for range 2 {
		for _, m := range f.members {
			f.endAll(m)
			closeMeter(f.t, m.meter)
			f.reopen(m)
		}
	}
	journals := map[record.RowKey]record.Counters{}
	longest := map[record.Partition]uint64{}
	lanes := map[record.Partition]map[record.RowKey]record.Counters{}
	for _, m := range f.members {
		closeMeter(f.t, m.meter)
		b, err := ReadSums(journal.Dir(m.dir))
		if err != nil {
			t.Fatal(err)
		}
		for l, head := range b.Heads {
			if head > longest[l] {
				longest[l], lanes[l] = head, b.Rows[l]
			}
		}
	}
	for _, rows := range lanes {
		for key, c := range rows {
			journals[key], _ = journals[key].Plus(c)
		}
	}
	got := map[string]record.Counters{}
	for key, c := range f.ledger.rows() {
		got[key.Tenant], _ = got[key.Tenant].Plus(c)
	}
	want := map[string]record.Counters{}
	for root, c := range f.want {
		want[root+"/team"] = c
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("ledger (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(journals, f.ledger.rows()); diff != "" {
		t.Fatalf("journals and ledger (-journals +ledger):\n%s", diff)
	}
	if diff := cmp.Diff(withoutZeros(f.budgets), f.ledger.budgets()); diff != "" {
		t.Fatalf("budgets (-want +got):\n%s", diff)
	}
}

// TestCopies: a gateway that died with calls in flight is started twice, on its
// directory and on a copy of it. Each call counts once.
func TestCopies(t *testing.T) {
	f := newFleet(t)
	first := f.members[0]
	f.ledger.set(func(l *modelLedger) { l.before = func(int) error { return errAway } })
	for range 20 {
		f.begin(first, "acme")
	}
	f.endAll(first)
	for i := range 5 {
		f.begin(first, fmt.Sprintf("root%d", i%2))
	}
	f.crash(first, 1)
	for range 3 {
		for _, m := range f.members {
			f.begin(m, "acme")
			f.endAll(m)
		}
	}
	f.ledger.set(func(l *modelLedger) { l.before = nil })
	f.settled(t)
}

// TestCopiesDieInRecovery: a process that dies while it books what its
// predecessor left open leaves the rest to the next, and a copy books the same.
func TestCopiesDieInRecovery(t *testing.T) {
	f := newFleet(t)
	m := f.members[0]
	for i := range 10 {
		f.begin(m, fmt.Sprintf("root%d", i%3))
	}
	m.dir = kill(t, m.meter, m.dir)
	for _, s := range m.open {
		f.expect(s, &record.End{Outcome: record.Unknown, At: s.At})
	}
	m.open = nil
	f.add(copied(t, m.dir))
	for round := range 3 { // each finds room for some of the records
		d, written := newFaultDisk(m.dir), 0
		d.set(func(s *diskState) {
			s.fail = func(op, name string) error {
				if op == "write" && strings.HasSuffix(name, ".seg") {
					written++
				}
				if written > 3 {
					return errBadDisk
				}
				return nil
			}
		})
		o := f.opts
		o.Disk = d
		if died, err := Open(t.Context(), o); err == nil {
			closeMeter(t, died)
		}
		if got := endedIn(t, m.dir); got != 3*(round+1) {
			t.Fatalf("round %d: %d booked", round, got)
		}
	}
	f.reopen(m)
	f.settled(t)
	if n := sumOf(f.ledger.rows()).Unknown; n != 10 {
		t.Errorf("%d unknown attempts, want 10", n)
	}
}

func endedIn(t testing.TB, dir string) int {
	t.Helper()
	ended := map[string]bool{}
	r := journal.NewReader(journal.Dir(dir), journal.Position{})
	defer r.Close()
	for r.Next() {
		if r.Kind() != record.KindEnd && r.Kind() != record.KindUnknown {
			continue
		}
		_, e, err := record.ReadEnd(r.Payload())
		if err != nil {
			t.Fatal(err)
		}
		ended[e.ID] = true
	}
	return len(ended)
}

// TestCopiesExactlyOnce: whatever copies are made, and whatever they and the
// ledger do, each call counts once.
func TestCopiesExactlyOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFleet(t)
		f.opts.Heartbeat = time.Duration(rapid.SampledFrom([]int64{int64(time.Hour), int64(time.Millisecond)}).Draw(r,
			"heartbeat"))
		f.opts.Journal.SegmentBytes = rapid.SampledFrom([]int64{500, 3000, 1 << 20}).Draw(r, "segment")
		for range rapid.IntRange(3, 20).Draw(r, "steps") {
			f.step(r, rapid.SampledFrom(f.members).Draw(r, "member"))
		}
		f.settled(t)
	})
}

func (f *fleet) step(r *rapid.T, m *member) {
	switch rapid.IntRange(0, 8).Draw(r, "step") {
	case 0, 1, 2:
		for range rapid.IntRange(1, 10).Draw(r, "calls") {
			f.begin(m, fmt.Sprintf("root%d", rapid.IntRange(0, 2).Draw(r, "root")))
		}
	case 3, 4:
		f.endAll(m)
	case 5:
		f.crash(m, rapid.IntRange(0, max(0, 4-len(f.members))).Draw(r, "copies"))
	case 6:
		if len(f.members) < 4 {
			f.copyRunning(m)
		}
	case 7: // the ledger loses calls and replies
		k := rapid.IntRange(2, 5).Draw(r, "fault")
		fault := func(call int) error {
			if call%k == 0 {
				return errAway
			}
			return nil
		}
		f.ledger.set(func(l *modelLedger) {
			l.before, l.after = fault, nil
			if k%2 == 1 {
				l.before, l.after = nil, fault
			}
		})
	case 8: // a failover that forgets, now and then
		forget := rapid.Bool().Draw(r, "forget")
		f.ledger.set(func(l *modelLedger) {
			if forget {
				l.state = f.saved.clone()
			}
			f.saved = l.state.clone()
		})
	}
}

// TestLossAtTheEnd: a ledger that loses everything just before a process ends
// gets the records of earlier processes from it as well.
func TestLossAtTheEnd(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	m := openMeter(t, o)
	call(t, m, 1, "acme")
	closeMeter(t, m)
	m = openMeter(t, o)
	call(t, m, 2, "acme")
	eventually(t, "posted", func() bool { return sumOf(l.rows()).Legs == 2 && m.Status().Backlog == 0 })
	l.set(func(l *modelLedger) { l.state = newModelLedger().state })
	call(t, m, 3, "acme")
	closeMeter(t, m)
	if n := sumOf(l.rows()).Legs; n != 3 {
		t.Errorf("%d legs, want 3", n)
	}
	wantSame(t, l, journal.Dir(dir))
}

// TestPast: a process that finds less in the ledger than one before it had
// posted knows of a loss; one that finds what was never posted does not.
func TestPast(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	begin := func() *Meter {
		m := openMeter(t, o)
		eventually(t, "posted", func() bool { return m.Past("acme").Posted })
		return m
	}
	m := begin()
	call(t, m, 1, "acme")
	eventually(t, "posted", func() bool { return sumOf(l.rows()).Legs == 1 })
	l.set(func(l *modelLedger) { l.before = func(int) error { return errAway } })
	call(t, m, 2, "acme")
	o.Disk = journal.Dir(kill(t, m, dir))
	m = openMeter(t, o)
	if past := m.Past("acme"); past.Known || past.Posted {
		t.Errorf("a ledger that is away: %+v", past)
	}
	l.set(func(l *modelLedger) { l.before = nil })
	eventually(t, "posted", func() bool { return m.Past("acme").Posted })
	call(t, m, 3, "acme")
	if past := m.Past("acme"); !past.Known || past.Lost {
		t.Errorf("a ledger that lost nothing: %+v", past)
	}
	if err := m.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.set(func(l *modelLedger) { l.state = newModelLedger().state })
	m = begin()
	if past := m.Past("acme"); !past.Known || !past.Lost || m.Past("other").Lost {
		t.Errorf("a ledger that lost all: %+v", past)
	}
	closeMeter(t, m)
}

// TestOlderEpochs: a journal of the time when a writer was several processes in
// turn is posted under the last epoch of each.
func TestOlderEpochs(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	l.before = func(int) error { return errAway }
	m := openMeter(t, o)
	old := journal.Identity{Writer: "abcdefghijklmnop", Epoch: 65537}
	for id := range 2 {
		old.Epoch += 65536
		if err := m.log.WriteAs(old); err != nil {
			t.Fatal(err)
		}
		call(t, m, id, "acme")
	}
	o.Disk = journal.Dir(kill(t, m, dir))
	l.before = nil
	l.state.epoch[old.Writer] = old.Epoch
	m = openMeter(t, o)
	var before []ledger.Predecessor
	eventually(t, "posted", func() (posted bool) {
		before, posted = m.Predecessors()
		return posted
	})
	before = slices.DeleteFunc(before, func(p ledger.Predecessor) bool { return p.Writer != old.Writer })
	if len(before) != 1 || before[0].Identity != old {
		t.Errorf("predecessors %v", before)
	}
	closeMeter(t, m)
	if n := sumOf(l.rows()).Legs; n != 2 {
		t.Errorf("%d legs, want 2", n)
	}
}
