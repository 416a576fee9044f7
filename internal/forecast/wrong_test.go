package forecast

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/peers"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// world is a ledger, and budgets that are read from it.
type world struct {
	t     *testing.T
	state *embedded.State
	of    *budget.Policies
	keys  *keys.State
	seq   map[string]uint64
	now   time.Time
}

func newWorld(t *testing.T, now string, tenants ...config.Tenant) *world {
	t.Helper()
	w := &world{t: t, seq: map[string]uint64{}, now: at(now)}
	w.state = &embedded.State{Now: func() time.Time { return w.now }}
	w.configure(tenants...)
	return w
}

func (w *world) configure(tenants ...config.Tenant) {
	w.t.Helper()
	for i := range tenants {
		for k := range tenants[i].Budgets {
			if b := &tenants[i].Budgets[k]; b.TimeZone == "" {
				b.TimeZone = "UTC"
			}
		}
	}
	var err error
	if w.of, err = budget.Compile(tenants); err != nil {
		w.t.Fatal(err)
	}
}

func monthly(id string, usd int64) config.Tenant {
	return config.Tenant{ID: id, Budgets: []config.Budget{{Period: "month", USD: money.Pico(usd) * money.Dollar}}}
}

// spend posts a call of a tenant that ended at a time, charged to the budgets that there are.
func (w *world) spend(tenant, key, when string, usd float64) {
	w.t.Helper()
	var charges []record.Charge
	for _, window := range w.of.Budgets(tenant, at(when)) {
		charges = append(charges, record.Charge{Window: window, Amount: int64(usd * 1e9)})
	}
	w.post(tenant, key, when, usd, charges)
}

