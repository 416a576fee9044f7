package views

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/advice"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/promptcache"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/standing"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// TestLevers: ten days of ten dollars each are 730 dollars a month of 730 hours, and the week is seven of them.
func TestLevers(t *testing.T) {
	cfg, err := config.LoadPrices(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	prices, _ := record.Compile(cfg)
	now := time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)
	var rows []row
	add := func(day int, tenant, model, tier string, c record.Counters) {
		c.Requests, c.Legs = 1, 1
		at := now.AddDate(0, 0, -day)
		rows = append(rows, row{record.RowKey{Hour: at, Tenant: tenant, Model: model, Tier: tier}, c})
	}
	const million = 1_000_000
	for day := 1; day <= 10; day++ {
		// 3.30 a million as us., 3.00 as global., half of 3.30 in batch.
		add(day, "acme", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "",
			record.Counters{Input: million, CostInput: 3_300_000_000_000})
	}
	// Nova Pro at 0.80, in flex at 0.40, and read from the cache at 0.20.
	add(1, "flexed", "amazon.nova-pro-v1:0", "flex",
		record.Counters{Input: 10 * million, CostInput: 4_000_000_000_000, CostWasted: 1_000_000_000_000})
	add(1, "cached", "amazon.nova-pro-v1:0", "", record.Counters{Input: million, CacheRead: million,
		CostInput: 800_000_000_000, CostCacheRead: 200_000_000_000, TokensCut: 77})
	s := New(Sources{
		Ledger: source{counted{rows}}, Now: func() time.Time { return now }, Tenants: func() *tenant.Directory { return nil },
		Prices: func() *record.PriceBook { return prices }, Baselines: func() []saving.Baseline { return nil },
		Models: func() map[string]string { return nil },
	})
	v, _, err := s.Make(context.Background(), "levers", everybody{}, map[string][]string{"from": {"2026-11-01"}})
	if err != nil {
		t.Fatal(err)
	}
	holds := func(table int, cells ...string) {
		t.Helper()
		for _, r := range v.Tables[table].Rows {
			if at := slices.Index(r, cells[1]); r[0] == cells[0] && at == 1 && slices.Equal(r[2:len(cells)], cells[2:]) {
				return
			}
		}
		t.Errorf("no %q in %q", cells, v.Tables[table].Rows)
	}
	holds(0, "acme", "global profile", "9.125", "9.125", "exact", "100.375",
		"requests may be processed in any commercial region; caches start anew once", "residency: any", "23.10", "21.00")
	holds(0, "acme", "batch", "0.00", "50.1875", "an interval", "100.375")
	holds(1, "flexed", "flex", "", "2.00", "4.00")
	holds(1, "cached", "prompt cache", "0.60", "0.60", "0.60", "exact")
	holds(1, "cached", "output cap", "", "", "")
}

// nearby is a policy that closes the global profile.
type nearby struct{}

func (nearby) Open(_, lever, _ string) bool { return lever != advice.GlobalProfile }

// TestLeversAreBounded: 10,000 tenants are a page all the same, a policy is heeded, and headroom and points are there
// for who may see them.
func TestLeversAreBounded(t *testing.T) {
	cfg, err := config.LoadPrices(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	prices, _ := record.Compile(cfg)
	now := time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)
	var rows []row
	for i := range 10_000 {
		rows = append(rows, row{record.RowKey{Hour: now.AddDate(0, 0, -1), Tenant: fmt.Sprintf("t%d", i),
			Model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0"},
			record.Counters{Requests: 1, Legs: 1, Input: 1000, CostInput: 3_300_000_000, TokensCut: 1}})
	}
	s := New(Sources{
		Ledger: source{counted{rows}}, Now: func() time.Time { return now },
		Tenants: func() *tenant.Directory { return &tenant.Directory{} },
		Prices:  func() *record.PriceBook { return prices }, Baselines: func() []saving.Baseline { return nil },
		Models: func() map[string]string { return nil }, Policy: func() advice.Policy { return nearby{} },
		Standing: func() *standing.State {
			return &standing.State{Quotas: []quota.State{{Cap: 512, Freed: 9}, {Cap: 1 << 40}}}
		},
		Prompts: func() []promptcache.Row { return []promptcache.Row{{Tenant: "t1", Paid: 2, Saved: 5}, {Tenant: "t2"}} },
	})
	for who, want := range map[Viewer]string{everybody{}: "300 300 1 2 ", subtree("t1"): "2 1 1 "} {
		v, _, err := s.Make(context.Background(), "levers", who, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, table := range v.Tables {
			got += fmt.Sprint(len(table.Rows), " ")
		}
		if text := fmt.Sprint(v.Tables[0].Rows); got != want || strings.Contains(text, "global profile") {
			t.Errorf("%v: %q, want %q: %.200s", who, got, want, text)
		}
	}
}
