package audit

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// hourBefore is an hour that is over.
var hourBefore = now.Add(-time.Hour)

func unpricedKey(tenant string) record.RowKey {
	return record.RowKey{Hour: hourBefore, Tenant: tenant, Key: "K1", Model: "us.light", Scope: "geo", Path: "direct"}
}

// unpricedBooks have a row of 1,000,010 input and 5 output tokens without a price, a request of unknown outcome and a
// credit in the same row, and a row of another model.
func unpricedBooks(t *testing.T) *books {
	t.Helper()
	b := newBooks()
	other := unpricedKey("acme/a")
	other.Model = "us.other"
	rows := []record.Posting{
		{Row: unpricedKey("acme/a"), Add: record.Counters{Requests: 4, Legs: 4, Input: 1_000_010, Output: 5, Unpriced: 3,
			Unknown: 1, SuspenseTokens: 77, Suspense: 7, CostInput: -500, GuardrailUnits: 2, CostGuardrail: 9}},
		{Row: other, Add: record.Counters{Requests: 1, Legs: 1, Input: 7, Unpriced: 1}},
	}
	for i := range rows {
		rows[i].Seq, rows[i].Root = uint64(i+1), "acme"
	}
	if _, err := b.Apply(t.Context(), &ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", From: 1, To: 2,
		Postings: rows}); err != nil {
		t.Fatal(err)
	}
	return b
}

func rerating() *Rerating {
	return &Rerating{
		From: now.AddDate(0, 0, -1), To: now, Reason: "the price came late", By: Signature{"ops", now},
		SKU: func(model string) record.SKU {
			return record.SKU{Model: strings.TrimPrefix(model, "us."), Scope: "geo"}
		},
		Budgets: func(tenant string, _ time.Time) []record.Window {
			return []record.Window{month(record.RootOf(tenant), record.UnitUSD)}
		},
	}
}

