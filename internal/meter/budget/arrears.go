package budget

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
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
	Nanos  int64 // dollars, in nano-dollars; below zero: it counts that much twice
}

// Arrears returns the windows of the roots' budgets that do not count what they
// should, in the periods of these times: those of budgets that are newer than that
// spending, and of tenants that had another name (see config.Tenant.RenamedFrom).
// Those of keys are among them; nil keys have none. Budgets of a minute are left out.
// It fails with what reading fails with.
//
// A call counts in the window in which it was held, and one that the budget did not
// hold in the window of its row. Rows say which budgets held their calls, and what
// was counted late, so that a budget that was there all the time has no arrears, and
// another look at a new one finds none either.
//
// Rows of records of before version 4 do not say so. What the windows count of them
// is then the rest of what they count, and the rows of the first and last hour of a
// window that counts anything may belong to the one before or after it.
func (p *Policies) Arrears(
	ctx context.Context, books Books, of *keys.State, roots map[string]bool, times ...time.Time,
) ([]Arrears, error) {
	spent, from, to := p.periods(of, roots, times)
	if len(spent) == 0 {
		return nil, nil
	}
	keyed := p.namesOfKeys(of)
	err := books.Rows(ctx, from, to, func(key record.RowKey, c record.Counters) error {
		p.count(spent, keyed, &key, &c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	counted := map[record.Window]int64{}
	for root := range roots { // after the rows: what is posted meanwhile is at worst missing
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
			if lacks, ok := s.lacks(counted[s.window]); ok && lacks != 0 {
				all = append(all, Arrears{s.window, max(-record.MaxValue, min(lacks, record.MaxValue))})
			}
		}
	}
	return all, nil
}

// period is a window and what its rows say.
type period struct {
	window record.Window // in UTC
	// marks are what rows say that the budget held: see record.Window.Mark. They are
	// those of the window and its neighbours, which differ where clocks change.
	marks []string

	missed, held, late money.Total // calls that it did not hold, that it held, and what was counted late
	unmarked, edges    money.Total // of rows that do not say, and of those in the first and last hour
}

// periods are the windows of the roots' budgets, by tenant or name of a key, and the
// times that they are in.
func (p *Policies) periods(
	of *keys.State, roots map[string]bool, times []time.Time,
) (all map[string][]*period, from, to time.Time) {
	all = map[string][]*period{}
	p.eachBudget(of, func(root string, l *limit) {
		if !roots[root] || l.period == periodMinute {
			return
		}
		for _, at := range times {
			s := periodOf(l, at)
			same := func(other *period) bool { return other.window == s.window }
			if slices.ContainsFunc(all[l.tenant], same) {
				continue // zones may have one midnight
			}
			all[l.tenant] = append(all[l.tenant], s)
			if from.IsZero() || s.window.Start.Before(from) {
				from = s.window.Start
			}
			if s.window.End.After(to) {
				to = s.window.End
			}
		}
	})
	return all, from, to
}

func periodOf(l *limit, at time.Time) *period {
	w := l.windowOf(at).UTC()
	s := &period{window: w}
	for _, t := range [...]time.Time{w.Start, w.Start.Add(-1), w.End} {
		if mark := l.windowOf(t).OwnMark(); !slices.Contains(s.marks, mark) {
			s.marks = append(s.marks, mark)
		}
	}
	return s
}

// eachBudget calls do with every budget of the configuration, at the tenant whose it is,
// and with those of keys. Those of other gateways' files are for these gateways to look
// after.
func (p *Policies) eachBudget(of *keys.State, do func(root string, l *limit)) {
	each := func(own limits) {
		for k := range own {
			if own[k].unit == record.UnitUSD {
				do(record.RootOf(own[k].tenant), &own[k])
			}
		}
	}
	for i := range p.tenants {
		if t := &p.tenants[i]; len(t.Budgets) > 0 {
			each(p.limitsOf(t))
		}
	}
	p.eachOwn(of, func(name string, k *keys.Key) {
		each(limitsOf(name, k.Own.Budgets, config.Limits{}, zoneOf))
	})
}

// count adds a row to the windows of its key, its tenant and those above it, by its name
// then and by its name now. keyed are the names of keys' windows.
func (p *Policies) count(spent map[string][]*period, keyed map[string]string, key *record.RowKey, c *record.Counters) {
	names := append(lineage(key.Tenant), lineage(p.renamed(key.Tenant))...)
	if name := keyed[key.Key]; name != "" {
		names = append(names, name)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		for _, s := range spent[name] {
			if !key.Hour.Before(s.window.Start) && key.Hour.Before(s.window.End) {
				s.add(key, c)
			}
		}
	}
}

// add adds a row of the period.
func (s *period) add(key *record.RowKey, c *record.Counters) {
	tenant, own := s.window.Owner()
	if key.Tenant == tenant && key.Key == own && key.Held == s.marks[0] {
		s.late.Add(c.Late)
	}
	cost := c.Cost()
	switch {
	case key.Held == "":
		s.unmarked.AddTotal(cost)
		if key.Hour.Before(s.window.Start.Add(time.Hour)) || !key.Hour.Before(s.window.End.Add(-time.Hour)) {
			s.edges.AddTotal(cost)
		}
	case s.holds(key):
		s.held.AddTotal(cost)
	default:
		s.missed.AddTotal(cost)
	}
}

// holds reports whether the row's calls were held by the budget, in this window or
// the one before or after it. One on another path, under another name, did not.
func (s *period) holds(key *record.RowKey) bool {
	if tenant, own := s.window.Owner(); own == "" && !record.Within(key.Tenant, tenant) {
		return false
	}
	for _, mark := range s.marks {
		if record.Holds(key.Held, mark) {
			return true
		}
	}
	return false
}

// lacks is what the window, which counts so much, should count more, in nano-dollars;
// it is false when that is out of range.
func (s *period) lacks(counted int64) (nanos int64, ok bool) {
	var sums [4]int64
	for i, sum := range [...]*money.Total{&s.missed, &s.late, &s.held, &s.unmarked} {
		pico, fits := sum.Pico()
		if !fits {
			return 0, false
		}
		sums[i] = pico.NanosUp()
	}
	missed, late, held, unmarked := sums[0], sums[1], sums[2], sums[3]
	nanos = missed - late
	if unmarked == 0 {
		return nanos, true
	}
	has := max(0, counted-held-late)
	more := max(0, unmarked-has)
	if edges, _ := s.edges.Pico(); has > 0 && more <= int64(edges/money.Nano) {
		more = 0
	}
	return max(0, nanos+more), true
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
func (p *Policies) Marks(of *keys.State) map[string]string {
	names := map[string][]string{}
	p.eachBudget(of, func(root string, l *limit) {
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

// Charge is the correction that makes the window count what it lacks.
func (a *Arrears) Charge(id string, at time.Time) *record.Adjustment {
	c := record.CountLate(a.Window, a.Nanos)
	c.ID, c.Actor, c.Reason, c.At = id, "gateway", "spent in the period before the budget counted it", at
	return c
}
