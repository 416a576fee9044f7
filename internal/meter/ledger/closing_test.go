package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

func TestClosingText(t *testing.T) {
	through := time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC)
	c := Closing{Month: "2026-10", Zone: "Europe/Berlin", Through: through, UpTo: map[string]uint64{"b": 7, "a": 12}}
	if got := c.String(); got != "2026-10 Europe/Berlin a=12 b=7" {
		t.Error(got)
	}
	back, err := ParseClosing(through, c.String())
	if diff := cmp.Diff(c, back); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, bad := range []string{"", "2026-10", "October UTC", "2026-10 UTC a", "2026-10 UTC =1", "2026-10 UTC a=-1"} {
		if _, err := ParseClosing(through, bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// TestLateRecordsCorrect: what comes behind the numbers of a closing is a correction in the first month that is open
// for it; what was there before stays, however often it is posted again.
func TestLateRecordsCorrect(t *testing.T) {
	november, december := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	var closed Closings
	closed = closed.With(Closing{Month: "2026-11", Zone: "UTC", Through: december, UpTo: map[string]uint64{"w": 8}})
	closed = closed.With(Closing{Month: "2026-10", Zone: "UTC", Through: november, UpTo: map[string]uint64{"w": 5}})
	f := func(writer string, seq uint64, hour, want time.Time, corrects string) {
		t.Helper()
		key := record.RowKey{Hour: hour, Tenant: "acme"}
		got := closed.place(&Batch{Writer: writer}, seq, key)
		if diff := cmp.Diff(record.RowKey{Hour: want, Tenant: "acme", Corrects: corrects}, got); diff != "" {
			t.Errorf("%s %d of %s\n%s", writer, seq, hour, diff)
		}
		if once, twice := closed.Origin(got), closed.Origin(key); once != twice {
			t.Errorf("%s %d of %s is of %v or %v", writer, seq, hour, once, twice)
		}
	}
	october := november.Add(-time.Hour)
	f("w", 5, october, october, "")
	f("w", 6, october, november, "2026-10")
	f("w", 8, october, november, "2026-10")
	f("w", 9, october, december, "2026-10") // November was closed, too
	f("w", 8, november, november, "")
	f("w", 9, november, december, "2026-11")
	f("other", 1, october, december, "2026-10")
	f("other", 1, december, december, "")
	totals := &Batch{Totals: true, Writer: "other"}
	if closed.place(totals, 0, record.RowKey{Hour: october}).Corrects != "" {
		t.Error("sums of a checkpoint moved")
	}
}
