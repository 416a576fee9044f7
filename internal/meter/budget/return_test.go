package budget

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
)

// TestReturnAfterCrash: a writer that died with a slice comes back, serves
// nobody of that root, and ends. Its slice must not stay in suspense.
func TestReturnAfterCrash(t *testing.T) {
	ledger := &embedded.State{}
	start := time.Now().UTC().Truncate(time.Hour)
	window := meter.Window{Tenant: "acme", Unit: meter.UnitUSD, Period: "hour", Start: start, End: start.Add(time.Hour)}
	if _, err := ledger.Grant(context.Background(), &meter.GrantRequest{
		Writer: "w", Epoch: 1, Root: "acme", Term: time.Minute,
		Wants: []meter.Want{{Account: meter.Account{Window: window}, Limit: 1000, Min: 10, Ask: 100}},
	}); err != nil {
		t.Fatal(err)
	}
	d := New(Options{Lender: ledger, Writer: "w", Epoch: 2, Roots: []string{"acme"}})
	closeDesk(t, d)
	books, err := ledger.Windows(context.Background(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range books {
		if b.Held != 0 || b.Suspense != 0 {
			t.Errorf("%+v", b)
		}
	}
}