func (w *world) post(tenant, key, when string, usd float64, charges []record.Charge) {
	w.t.Helper()
	root := record.RootOf(tenant)
	w.seq[root]++
	p := record.Posting{
		Seq: w.seq[root], Root: root, Charges: charges,
		Row: record.RowKey{Hour: at(when).Truncate(time.Hour), Tenant: tenant, Key: key, Model: "m",
			Held: record.HeldBy(tenant, charges)},
		Add: record.Counters{Legs: 1, CostInput: money.Pico(usd * 1e12)},
	}
	if _, err := w.state.Apply(w.t.Context(), &ledger.Batch{
		Writer: "w", Epoch: 1, Root: root, From: p.Seq, To: p.Seq, Postings: []record.Posting{p},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// lease leases of a budget for a writer.
func (w *world) lease(writer, tenant string, usd int64) {
	w.t.Helper()
	window := w.of.Budgets(tenant, w.now)[0]
	if _, err := w.state.Grant(w.t.Context(), &ledger.GrantRequest{
		Writer: writer, Epoch: 1, Root: record.RootOf(tenant), TTL: time.Minute,
		Wants: []ledger.Want{{Account: ledger.Account{Window: window}, Limit: 100e9, Ask: usd * 1e9}},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// want demands how budgets stand: "tenant period limit spent held left" of each, by name.
func (w *world) want(what string, lines ...string) []State {
	w.t.Helper()
	source := Source{Policies: w.of, Keys: w.keys, Ledger: w.state, HeldKnown: true, Late: true}
	all, err := source.Read(w.t.Context(), "", w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[string]bool{}
	for i := range all {
		s := &all[i]
		got[fmt.Sprintf("%s%s %s %s %s %s %s", s.Tenant, s.Key, s.Period, s.Limit, s.Spent, s.Held, s.Left)] = true
	}
	for _, line := range lines {
		if !got[line] {
			w.t.Errorf("%s: there is no %q in %v", what, line, got)
		}
	}
	if len(all) != len(lines) {
		w.t.Errorf("%s: %d budgets, want %d: %v", what, len(all), len(lines), got)
	}
	return all
}

// TestWaysToBeWrong walks what could make a state wrong.
func TestWaysToBeWrong(t *testing.T) {
	t.Run("the period changes", func(t *testing.T) {
		w := newWorld(t, "2026-10-31T23:59:00Z", monthly("a", 100))
		w.spend("a", "", "2026-10-31T12:00:00Z", 30)
		w.want("the last minute of October", "a month 100.00 30.00 0.00 70.00")
		w.now = at("2026-11-01T00:00:00Z")
		s := w.want("the first of November", "a month 100.00 0.00 0.00 100.00")[0]
		if s.Start != w.now || s.Forecast.Mid == 0 {
			t.Errorf("it begins %s, with a forecast of %+v of what October spent", s.Start, s.Forecast)
		}
	})
	t.Run("time zones", func(t *testing.T) {
		day := func(zone string) config.Budget {
			return config.Budget{Period: "day", USD: 10 * money.Dollar, TimeZone: zone}
		}
		w := newWorld(t, "2026-11-10T23:30:00Z", config.Tenant{ID: "a", Budgets: []config.Budget{
			day("UTC"), day("Asia/Tokyo"), day("Europe/Berlin")}})
		w.spend("a", "", "2026-11-10T14:00:00Z", 1) // in Tokyo it is 23:00 of the 10th
		w.spend("a", "", "2026-11-10T16:00:00Z", 2) // and here the 11th
		w.spend("a", "", "2026-11-10T23:10:00Z", 4) // in Berlin too
		all := w.want("three calendars", "a day 10.00 7.00 0.00 3.00", "a day 10.00 6.00 0.00 4.00",
			"a day 10.00 4.00 0.00 6.00")
		for i := range all {
			s := &all[i]
			if s.TimeZone == "Asia/Tokyo" && s.Spent != 6*money.Dollar || s.AsOf.Before(s.Start) || !s.AsOf.Before(s.End) {
				t.Errorf("%s: %s of %s to %s", s.TimeZone, s.Spent, s.Start, s.End)
			}
		}
	})
	t.Run("parents without a limit", func(t *testing.T) {
		w := newWorld(t, "2026-11-10T12:00:00Z", config.Tenant{ID: "a"}, monthly("a/b", 10), config.Tenant{ID: "a/b/c"})
		w.spend("a/b/c", "", "2026-11-10T11:00:00Z", 4)
		w.spend("a", "", "2026-11-10T11:00:00Z", 50)
		w.want("only who has a budget has a state", "a/b month 10.00 4.00 0.00 6.00")
	})
	t.Run("a parent that runs out sooner", func(t *testing.T) {
		w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 10), monthly("a/b", 1000))
		w.spend("a/b", "", "2026-11-10T11:00:00Z", 10)
		all := w.want("both", "a month 10.00 10.00 0.00 0.00", "a/b month 1000.00 10.00 0.00 990.00")
		notes := strings.Join(all[1].Notes, "")
		if all[0].Tenant != "a" || !all[0].Exhausted() || !strings.Contains(notes, "month of a runs out") {
			t.Errorf("%+v", all)
		}
	})
	t.Run("a limit that was changed just now", func(t *testing.T) {
		w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 100))
		w.spend("a", "", "2026-11-10T11:00:00Z", 30)
		w.configure(monthly("a", 20))
		if s := w.want("lowered", "a month 20.00 30.00 0.00 -10.00")[0]; !s.Exhausted() {
			t.Errorf("%+v", s)
		}
		w.configure(monthly("a", 200))
		w.want("raised", "a month 200.00 30.00 0.00 170.00")
		changed := monthly("a", 200)
		changed.Budgets[0].Period = "day"
		w.configure(changed)
		s := w.want("another period, whose window has counted nothing", "a day 200.00 30.00 0.00 170.00")[0]
		if !strings.Contains(strings.Join(s.Notes, ""), "before this budget") {
			t.Error(s.Notes)
		}
	})
	t.Run("another gateway's file allows less", func(t *testing.T) {
		w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 100), config.Tenant{ID: "b"})
		w.spend("a", "", "2026-11-10T11:00:00Z", 30)
		rule := func(usd int64) []peers.Rule {
			return []peers.Rule{{Unit: record.UnitUSD, Period: "month", Zone: "UTC", Hard: usd * 1e9, Light: 1<<63 - 1}}
		}
		if err := w.of.Heed(map[string][]peers.Rule{"a": rule(50), "b": rule(7), "above": rule(9)}); err != nil {
			t.Fatal(err)
		}
		w.want("the strictest", "a month 50.00 30.00 0.00 20.00", "b month 7.00 0.00 0.00 7.00",
			"above month 9.00 0.00 0.00 9.00")
	})
	t.Run("the budget of a key", func(t *testing.T) {
		w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 100))
		own := &keys.Own{Name: "K1", Budgets: []config.Budget{{Period: "month", USD: 5 * money.Dollar, TimeZone: "UTC"}}}
		w.keys = &keys.State{Keys: map[string]*keys.Key{
			"K1": {ID: "K1", Tenant: "a", Family: "K1", Own: own},
			"K2": {ID: "K2", Tenant: "a", Family: "K1", Own: own}, // after a rotation
		}}
		window := w.of.Budgets("a", w.now)[0]
		window.Tenant = "a//K1"
		w.post("a", "K2", "2026-11-10T11:00:00Z", 2, append([]record.Charge{{Window: window, Amount: 2e9}},
			record.Charge{Window: w.of.Budgets("a", w.now)[0], Amount: 2e9}))
		all := w.want("once for the line of keys", "a month 100.00 2.00 0.00 98.00", "aK1 month 5.00 2.00 0.00 3.00")
		for i := range all {
			if all[i].BurnPerHour == 0 {
				t.Errorf("%s %s burns nothing", all[i].Tenant, all[i].Key)
			}
		}
	})
	t.Run("two gateways with leases", func(t *testing.T) {
		w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 100))
		w.spend("a", "", "2026-11-10T11:00:00Z", 30)
		w.lease("one", "a", 3)
		w.lease("two", "a", 4)
		w.want("both hold", "a month 100.00 30.00 7.00 63.00")
	})
	t.Run("corrections in the period", func(t *testing.T) {
		w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 100))
		w.spend("a", "", "2026-11-10T10:00:00Z", 30)
		w.spend("a", "", "2026-11-10T11:00:00Z", -12)
		w.want("less than was spent", "a month 100.00 18.00 0.00 82.00")
		w.spend("a", "", "2026-11-10T11:00:00Z", -28)
		s := w.want("more than was spent", "a month 100.00 -10.00 0.00 110.00")[0]
		if s.BurnPerHour != 0 || s.Forecast.Mid < s.Spent || len(s.Notes) == 0 || !s.RunsOut.IsZero() {
			t.Errorf("%+v", s)
		}
	})
	t.Run("several budgets of one period", func(t *testing.T) {
		several := monthly("a", 100)
		several.Budgets = append(several.Budgets,
			config.Budget{Period: "month", USD: 50 * money.Dollar, OnExceed: "notify"},
			config.Budget{Period: "month", USD: 0, OnExceed: "light_only"})
		w := newWorld(t, "2026-11-10T12:00:00Z", several)
		w.spend("a", "", "2026-11-10T11:00:00Z", 30)
		w.want("each with its limit", "a month 100.00 30.00 0.00 70.00", "a month 50.00 30.00 0.00 20.00",
			"a month 0.00 30.00 0.00 -30.00")
	})
}

