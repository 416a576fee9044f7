package test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// usageLine is one call for the other program, which has the price files and
// nothing else.
type usageLine struct {
	Model  string           `json:"model"`
	Scope  string           `json:"scope"`
	Region string           `json:"region"`
	Tier   string           `json:"tier"`
	Day    string           `json:"day"`
	Counts map[string]int64 `json:"counts"`
}

const summedDiscounts = `[{"percent": "12.5", "services": ["bedrock"], "from": "2026-06-01", "to": "2026-09-30"},
	{"percent": "7.3", "services": ["marketplace"], "tiers": ["default"], "from": "2026-03-01"}]`

// TestIndependentSum prices 500 usages of all families, tiers, scopes and lengths of
// context, and compares with a sum in Python over the same files.
func TestIndependentSum(t *testing.T) {
	python := filepath.Join("..", ".tools/python/bin/python")
	if exec.Command(python, "-c", "import yaml").Run() != nil {
		if python = "python3"; exec.Command(python, "-c", "import yaml").Run() != nil {
			t.Skip("no Python with PyYAML")
		}
	}
	cfg, err := config.LoadPrices(nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	cfg.Discounts = []config.Discount{
		{PPM: 125_000, Services: []string{"bedrock"}, From: day("2026-06-01"), To: day("2026-09-30")},
		{PPM: 73_000, Services: []string{"marketplace"}, Tiers: []string{"default"}, From: day("2026-03-01")},
	}
	table, problems := record.Compile(cfg)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	lines, want := recordedUsage(t, table)
	write := func(name string, data []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	cmd := exec.Command(python, "pricesum/sum.py", write("usage.jsonl", lines),
		write("discounts.json", []byte(summedDiscounts)), "../config/prices.yaml",
		"../config/prices-more.yaml")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got summed
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got != want || want.Net == want.List || want.Unpriced == 0 || want.Unpriced > 250 {
		t.Errorf("Python has %+v, the gateway %+v", got, want)
	}
}

type summed struct {
	Net, List, Unpriced int64
}

// recordedUsage makes 500 calls and what the books say of them.
func recordedUsage(t *testing.T, table *record.PriceBook) (lines []byte, sum summed) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	skus := table.SKUs()
	var total record.Counters
	for i := range 500 {
		sku := skus[random.IntN(len(skus))]
		if i%5 == 0 { // where there may be no price of its own
			sku.Tier = []string{"", "flex", "priority", "reserved", "batch"}[random.IntN(5)]
			sku.Scope = []string{"", "us", "eu", "apac", "jp", "au", "ca", "us-gov", "global"}[random.IntN(9)]
		}
		if sku.Region == "" || i%7 == 0 {
			sku.Region = []string{"us-east-1", "eu-north-1", "ap-south-1", "us-gov-west-1"}[random.IntN(4)]
		}
		if sku.Model == "guardrail" {
			sku = record.SKU{Model: "amazon.nova-lite-v1:0", Scope: "us"}
		}
		at := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, random.IntN(280))
		line := usageLine{sku.Model, sku.Scope, sku.Region, sku.Tier, at.Format(time.DateOnly), countsOf(random)}
		data, _ := json.Marshal(line)
		lines = append(append(lines, data...), '\n')
		add := price(table, sku, at, line.Counts)
		total, _ = total.Plus(add)
	}
	for _, cost := range total.CostClasses() {
		sum.Net += int64(cost)
	}
	sum.List, sum.Unpriced = sum.Net+int64(total.Discount), total.Unpriced
	return lines, sum
}

func countsOf(random *rand.Rand) map[string]int64 {
	counts := map[string]int64{"input": random.Int64N(400_000), "output": random.Int64N(8_000)}
	if random.IntN(4) == 0 {
		counts["cache_read"] = random.Int64N(300_000)
		counts["cache_write_5m"] = random.Int64N(9_000)
	}
	if random.IntN(9) == 0 {
		counts["cache_write_1h"] = random.Int64N(9_000)
	}
	if random.IntN(12) == 0 {
		counts["query"], counts["image"], counts["second"] = random.Int64N(5), random.Int64N(5), random.Int64N(90_000)
	}
	return counts
}

// price is what the record of a call adds.
func price(table *record.PriceBook, sku record.SKU, at time.Time, counts map[string]int64) record.Counters {
	known := func(class string) wire.Count { return wire.Known(counts[class]) }
	p, _ := record.Derive(
		&record.Start{Root: "acme", Tenant: "acme", Op: wire.OpConverse, Model: sku.Model, SKU: sku},
		&record.End{Outcome: record.Completed, At: at, Usage: wire.Usage{
			Input: known("input"), Output: known("output"), CacheRead: known("cache_read"),
			CacheWrite5m: known("cache_write_5m"), CacheWrite1h: known("cache_write_1h"),
			Queries: known("query"), Images: known("image"), Milliseconds: known("second"),
		}}, table)
	return p.Add
}
