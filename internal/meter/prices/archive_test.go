package prices

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// compiled is the table of a configuration, with the books that ship.
func compiled(t *testing.T, files map[string]string) *record.PriceBook {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "sluice.yaml"), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	table, problems := record.Compile(cfg)
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	return table
}

// contract is a configuration with own prices of models and patterns, guaranteed prices and discounts.
func contract() map[string]string {
	return map[string]string{
		"sluice.yaml": `
upstream: {endpoint: sandbox}
prices: [own.yaml]
price_locks: [locks.yaml]
discounts:
  - {models: ["anthropic.*"], percent: 12.5, from: 2026-02-01, to: 2026-08-31}
  - {services: [bedrock], percent: 3, from: 2026-03-01}
`,
		"own.yaml": `
per: million
prices:
  - {models: ["anthropic.claude-sonnet-*"], effective: 2026-05-01, scopes: {region: 1.1, geo: 1.1, global: 1}, input: 2.9}
  - {models: ["corp.*"], effective: 2026-01-01, input: 1, output: 2}
  - {models: ["amazon.nova-pro-v1:0"], effective: 2026-01-01, regions: [eu-west-1], input: 0.9}
`,
		"locks.yaml": `
per: million
prices:
  - {models: ["anthropic.claude-haiku-4-5-20251001-v1:0"], effective: 2026-01-01, until: 2026-06-30, input: 0.9, output: 4.4}
  - {models: ["corp.*"], effective: 2026-06-01, input: 0.5, output: 1.5}
`,
	}
}

// TestVersionsOutliveTheirFiles: whatever version a record can name, the archive has its rates when the price files are
// gone, also those of patterns, of calls that take another place's price, of discounts and of guaranteed prices.
func TestVersionsOutliveTheirFiles(t *testing.T) {
	table, gone := compiled(t, contract()), &record.PriceBook{}
	dir := t.TempDir()
	for range 2 { // what is there is not added again
		if err := Keep(dir, table); err != nil {
			t.Fatal(err)
		}
	}
	archived, err := known(dir, gone)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, sku := range skus(table) {
		for _, day := range []string{"2026-01-15", "2026-02-15", "2026-05-15", "2026-07-15", "2026-10-15"} {
			at, err := time.Parse(time.DateOnly, day)
			if err != nil {
				t.Fatal(err)
			}
			p := table.Find(sku, at)
			if p == nil {
				continue
			}
			long, _ := p.Long()
			for _, p := range []*record.Price{p, long} {
				if p == nil || seen[p.Version] {
					continue
				}
				seen[p.Version] = true
				m, _, err := archived.find(p.Version)
				if err != nil {
					t.Errorf("%+v on %s: %v", sku, day, err)
					continue
				}
				diff := cmp.Diff(p.Rates(), m.Rates)
				if diff != "" || m.Version != p.Version || m.Source == "" && p.Source() != "" {
					t.Errorf("%+v on %s, %s: %+v %s", sku, day, p.Version, m, diff)
				}
				if p.Discounted() != (m.List != nil) || m.List != nil && !cmp.Equal(p.List(), m.List) {
					t.Errorf("%+v on %s, %s: list price %+v", sku, day, p.Version, m.List)
				}
			}
		}
	}
	for _, kind := range []string{"+region-12.5%", "+us-east-1-3%", "~2026-01-01-", "~2026-06-01-", "+us-east-1"} {
		found := false
		for version := range seen {
			found = found || strings.Contains(version, kind)
		}
		if !found {
			t.Errorf("no version with %s among %d was tried", kind, len(seen))
		}
	}
	if n, lines := len(seen), count(t, dir); lines < 500 {
		t.Errorf("%d versions, %d lines", n, lines)
	}
}

// skus are those of a table, and the same where it has no price of its own.
func skus(table *record.PriceBook) (all []record.SKU) {
	for _, sku := range append(table.SKUs(), record.SKU{Model: "corp.one"}) {
		all = append(all, sku)
		for _, at := range []record.SKU{{Region: "ap-south-2"}, {Scope: "in"}, {Scope: "eu"}, {Scope: "global"}} {
			at.Model, at.Tier, at.Latency = sku.Model, sku.Tier, sku.Latency
			all = append(all, at)
		}
	}
	return all
}

func count(t *testing.T, dir string) int {
	t.Helper()
	data, err := os.ReadFile(archiveFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	versions := map[string]bool{}
	for _, line := range lines {
		version, _, _ := strings.Cut(line, ",")
		if versions[version] {
			t.Errorf("%s is there twice", version)
		}
		versions[version] = true
	}
	return len(lines)
}

// TestArchiveAfterCrash: a line that a crash cut off is passed over, and its version is kept again.
func TestArchiveAfterCrash(t *testing.T) {
	table, dir := compiled(t, contract()), t.TempDir()
	if err := Keep(dir, table); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(archiveFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(archiveFile(dir), whole[:len(whole)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Keep(dir, table); err != nil {
		t.Fatal(err)
	}
	archived, err := known(dir, &record.PriceBook{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range table.Prices() {
		if _, _, err := archived.find(p.Version); err != nil {
			t.Error(err)
		}
	}
}

// TestShowNamesWhatIsMissing: neither a version that nobody had nor a text that is none.
func TestShowNamesWhatIsMissing(t *testing.T) {
	for version, want := range map[string]string{
		"2020-01-01-deadbeef":            "2020-01-01-deadbeef is in no price file, nor in ",
		"2020-01-01-deadbeef+region-10%": "2020-01-01-deadbeef is in no price file, nor in ",
		"nonsense":                       `"nonsense" is in no price file`,
		"":                               `"" is in no price file`,
	} {
		_, err := Show(t.TempDir(), &record.PriceBook{}, version)
		if !errors.Is(err, ErrNoVersion) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", version, err)
		}
	}
}