// away is a ledger that does not answer.
type away struct{ Ledger }

func (away) Rows(context.Context, time.Time, time.Time, func(record.RowKey, record.Counters) error) error {
	return context.DeadlineExceeded
}

func (away) Counts(context.Context, []record.Window) (map[record.Window]ledger.WindowState, error) {
	return nil, context.DeadlineExceeded
}

// TestLedgerAway: states stay for a minute, and then there are none, rather than old ones;
// when the ledger is back they are as before.
func TestLedgerAway(t *testing.T) {
	w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 100))
	w.spend("a", "", "2026-11-10T11:00:00Z", 30)
	var b Board
	if _, err := b.States("", w.now); err == nil {
		t.Error("states before any was read")
	}
	source := Source{Policies: w.of, Ledger: w.state, HeldKnown: true}
	if err := b.Refresh(t.Context(), &source, w.now); err != nil {
		t.Fatal(err)
	}
	gone := Source{Policies: w.of, Ledger: away{}, HeldKnown: true}
	for _, passed := range []time.Duration{0, 30 * time.Second, Fresh + time.Second, 3 * time.Hour} {
		now := w.now.Add(passed)
		if err := b.Refresh(t.Context(), &gone, now); err == nil {
			t.Error("read from a ledger that is away")
		}
		all, err := b.States("", now)
		if known := passed < Fresh; known != (err == nil) || known != (len(all) == 1) {
			t.Errorf("after %s: %d states, %v", passed, len(all), err)
		}
	}
	now := w.now.Add(4 * time.Hour)
	if err := b.Refresh(t.Context(), &source, now); err != nil {
		t.Fatal(err)
	}
	all, err := b.States("", now)
	if err != nil || len(all) != 1 || all[0].Spent != 30*money.Dollar || all[0].BurnPerHour == 0 {
		t.Errorf("%v %+v", err, all)
	}
}

