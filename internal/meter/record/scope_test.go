package record

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func shipped(t *testing.T, own ...string) *PriceBook {
	t.Helper()
	var files []string
	for i, text := range own {
		name := t.TempDir() + "/own" + string(rune('0'+i)) + ".yaml"
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	cfg, err := config.LoadPrices(files, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	table, problems := Compile(cfg)
	if len(problems) > 0 && len(own) == 0 {
		t.Fatal(problems)
	}
	return table
}

const sonnet45 = "anthropic.claude-sonnet-4-5-20250929-v1:0"

// TestShippedScopes prices calls as the books that ship have them. Inputs are in
// dollars per million; "" is unpriced. M10: never another region's price without a
// mark.
func TestShippedScopes(t *testing.T) {
	table := shipped(t)
	f := func(sku SKU, input, mark string) {
		t.Helper()
		p := table.Find(sku, testDay)
		if p == nil {
			if input != "" {
				t.Errorf("%+v is unpriced, want %s", sku, input)
			}
			return
		}
		want, _ := money.ParseDollars(input)
		_, got := cutMark(p.Version)
		if input == "" || p.input.price != money.Price(want) || got != mark {
			t.Errorf("%+v: %s (%s), want %s %q", sku, money.Pico(p.input.price), p.Version, input, mark)
		}
	}
	f(SKU{Model: "amazon.nova-pro-v1:0", Scope: "us", Region: "us-east-1"}, "0.8", "")
	f(SKU{Model: "amazon.nova-pro-v1:0", Scope: "eu", Region: "eu-central-1"}, "1.05", "")
	f(SKU{Model: "amazon.nova-pro-v1:0", Region: "us-east-1"}, "0.8", "")
	f(SKU{Model: "amazon.nova-pro-v1:0", Region: "eu-central-1"}, "0.8", "us-east-1")
	f(SKU{Model: "amazon.nova-pro-v1:0", Region: "us-gov-west-1"}, "0.96", "")
	f(SKU{Model: "amazon.nova-pro-v1:0", Scope: "global"}, "", "")
	f(SKU{Model: "amazon.nova-2-lite-v1:0", Scope: "eu"}, "0.429", "")
	f(SKU{Model: "amazon.nova-2-lite-v1:0", Scope: "jp"}, "0.396", "")
	f(SKU{Model: "amazon.nova-2-lite-v1:0", Scope: "us"}, "0.33", "")
	f(SKU{Model: "amazon.nova-2-lite-v1:0", Scope: "global"}, "0.3", "")
	f(SKU{Model: sonnet45, Region: "us-east-1"}, "3.3", "")
	f(SKU{Model: sonnet45, Scope: "global"}, "3", "")
	f(SKU{Model: sonnet45, Scope: "ca", Region: "us-east-1"}, "3.3", "region")
	f(SKU{Model: sonnet45, Scope: "us-gov"}, "3.6", "")
	f(SKU{Model: "anthropic.claude-opus-4-6-v1", Scope: "us-gov"}, "", "")
	f(SKU{Model: sonnet45, Scope: "us", Latency: "optimized"}, "", "") // M9
	f(SKU{Model: sonnet45, Scope: "us", Tier: "flex"}, "", "")
	f(SKU{Model: "amazon.nova-pro-v1:0", Scope: "us", Tier: "flex"}, "0.4", "")
	f(SKU{Model: "meta.llama3-70b-instruct-v1:0", Region: "eu-west-2"}, "3.45", "")
}

func cutMark(version string) (string, string) {
	for i := range version {
		if version[i] == '+' {
			return version[:i], version[i+1:]
		}
	}
	return version, ""
}

// TestLongContext prices a whole request by its length. M11.
func TestLongContext(t *testing.T) {
	table := shipped(t)
	f := func(u wire.Usage, input, output money.Pico, long string) {
		t.Helper()
		s := newStart()
		s.Model, s.SKU = "us."+sonnet45, SKU{Model: sonnet45, Scope: "us"}
		u.Output = wire.Known(1000)
		p, costs := Derive(s, &End{ID: s.ID, Outcome: Completed, Usage: u, At: testDay}, table)
		if costs.Input != input || costs.Output != output || p.Row.Context != long || p.Add.Unpriced != 0 {
			t.Errorf("%+v: %+v in %+v", u, costs, p.Row)
		}
	}
	const perToken = 3_300_000 // pico-dollars
	f(wire.Usage{Input: wire.Known(200_000)}, 200_000*perToken, 1000*16_500_000, "")
	f(wire.Usage{Input: wire.Known(200_001)}, 200_001*2*perToken, 1000*24_750_000, "long")
	f(wire.Usage{Input: wire.Known(1), CacheRead: wire.Known(200_000)}, 2*perToken, 1000*24_750_000, "long")
	p := table.Find(SKU{Model: sonnet45, Scope: "us"}, testDay)
	short, _ := p.WorstCase(200_000, 0)
	long, _ := p.WorstCase(200_001, 0)
	if long < short*19/10 {
		t.Errorf("a long request may cost %s, a short one %s", long, short)
	}
}

// TestInvokedModel prices what a prompt router asked, and OpenAI's tier auto as the
// default one. M27.
func TestInvokedModel(t *testing.T) {
	table := shipped(t)
	s := newStart()
	s.Model = "arn:aws:bedrock:us-east-1:123456789012:prompt-router/abc"
	s.SKU = SKU{Region: "us-east-1"}
	e := &End{ID: s.ID, Outcome: Completed, At: testDay, Usage: wire.Usage{
		Input: wire.Known(1_000_000), Output: wire.Known(0), ServiceTier: "auto",
		InvokedModel: "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us." + sonnet45,
	}}
	p, costs := Derive(s, e, table)
	if costs.Total() != 6_600_000_000_000 || p.Row.Scope != "us" || p.Row.Tier != "" || p.Add.Unpriced != 0 {
		t.Errorf("%s in %+v", costs.Total(), p.Row)
	}
}

// TestOverride keeps what an own price does not name: cache rates and the long
// context. M12.
func TestOverride(t *testing.T) {
	table := shipped(t, `
per: million
prices:
  - {models: ["`+sonnet45+`"], effective: 2025-01-01, scopes: {us: 1}, input: 2.5, output: 12}
`)
	p := table.Find(SKU{Model: sonnet45, Scope: "us"}, testDay)
	if p.input.price != 2_500_000_000_000 || p.cacheRead.price != 330_000_000_000 || !p.cacheRead.listed {
		t.Errorf("%+v", p.rates)
	}
	if long, above := p.Long(); above != 200_000 || long.input.price != 6_600_000_000_000 {
		t.Errorf("above %d: %+v", above, long)
	}
	if eu := table.Find(SKU{Model: sonnet45, Scope: "eu"}, testDay); eu.input.price != 3_300_000_000_000 {
		t.Errorf("eu: %+v", eu.rates)
	}
}

// TestOverrideKeepsEveryClass: M12, whatever an own price names, no class of any shipped price becomes unpriced by it,
// and what it does not name stays what it was in each scope.
func TestOverrideKeepsEveryClass(t *testing.T) {
	before := shipped(t)
	for name, entry := range map[string]string{
		"one model":      `{models: ["` + sonnet45 + `"], effective: 2026-01-02, input: 2.5, output: 12}`,
		"geo and region": `{models: ["` + sonnet45 + `"], effective: 2026-01-02, scopes: {geo: 1, region: 1}, input: 2.5}`,
		"a pattern":      `{models: ["anthropic.claude-*"], effective: 2026-01-02, input: 2.5, output: 12}`,
		"all":            `{models: ["*"], effective: 2026-01-02, scopes: {region: 1, geo: 1, global: 1}, input: 2.5}`,
		"before all":     `{models: ["anthropic.*"], effective: 2020-01-01, input: 2.5, tiers: {batch: 0.5}}`,
		"a region":       `{models: ["amazon.nova-pro-v1:0"], effective: 2026-01-02, regions: [eu-west-1], input: 1}`,
	} {
		t.Run(name, func(t *testing.T) {
			table := shipped(t, "per: million\nprices: ["+entry+"]")
			for _, sku := range askedSKUs(before) {
				was, is := before.Find(sku, testDay), table.Find(sku, testDay)
				switch {
				case was == nil:
					continue
				case is == nil:
					t.Errorf("%+v is unpriced", sku)
					continue
				}
				keepsClasses(t, sku, was, is)
				if (was.long == nil) != (is.long == nil) {
					t.Errorf("%+v: its long context is %v, was %v", sku, is.long, was.long)
				} else if was.long != nil {
					keepsClasses(t, sku, was.long, is.long)
				}
			}
		})
	}
}

// keepsClasses compares what an own price of input and output alone did not name.
func keepsClasses(t *testing.T, sku SKU, was, is *Price) {
	t.Helper()
	after := is.all()
	for i, r := range was.all() {
		if r.listed && !after[i].listed {
			t.Errorf("%+v: class %d is unpriced", sku, i)
		}
		if i >= 2 && r.listed && after[i].price != r.price {
			t.Errorf("%+v: class %d costs %d, before %d", sku, i, after[i].price, r.price)
		}
	}
}

// askedSKUs are what a table lists, and the same in places that it does not list.
func askedSKUs(table *PriceBook) (all []SKU) {
	for _, sku := range table.SKUs() {
		all = append(all, sku)
		for _, elsewhere := range []SKU{
			{Region: "eu-west-1"}, {Scope: "ca"}, {Scope: "eu", Region: "eu-west-1"}, {Scope: "global"},
		} {
			elsewhere.Model, elsewhere.Tier, elsewhere.Latency = sku.Model, sku.Tier, sku.Latency
			all = append(all, elsewhere)
		}
	}
	return all
}

// TestPatternsInherit: M12, a pattern keeps of each model what that model had, and of a wider pattern what no model
// says.
func TestPatternsInherit(t *testing.T) {
	cached := func(p config.Price, read int64) config.Price {
		p.CacheRead, p.HasCacheRead = money.Price(read)*perMillion, true
		return p
	}
	table, problems := CompilePrices([]config.PriceBook{
		{Prices: []config.Price{
			cached(entry("m-1", "", "", "2026-01-01", 10), 1), cached(entry("m-2", "", "", "2026-01-01", 20), 2),
			cached(entry("m-*", "", "", "2026-01-01", 30), 3), entry("n", "", "", "2026-01-01", 10),
		}},
		{Prices: []config.Price{entry("m-*", "", "", "2026-01-01", 7), cached(entry("m-3", "", "", "2026-01-01", 8), 5)}},
		{Prices: []config.Price{entry("*", "", "", "2026-01-01", 6)}},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for model, want := range map[string]int64{"m-1": 1, "m-2": 2, "m-3": 5, "m-9": 3} {
		p := table.Find(SKU{Model: model}, testDay)
		if model == "m-9" { // only patterns know it: the last one keeps what no model says of the one before
			p = table.files[1].globs[0].price
		}
		if p.cacheRead.price != money.Price(want)*perMillion || !p.cacheRead.listed {
			t.Errorf("%s: %+v", model, p.rates)
		}
	}
	if p := table.Find(SKU{Model: "n"}, testDay); p.cacheRead.listed || p.input.price != 6*perMillion {
		t.Errorf("%+v", p.rates)
	}
}

// TestLeveled: M12, an own price that names no scopes takes away what geographies cost more, and check says so.
func TestLeveled(t *testing.T) {
	f := func(entry, want string) {
		t.Helper()
		name := t.TempDir() + "/own.yaml"
		if err := os.WriteFile(name, []byte("per: million\nprices: ["+entry+"]"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.LoadPrices([]string{name}, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		_, problems := Compile(cfg)
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !problems[0].Warning) {
			t.Fatalf("%s: %+v", entry, problems)
		}
		if text := cfg.Render(problems); !strings.Contains(text, want) {
			t.Errorf("%s: want %q, got\n%s", entry, want, text)
		}
	}
	const sonnet = `models: ["` + sonnet45 + `"], effective: 2026-06-01, `
	f("{"+sonnet+"input: 2.5, output: 12}", "own.yaml:2:10: warning: prices[0]: names no scopes, so that "+
		sonnet45+" costs the same everywhere; today its input is $3.00 as global and $3.30 ")
	f("{"+sonnet+"scopes: {region: 1.1, geo: 1.1, global: 1}, input: 2.5, output: 12}", "")
	f("{"+sonnet+"regions: [eu-west-1], input: 2.5, output: 12}", "")
	f(`{models: ["anthropic.claude-sonnet-*"], effective: 2026-06-01, input: 2.5, output: 12}`, "names no scopes")
	f(`{models: ["meta.llama3-3-70b-instruct-v1:0"], effective: 2026-06-01, input: 0.7, output: 0.7}`, "")
}

// TestTerms charges the lower of a guaranteed and the list price, less the
// discount, and keeps the difference.
func TestTerms(t *testing.T) {
	lock := entry("m", "", "", "2026-01-01", 8)
	lock.Until = day("2026-06-30")
	lock.Output = 100 * perMillion // above the list price
	table, problems := Compile(&config.Config{
		Prices: []config.PriceBook{{Prices: []config.Price{
			entry("m", "", "", "2025-01-01", 10), entry("m", "", "flex", "2025-01-01", 5), entry("g*", "", "", "2025-01-01", 10),
		}}},
		Locks: []config.PriceBook{{Prices: []config.Price{lock}}},
		Discounts: []config.Discount{{
			Tiers: []string{"default"}, PPM: 100_000, From: day("2026-03-01"), To: day("2026-12-31"),
		}},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f := func(model, tier, at string, total, discount money.Pico) {
		t.Helper()
		s := newStart()
		s.SKU = SKU{Model: model, Tier: tier}
		u := wire.Usage{Input: wire.Known(1000), Output: wire.Known(1000)}
		p, costs := Derive(s, &End{ID: s.ID, Outcome: Completed, Usage: u, At: day(at).Add(12 * time.Hour)}, table)
		if costs.Total() != total || costs.Discount != discount || p.Add.Discount != discount {
			t.Errorf("%s %s on %s: %d, %d less than list (%s)", model, tier, at, costs.Total(), costs.Discount,
				p.Row.PriceVersion)
		}
	}
	f("m", "", "2025-12-31", 30_000, 0)
	f("m", "", "2026-01-01", 28_000, 2_000)
	f("m", "", "2026-03-01", 25_200, 4_800)
	f("m", "", "2026-06-30", 25_200, 4_800)
	f("m", "", "2026-07-01", 27_000, 3_000)
	f("m", "", "2026-12-31", 27_000, 3_000)
	f("m", "", "2027-01-01", 30_000, 0)
	f("m", "flex", "2026-07-01", 15_000, 0)
	f("g1", "", "2026-07-01", 27_000, 3_000)
}

// TestLocksOfOneScope: a guaranteed price of one place is charged there, also where the list price is that of any place
// or of another one, and nowhere else.
func TestLocksOfOneScope(t *testing.T) {
	us, west := entry("m", "us", "", "2026-01-01", 7), entry("m", "", "", "2026-01-01", 6)
	west.Region = "eu-west-1"
	geo := entry("g", "geo", "", "2026-01-01", 10)
	home := entry("m", "", "", "2026-01-01", 10)
	home.Region = homeRegion
	glob := us
	glob.Models = []string{"g*"}
	table, problems := Compile(&config.Config{
		Prices: []config.PriceBook{{Prices: []config.Price{home, geo}}},
		Locks:  []config.PriceBook{{Prices: []config.Price{us, west, glob}}},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f := func(sku SKU, want int64) {
		t.Helper()
		if p := table.Find(sku, testDay); p == nil || p.input.price != money.Price(want)*perMillion {
			t.Errorf("%+v: %+v, want %d", sku, p, want)
		}
	}
	f(SKU{Model: "m", Region: homeRegion}, 10)
	f(SKU{Model: "m", Scope: "us", Region: homeRegion}, 7)
	f(SKU{Model: "m", Scope: "eu"}, 10)
	f(SKU{Model: "m", Region: "eu-west-1"}, 6)
	f(SKU{Model: "m", Region: "eu-west-2"}, 10)
	f(SKU{Model: "g", Scope: "us"}, 7)
	f(SKU{Model: "g", Scope: "eu"}, 10)
}
