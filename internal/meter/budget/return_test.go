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

// TestRootsWithoutRequests: only roots with requests are looked after, however many
// have budgets, and all are retired at the end.
func TestRootsWithoutRequests(t *testing.T) {
	store := &retirements{}
	d := New(Options{Leaser: store, Writer: "w", Epoch: 2, Roots: []string{"acme", "other"}})
	if n := len(d.all()); n != 0 {
		t.Errorf("%d roots are looked after before any request", n)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(store.roots) != 2 {
		t.Errorf("retired in %v", store.roots)
	}
}

// retirements notes the roots in which a writer retires.
type retirements struct {
	ledger.Leaser
	roots []string
}

func (s *retirements) Renew(_ context.Context, r *ledger.RenewRequest) (*ledger.RenewReply, error) {
	if r.Retire {
		s.roots = append(s.roots, r.Root)
	}
	return &ledger.RenewReply{}, nil
}