// TestBoardIsWhatReadSays: what a board knows after many hours of looking is what reading
// everything finds.
func TestBoardIsWhatReadSays(t *testing.T) {
	w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 100), monthly("a/b", 100))
	source := Source{Policies: w.of, Ledger: w.state, HeldKnown: true}
	var b Board
	for n := range 60 {
		w.now = w.now.Add(17 * time.Minute)
		w.spend([]string{"a", "a/b"}[n%2], "", w.now.Format(time.RFC3339), 0.01*float64(n))
		if err := b.Refresh(t.Context(), &source, w.now); err != nil {
			t.Fatal(err)
		}
		for _, below := range []string{"", "a", "a/b", "b"} { // notes name no budget above
			got, err := b.States(below, w.now)
			if err != nil {
				t.Fatal(err)
			}
			want, err := source.Read(t.Context(), below, w.now)
			if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Fatalf("below %q after %d: %v\n%+v\n%+v", below, n, err, got, want)
			}
		}
	}
}

// TestBoardHeedsRotation: what a key spends that came into the line of another one counts for their budget as soon as
// it is posted.
func TestBoardHeedsRotation(t *testing.T) {
	w := newWorld(t, "2026-11-10T12:00:00Z", monthly("a", 100))
	own := &keys.Own{Name: "K1", Budgets: []config.Budget{{Period: "month", USD: 5 * money.Dollar, TimeZone: "UTC"}}}
	first := &keys.Key{ID: "K1", Tenant: "a", Family: "K1", Own: own}
	source := Source{Policies: w.of, Ledger: w.state, HeldKnown: true, Keys: &keys.State{
		Keys: map[string]*keys.Key{"K1": first},
	}}
	var b Board
	for _, key := range []string{"K1", "K2"} {
		if key == "K2" {
			source.Keys = &keys.State{Keys: map[string]*keys.Key{
				"K1": first, "K2": {ID: "K2", Tenant: "a", Family: "K1", Own: own},
			}}
		}
		w.post("a", key, w.now.Format(time.RFC3339), 1, nil)
		w.now = w.now.Add(10 * time.Minute)
		if err := b.Refresh(t.Context(), &source, w.now); err != nil {
			t.Fatal(err)
		}
		got, err := b.States("", w.now)
		if err != nil {
			t.Fatal(err)
		}
		want, err := source.Read(t.Context(), "", w.now)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Fatalf("with %s: %v\n%+v\n%+v", key, err, got, want)
		}
	}
}

// TestBoardRests the longer, the more budgets it has: but always due while it cannot read.
func TestBoardRests(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for budgets, rest := range map[int]time.Duration{
		0: 0, 1000: 150 * time.Millisecond, 33_000: 4950 * time.Millisecond, 100_000: 15 * time.Second,
		1_000_000: 20 * time.Second,
	} {
		b := Board{states: make([]State, budgets), at: now}
		if rest > 0 && b.Due(now.Add(rest-1)) || !b.Due(now.Add(rest)) || !b.Due(now.Add(-rest)) {
			t.Errorf("%d budgets rest for other than %s", budgets, rest)
		}
		if b.failed = errUnread; !b.Due(now) {
			t.Errorf("%d budgets rest while they cannot be read", budgets)
		}
	}
	if !new(Board).Due(now) {
		t.Error("a new board rests")
	}
}
