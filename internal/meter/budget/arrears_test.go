package budget

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

var monthNow = time.Date(2026, 11, 20, 10, 30, 0, 0, time.UTC)

// spending is a ledger in which a tenant has spent dollars in an hour, each once.
func spending(t *testing.T, spent ...record.Posting) *embedded.State {
	t.Helper()
	s := &embedded.State{}
	for i, p := range spent {
		p.Seq, p.Root = 1, record.RootOf(p.Row.Tenant)
		b := &ledger.Batch{Writer: string(rune('a' + i)), Epoch: 1, Root: p.Root, From: 1, To: 1,
			Postings: []record.Posting{p}}
		if _, err := s.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func spentBy(tenant string, at time.Time, dollars int64, charged ...record.Charge) record.Posting {
	return record.Posting{Row: record.RowKey{Hour: at, Tenant: tenant, Model: "m"},
		Add: record.Counters{Legs: 1, CostInput: money.Pico(dollars) * money.Dollar / 2,
			CostCacheWrite1h: money.Pico(dollars) * money.Dollar / 2}, Charges: charged}
}

const nano = 1_000_000_000

func budgeted(tenant, renamedFrom string) config.Tenant {
	return config.Tenant{ID: tenant, RenamedFrom: renamedFrom, Budgets: []config.Budget{{Period: "month", USD: 100}}}
}

// TestArrears: M21, a budget that is added, or whose tenant was renamed or moved, after it has spent.
func TestArrears(t *testing.T) {
	month := record.Window{Tenant: "acme", Unit: record.UnitUSD, Period: "month",
		Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	earlier, first := monthNow.AddDate(0, 0, -3), month.Start
	f := func(name string, tenants []config.Tenant, books Books, want ...string) {
		t.Helper()
		p, err := Compile(tenants)
		if err != nil {
			t.Fatal(err)
		}
		roots := map[string]bool{}
		for _, root := range p.Roots() {
			roots[root] = true
		}
		all, err := p.Arrears(t.Context(), books, nil, roots, monthNow)
		var got []string
		for _, a := range all {
			got = append(got, a.Window.Tenant+" "+a.Window.Period+" "+money.Pico(a.Nanos*1000).String())
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	acme := []config.Tenant{budgeted("acme", "")}
	f("a new budget", acme, spending(t, spentBy("acme/a", earlier, 3), spentBy("acme", monthNow, 2),
		spentBy("other", earlier, 9)), "acme month 5.00")
	f("last month", acme, spending(t, spentBy("acme", first.Add(-time.Hour), 3)))
	f("it counted all", acme, spending(t, spentBy("acme", earlier, 3, record.Charge{Window: month, Amount: 3 * nano})))
	f("it counted a part", acme, spending(t, spentBy("acme", earlier, 3),
		spentBy("acme", earlier, 1, record.Charge{Window: month, Amount: nano})), "acme month 3.00")
	f("a call over the end of the month before", acme, spending(t, spentBy("acme", first, 3),
		spentBy("acme", earlier, 1, record.Charge{Window: month, Amount: nano})))
	f("what has no price stays in suspense", acme, spending(t,
		spentBy("acme", earlier, 1, record.Charge{Window: month, Amount: 4 * nano, Suspense: true})))
	f("renamed", []config.Tenant{budgeted("acme/new", "acme/old")}, spending(t, spentBy("acme/old/a", earlier, 3),
		spentBy("acme/older", earlier, 9), spentBy("acme/new", earlier, 1)), "acme/new month 4.00")
	f("moved below another root", []config.Tenant{budgeted("corp", ""), budgeted("corp/acme", "acme")},
		spending(t, spentBy("acme/a", earlier, 3)), "corp month 3.00", "corp/acme month 3.00")
	f("moved below the same parent", []config.Tenant{budgeted("acme", ""), {ID: "acme/b", RenamedFrom: "acme/a"}},
		spending(t, spentBy("acme/a", earlier, 3, record.Charge{Window: month, Amount: 3 * nano})))
	day := config.Tenant{ID: "acme", Budgets: []config.Budget{{Period: "day", USD: 1}, {Period: "minute", USD: 1},
		{Period: "hour", USD: 1}, {Period: "day", USD: 1, TimeZone: "Asia/Tokyo"}}}
	f("every period", []config.Tenant{day}, spending(t, spentBy("acme", monthNow, 1),
		spentBy("acme", monthNow.Add(-time.Hour), 2), spentBy("acme", monthNow.Add(-16*time.Hour), 4)),
		"acme day 3.00", "acme day 7.00", "acme hour 1.00")
	f("no budget", []config.Tenant{{ID: "acme"}}, spending(t, spentBy("acme", earlier, 3)))
}

// TestArrearsAreChargedOnce: what is charged is no arrears any more, and takes nothing out of leases.
func TestArrearsAreChargedOnce(t *testing.T) {
	p, err := Compile([]config.Tenant{budgeted("acme", "")})
	if err != nil {
		t.Fatal(err)
	}
	books, roots := spending(t, spentBy("acme/a", monthNow, 5)), map[string]bool{"acme": true}
	all, err := p.Arrears(t.Context(), books, nil, roots, monthNow)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	a := all[0].Charge("id", monthNow)
	b := &ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", From: 1, To: 1, Postings: []record.Posting{
		{Seq: 1, Root: a.Root, Row: a.Row, Add: a.Add, Charges: a.Charges},
	}}
	sums, err := b.WindowSums(0)
	if sum := sums[all[0].Window.UTC()]; err != nil || sum != (ledger.WindowSum{Posted: 5 * nano}) {
		t.Errorf("%+v, %v", sum, err)
	}
	if _, err := books.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if all, err = p.Arrears(t.Context(), books, nil, roots, monthNow); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestMarks tells budgets of a root apart, and not their amounts.
func TestMarks(t *testing.T) {
	mark := func(tenants ...config.Tenant) string {
		p, err := Compile(tenants)
		if err != nil {
			t.Fatal(err)
		}
		return p.Marks(nil)["acme"]
	}
	one, more := budgeted("acme", ""), budgeted("acme", "")
	more.Budgets[0].USD = 7
	if mark(one) != mark(more) || mark(one) != mark(one, budgeted("other", "")) {
		t.Error("amounts or other roots change the mark")
	}
	for name, other := range map[string]string{
		"a budget": mark(one, budgeted("acme/a", "")), "a name": mark(budgeted("acme", "old")),
	} {
		if other == mark(one) {
			t.Errorf("%s does not change the mark", name)
		}
	}
	if strings.ContainsAny(mark(one), " :{}") || len(mark(one)) != 16 {
		t.Error(mark(one))
	}
}

// away is a ledger that cannot be read.
type away struct{ Books }

func (away) Rows(context.Context, time.Time, time.Time, func(record.RowKey, record.Counters) error) error {
	return context.DeadlineExceeded
}

func TestArrearsWithoutLedger(t *testing.T) {
	p, err := Compile([]config.Tenant{budgeted("acme", "")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Arrears(t.Context(), away{}, nil, map[string]bool{"acme": true}, monthNow); err == nil {
		t.Error("no error")
	}
}

// TestArrearsOfKeys: a key's own budget that is newer than what the key has spent in its
// period, also under a key that it replaced, and under another name of its tenant.
func TestArrearsOfKeys(t *testing.T) {
	own := &keys.Own{Name: "K1", Budgets: []config.Budget{{Period: "month", USD: 100, TimeZone: "UTC"}}}
	state := &keys.State{Keys: map[string]*keys.Key{
		"K1": {ID: "K1", Family: "K1", Own: own, ReplacedBy: "K2"},
		"K2": {ID: "K2", Family: "K1", Own: own, Tenant: "acme/a", Replaces: "K1"},
		"K3": {ID: "K3", Family: "K3", Tenant: "acme/a"},
		"K4": {ID: "K4", Family: "K4", Tenant: "old/b", Own: &keys.Own{Name: "K4", Budgets: []config.Budget{
			{Period: "day", USD: 1, TimeZone: "Asia/Tokyo"}, {Period: "minute", USD: 1, TimeZone: "UTC"},
		}}},
		"K5": {ID: "K5", Family: "K5", Own: own}, // no tenant has it
	}}
	tenants := []config.Tenant{{ID: "acme/a", Keys: []string{"K1"}}, {ID: "corp/b", RenamedFrom: "old/b"}}
	p, err := Compile(tenants)
	if err != nil {
		t.Fatal(err)
	}
	by := func(key string, post record.Posting) record.Posting {
		post.Row.Key = key
		return post
	}
	month := record.Window{Tenant: "acme/a//K1", Unit: record.UnitUSD, Period: "month",
		Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	earlier := monthNow.AddDate(0, 0, -3)
	held := by("K2", spentBy("acme/a", earlier, 7, record.Charge{Window: month, Amount: 7 * nano}))
	held.Row.Held = record.HeldBy("acme/a", held.Charges)
	before := by("K1", spentBy("acme/a", earlier, 3))
	before.Row.Held = record.HeldBy("acme/a", nil)
	books := spending(t, before, held, by("K3", spentBy("acme/a", earlier, 9)), by("K4", spentBy("old/b", monthNow, 2)),
		by("K4", spentBy("corp/b", monthNow, 3)), by("K1", spentBy("acme/a", month.Start.Add(-time.Hour), 5)))
	roots := map[string]bool{"acme": true, "corp": true, "old": true}
	f := func(want ...string) []Arrears {
		t.Helper()
		all, err := p.Arrears(t.Context(), books, state, roots, monthNow)
		var got []string
		for _, a := range all {
			got = append(got, a.Window.Tenant+" "+a.Window.Period+" "+money.Pico(a.Nanos*1000).String())
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		return all
	}
	for i, a := range f("acme/a//K1 month 3.00", "corp/b//K4 day 5.00") {
		c := a.Charge("id", monthNow)
		if c.Row.Tenant != "acme/a" && c.Row.Tenant != "corp/b" || c.Row.Key != "K1" && c.Row.Key != "K4" {
			t.Errorf("%+v", c.Row)
		}
		_, err := books.Apply(t.Context(), &ledger.Batch{Writer: "w", Epoch: 1, Root: c.Root, From: 1, To: 1,
			Postings: []record.Posting{{Seq: 1, Root: c.Root, Row: c.Row, Add: c.Add, Charges: c.Charges}}})
		if err != nil {
			t.Fatal(i, err)
		}
	}
	f() // once

	marks := p.Marks(state)
	if len(marks) != 2 || p.Marks(nil)["acme"] != "" {
		t.Errorf("%v, %v", marks, p.Marks(nil))
	}
}