// rows are those of the ledger by tenant and price version.
func (b *books) versions(t *testing.T) map[string]record.Counters {
	t.Helper()
	all := map[string]record.Counters{}
	err := b.Rows(t.Context(), time.Time{}, now.AddDate(1, 0, 0), func(k record.RowKey, c record.Counters) error {
		all[k.Model+" "+k.PriceVersion] = c
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRerate: M13, a price that comes after the calls. What was used moves to the row of its version, what is unknown
// and what other corrections did stays; a second run does nothing.
func TestRerate(t *testing.T) {
	b, own := unpricedBooks(t), t.TempDir()
	version, _, ok := prices(t).Reprice(record.SKU{Model: "light", Scope: "geo"}, hourBefore, &record.Counters{Input: 1})
	if !ok {
		t.Fatal("no price")
	}
	want := map[string]record.Counters{
		"us.light ": {Legs: 1, Unknown: 1, SuspenseTokens: 77, Suspense: 7, CostInput: -500, GuardrailUnits: 2,
			CostGuardrail: 9},
		"us.light " + version: {Requests: 4, Legs: 3, Input: 1_000_010, Output: 5, CostInput: 1_000_010 * 60_000,
			CostOutput: 5 * 240_000},
		"us.other ": {Requests: 1, Legs: 1, Input: 7, Unpriced: 1},
	}
	for round, rows := range []int{1, 0} {
		c := corrections(t, own, b)
		done, err := c.Rerate(t.Context(), b, rerating())
		if err != nil || done.Rows != rows || done.StillUnpriced != 1 {
			t.Errorf("round %d: %+v, %v", round, done, err)
		}
		if cost, _ := done.After.Pico(); rows > 0 && cost != 1_000_010*60_000+5*240_000 {
			t.Errorf("it costs %s after", done.After.String())
		}
		shut(t, c)
		got := b.versions(t)
		for key, add := range want {
			if got[key] != add {
				t.Errorf("round %d: %s has %+v, want %+v", round, key, got[key], add)
			}
		}
	}
	windows, err := b.Windows(t.Context(), "acme")
	if err != nil || len(windows) != 1 || windows[0].Posted != (1_000_010*60_000+5*240_000)/1000 {
		t.Errorf("%+v, %v", windows, err)
	}
	c := corrections(t, own, b)
	defer shut(t, c)
	for _, a := range c.made.Adjusted {
		if !strings.Contains(a.Reason, `price version "" to "`+version+`": the price came late`) || a.Actor != "ops" {
			t.Errorf("%+v", a)
		}
	}
}

// TestRerateCountsLate: M21, a budget that is newer than a rerated call counts it late, so that it is counted once when
// the budget is seeded; one that held the call counts what it costs more.
func TestRerateCountsLate(t *testing.T) {
	for held, late := range map[string]money.Pico{"-": 1_000_010 * 60_000, "2d": 1_000_010 * 60_000, "1m": 0, "": 0} {
		b := newBooks()
		key := unpricedKey("acme/a")
		key.Held = held
		add := record.Counters{Legs: 1, Input: 1_000_010, Unpriced: 1}
		if _, err := b.Apply(t.Context(), &ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", From: 1, To: 1,
			Postings: []record.Posting{{Seq: 1, Root: "acme", Row: key, Add: add}}}); err != nil {
			t.Fatal(err)
		}
		c := corrections(t, t.TempDir(), b)
		if done, err := c.Rerate(t.Context(), b, rerating()); err != nil || done.Rows != 1 {
			t.Errorf("%q: %+v, %v", held, done, err)
		}
		shut(t, c)
		windows, err := b.Windows(t.Context(), "acme")
		if err != nil || len(windows) != 1 || windows[0].Posted != 1_000_010*60 {
			t.Errorf("%q: %+v, %v", held, windows, err)
		}
		if got := b.sum(t); got.Late != late || got.CostInput != 1_000_010*60_000 || got.Unpriced != 0 {
			t.Errorf("%q: %+v", held, got)
		}
	}
}

// withheldLedger is what the test of withheld holds needs of a ledger.
type withheldLedger interface {
	ledger.Ledger
	Rows
	Windows(ctx context.Context, root string) ([]ledger.WindowBook, error)
}

// TestRerateReleasesHolds: M13, a budget that kept the holds of calls without a price in suspense counts what they cost
// once that is known, and no more: posted, held and in suspense are together the true cost. An unknown outcome, and
// a call that has a price, keep what they had.
func TestRerateReleasesHolds(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { releasesHolds(t, newBooks()) })
	t.Run("redis", func(t *testing.T) {
		l, err := redis.New(redis.Options{URL: redistest.NewServer(t).URL(), Now: time.Now,
			Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		releasesHolds(t, l)
	})
}

func releasesHolds(t *testing.T, l withheldLedger) {
	none, _ := record.CompilePrices(nil)
	m := open(t, t.TempDir(), l)
	budgets := []record.Window{month("acme", record.UnitUSD), month("acme/team", record.UnitUSD)}
	made := 0
	call := func(table *record.PriceBook, how record.Outcome, input, output int64) {
		t.Helper()
		s := start(made, "acme")
		made++
		s.At, s.Hold, s.Charges = hourBefore, 18_000_000, nil
		for _, w := range budgets {
			s.Charges = append(s.Charges, record.Charge{Window: w, Amount: 18_000})
		}
		if err := m.Begin(s); err != nil {
			t.Fatal(err)
		}
		e := &record.End{ID: s.ID, Outcome: how, Status: 200, Served: true, At: hourBefore}
		if how == record.Completed {
			e.Usage.Input, e.Usage.Output = wire.Known(input), wire.Known(output)
		}
		if err := m.End(s, e, table, &record.Booked{}); err != nil {
			t.Fatal(err)
		}
	}
	call(none, record.Completed, 100, 5)
	call(none, record.Completed, 50, 0)
	call(none, record.Unknown, 0, 0)
	call(prices(t), record.Completed, 10, 0)
	shut(t, m)
	want := func(step string, posted, suspense int64) {
		t.Helper()
		all, err := l.Windows(t.Context(), "acme")
		if err != nil || len(all) != len(budgets) {
			t.Fatalf("%s: %+v, %v", step, all, err)
		}
		for _, w := range all {
			if w.Posted != posted || w.Suspense != suspense || w.Held != 0 {
				t.Errorf("%s: %s counts %d, %d held, %d in suspense; want %d and %d in suspense", step, w.Tenant,
					w.Posted, w.Held, w.Suspense, posted, suspense)
			}
		}
	}
	const known = 10 * 60 // nano-dollars
	want("before", known, 3*18_000)
	r, own := rerating(), t.TempDir()
	r.Budgets = func(string, time.Time) []record.Window { return budgets }
	for _, step := range []string{"rerated", "again"} {
		c := corrections(t, own, l)
		if _, err := c.Rerate(t.Context(), l, r); err != nil {
			t.Fatal(err)
		}
		shut(t, c)
		want(step, known+150*60+5*240, 18_000)
	}
}

// TestRerateAfterKill: a command that was killed between the two corrections of a row is finished by the next one.
func TestRerateAfterKill(t *testing.T) {
	b, own := unpricedBooks(t), t.TempDir()
	before := b.sum(t)
	c := corrections(t, own, b)
	r := rerating()
	key := unpricedKey("acme/a")
	row := b.versions(t)["us.light "]
	if made, err := c.Adjust(r.takeOut(key, row)); !made || err != nil {
		t.Fatal(made, err)
	}
	shut(t, c)
	if got := b.sum(t); got.Input != before.Input-1_000_010 {
		t.Fatalf("%+v", got)
	}
	c = corrections(t, own, b)
	if done, err := c.Rerate(t.Context(), b, r); err != nil || done.Rows != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	shut(t, c)
	got := b.sum(t)
	before.Unpriced, before.CostInput, before.CostOutput = 1, before.CostInput+1_000_010*60_000, 5*240_000
	if got != before {
		t.Errorf("got  %+v\nwant %+v", got, before)
	}
}

// TestRerateRefusesTheRunningHour: its rows may still change.
func TestRerateRefusesTheRunningHour(t *testing.T) {
	b := newBooks()
	c := corrections(t, t.TempDir(), b)
	defer shut(t, c)
	r := rerating()
	r.To = now.Add(time.Hour)
	if _, err := c.Rerate(t.Context(), b, r); err == nil {
		t.Error("rerated an hour that is not over")
	}
}

// TestReprice: rows of more tokens than one answer can have, and those that have no price or overflow.
func TestReprice(t *testing.T) {
	table := prices(t)
	light := record.SKU{Model: "light"}
	_, costs, ok := table.Reprice(light, now, &record.Counters{Input: 3 << 28, Output: 1<<28 + 1})
	if !ok || costs.CostInput != 3<<28*60_000 || costs.CostOutput != (1<<28+1)*240_000 {
		t.Errorf("%+v, %v", costs, ok)
	}
	for name, c := range map[string]record.Counters{"class": {CacheRead: 1}, "range": {Output: 1 << 50}} {
		if _, _, ok := table.Reprice(light, now, &c); ok {
			t.Errorf("%s: it has a price", name)
		}
	}
	if _, _, ok := table.Reprice(record.SKU{Model: "none"}, now, &record.Counters{Input: 1}); ok {
		t.Error("an unknown model has a price")
	}
	dear, _ := record.CompilePrices([]config.PriceBook{{Prices: []config.Price{{Models: []string{"m"},
		Effective: now.AddDate(-1, 0, 0), Rates: config.Rates{Input: record.MaxPrice, HasInput: true}}}}})
	if _, costs, ok := dear.Reprice(record.SKU{Model: "m"}, now, &record.Counters{Input: 1}); !ok ||
		costs.CostInput != money.Pico(4_000_000_000) {
		t.Errorf("%+v, %v", costs, ok)
	}
}
