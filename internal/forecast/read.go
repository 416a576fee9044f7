package forecast

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Ledger is what states are read from. Both ledgers are one.
type Ledger interface {
	budget.Books
	// Counts returns what the ledger has of windows, each at zero when it has nothing.
	Counts(ctx context.Context, of []record.Window) (map[record.Window]ledger.WindowState, error)
}

// Source is where states are read: the budgets, and the ledger that counts them.
type Source struct {
	Policies *budget.Policies
	Keys     *keys.State // nil: no key has a budget of its own
	Ledger   Ledger
	// HeldKnown is whether the ledger has what is held: see State.
	HeldKnown bool
	// Late is whether to look for what new budgets do not count yet. A gateway need not:
	// it posts that itself.
	Late bool
}

// Read reads the states of all budgets below a tenant, "" for all: those first that run
// out first. It fails with what reading the ledger fails with.
func (s *Source) Read(ctx context.Context, below string, now time.Time) ([]State, error) {
	b := &Book{HeldKnown: s.HeldKnown}
	for _, of := range s.Policies.Standings(s.Keys, now) {
		if below == "" || record.Within(of.Window.Tenant, below) {
			b.Standings = append(b.Standings, of)
		}
	}
	if len(b.Standings) == 0 {
		return nil, nil
	}
	b.History = s.NewHistory(b.Standings, now)
	from, to := b.History.Range()
	if err := s.Ledger.Rows(ctx, from, to, b.History.Add); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	if s.Late {
		arrears, err := s.Policies.Arrears(ctx, s.Ledger, s.Keys, roots(b.Standings), now)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger: %w", err)
		}
		b.Arrears = make(map[record.Window]int64, len(arrears))
		for i := range arrears {
			b.Arrears[arrears[i].Window] = arrears[i].Nanos
		}
	}
	var err error
	if b.Windows, err = s.Ledger.Counts(ctx, windows(b.Standings)); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return b.States(now), nil
}

// windows are those of budgets.
func windows(of []budget.Standing) []record.Window {
	all := make([]record.Window, len(of))
	for i := range of {
		all[i] = of[i].Window
	}
	return all
}

// NewHistory is an empty history of budgets.
func (s *Source) NewHistory(of []budget.Standing, now time.Time) *History {
	return NewHistory(windows(of), s.Policies.Bearers, s.family(of), now)
}

// family is the line that a key is of, for lines that have budgets.
func (s *Source) family(of []budget.Standing) map[string]string {
	lines := map[string]bool{} // of keys that have budgets
	for i := range of {
		lines[of[i].Key] = true
	}
	family := map[string]string{}
	if s.Keys != nil {
		for id, k := range s.Keys.Keys {
			if k.Family != "" && lines[k.Family] {
				family[id] = k.Family
			}
		}
	}
	return family
}

// roots are the root tenants of budgets.
func roots(of []budget.Standing) map[string]bool {
	all := map[string]bool{}
	for i := range of {
		all[record.RootOf(of[i].Window.Tenant)] = true
	}
	return all
}
