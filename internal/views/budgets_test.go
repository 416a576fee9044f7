package views

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/forecast"
)

// TestBudgetsSayAsOfWhen: budgets are shown as they were read last, and said to be of then.
func TestBudgetsSayAsOfWhen(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	read := now.Add(-4 * time.Second)
	budgets := func(context.Context, string) ([]forecast.State, error) {
		return []forecast.State{{Tenant: "acme", AsOf: read}}, nil
	}
	s := New(Sources{Now: func() time.Time { return now }, Budgets: budgets})
	v, _, err := s.Make(context.Background(), "budgets", everybody{}, nil)
	if err != nil || !v.AsOf.Equal(read) {
		t.Errorf("as of %s, want %s, %v", v.AsOf, read, err)
	}
}
