package budget

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Books are what a new budget's spending so far is read from: a ledger.
type Books interface {
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
	Windows(ctx context.Context, root string) ([]ledger.WindowBook, error)
}

// Arrears is what a window lacks of what its period's rows hold.
type Arrears struct {
	Window record.Window
	Nanos  int64 // dollars, in nano-dollars
}

// Arrears returns the windows of budgets of the roots that count less than the
// rows of their period, at a time: those of budgets that are newer than that
// spending, and of tenants that had another name (see config.Tenant.RenamedFrom).
// A budget that was there all the time has none: it counts every row, rounded up.
// Budgets of a minute are left out. It fails with what reading fails with.
//
// Rows are read before windows, so that what is posted meanwhile is at worst
// missing and never counted twice.
func (p *Policies) Arrears(ctx context.Context, books Books, roots map[string]bool, now time.Time) ([]Arrears, error) {
	spent, from, to := p.periods(roots, now)
	if len(spent) == 0 {
		return nil, nil
	}
	err := books.Rows(ctx, from, to, func(key record.RowKey, c record.Counters) error {
		p.count(spent, &key, &c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	counted := map[record.Window]int64{}
	for root := range roots {
		windows, err := books.Windows(ctx, root)
		if err != nil {
			return nil, err
		}
		for i := range windows {
			counted[windows[i].UTC()] = windows[i].Posted + windows[i].Suspense
		}
	}
	var all []Arrears
	for _, windows := range spent {
		for _, s := range windows {
			pico, ok := s.cost.Pico()
			has := counted[s.window.UTC()]
			lacks := int64(pico)/picoPerNano - has
			if edges, _ := s.edges.Pico(); !ok || lacks <= 0 || has > 0 && lacks <= int64(edges)/picoPerNano {
				continue
			}
			all = append(all, Arrears{s.window, min(lacks, record.MaxValue)})
		}
	}
	return all, nil
}

// period is a window and what its rows cost, and those of its first and last hour:
// a call that began before the window is in its rows and was charged to the one
// before, and where a clock was set back, to the one after.
type period struct {
	window      record.Window
	cost, edges money.Total
}

// periods are the windows of the roots' budgets, by tenant, and the times that
// they are in.
func (p *Policies) periods(roots map[string]bool, now time.Time) (all map[string][]*period, from, to time.Time) {
	all = map[string][]*period{}
	p.eachBudget(func(root string, l *limit) {
		if !roots[root] || l.period == periodMinute {
			return
		}
		w := l.windowOf(now)
		all[l.tenant] = append(all[l.tenant], &period{window: w})
		if from.IsZero() || w.Start.Before(from) {
			from = w.Start
		}
		if w.End.After(to) {
			to = w.End
		}
	})
	return all, from, to
}

// eachBudget calls do with every budget of the configuration, at the tenant whose it is.
// Those of other gateways' files are for these gateways to look after.
func (p *Policies) eachBudget(do func(root string, l *limit)) {
	for i := range p.tenants {
		t := &p.tenants[i]
		if len(t.Budgets) == 0 {
			continue
		}
		own := p.limitsOf(t)
		for k := range own {
			if own[k].unit == record.UnitUSD {
				do(record.RootOf(t.ID), &own[k])
			}
		}
	}
}

// count adds a row to the windows of its tenant and those above it, by its name
// then and by its name now.
func (p *Policies) count(spent map[string][]*period, key *record.RowKey, c *record.Counters) {
	seen := map[string]bool{}
	for _, name := range [...]string{key.Tenant, p.renamed(key.Tenant)} {
		for _, tenant := range lineage(name) {
			if seen[tenant] {
				continue
			}
			seen[tenant] = true
			for _, s := range spent[tenant] {
				if key.Hour.Before(s.window.Start) || !key.Hour.Before(s.window.End) {
					continue
				}
				s.add(c, key.Hour.Before(s.window.Start.Add(time.Hour)) || !key.Hour.Before(s.window.End.Add(-time.Hour)))
			}
		}
	}
}

func (s *period) add(c *record.Counters, edge bool) {
	for _, class := range c.CostClasses() {
		s.cost.Add(class)
		if edge {
			s.edges.Add(class)
		}
	}
}

// renamed is the name that a tenant has by now.
func (p *Policies) renamed(tenant string) string {
	for _, old := range lineage(tenant) {
		if now, ok := p.renames[old]; ok {
			return now + strings.TrimPrefix(tenant, old)
		}
	}
	return tenant
}

// Marks are short names of the budgets of each root that has any, without their
// amounts: another one means that there are other windows to count in.
func (p *Policies) Marks() map[string]string {
	names := map[string][]string{}
	p.eachBudget(func(root string, l *limit) {
		names[root] = append(names[root], fmt.Sprintf("%+v", l.limitKey))
	})
	for old, now := range p.renames {
		if root := record.RootOf(now); names[root] != nil {
			names[root] = append(names[root], old+" "+now)
		}
	}
	marks := make(map[string]string, len(names))
	for root, all := range names {
		slices.Sort(all)
		sum := sha256.Sum256([]byte(strings.Join(all, "\n")))
		marks[root] = hex.EncodeToString(sum[:8])
	}
	return marks
}

// Charge is the correction that makes the window count what it lacks. A writer
// that has leased of the window does not pay for it out of its leases: that is
// what the pair of charges says (see ledger.Batch.WindowSums).
func (a *Arrears) Charge(id string, at time.Time) *record.Adjustment {
	return &record.Adjustment{
		ID: id, Actor: "gateway", Reason: "spent in the period before the budget counted it", At: at,
		Root: record.RootOf(a.Window.Tenant), Row: record.RowKey{Hour: at.UTC().Truncate(time.Hour), Tenant: a.Window.Tenant},
		Charges: []record.Charge{{Window: a.Window, Amount: a.Nanos + 1}, {Window: a.Window, Amount: -1}},
	}
}
