package views

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// everybody may see all tenants.
type everybody struct{}

func (everybody) Sees(string) bool { return true }
func (everybody) Home() string     { return "" }

// TestSpendWithCorrections: what came too late for a closed month has a row of its own in the
// ledger. The view adds it to what its tenant spent, once, in both of its tables.
func TestSpendWithCorrections(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	day := now.Truncate(aDay)
	ledger := source{counted{{
		{record.RowKey{Hour: day, Tenant: "acme"}, record.Counters{Requests: 3, Legs: 3, CostInput: 3e12}},
		{
			record.RowKey{Hour: day, Tenant: "acme", Corrects: "2026-10"},
			record.Counters{Requests: 1, Legs: 1, CostInput: 1e12},
		},
	}}}
	s := New(Sources{
		Ledger: ledger, Now: func() time.Time { return now }, Tenants: func() *tenant.Directory { return nil },
		Ahead:   func() forecast.Ahead { return forecast.Ahead{} },
		Budgets: func(context.Context, string) ([]forecast.State, error) { return nil, nil },
	})
	v, _, err := s.Make(context.Background(), "spend", everybody{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	days, spenders := v.Tables[1], v.Tables[2]
	if got := days.Rows[1]; got[1] != "4.00" || got[2] != "4.00" {
		t.Errorf("the day has %q, want 4.00 in all", got)
	}
	if len(spenders.Rows) != 1 || spenders.Rows[0][1] != "4" || spenders.Rows[0][4] != "4.00" {
		t.Errorf("spenders are %q, want one line of 4 requests for 4.00", spenders.Rows)
	}
}
