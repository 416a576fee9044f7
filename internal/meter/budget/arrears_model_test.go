package budget

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// seeding is a ledger, the configuration of one root, and every call that was made, of which the model adds up what
// each budget should count.
type seeding struct {
	t        *rapid.T
	now      time.Time
	tenants  map[string]config.Tenant
	policies *Policies
	journal  [][]byte // payloads of records that post
	books    *embedded.State
	loads    int
	applied  uint64
	open     []modelCall
	ended    []modelCall
}

type modelCall struct {
	tenant string
	held   []record.Window
	hour   time.Time
	cost   money.Pico
}

var modelZones = []string{"", "Europe/Berlin", "Asia/Tokyo", "Asia/Kolkata", "Pacific/Auckland"}

func (m *seeding) configure() {
	ids := slices.Sorted(maps.Keys(m.tenants))
	var all []config.Tenant
	for _, id := range ids {
		all = append(all, m.tenants[id])
	}
	p, err := Compile(all)
	if err != nil {
		m.t.Fatal(err)
	}
	m.policies = p
}

func (m *seeding) tenant() string {
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.tenants))).Draw(m.t, "tenant")
}

// changeBudgets adds or takes away a budget, or gives one or more another time zone.
func (m *seeding) changeBudgets() {
	tenant := m.tenants[m.tenant()]
	b := config.Budget{Period: rapid.SampledFrom([]string{"minute", "hour", "day", "month"}).Draw(m.t, "period"),
		TimeZone: rapid.SampledFrom(modelZones).Draw(m.t, "zone"), USD: 1000}
	beside := rapid.Bool().Draw(m.t, "beside") // those of the period in other zones
	same := func(other config.Budget) bool {
		return other.Period == b.Period && (!beside || other.TimeZone == b.TimeZone)
	}
	had := slices.Contains(tenant.Budgets, b)
	tenant.Budgets = slices.DeleteFunc(slices.Clone(tenant.Budgets), same)
	if !had {
		tenant.Budgets = append(tenant.Budgets, b)
	}
	m.tenants[tenant.ID] = tenant
	m.configure()
}

// rename gives a tenant below the root another name, or moves it below another one.
func (m *seeding) rename() {
	tenant := m.tenants[m.tenant()]
	name := rapid.SampledFrom([]string{"acme/a", "acme/b", "acme/c", "acme/a/x", "acme/b/y"}).Draw(m.t, "name")
	if _, taken := m.tenants[name]; taken || tenant.ID == "acme" {
		return
	}
	delete(m.tenants, tenant.ID)
	for id, other := range m.tenants { // of the last one alone a tenant knows its old name
		if other.RenamedFrom == name || other.RenamedFrom == tenant.ID {
			other.RenamedFrom = ""
			m.tenants[id] = other
		}
	}
	tenant.RenamedFrom, tenant.ID = tenant.ID, name
	m.tenants[name] = tenant
	m.configure()
}

func (m *seeding) begin() {
	tenant := m.tenant()
	m.open = append(m.open, modelCall{tenant: tenant, held: m.policies.Budgets(tenant, m.now)})
}

func (m *seeding) end() {
	if len(m.open) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.open)-1).Draw(m.t, "which")
	c := m.open[i]
	m.open = slices.Delete(m.open, i, i+1)
	c.hour, c.cost = m.now.Truncate(time.Hour), money.Pico(rapid.Int64Range(0, 5000).Draw(m.t, "pico"))
	p := record.Posting{Root: "acme", Row: record.RowKey{Hour: c.hour, Tenant: c.tenant, Model: "m"},
		Add: record.Counters{Legs: 1, CostOutput: c.cost}}
	for _, w := range c.held {
		p.Charges = append(p.Charges, record.Charge{Window: w, Amount: upToNano(c.cost)})
	}
	m.ended = append(m.ended, c)
	m.post(record.AppendEnd(nil, &p, &record.End{ID: "id"}))
}

func upToNano(p money.Pico) int64 { return (int64(p) + 999) / 1000 }

// post journals a record and gives it to the ledger.
func (m *seeding) post(payload []byte) {
	m.journal = append(m.journal, payload)
	p, _, err := record.ReadPosting(payload)
	if err != nil {
		m.t.Fatal(err)
	}
	m.applied++
	p.Seq = m.applied
	b := &ledger.Batch{Writer: fmt.Sprint("w", m.loads), Root: "acme", From: p.Seq, To: p.Seq,
		Postings: []record.Posting{p}}
	if _, err := m.books.Apply(m.t.Context(), b); err != nil {
		m.t.Fatal(err)
	}
}

