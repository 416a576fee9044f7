package meter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// abandon stops a meter without letting it post or sync anything more.
func abandon(m *Meter, d faultDisk) {
	d.set(func(s *diskState) {
		s.lies = true
		s.fail = func(op, _ string) error {
			if op == "write" || op == "create" {
				return errBadDisk
			}
			return nil
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.Close(ctx)
}

// TestPowerLoss: the machine dies with a tail that was not synced. What the
// tail held is gone, or unknown; the ledger has nothing that the journal has
// not.
func TestPowerLoss(t *testing.T) {
	for _, setting := range []journal.Fsync{journal.FsyncGroup, journal.FsyncAlways} {
		l, d := newModelLedger(), newFaultDisk(t.TempDir())
		o := testOptions(t, "", l)
		o.Disk, o.Journal.Fsync, o.Journal.SegmentBytes = d, setting, 3000
		if setting == journal.FsyncGroup {
			o.Journal.Every = time.Hour // only full segments are synced
		}
		m := openMeter(t, o)
		const calls = 100
		for id := range calls {
			call(t, m, id, "acme")
		}
		if err := m.Begin(newStart(calls, "acme")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "posted what is durable", func() bool {
			head, applied := m.Numbers("acme")
			return setting == journal.FsyncGroup && applied > 50 || applied == head && head == calls
		})
		time.Sleep(5 * time.Millisecond)
		dir := d.unplugged(t)
		abandon(m, d)
		o.Disk = journal.Dir(dir)
		m = openMeter(t, o)
		got := m.Recovered()
		if len(got.Gaps) > 0 || len(got.Damage) > 0 || got.Unknown > 1 || setting == journal.FsyncAlways && got.Unknown != 1 {
			t.Errorf("setting %d: recovered %+v", setting, got)
		}
		call(t, m, calls+1, "acme")
		closeMeter(t, m)
		wantSame(t, l, o.Disk)
		legs := sumOf(l.rows()).Legs
		if setting == journal.FsyncAlways && legs != calls+2 || setting == journal.FsyncGroup &&
			(legs >= calls+2 || legs < 50) {
			t.Errorf("setting %d: %d legs", setting, legs)
		}
	}
}

// TestLyingDisk: a disk that says synced and is not. The ledger is then ahead
// of the journal: the gateway says so and never uses a number again.
func TestLyingDisk(t *testing.T) {
	l, d := newModelLedger(), newFaultDisk(t.TempDir())
	o := testOptions(t, "", l)
	o.Disk = d
	m := openMeter(t, o)
	for id := range 10 {
		call(t, m, id, "acme")
	}
	eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
	d.set(func(s *diskState) { s.lies = true })
	for id := range 10 {
		call(t, m, 10+id, "acme")
	}
	eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
	dir := d.unplugged(t)
	abandon(m, d)
	o.Disk = journal.Dir(dir)
	m = openMeter(t, o)
	got := m.Recovered()
	if len(got.Gaps) != 1 || got.Gaps[0].Applied != 20 || got.Gaps[0].Journal < 10 || got.Gaps[0].Journal >= 20 {
		t.Errorf("recovered %+v", got)
	}
	call(t, m, 20, "acme")
	closeMeter(t, m)
	if n := sumOf(l.rows()); n.Legs != 21+n.Unknown {
		t.Errorf("%+v", n)
	}
}

// TestDiskFaults: whatever the disk does, new calls are refused with a typed
// error, ends are kept, and afterwards the books are whole.
func TestDiskFaults(t *testing.T) {
	for name, fault := range map[string]func(*diskState){
		"full":         func(s *diskState) { s.room = 0 },
		"nearly full":  func(s *diskState) { s.room = 700 },
		"EIO on write": func(s *diskState) { s.fail = always("write", errBadDisk) },
		"EIO on fsync": func(s *diskState) { s.fail = always("sync", errBadDisk) },
		"read-only": func(s *diskState) {
			s.fail = func(op, _ string) error {
				if op == "sync" {
					return nil
				}
				return errReadOnly
			}
		},
	} {
		for _, setting := range []journal.Fsync{journal.FsyncGroup, journal.FsyncAlways, journal.FsyncOS} {
			t.Run(fmt.Sprintf("%s/%d", name, setting), func(t *testing.T) { testDiskFault(t, setting, fault) })
		}
	}
}

func testDiskFault(t *testing.T, setting journal.Fsync, fault func(*diskState)) {
	l, d := newModelLedger(), newFaultDisk(t.TempDir())
	o := testOptions(t, "", l)
	o.Disk, o.Journal.Fsync, o.Journal.HealEvery = d, setting, 5*time.Millisecond
	m := openMeter(t, o)
	var open []*record.Start
	for id := range 20 {
		s := newStart(id, "acme")
		if err := m.Begin(s); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	d.set(fault)
	refused := 0
	for id := range 10 {
		s := newStart(100+id, "acme")
		var r *journal.RefusedError
		switch err := m.Begin(s); {
		case err == nil:
			open = append(open, s) // not noticed yet
		case errors.As(err, &r):
			refused++
		default:
			t.Errorf("begin: %v", err)
		}
	}
	if setting == journal.FsyncAlways && refused == 0 {
		t.Error("nothing refused")
	}
	for _, s := range open[:10] {
		_ = m.End(s, newEnd(s, 1, 1), testPrices, &record.Booked{}) // may wait in memory: an error says so
	}
	d.set(func(s *diskState) { s.fail, s.room = nil, -1 })
	eventually(t, "healed", func() bool { s := m.Status(); return s.Fault == nil && s.Late == 0 })
	for _, s := range open[10:] {
		if err := m.End(s, newEnd(s, 1, 1), testPrices, &record.Booked{}); err != nil {
			t.Error(err)
		}
	}
	closeMeter(t, m)
	if got := sumOf(l.rows()); got.Requests != int64(len(open)) || got.Unknown != 0 {
		t.Errorf("%d open, %d refused: %+v", len(open), refused, got)
	}
	wantSame(t, l, d.Dir)
}

// TestTornTail cuts the last record at every byte: it is an END, so its attempt
// becomes unknown, and all before it stay.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	l := newModelLedger()
	l.before = func(int) error { return errAway }
	m := openMeter(t, testOptions(t, dir, l))
	call(t, m, 1, "acme")
	before := m.log.Written()
	s := newStart(2, "acme")
	if err := m.Begin(s); err != nil {
		t.Fatal(err)
	}
	starts := m.log.Written()
	if err := m.End(s, newEnd(s, 3, 4), testPrices, &record.Booked{}); err != nil {
		t.Fatal(err)
	}
	end := m.log.Written()
	dir = kill(t, m, dir)
	for cut := before.Offset; cut <= end.Offset; cut++ {
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(to, fmt.Sprintf("%020d.seg", end.Segment)), cut); err != nil {
			t.Fatal(err)
		}
		want := record.Counters{Requests: 1, Legs: 1, Input: 10, Output: 5, CostInput: 600_000, CostOutput: 1_200_000}
		unknown, torn := 0, cut-before.Offset
		if cut >= starts.Offset {
			unknown, torn = 1, cut-starts.Offset
			want.Legs, want.Unknown, want.SuspenseTokens, want.Suspense = 2, 1, 150, 18_000_000
		}
		if cut == end.Offset {
			unknown, torn = 0, 0
			want = record.Counters{Requests: 2, Legs: 2, Input: 13, Output: 9, CostInput: 780_000, CostOutput: 2_160_000}
		}
		l := newModelLedger()
		m := openMeter(t, testOptions(t, to, l))
		if got := m.Recovered(); got.Unknown != unknown || got.TornBytes != torn || len(got.Damage) > 0 {
			t.Errorf("cut at %d: recovered %+v", cut, got)
		}
		closeMeter(t, m)
		if diff := cmp.Diff(want, sumOf(l.rows())); diff != "" {
			t.Errorf("cut at %d:\n%s", cut, diff)
		}
		wantSame(t, l, journal.Dir(to))
	}
}
