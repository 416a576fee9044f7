package serving

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// TestBudgetsGoByTheLedgersTime: what the page says of budgets is of the period that the
// limiter counts in, also where this machine's clock is behind.
func TestBudgetsGoByTheLedgersTime(t *testing.T) {
	cfg := &config.Config{Tenants: []config.Tenant{{
		ID: "acme", Budgets: []config.Budget{{Period: "month", USD: money.Dollar, OnExceed: "reject"}},
	}}}
	policies, err := budget.Compile(cfg.Tenants)
	if err != nil {
		t.Fatal(err)
	}
	tenants, _ := tenant.Build(cfg, nil)
	now := func() time.Time { return time.Date(2026, 11, 30, 23, 50, 0, 0, time.UTC) }
	a := &app{accounts: &accounts{accountsOptions: accountsOptions{now: now}, store: store{ledger: &embedded.State{}}}}
	a.snapshots.Use(&snapshot.Snapshot{Budgets: policies, Tenants: tenants})
	a.accounts.health.behind = 20 * time.Minute
	all, err := a.budgets(t.Context(), "acme")
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if want := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC); !all[0].End.Equal(want) {
		t.Errorf("the period ends at %s, want %s", all[0].End, want)
	}
}
