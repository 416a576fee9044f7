package meter

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
)

// TestLongOutage: a ledger that is away for the calls of an hour at 500 a
// second costs disk, not memory, and has everything afterwards. The hour is
// shortened: its calls are made as fast as the disk takes them, and without
// SLUICE_LONG=1 one in a hundred of its 1.8 million.
func TestLongOutage(t *testing.T) {
	calls := 3600 * 500
	if os.Getenv("SLUICE_LONG") == "" {
		calls /= 100
	}
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	o.Journal.Fsync, o.Journal.SegmentBytes = journal.FsyncOS, 1<<20
	o.Heartbeat, o.Keep = 50*time.Millisecond, time.Nanosecond
	m := openMeter(t, o)
	call(t, m, 0, "root0")
	eventually(t, "posted", func() bool { return m.Status().Backlog == 0 })
	l.set(func(l *modelLedger) { l.before = func(int) error { return errAway } })
	early := uint64(0)
	for id := 1; id <= calls; id++ {
		call(t, m, id, fmt.Sprintf("root%d", id%10))
		if id == calls/10 {
			early = heap()
		}
	}
	late := heap()
	t.Logf("heap %d KiB after %d calls, %d KiB after %d; backlog %d", early>>10, calls/10, late>>10, calls,
		m.Status().Backlog)
	const each = 200 // bytes, fewer than a call in memory would have
	if late > early+min(16<<20, uint64(calls)*each) {
		t.Errorf("heap grew from %d to %d KiB", early>>10, late>>10)
	}
	if got := m.Status(); got.Backlog != uint64(calls) || got.LedgerErr == nil {
		t.Errorf("status %+v", got)
	}
	l.set(func(l *modelLedger) { l.before = nil })
	began := l.count()
	closeMeter(t, m)
	t.Logf("caught up with %d ledger calls", l.count()-began)
	if n := sumOf(l.rows()).Legs; n != int64(calls)+1 {
		t.Errorf("%d legs, want %d", n, calls+1)
	}
	wantSame(t, l, journal.Dir(dir))
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func (m *modelLedger) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}
