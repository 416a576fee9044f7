package meter

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// world is a meter, its ledger, and what must come out.
type world struct {
	t      *testing.T
	opts   Options
	dir    string
	ledger *modelLedger
	saved  modelState // an older state of the ledger
	meter  *Meter
	open   map[int]*record.Start
	next   int
	// want is what was told to End, unknown what was in flight at a crash.
	want    map[string]record.Counters
	budgets map[chargeKey]int64
	unknown int64
}

func (w *world) expect(s *record.Start, e *record.End) {
	p, _ := record.Derive(s, e, testPrices)
	w.want[s.Root], _ = w.want[s.Root].Plus(p.Add)
	addCharges(w.budgets, p.Charges)
}

func (w *world) begin(root string) {
	w.next++
	s := newStart(w.next, root)
	if err := w.meter.Begin(s); err != nil {
		w.t.Fatal(err)
	}
	w.open[w.next] = s
}

func (w *world) end(id int, in, out int64) {
	s := w.open[id]
	delete(w.open, id)
	e := newEnd(s, in, out)
	if err := w.meter.End(s, e, testPrices, &record.Booked{}); err != nil {
		w.t.Fatal(err)
	}
	w.expect(s, e)
}

// crash kills the process; what is in flight becomes unknown.
func (w *world) crash() {
	w.dir = kill(w.t, w.meter, w.dir)
	for _, s := range w.open {
		w.expect(s, &record.End{Outcome: record.Unknown, At: s.At})
		w.unknown++
	}
	w.open = map[int]*record.Start{}
	w.reopen()
}

func (w *world) reopen() {
	w.opts.Disk = journal.Dir(w.dir)
	w.meter = openMeter(w.t, w.opts)
}

// TestExactlyOnce: whatever the ledger, the network and the process do, in the
// end the ledger has each record once, the journal agrees, and nothing but what
// was in flight at a crash is unknown.
func TestExactlyOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "journal")
		if err != nil {
			t.Fatal(err)
		}
		l := newModelLedger()
		w := &world{
			t: t, dir: dir, ledger: l, saved: newModelLedger().state,
			opts: testOptions(t, dir, l), open: map[int]*record.Start{}, want: map[string]record.Counters{},
			budgets: map[chargeKey]int64{},
		}
		w.opts.Now = time.Now
		w.opts.Keep = time.Duration(rapid.SampledFrom([]int64{int64(time.Hour), 1}).Draw(r, "keep"))
		w.opts.Heartbeat = time.Duration(rapid.SampledFrom([]int64{int64(time.Hour), int64(time.Millisecond)}).Draw(r,
			"heartbeat"))
		w.opts.Journal.SegmentBytes = rapid.SampledFrom([]int64{500, 3000, 1 << 20}).Draw(r, "segment")
		w.opts.Journal.Fsync = rapid.SampledFrom([]journal.Fsync{journal.FsyncGroup, journal.FsyncOS,
			journal.FsyncAlways}).Draw(r, "fsync")
		w.reopen()
		for range rapid.IntRange(5, 40).Draw(r, "steps") {
			w.step(r)
		}
		w.finish(r)
	})
}

func (w *world) step(r *rapid.T) {
	switch rapid.IntRange(0, 10).Draw(r, "step") {
	case 0, 1, 2:
		for range rapid.IntRange(1, 10).Draw(r, "calls") {
			w.begin(fmt.Sprintf("root%d", rapid.IntRange(0, 2).Draw(r, "root")))
		}
	case 3, 4, 5:
		for id := range w.open {
			w.end(id, rapid.Int64Range(0, 1000).Draw(r, "in"), 3)
		}
	case 6:
		w.crash()
	case 7: // the ledger loses calls and replies
		k := rapid.IntRange(2, 5).Draw(r, "fault")
		fault := func(call int) error {
			if call%k == 0 {
				return errAway
			}
			return nil
		}
		w.ledger.set(func(l *modelLedger) {
			if k%2 == 0 {
				l.before, l.after = fault, nil
			} else {
				l.before, l.after = nil, fault
			}
		})
	case 8: // remember, or wait until all is posted
		w.ledger.set(func(l *modelLedger) { w.saved = l.state.clone() })
		time.Sleep(3 * time.Millisecond)
	case 10: // the process ends in order
		w.ledger.set(func(l *modelLedger) { l.before, l.after = nil, nil })
		for id := range w.open {
			w.end(id, 1, 1)
		}
		if err := w.meter.Retire(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.reopen()
	case 9: // a failover that forgets; all of it, or back to what was saved
		forget := rapid.Bool().Draw(r, "all")
		w.ledger.set(func(l *modelLedger) {
			if forget || w.opts.Keep == 1 { // an old state needs the segments since
				w.saved = newModelLedger().state
			}
			l.state = w.saved.clone()
		})
	}
}

func (w *world) finish(r *rapid.T) {
	w.ledger.set(func(l *modelLedger) { l.before, l.after = nil, nil })
	for id := range w.open {
		w.end(id, 1, 1)
	}
	// Old writers' partitions are looked at when a process starts or at a heartbeat.
	closeMeter(w.t, w.meter)
	w.reopen()
	closeMeter(w.t, w.meter)
	got, gotUnknown := map[string]record.Counters{}, int64(0)
	for key, c := range w.ledger.rows() {
		root := record.RootOf(key.Tenant)
		got[root], _ = got[root].Plus(c)
		gotUnknown += c.Unknown
	}
	if diff := cmp.Diff(w.want, got); diff != "" {
		r.Fatalf("ledger (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(withoutZeros(w.budgets), w.ledger.budgets()); diff != "" {
		r.Fatalf("budgets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(replayedBudgets(w.t, journal.Dir(w.dir)), w.ledger.budgets()); diff != "" {
		r.Fatalf("budgets of journal and ledger (-journal +ledger):\n%s", diff)
	}
	if gotUnknown != w.unknown {
		r.Fatalf("%d unknown, want %d", gotUnknown, w.unknown)
	}
	if diff := cmp.Diff(replayed(w.t, journal.Dir(w.dir)), w.ledger.rows()); diff != "" {
		r.Fatalf("journal and ledger (-journal +ledger):\n%s", diff)
	}
}

// TestForgetfulLedgerIsNoticed shows that the property can fail: a ledger that
// loses its watermark alone counts twice.
func TestForgetfulLedgerIsNoticed(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	call(t, m, 1, "acme")
	eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
	l.set(func(l *modelLedger) { // the watermark is lost, the counters are not
		for k := range l.state.marks {
			l.state.marks[k] = 0
		}
	})
	closeMeter(t, m)
	m = openMeter(t, testOptions(t, dir, l))
	closeMeter(t, m)
	if cmp.Equal(replayed(t, journal.Dir(dir)), l.rows()) {
		t.Error("double counting went unnoticed")
	}
}
