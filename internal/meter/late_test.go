package meter

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// TestLateEnds: ENDs that the disk does not take wait in memory and keep their
// numbers without holes.
func TestLateEnds(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	d := newFaultDisk(dir)
	set := func(err error) { d.set(func(s *diskState) { s.fail = always("write", err) }) }
	o := testOptions(t, dir, l)
	o.Disk = d
	o.Journal.HealEvery = 5 * time.Millisecond
	m := openMeter(t, o)
	var open []*record.Start
	for i := range 20 {
		s := newStart(i, "acme")
		if err := m.Begin(s); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	set(errors.New("disk does not write"))
	for _, s := range open[:10] {
		if err := m.End(s, newEnd(s, 1, 1), testPrices, &record.Booked{}); err == nil {
			t.Error("no error")
		}
	}
	var refused *journal.RefusedError
	if err := m.Begin(newStart(99, "acme")); !errors.As(err, &refused) {
		t.Errorf("begin: %v", err)
	}
	if s := m.Status(); s.Fault == nil || s.Late == 0 {
		t.Errorf("status %+v", s)
	}
	set(nil)
	eventually(t, "healed", func() bool { return m.Status().Fault == nil })
	for _, s := range open[10:] {
		if err := m.End(s, newEnd(s, 1, 1), testPrices, &record.Booked{}); err != nil {
			t.Error(err)
		}
	}
	closeMeter(t, m)
	if got := sumOf(l.rows()); got.Requests != 20 || got.Unknown != 0 {
		t.Errorf("%+v", got)
	}
	wantSame(t, l, journal.Dir(dir))
}

// dayWindow is the day of testDay in a time zone with a half hour.
func dayWindow(tenant string, u record.Unit) record.Window {
	start := testDay.Truncate(24 * time.Hour).Add(-330 * time.Minute)
	return record.Window{Tenant: tenant, Unit: u, Period: "day", Start: start, End: start.Add(24 * time.Hour)}
}

func segmentsOf(t testing.TB, dir string) []uint64 {
	t.Helper()
	all, err := journal.Segments(journal.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	return all
}
