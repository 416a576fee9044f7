package meter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// TestSuspendedOutlivesSegments: an unknown attempt can be resolved after its
// segment is gone, with its START and what was posted for it.
func TestSuspendedOutlivesSegments(t *testing.T) {
	dir, l := t.TempDir(), newModelLedger()
	o := testOptions(t, dir, l)
	o.Journal.SegmentBytes, o.Now, o.Keep = 4000, time.Now, time.Nanosecond
	m := openMeter(t, o)
	s := newStart(7, "acme")
	s.At = time.Now().UTC()
	if err := m.Begin(s); err != nil {
		t.Fatal(err)
	}
	if err := m.End(s, &record.End{ID: s.ID, AWSRequestID: "aws", At: s.At}, testPrices, &record.Booked{}); err != nil {
		t.Fatal(err)
	}
	read := func() []record.Suspended {
		t.Helper()
		all, err := ReadSuspended(journal.Dir(dir))
		if err != nil || len(all) != 1 {
			t.Fatalf("%d suspended, %v", len(all), err)
		}
		return all
	}
	early := read()
	posted := uint64(1)
	for ; segmentsOf(t, dir)[0] < 4; posted++ { // how many it takes is up to the machine
		call(t, m, 100+int(posted), "acme")
	}
	if diff := cmp.Diff(early, read()); diff != "" {
		t.Error(diff)
	}
	if got := early[0]; cmp.Diff(s, got.Start) != "" || got.Posting.Add.Unknown != 1 ||
		got.End.AWSRequestID != "aws" || got.Writer == "" {
		t.Errorf("%+v", got)
	}
	closeMeter(t, m)
	b, err := ReadSums(journal.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Heads[record.Partition{Writer: early[0].Writer, Root: "acme"}]; got != posted || b.Through == 0 ||
		len(b.Gaps) > 0 || b.Open > 0 {
		t.Errorf("head %d, want %d, through %d, gaps %v, %d open", got, posted, b.Through, b.Gaps, b.Open)
	}
	want := WindowSums{Suspense: 18_000}
	for w, sums := range b.Windows[record.Partition{Writer: early[0].Writer, Root: "acme"}] {
		if w.Unit == record.UnitUSD && (sums.Suspense != want.Suspense || sums.Posted == 0) {
			t.Errorf("%+v has %+v", w, sums)
		}
	}
}
