package budget

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// TestReturnAfterCrash: a writer that died with a lease comes back, serves
// nobody of that root, and ends. Its lease must not stay in suspense.
func TestReturnAfterCrash(t *testing.T) {
	store := &embedded.State{}
	start := time.Now().UTC().Truncate(time.Hour)
	window := record.Window{Tenant: "acme", Unit: record.UnitUSD, Period: "hour", Start: start, End: start.Add(time.Hour)}
	if _, err := store.Grant(context.Background(), &ledger.GrantRequest{
		Writer: "w", Epoch: 1, Root: "acme", TTL: time.Minute,
		Wants: []ledger.Want{{Account: ledger.Account{Window: window}, Limit: 1000, Min: 10, Ask: 100}},
	}); err != nil {
		t.Fatal(err)
	}
	d := New(Options{Leaser: store, Writer: "w", Epoch: 2, Roots: []string{"acme"}})
	closeLimiter(t, d)
	books, err := store.Windows(context.Background(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range books {
		if b.Held != 0 || b.Suspense != 0 {
			t.Errorf("%+v", b)
		}
	}
}
