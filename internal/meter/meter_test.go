package meter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sumOf(rows map[record.RowKey]record.Counters) record.Counters {
	var sum record.Counters
	for _, c := range rows {
		sum, _ = sum.Plus(c)
	}
	return sum
}

func replayed(t testing.TB, disk journal.Disk) map[record.RowKey]record.Counters {
	t.Helper()
	all := map[record.RowKey]record.Counters{}
	if _, err := Replay(disk, func(_ string, p record.Posting) error {
		if p.Add == (record.Counters{}) {
			return nil
		}
		all[p.Row], _ = all[p.Row].Plus(p.Add)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

var testDay = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

var testPrices, _ = record.CompilePrices([]config.PriceBook{{Name: "test.yaml", Prices: []config.Price{{
	Models: []string{"light"}, Effective: testDay.AddDate(0, -1, 0),
	Rates: config.Rates{Input: 60_000 * 1_000_000, HasInput: true, Output: 240_000 * 1_000_000, HasOutput: true},
}}}})

func testOptions(t testing.TB, dir string, l ledger.Ledger) Options {
	return Options{
		Disk: journal.Dir(dir), Journal: journal.Options{Every: time.Millisecond, ReserveBytes: 4096},
		Ledger: l, Now: func() time.Time { return testDay },
		Flush: time.Millisecond, Heartbeat: time.Hour, MaxWait: 5 * time.Millisecond,
	}
}

func openMeter(t testing.TB, o Options) *Meter {
	t.Helper()
	m, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// patience is how long tests wait for what comes: never so long, except where it does not come.
const patience = 2 * time.Minute

func closeMeter(t testing.TB, m *Meter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// copied copies a directory as another process would find it.
func copied(t testing.TB, dir string) string {
	t.Helper()
	var to string
	eventually(t, "a copy of one moment", func() bool {
		to = t.TempDir()
		before, _ := journal.Dir(dir).List()
		err := os.CopyFS(to, os.DirFS(dir))
		after, _ := journal.Dir(dir).List()
		return err == nil && slices.Equal(before, after)
	})
	return to
}

// kill stops a process without letting it post, and returns its directory as the
// next one finds it.
func kill(t testing.TB, m *Meter, dir string) string {
	t.Helper()
	to := copied(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.Close(ctx)
	return to
}

func newStart(id int, root string) *record.Start {
	return &record.Start{
		ID: fmt.Sprintf("01TEST%020d", id), RequestID: "r", Root: root, Tenant: root + "/team", Key: "key",
		Op: wire.OpConverse, Model: "us.light", SKU: record.SKU{Model: "light", Scope: "geo"}, Path: "light",
		Attempt: 1, EstimatedInput: 100, MaxOutput: 50, Hold: 18_000_000, At: testDay,
		Charges: []record.Charge{
			{Window: dayWindow(root, record.UnitUSD), Amount: 18_000},
			{Window: dayWindow(root+"/team", record.UnitTokens), Amount: 150},
			{Window: record.Window{Tenant: root, Unit: record.UnitConcurrent}, Amount: 1},
		},
	}
}

func newEnd(s *record.Start, in, out int64) *record.End {
	return &record.End{
		ID: s.ID, Outcome: record.Completed, Status: 200, Served: true, At: testDay.Add(time.Minute),
		Usage: wire.Usage{Input: wire.Known(in), Output: wire.Known(out)},
	}
}

func call(t testing.TB, m *Meter, id int, root string) {
	t.Helper()
	s := newStart(id, root)
	if err := m.Begin(s); err != nil {
		t.Fatal(err)
	}
	if err := m.End(s, newEnd(s, 10, 5), testPrices, &record.Booked{}); err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

func wantSame(t testing.TB, l *modelLedger, disk journal.Disk) {
	t.Helper()
	if diff := cmp.Diff(replayed(t, disk), l.rows()); diff != "" {
		t.Errorf("journal and ledger differ (-journal +ledger):\n%s", diff)
	}
	if diff := cmp.Diff(replayedBudgets(t, disk), l.budgets()); diff != "" {
		t.Errorf("budgets of journal and ledger differ (-journal +ledger):\n%s", diff)
	}
}

func replayedBudgets(t testing.TB, disk journal.Disk) map[chargeKey]int64 {
	t.Helper()
	all := map[chargeKey]int64{}
	if _, err := Replay(disk, func(_ string, p record.Posting) error {
		addCharges(all, p.Charges)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return withoutZeros(all)
}

func TestBeginEnd(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	s := newStart(1, "acme")
	if err := m.Begin(s); err != nil {
		t.Fatal(err)
	}
	var b record.Booked
	err := m.End(s, newEnd(s, 10, 5), testPrices, &b)
	costs := b.Costs
	if want := (record.Costs{Input: 600_000, Output: 1_200_000}); costs != want || err != nil {
		t.Errorf("costs %+v, %v, want %+v", costs, err, want)
	}
	eventually(t, "posted while open", func() bool { return sumOf(l.rows()).Legs == 1 && m.Status().Backlog == 0 })
	wantSame(t, l, journal.Dir(dir))
	closeMeter(t, m)
	for key, c := range l.rows() {
		want := record.RowKey{
			Hour: testDay, Tenant: "acme/team", Key: "key", Model: "us.light", Scope: "geo", Path: "light",
			PriceVersion: "2026-10-20-" + key.PriceVersion[11:19] + "+region", Held: "1d-19800",
		}
		if key != want {
			t.Errorf("row %+v\nwant %+v", key, want)
		}
		if want := (record.Counters{Requests: 1, Legs: 1, Input: 10, Output: 5, CostInput: 600_000,
			CostOutput: 1_200_000}); c != want {
			t.Errorf("counters %+v", c)
		}
	}
}

func TestCrashMakesUnknown(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	call(t, m, 1, "acme")
	for i := 2; i <= 4; i++ {
		if err := m.Begin(newStart(i, "acme")); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Release(newStart(4, "acme")); err != nil {
		t.Fatal(err)
	}
	dir = kill(t, m, dir)
	m = openMeter(t, testOptions(t, dir, l))
	if got := m.Recovered(); got.Unknown != 2 || len(got.Gaps) > 0 {
		t.Errorf("recovered %+v", got)
	}
	closeMeter(t, m)
	got := sumOf(l.rows())
	want := record.Counters{
		Requests: 1, Legs: 3, Input: 10, Output: 5, CostInput: 600_000, CostOutput: 1_200_000,
		Unknown: 2, SuspenseTokens: 300, Suspense: 2 * (6_000_000 + 12_000_000),
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	m = openMeter(t, testOptions(t, dir, l)) // and only once
	if got := m.Recovered(); got.Unknown != 0 {
		t.Errorf("recovered again: %+v", got)
	}
	closeMeter(t, m)
	wantSame(t, l, journal.Dir(dir))
}

func TestLedgerAwayAndLostReplies(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	l.before = func(call int) error {
		if call < 20 || call%3 == 0 {
			return errAway
		}
		return nil
	}
	l.after = func(call int) error {
		if call%2 == 0 {
			return errAway
		}
		return nil
	}
	m := openMeter(t, testOptions(t, dir, l))
	for i := range 2000 {
		call(t, m, i, fmt.Sprintf("root%d", i%7))
	}
	closeMeter(t, m)
	if got := sumOf(l.rows()).Legs; got != 2000 {
		t.Errorf("%d legs, want 2000", got)
	}
	wantSame(t, l, journal.Dir(dir))
}

func TestCloseTellsWhatWaits(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	call(t, m, 1, "acme")
	l.set(func(l *modelLedger) { l.before = func(int) error { return errAway } })
	call(t, m, 2, "acme")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
}

// TestCloseBreaksOffCalls: a ledger that hangs does not hold up the end.
func TestCloseBreaksOffCalls(t *testing.T) {
	l := &hangingLedger{modelLedger: newModelLedger(), entered: make(chan struct{}, 1)}
	o := testOptions(t, t.TempDir(), l)
	o.Timeout = time.Hour
	m := openMeter(t, o)
	call(t, m, 1, "acme")
	<-l.entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
}

type hangingLedger struct {
	*modelLedger
	entered chan struct{}
}

func (l *hangingLedger) Apply(ctx context.Context, _ *ledger.Batch) (ledger.Reply, error) {
	select {
	case l.entered <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return ledger.Reply{}, ctx.Err()
}

// TestRegression: the ledger forgets acknowledged batches and gets them again.
func TestRegression(t *testing.T) {
	for _, all := range []bool{false, true} {
		dir, l := t.TempDir(), newModelLedger()
		o := testOptions(t, dir, l)
		o.Now = time.Now
		o.Heartbeat = 5 * time.Millisecond
		o.Journal.SegmentBytes = 4000
		m := openMeter(t, o)
		for i := range 100 {
			call(t, m, i, "acme")
		}
		eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
		old := newModelLedger().state
		if !all {
			l.set(func(l *modelLedger) { old = l.state.clone() })
		}
		for i := range 100 {
			call(t, m, 100+i, "acme")
		}
		eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
		l.set(func(l *modelLedger) { l.state = old })
		eventually(t, "healed", func() bool { return sumOf(l.rows()).Legs == 200 })
		if n := m.Status().Regressions; n < 1 {
			t.Errorf("%d regressions", n)
		}
		closeMeter(t, m)
		wantSame(t, l, journal.Dir(dir))
	}
}

// TestRetire: a writer that has left leaves nothing to post or to give back, and
// a ledger that loses it gets it again.
func TestRetire(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	writers := map[string]bool{}
	for round := range 5 {
		m := openMeter(t, o)
		_, id := m.Journal()
		writers[id.Writer] = true
		if got := m.Recovered(); len(got.Gaps) > 0 {
			t.Errorf("round %d: recovered %+v", round, got)
		}
		if before, posted := m.Predecessors(); posted && len(before) > 0 {
			t.Errorf("round %d: %v have left nothing", round, before)
		}
		call(t, m, round, "acme")
		if err := m.Retire(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantSame(t, l, journal.Dir(dir))
	}
	if len(writers) != 5 {
		t.Errorf("%d identities, want 5", len(writers))
	}
	l.set(func(l *modelLedger) { l.state = newModelLedger().state })
	closeMeter(t, openMeter(t, o))
	wantSame(t, l, journal.Dir(dir))
	if n := sumOf(l.rows()).Legs; n != 5 {
		t.Errorf("%d legs, want 5", n)
	}
}

// TestRetireNotBeforeAllIsPosted: a writer of which the ledger lacks something
// has not left, and the next process gives back for it when the ledger has it.
func TestRetireNotBeforeAllIsPosted(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	_, id := m.Journal()
	l.set(func(l *modelLedger) { l.before = func(int) error { return errAway } })
	call(t, m, 1, "acme")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Retire(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("retired: %v", err)
	}
	m = openMeter(t, testOptions(t, dir, l))
	if before, posted := m.Predecessors(); posted {
		t.Errorf("posted, and before it were %v", before)
	}
	l.set(func(l *modelLedger) { l.before = nil })
	want := []ledger.Predecessor{{Identity: id, Heads: map[string]uint64{"acme": 1}, Here: true}}
	eventually(t, "a predecessor", func() bool {
		before, posted := m.Predecessors()
		return posted && cmp.Equal(before, want)
	})
	if err := m.Settled(id.Writer); err != nil {
		t.Fatal(err)
	}
	if before, _ := m.Predecessors(); len(before) > 0 {
		t.Errorf("%v after it was settled", before)
	}
	closeMeter(t, m)
	wantSame(t, l, journal.Dir(dir))
	_, second := m.Journal()
	m = openMeter(t, testOptions(t, copied(t, dir), l))
	defer closeMeter(t, m)
	eventually(t, "a predecessor elsewhere", func() bool {
		before, posted := m.Predecessors()
		return posted && len(before) == 1 && before[0].Writer == second.Writer && !before[0].Here
	})
}
