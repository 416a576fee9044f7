package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/money"
)

// thousand is a price in dollars per thousand tokens.
func thousand(t *testing.T, s string) money.Price {
	t.Helper()
	p, err := money.ParseDollars(s)
	if err != nil {
		t.Fatal(err)
	}
	return money.Price(p) * 1000 // per million
}

// find returns the one row of the books for a model id.
func find(t *testing.T, c *Config, id, scope, tier string) Price {
	t.Helper()
	var found []Price
	for _, b := range c.Prices {
		for _, p := range b.Prices {
			home := p.Region == "" || p.Region == "us-east-1"
			if p.Scope == scope && p.Tier == tier && p.Above == 0 && home && glob.CompileList(p.Models).Match(id) {
				found = append(found, p)
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s in scope %q and tier %q has %d prices", id, scope, tier, len(found))
	}
	return found[0]
}

// TestDocumentPrices compares the first book with the table of the document,
// typed from there.
func TestDocumentPrices(t *testing.T) {
	c := mustParse(t, "")
	table := []struct{ id, input, output, half string }{
		{"anthropic.claude-3-5-sonnet-20241022-v2:0", "0.003", "0.015", "0.0015"},
		{"anthropic.claude-3-5-haiku-20241022-v1:0", "0.0008", "0.004", "0.0004"},
		{"anthropic.claude-3-opus-20240229-v1:0", "0.015", "0.075", "0.0075"},
		{"amazon.nova-pro-v1:0", "0.0008", "0.0032", "0.0004"},
		{"amazon.nova-lite-v1:0", "0.00006", "0.00024", "0.00003"},
		{"amazon.nova-micro-v1:0", "0.000035", "0.00014", "0.0000175"},
		{"amazon.titan-text-premier-v1:0", "0.0005", "0.0015", "0.00025"},
		{"meta.llama3-3-70b-instruct-v1:0", "0.00072", "0.00072", "0.00036"},
		{"meta.llama3-1-405b-instruct-v1:0", "0.00532", "0.016", "0.00266"},
		{"mistral.mistral-large-2407-v1:0", "0.002", "0.006", "0.001"},
		{"cohere.command-r-plus-v1:0", "0.0025", "0.01", "0.00125"},
		{"ai21.jamba-1-5-large-v1:0", "0.002", "0.008", "0.001"},
	}
	var listed []string
	for _, row := range table {
		listed = append(listed, row.id)
		for _, scope := range []string{"", "us"} { // M10: the document is of us-east-1
			p := find(t, c, row.id, scope, "")
			if p.Input != thousand(t, row.input) || p.Output != thousand(t, row.output) || !p.HasOutput {
				t.Errorf("%s in %q: %+v", row.id, scope, p)
			}
			if batch := find(t, c, row.id, scope, "batch"); batch.Input != thousand(t, row.half) || batch.Output*2 != p.Output {
				t.Errorf("%s batch in %q: %+v", row.id, scope, batch)
			}
		}
	}
	for _, p := range c.Prices[0].Prices {
		if p.HasOutput && !slices.Contains(listed, p.Models[0]) {
			t.Errorf("the first book lists %v, which the document does not", p.Models)
		}
		if p.Effective != time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) || p.Source == "" {
			t.Errorf("%v: effective %s, source %q", p.Models, p.Effective, p.Source)
		}
	}
}

func TestDocumentOtherRates(t *testing.T) {
	c := mustParse(t, "")
	read := func(id, want string) {
		t.Helper()
		if p := find(t, c, id, "us", ""); !p.HasCacheRead || p.CacheRead != thousand(t, want) {
			t.Errorf("%s: %+v", id, p)
		}
	}
	read("anthropic.claude-3-5-sonnet-20241022-v2:0", "0.00075")
	read("anthropic.claude-3-5-haiku-20241022-v1:0", "0.0002")
	read("anthropic.claude-3-opus-20240229-v1:0", "0.00375")
	for _, id := range []string{"amazon.titan-embed-text-v2:0", "amazon.titan-embed-text-v1", "cohere.embed-english-v3"} {
		if p := find(t, c, id, "", ""); p.Input != thousand(t, "0.0001") || p.HasOutput {
			t.Errorf("%s: %+v", id, p)
		}
	}
	guardrail := find(t, &Config{Prices: c.Prices[:1]}, "guardrail", "", "")
	if got := money.Cost(4, guardrail.Guardrail["content"]).String(); got != "0.003" {
		t.Errorf("four text units cost %s", got)
	}
	if price, listed := guardrail.Guardrail["word"]; price != 0 || !listed {
		t.Error("word filters are free, not unknown")
	}
	if _, listed := guardrail.Guardrail["content_image"]; listed {
		t.Error("images are unknown, not free")
	}
}

func TestMorePrices(t *testing.T) {
	c := mustParse(t, "")
	sonnet := "anthropic.claude-sonnet-4-5-20250929-v1:0"
	for scope, want := range map[string]string{"": "0.0033", "us": "0.0033", "eu": "0.0033", "global": "0.003"} {
		p := find(t, c, sonnet, scope, "")
		if p.Input != thousand(t, want) || p.CacheWrite1h != 2*p.Input || p.CacheRead*10 != p.Input ||
			p.CacheWrite5m*4 != p.Input*5 {
			t.Errorf("%q: %+v", scope, p)
		}
	}
	for _, b := range c.Prices {
		for _, p := range b.Prices {
			if p.Source == "" || p.Effective.IsZero() {
				t.Errorf("%v has no source or day", p.Models)
			}
		}
	}
}

// TestCatalogue holds that every id of the books, and each of the twelve, has
// exactly one entry, so that the order of entries does not matter.
func TestCatalogue(t *testing.T) {
	c := mustParse(t, "")
	var ids []string
	for _, b := range c.Prices {
		for _, p := range b.Prices {
			ids = append(ids, p.Models...)
		}
	}
	for _, m := range c.Models {
		ids = append(ids, m.IDs...)
		if m.Dialect == "" || m.Source == "" {
			t.Errorf("%v: %+v", m.IDs, m)
		}
		if m.CachePoints != (m.Cache != nil) {
			t.Errorf("%v takes cache points: %v, and its cache is %+v", m.IDs, m.CachePoints, m.Cache)
		}
		if m.Context != 0 && m.MaxOutput > m.Context {
			t.Errorf("%v answers with more than it reads", m.IDs)
		}
	}
	for _, id := range ids {
		matching := 0
		for _, m := range c.Models {
			if glob.CompileList(m.IDs).Match(strings.ReplaceAll(id, "*", "x")) {
				matching++
			}
		}
		if matching != 1 && id != "guardrail" {
			t.Errorf("%s has %d entries", id, matching)
		}
	}
}

func TestOwnPricesComeLast(t *testing.T) {
	dir := t.TempDir()
	const own = "per: million\nprices: [{models: [m], effective: 2026-03-01, input: 1, output: 2, tiers: {flex: 0.5}}]"
	if err := os.WriteFile(filepath.Join(dir, "own.yaml"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(&decoder{env: testEnv}, filepath.Join(dir, "sluice.yaml"), []byte("prices: [own.yaml]"))
	if err != nil {
		t.Fatal(err)
	}
	book := c.Prices[len(c.Prices)-1]
	if book.Name != "own.yaml" || len(book.Prices) != 6 {
		t.Fatalf("%+v", book)
	}
	if p := book.Prices[1]; p.Tier != "flex" || p.Input != 500_000_000_000 || p.Output != 1_000_000_000_000 {
		t.Errorf("%+v", p)
	}
}

// TestClass: each class is set and read by its name, apart from the others.
func TestClass(t *testing.T) {
	var all Rates
	for i, c := range all.Classes() {
		var one Rates
		want := Class{Name: c.Name, Price: money.Price(i + 1), Listed: true}
		one.Set(want)
		all.Set(want)
		if got := one.Class(c.Name); got != want {
			t.Errorf("%s: %+v", c.Name, got)
		}
		listed := slices.DeleteFunc(one.Classes(), func(c Class) bool { return !c.Listed })
		if len(listed) != 1 || all.Classes()[i] != want {
			t.Errorf("%s: %+v, and among all %+v", c.Name, listed, all.Classes()[i])
		}
	}
	if none := all.Class("speech"); none.Listed {
		t.Errorf("no class is %+v", none)
	}
}
