package views

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/standing"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// subtree sees a tenant and those below it.
type subtree string

func (b subtree) Sees(of string) bool { return of != "" && record.Within(of, string(b)) }
func (b subtree) Home() string        { return string(b) }

// standings is a shelf over what stands as given, with rows of a provisioned model.
func standings(now time.Time, state *standing.State, rows []row) *Shelf {
	return New(Sources{
		Ledger: source{counted{rows}}, Now: func() time.Time { return now },
		Tenants:  func() *tenant.Directory { return &tenant.Directory{} },
		Standing: func() *standing.State { return state },
	})
}

func capacityView(t *testing.T, s *Shelf, who Viewer, from string) *View {
	t.Helper()
	v, _, err := s.Make(context.Background(), "capacity", who, map[string][]string{"from": {from}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const floorARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/floor"

func floorUnits() config.Capacity {
	return config.Capacity{
		Name: "floor", Kind: config.CapacityProvisioned, ARN: floorARN, Models: []string{"amazon.nova-pro-v1:0"}, Units: 2,
		Input: 1000, Hour: 30 * money.Dollar, Term: "1-month", From: time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC),
	}
}

// TestCapacity: two hours of two units are 120 dollars; in one of them half of the input that they serve was used, by
// two tenants in the ratio of two to one. What a tenant sees is its own part alone.
func TestCapacity(t *testing.T) {
	now := time.Date(2026, 11, 10, 2, 0, 0, 0, time.UTC)
	use := func(id, model, tier string, tokens int64) row {
		return row{record.RowKey{Hour: now.Add(-time.Hour), Tenant: id, Model: model, Tier: tier},
			record.Counters{Legs: 1, Requests: 1, Input: tokens}}
	}
	llama := config.Capacity{Name: "llama", Kind: config.CapacityImported, ARN: "arn:llama",
		Models: []string{"meta.llama"}, Units: 8, Copies: 1, Minute: money.Dollar / 8, Month: 720 * money.Dollar,
		SpillTo: "spare", Term: "none", From: now.Add(-2 * time.Hour)}
	s := standings(now, &standing.State{
		Members: []standing.Member{
			{Pool: "p", Order: "weights", Upstream: "default", Region: "us-east-1", Weight: 3},
			{Pool: "p", Order: "weights", Upstream: "west", Region: "us-west-2", Weight: 1, Out: []failover.Out{
				{Upstream: "west", Model: "m", Why: failover.Throttled, Since: now.Add(-time.Second), Until: now},
			}},
		},
		Quotas: []quota.State{
			{Key: quota.Key{Upstream: "default", Models: "a*"}, Limits: quota.Limits{Tokens: 1000}, Tokens: 1200,
				Running: 900, Requests: 4, Waiting: 3, Least: 5, Most: 15},
			{Key: quota.Key{Upstream: "west", Models: "b*"}, Limits: quota.Limits{Requests: 60}},
		},
		Capacity: []config.Capacity{floorUnits(), llama},
		Spills: map[string]standing.Calls{
			"floor": {Served: 9, Left: map[string]int64{"full": 1, "late": 7, "throttled": 1}},
		},
	}, []row{use("acme/app", floorARN, "provisioned", 40_000), use("other", floorARN, "provisioned", 20_000),
		use("other", "arn:llama", "imported@01:05", 10)})
	v := capacityView(t, s, everybody{}, "2026-11-01")
	for i, want := range [][]string{
		{"p,default,us-east-1,,,weights,3,in,,,,",
			"p,west,us-west-2,,,weights,1,out,m,throttled,2026-11-10T01:59:59Z,2026-11-10T02:00:00Z"},
		{"default,a*,,1000,300,900,0,,4,5 to 15,3,0,0,,0", "west,b*,,,0,0,,60,0,,0,0,0,,0"},
		{"floor,provisioned,amazon.nova-pro-v1:0,2,30.00,hour,2026-12-10,2.00,120.00,25.00,90.00,60000,0,9,9,late 7; " +
			"full 1; throttled 1"},
		{"llama,meta.llama,8,1,0.125,1,5.00,100.00,0.00,16.00,spare,10,0,0,0,"},
	} {
		var got []string
		for _, r := range v.Tables[i].Rows {
			cells := slices.Clone(r)
			for k := range cells {
				cells[k] = strings.ReplaceAll(cells[k], ", ", "; ")
			}
			got = append(got, strings.Join(cells, ","))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", v.Tables[i].Name, got, want)
		}
	}
	fixed := v.Tables[len(v.Tables)-1]
	if got := fmt.Sprint(fixed.Rows, fixed.Totals); !strings.Contains(got, "[acme/app floor 20.00 16.67]") ||
		!strings.Contains(got, "[other floor 10.00 8.33]") || !strings.Contains(got, "[ floor (idle) 90.00 75.00]") ||
		v.CompleteUpTo.IsZero() && v.Source != "ledger" {
		t.Error(got)
	}
	own := capacityView(t, s, subtree("acme"), "2026-11-01")
	if got := fmt.Sprint(own.Tables[0].Rows); len(own.Tables) != 1 || got != "[[acme/app floor 20.00 ]]" {
		t.Errorf("%d tables: %s", len(own.Tables), got)
	}
	if all, err := own.MarshalJSON(); err != nil || strings.Contains(string(all), "other") ||
		strings.Contains(string(all), "us-west-2") {
		t.Errorf("%s %v", all, err)
	}
}

// TestCapacityOfNothing: without pools, quotas and capacity, or before anything was paid, each table says so, and
// nothing is divided by nothing.
func TestCapacityOfNothing(t *testing.T) {
	now := time.Date(2026, 11, 10, 2, 0, 0, 0, time.UTC)
	for _, state := range []*standing.State{{}, {Capacity: []config.Capacity{floorUnits()}}} {
		for _, from := range []string{"2026-11-10", "2026-11-01", "2027-01-01"} {
			v := capacityView(t, standings(now, state, nil), everybody{}, from)
			for _, table := range v.Tables {
				if table.Empty == "" || len(table.Columns) == 0 || len(table.Rows) > 1 {
					t.Errorf("%s: %q %q", table.Name, table.Empty, table.Rows)
				}
			}
		}
	}
	s := standings(now, nil, nil)
	s.from.Standing = nil
	if v := capacityView(t, s, everybody{}, ""); len(v.Tables) != 5 {
		t.Errorf("%d tables", len(v.Tables))
	}
}

// TestCapacityIsBounded: 10,000 tenants that share capacity, and 1,000 members of pools, are a page all the same. The
// sum is of all of them, and members that are out are among those shown.
func TestCapacityIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 10, 1, 0, 0, 0, time.UTC)
	var rows []row
	for i := range 10_000 {
		rows = append(rows, row{record.RowKey{Hour: now.Add(-time.Hour), Tenant: fmt.Sprintf("t%d", i), Model: floorARN},
			record.Counters{Legs: 1, Input: 1}})
	}
	state := &standing.State{Capacity: []config.Capacity{floorUnits()}}
	state.Capacity[0].Input = 0 // nobody knows: all is used
	for i := range 1000 {
		m := standing.Member{Pool: fmt.Sprintf("p%d", i), Upstream: "u"}
		if i == 999 {
			m.Out = []failover.Out{{Why: failover.Refused}}
		}
		state.Members = append(state.Members, m)
	}
	v := capacityView(t, standings(now, state, rows), everybody{}, "")
	fixed := v.Tables[4]
	if len(fixed.Rows) != mostRanked || fixed.Totals[2] != "60.00" || len(v.Tables[0].Rows) != mostStanding ||
		v.Tables[0].Rows[0][0] != "p999" {
		t.Errorf("%d shares of %s, %d members, the first %q", len(fixed.Rows), fixed.Totals[2], len(v.Tables[0].Rows),
			v.Tables[0].Rows[0])
	}
}
