package embedded_test

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/audit"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// TestCorrect: corrections count once however often they are read, also those
// that are made meanwhile.
func TestCorrect(t *testing.T) {
	dir := journal.Dir(t.TempDir())
	month := record.Window{
		Tenant: "acme", Unit: record.UnitUSD, Period: "month",
		Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
	}
	adjust := func(id string) {
		t.Helper()
		c, err := audit.OpenCorrections(t.Context(), meter.Options{Disk: dir, Ledger: &embedded.State{}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		made, err := c.Adjust(&record.Adjustment{
			ID: id, Root: "acme", Row: record.RowKey{Hour: month.Start, Tenant: "acme/app"}, Add: record.Counters{Input: -1},
			Charges: []record.Charge{{Window: month, Amount: -500}},
		})
		if !made || err != nil {
			t.Fatal(made, err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := &embedded.State{}
	want := func(posted int64) {
		t.Helper()
		for range 2 {
			if err := meter.EachCorrection(dir, func(writer string, p *record.Posting) error {
				return s.Correct(t.Context(), writer, p)
			}); err != nil {
				t.Fatal(err)
			}
		}
		books, err := s.Windows(t.Context(), "acme")
		if err != nil || len(books) != 1 || books[0].Window != month || books[0].Posted != posted {
			t.Errorf("%+v: %v, want %d posted", books, err, posted)
		}
	}
	adjust("one")
	want(-500)
	adjust("two")
	adjust("three")
	want(-1500)
}