// restart makes the ledger again from the journal, some of which has become the sums of a checkpoint.
func (m *seeding) restart() {
	folded := rapid.IntRange(0, len(m.journal)).Draw(m.t, "folded")
	books, err := embedded.Load(func(yield func(string, record.Posting) error) error {
		for i, payload := range m.journal {
			p, _, err := record.ReadPosting(payload)
			if err == nil && i < folded {
				var total record.RowTotal
				of := record.Partition{Writer: "w", Root: "acme"}
				_, b := record.Encode(&record.RowTotal{Partition: of, Row: p.Row, Add: p.Add})
				if err = record.Read(b, &total); err == nil {
					charges := p.Charges
					p = *total.Posting()
					p.Charges = charges
				}
			}
			if err != nil {
				return err
			}
			if err := yield("w", p); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	m.books, m.applied = books, 0
	m.loads++
}

func (m *seeding) arrears() []Arrears {
	all, err := m.policies.Arrears(m.t.Context(), m.books, nil, map[string]bool{"acme": true}, m.now)
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

func (m *seeding) charge(all []Arrears) {
	for i := range all {
		a := all[i].Charge("id", m.now)
		_, b := record.Encode(&record.AdjustEntry{
			Posting: record.Posting{Root: a.Root, Row: a.Row, Add: a.Add, Charges: a.Charges}, Adjustment: *a,
		})
		m.post(b)
	}
}

// look is what a gateway does after a change, and twice is two that do not see each other's work.
func (m *seeding) look() {
	m.charge(m.arrears())
	m.check()
}

func (m *seeding) twice() {
	one, other := m.arrears(), m.arrears()
	m.charge(one)
	m.charge(other)
	m.look()
}

// pass lets time pass, or sets the clock back; longer than a window only when nothing is open.
func (m *seeding) pass() {
	m.now = m.now.Add(time.Duration(rapid.Int64Range(-180, 600).Draw(m.t, "minutes")) * time.Minute)
}

func (m *seeding) passDays() {
	for len(m.open) > 0 {
		m.end()
	}
	m.now = m.now.Add(time.Duration(rapid.Int64Range(1, 40*24).Draw(m.t, "hours")) * time.Hour)
}

// check compares every budget's window of now with the calls that it should count: those that it held there, and of
// those that it held nowhere the ones whose row is in the window.
func (m *seeding) check() {
	windows, err := m.books.Windows(m.t.Context(), "acme")
	if err != nil {
		m.t.Fatal(err)
	}
	counts := map[record.Window]int64{}
	for _, w := range windows {
		counts[w.UTC()] = w.Posted
	}
	m.policies.eachBudget(nil, func(_ string, l *limit) {
		w := l.windowOf(m.now)
		if l.period == periodMinute {
			return
		}
		var want int64
		var late money.Pico
		for i := range m.ended {
			switch c := &m.ended[i]; {
			case slices.Contains(c.held, w):
				want += upToNano(c.cost)
			case !m.below(c.tenant, l.tenant) || c.hour.Before(w.Start) || !c.hour.Before(w.End):
			case !slices.ContainsFunc(c.held, func(held record.Window) bool {
				return held.Tenant == l.tenant && held.Period == l.period && l.windowOf(held.Start) == held
			}):
				late += c.cost
			}
		}
		if want += upToNano(late); counts[w.UTC()] != want {
			m.t.Fatalf("at %s the %s of %s in %s counts %d, and should count %d", m.now.Format(time.RFC3339), l.period, l.tenant,
				l.zone, counts[w.UTC()], want)
		}
	})
}

// below reports whether a call of a tenant counts in budgets of another, by its name then or now.
func (m *seeding) below(tenant, above string) bool {
	return slices.Contains(lineage(tenant), above) || slices.Contains(lineage(m.policies.renamed(tenant)), above)
}

// TestSeedingModel: M21, whenever budgets come, go and are renamed, between whatever calls, restarts and steps of the
// clock, each call counts once in each budget.
func TestSeedingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &seeding{t: t, books: &embedded.State{}, tenants: map[string]config.Tenant{
			"acme": {ID: "acme"}, "acme/a": {ID: "acme/a"}, "acme/a/x": {ID: "acme/a/x"},
		}}
		day := rapid.SampledFrom([]string{"2026-11-20", "2026-02-28", "2026-03-28", "2026-04-04", "2026-10-24", "2026-10-31"})
		start, err := time.Parse(time.DateOnly, day.Draw(t, "day")) // mostly where clocks change
		if err != nil {
			t.Fatal(err)
		}
		m.now = start.Add(21*time.Hour + 40*time.Minute)
		m.configure()
		m.changeBudgets()
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(*rapid.T) { m.begin() }, "begin more": func(*rapid.T) { m.begin(); m.begin() },
			"end": func(*rapid.T) { m.end() }, "end more": func(*rapid.T) { m.end(); m.end() },
			"budgets": func(*rapid.T) { m.changeBudgets() }, "rename": func(*rapid.T) { m.rename() },
			"pass": func(*rapid.T) { m.pass() }, "days": func(*rapid.T) { m.passDays() },
			"look": func(*rapid.T) { m.look() }, "twice": func(*rapid.T) { m.twice() },
			"restart": func(*rapid.T) { m.restart() },
		})
		m.look()
	})
}
