package meter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestHeartbeatFindsLossOfRetired: a ledger that loses everything while a
// gateway runs gets the records of writers that have left as well.
func TestHeartbeatFindsLossOfRetired(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	o.Now, o.Heartbeat = time.Now, 5*time.Millisecond
	for round := range 40 {
		m := openMeter(t, o)
		call(t, m, round, "acme")
		if err := m.Retire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	m := openMeter(t, o)
	eventually(t, "placed", func() bool { return m.Status().Backlog == 0 })
	time.Sleep(20 * time.Millisecond)
	l.set(func(l *modelLedger) { l.state = newModelLedger().state })
	eventually(t, "healed", func() bool { return sumOf(l.rows()).Legs == 40 })
	closeMeter(t, m)
	wantSame(t, l, journal.Dir(dir))
}

// TestCheckpoint: applied segments go after a checkpoint, which rebuilds a
// ledger that has lost everything.
func TestCheckpoint(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	o.Journal.SegmentBytes = 4000
	o.Now, o.Keep = time.Now, time.Nanosecond
	m := openMeter(t, o)
	if err := m.Begin(newStart(9999, "acme")); err != nil { // stays open over the checkpoint
		t.Fatal(err)
	}
	id := 0
	round := func() {
		for range 300 {
			id++
			call(t, m, id, fmt.Sprintf("root%d", id%3))
		}
		eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
	}
	round()
	eventually(t, "old segments removed", func() bool { return segmentsOf(t, dir)[0] > 5 })
	wantSame(t, l, journal.Dir(dir))
	round()
	dir = kill(t, m, dir)
	l.set(func(l *modelLedger) { l.state = newModelLedger().state })
	o.Disk = journal.Dir(dir)
	m = openMeter(t, o)
	if got := m.Recovered(); got.Unknown != 1 || len(got.Damage) > 0 || got.Lost > 0 {
		t.Errorf("recovered %+v", got)
	}
	round()
	closeMeter(t, m)
	if got := sumOf(l.rows()); got.Legs != int64(id+1) || got.Unknown != 1 {
		t.Errorf("%+v, want %d legs", got, id+1)
	}
	wantSame(t, l, journal.Dir(dir))
}

// TestOldDataDir: a journal restored from an older copy must not give out the
// numbers that the ledger has already seen.
func TestOldDataDir(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	call(t, m, 1, "acme")
	eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
	old := copied(t, dir)
	_, id := m.Journal()
	call(t, m, 2, "acme")
	closeMeter(t, m)
	m = openMeter(t, testOptions(t, old, l))
	got := m.Recovered()
	if want := []Gap{{id.Writer, "acme", 1, 2}}; !cmp.Equal(got.Gaps, want) {
		t.Errorf("recovered %+v", got)
	}
	call(t, m, 3, "acme")
	closeMeter(t, m)
	if n := sumOf(l.rows()).Legs; n != 3 {
		t.Errorf("%d legs, want 3", n)
	}
}

func TestLedgerAwayAtStart(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	call(t, m, 1, "acme")
	l.set(func(l *modelLedger) { l.before = func(int) error { return errAway } })
	call(t, m, 2, "acme")
	dir = kill(t, m, dir)
	m = openMeter(t, testOptions(t, dir, l))
	call(t, m, 3, "acme")
	l.set(func(l *modelLedger) { l.before = nil })
	closeMeter(t, m)
	if n := sumOf(l.rows()).Legs; n != 3 {
		t.Errorf("%d legs, want 3", n)
	}
	wantSame(t, l, journal.Dir(dir))
}

func TestFenced(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	call(t, m, 1, "acme")
	eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
	_, id := m.Journal()
	l.set(func(l *modelLedger) { l.state.epoch[id.Writer] = 1 << 50 })
	call(t, m, 2, "acme")
	eventually(t, "fenced", func() bool { return m.Status().Fenced })
	closeMeter(t, m)
	m = openMeter(t, testOptions(t, dir, l))
	call(t, m, 3, "acme")
	closeMeter(t, m)
	if n := sumOf(l.rows()).Legs; n != 2 {
		t.Errorf("%d legs, want 2", n)
	}
}

func TestBadBatchStopsOneRoot(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	m := openMeter(t, testOptions(t, dir, l))
	s := newStart(1, "bad")
	s.Hold = money.Pico(1<<63 - 1) // more than a ledger stores
	if err := m.Begin(s); err != nil {
		t.Fatal(err)
	}
	e := newEnd(s, 1, 1)
	e.Outcome, e.Usage = record.Unknown, wire.Usage{} // so that the whole hold is suspense
	if err := m.End(s, e, testPrices, &record.Booked{}); err != nil {
		t.Fatal(err)
	}
	call(t, m, 2, "good")
	eventually(t, "good posted", func() bool { return sumOf(l.rows()).Legs == 1 })
	eventually(t, "bad stopped", func() bool { return errors.Is(m.Status().Stopped["bad"], ledger.ErrBadBatch) })
	closeMeter(t, m)
}

// TestDamage: the records around a damaged one are posted, and it is counted.
func TestDamage(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	l.before = func(int) error { return errAway }
	m := openMeter(t, o)
	for i := range 10 {
		call(t, m, i, "acme")
	}
	dir = kill(t, m, dir)
	name := filepath.Join(dir, fmt.Sprintf("%020d.seg", 1))
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x10
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l.set(func(l *modelLedger) { l.before = nil })
	o.Disk = journal.Dir(dir)
	m = openMeter(t, o)
	if got := m.Recovered(); len(got.Damage) != 1 {
		t.Errorf("recovered %+v", got)
	}
	closeMeter(t, m)
	got := sumOf(l.rows())
	if got.Requests < 9 || got.Requests+min(got.Unknown, 1) != 10 {
		t.Errorf("%+v", got)
	}
	wantSame(t, l, journal.Dir(dir))
}
