package prices

import (
	"archive/zip"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

var day = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

// shipped is the configuration and the table of the books that ship.
func shipped(t *testing.T) (*config.Config, *record.PriceBook) {
	t.Helper()
	cfg, err := config.LoadPrices(nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	table, problems := record.Compile(cfg)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return cfg, table
}

func reading(t *testing.T, file string) *Reading {
	t.Helper()
	return &Reading{File: file, Version: "1.2.3", Day: day, IDs: IDs(shipped(t))}
}

// read reads a file that must be right, and what it says for each price and of what was left out.
func read(t *testing.T, file string) (list *List, said []string) {
	t.Helper()
	list, err := Read(reading(t, file))
	if err != nil {
		t.Fatal(err)
	}
	_, table := shipped(t)
	if err := list.Check(table, day); err != nil {
		t.Error(err)
	}
	for i := range list.Prices {
		said = append(said, Name(&list.Prices[i])+": "+writtenRates(&list.Prices[i].Rates))
	}
	return list, said
}

// TestNativeOffer reads AWS's price list of its own and open models: per thousand and per million told apart by the
// unit, all tiers, scopes, latencies and classes, and every other product left out by name.
func TestNativeOffer(t *testing.T) {
	list := readsOffer(t, "AmazonBedrock", []string{
		"amazon.nova-2-lite-v1:0 us-east-1: input: 0.33, output: 2.75",
		"amazon.nova-2-lite-v1:0 us-west-2: input: 0.36, output: 3",
		"global.amazon.nova-2-lite-v1:0: input: 0.3, output: 2.5",
		"amazon.nova-2-multimodal-embeddings-v1:0 us-east-1: input: 0.135, image: 0.00006, second: 0.0007",
		"us.amazon.nova-2-multimodal-embeddings-v1:0: input: 0.135, image: 0.00006, second: 0.0007",
		"amazon.nova-pro-v1:0 eu-central-1: input: 1.05, output: 4.2, cache_read: 0.2625, cache_write_5m: 1.05",
		"amazon.nova-pro-v1:0 us-east-1: input: 0.8, output: 3.2, cache_read: 0.2, cache_write_5m: 0.8",
		"amazon.nova-pro-v1:0 us-east-1 optimized: input: 1, output: 4",
		"amazon.nova-pro-v1:0 us-east-1 batch: input: 0.4, output: 1.6",
		"amazon.nova-pro-v1:0 us-east-1 flex: input: 0.4, output: 1.6",
		"amazon.nova-pro-v1:0 us-east-1 priority: input: 1.4, output: 5.6",
		"amazon.nova-pro-v1:0 us-west-2: input: 0.8, output: 3.2, cache_read: 0.2, cache_write_5m: 0.8",
		"eu.amazon.nova-pro-v1:0: input: 1.05, output: 4.2, cache_read: 0.2625, cache_write_5m: 1.05",
		"us.amazon.nova-pro-v1:0: input: 0.8, output: 3.2, cache_read: 0.2, cache_write_5m: 0.8",
		"us.amazon.nova-pro-v1:0 optimized: input: 1, output: 4",
		"us.amazon.nova-pro-v1:0 batch: input: 0.4, output: 1.6",
		"us.amazon.nova-pro-v1:0 flex: input: 0.4, output: 1.6",
		"us.amazon.nova-pro-v1:0 priority: input: 1.4, output: 5.6",
		"amazon.rerank-v1:0 us-east-1: query: 0.001",
		"us.amazon.rerank-v1:0: query: 0.001",
		"amazon.titan-embed-text-v2:0 us-east-1: input: 0.02",
		"us.amazon.titan-embed-text-v2:0: input: 0.02",
		"deepseek.v3.2 us-east-1: input: 0.62, output: 1.85",
		"us.deepseek.v3.2: input: 0.62, output: 1.85",
		"meta.llama3-3-70b-instruct-v1:0 us-east-1: input: 0.72, output: 0.72",
		"us.meta.llama3-3-70b-instruct-v1:0: input: 0.72, output: 0.72",
		"openai.gpt-oss-120b-1:0 us-east-1: input: 0.15, output: 0.6",
		"us.openai.gpt-oss-120b-1:0: input: 0.15, output: 0.6",
	}, map[string]int{
		"guardrails have the prices of the first book":                      1,
		"it is for models of your own":                                      1,
		"it is for pictures, which are billed by size":                      1,
		"it is for speech":                                                  1,
		"it is provisioned throughput, billed by the hour":                  1,
		"it is reserved capacity, billed by the month":                      1,
		"it is served by another endpoint, bedrock-mantle":                  1,
		"its profile has no one price: the regions of its geography differ": 1,
		"its usage is not known":                                            1,
		"no id is known for its name":                                       1,
	})
	if !slices.Equal(list.Unnamed, []string{"Model of Tomorrow"}) {
		t.Errorf("without an id: %v", list.Unnamed)
	}
	const doubt = "AmazonBedrock.json:737:9: warning: usagetype USE1-NovaPro-input-tokens-weekend is not read: " +
		"the word weekend"
	if text := (&config.Error{Faults: list.Doubts}).Error(); !strings.Contains(text, doubt) {
		t.Error(text)
	}
}

// TestMarketplaceOffer reads that of models of the Marketplace, whose "Units" are a million tokens, in the spellings
// of all years.
func TestMarketplaceOffer(t *testing.T) {
	list := readsOffer(t, "AmazonBedrockFoundationModels", []string{
		"anthropic.claude-3-5-haiku-20241022-v1:0 us-east-1 optimized: input: 1, output: 5",
		"us.anthropic.claude-3-5-haiku-20241022-v1:0 optimized: input: 1, output: 5",
		"anthropic.claude-3-5-sonnet-20240620-v1:0 us-east-1: input: 3, output: 15",
		"anthropic.claude-3-5-sonnet-20240620-v1:0 us-east-1 batch: input: 1.5",
		"us.anthropic.claude-3-5-sonnet-20240620-v1:0: input: 3, output: 15",
		"us.anthropic.claude-3-5-sonnet-20240620-v1:0 batch: input: 1.5",
		"anthropic.claude-3-5-sonnet-20241022-v2:0 us-east-1: input: 3, output: 15",
		"us.anthropic.claude-3-5-sonnet-20241022-v2:0: input: 3, output: 15",
		"anthropic.claude-opus-4-6-v1 us-east-1: input: 5.5, output: 27.5, cache_read: 0.55, cache_write_5m: 6.875, " +
			"cache_write_1h: 11",
		"anthropic.claude-opus-4-6-v1 us-east-1 above 200000: input: 11, output: 41.25",
		"global.anthropic.claude-opus-4-6-v1: input: 5, output: 25, cache_write_1h: 10",
		"global.anthropic.claude-opus-4-6-v1 batch: input: 2.5, output: 12.5",
		"us.anthropic.claude-opus-4-6-v1: input: 5.5, output: 27.5, cache_read: 0.55, cache_write_5m: 6.875, " +
			"cache_write_1h: 11",
		"us.anthropic.claude-opus-4-6-v1 above 200000: input: 11, output: 41.25",
		"anthropic.claude-sonnet-4-5-20250929-v1:0 eu-central-1: input: 3.3, output: 16.5, cache_read: 0.33, " +
			"cache_write_5m: 4.125, cache_write_1h: 6.6",
		"anthropic.claude-sonnet-4-5-20250929-v1:0 eu-west-2: input: 4.455, output: 22.275",
		"anthropic.claude-sonnet-4-5-20250929-v1:0 us-east-1: input: 3.3, output: 16.5, cache_read: 0.33, " +
			"cache_write_5m: 4.125, cache_write_1h: 6.6",
		"anthropic.claude-sonnet-4-5-20250929-v1:0 us-east-1 above 200000: input: 6.6, output: 24.75",
		"anthropic.claude-sonnet-4-5-20250929-v1:0 us-west-2: input: 3.3, output: 16.5, cache_read: 0.33, " +
			"cache_write_5m: 4.125, cache_write_1h: 6.6",
		"global.anthropic.claude-sonnet-4-5-20250929-v1:0: input: 3, output: 15, cache_read: 0.3, " +
			"cache_write_5m: 3.75, cache_write_1h: 6",
		"global.anthropic.claude-sonnet-4-5-20250929-v1:0 batch: input: 1.5, output: 7.5",
		"us.anthropic.claude-sonnet-4-5-20250929-v1:0: input: 3.3, output: 16.5, cache_read: 0.33, " +
			"cache_write_5m: 4.125, cache_write_1h: 6.6",
		"us.anthropic.claude-sonnet-4-5-20250929-v1:0 above 200000: input: 6.6, output: 24.75",
		"cohere.embed-v4:0 us-east-1: input: 0.12",
		"us.cohere.embed-v4:0: input: 0.12",
		"cohere.rerank-v3-5:0 us-east-1: query: 0.002",
		"us.cohere.rerank-v3-5:0: query: 0.002",
	}, map[string]int{
		"it is a listing of one length of context":                          1,
		"it is for pictures, which are billed by size":                      1,
		"it is provisioned throughput, billed by the hour":                  2,
		"it is reserved capacity, billed by the month":                      2,
		"its profile has no one price: the regions of its geography differ": 1,
	})
	if len(list.Unnamed)+len(list.Doubts) > 0 {
		t.Errorf("%v, %v", list.Unnamed, list.Doubts)
	}
}

func readsOffer(t *testing.T, name string, want []string, skipped map[string]int) *List {
	t.Helper()
	list, said := read(t, filepath.Join("testdata", name+".json"))
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if !maps.Equal(list.Skipped, skipped) {
		t.Errorf("left out %v", list.Skipped)
	}
	for range 2 { // whole, and without what the first book has
		if _, err := config.ParseBook(name, list.Book(day)); err != nil {
			t.Errorf("it makes no book: %v", err)
		}
		cfg, _ := shipped(t)
		first, _ := record.CompilePrices(cfg.Prices[:1])
		list.Without(first, day)
	}
	return list
}

// TestNames finds ids by the names of offers, in all their spellings; a name of none finds none, and each id that is
// written by hand is one that the books or the catalogue have.
func TestNames(t *testing.T) {
	ids := IDs(shipped(t))
	index := newNameIndex(ids)
	for name, want := range map[string]string{
		"Claude Opus 4.6": "anthropic.claude-opus-4-6-v1", "Claude4.6Opus": "anthropic.claude-opus-4-6-v1",
		"Claude Opus 4.1":  "anthropic.claude-opus-4-1-20250805-v1:0",
		"Claude Opus 4":    "anthropic.claude-opus-4-20250514-v1:0",
		"Claude 3.5 Haiku": "anthropic.claude-3-5-haiku-20241022-v1:0", "Claude Sonnet 5": "anthropic.claude-sonnet-5",
		"Claude 3.5 Sonnet v2": "anthropic.claude-3-5-sonnet-20241022-v2:0",
		"Nova 2.0 Lite":        "amazon.nova-2-lite-v1:0",
		"Nova Micro":           "amazon.nova-micro-v1:0", "Llama 3.1 405B": "meta.llama3-1-405b-instruct-v1:0",
		"Llama 4 Maverick 17B": "meta.llama4-maverick-17b-instruct-v1:0", "Gemma 3 27B": "google.gemma-3-27b-it",
		"Palmyra X5": "writer.palmyra-x5-v1:0", "Cohere Command R+": "cohere.command-r-plus-v1:0",
		"GLM 4.7 Flash": "zai.glm-4.7-flash", "MiniMax M2.5": "minimax.minimax-m2.5", "R1": "deepseek.r1-v1:0",
		"Qwen3 Coder 30B A3B": "qwen.qwen3-coder-30b-a3b-v1:0", "Mixtral 8x7B": "mistral.mixtral-8x7b-instruct-v0:1",
		"OpenAI GPT-5.6 Luna": "openai.gpt-5.6-luna", "gpt-oss-20b": "openai.gpt-oss-20b-1:0", "Nova": "", "": "",
	} {
		if got := index.find(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, id := range awsNames {
		if !slices.Contains(ids, id) {
			t.Errorf("%s: nothing is known of %s", name, id)
		}
	}
}

// sample is a price map of LiteLLM's form.
const sample = `{
  "us.amazon.nova-lite-v1:0": {
    "input_cost_per_token": 6e-08,
    "litellm_provider": "bedrock_converse",
    "mode": "chat",
    "output_cost_per_token": 2.4e-07
  },
  "meta.llama3-3-70b-instruct-v1:0": {
    "input_cost_per_token": 7.2e-07,
    "input_cost_per_token_weekend": 1e-07,
    "litellm_provider": "bedrock_converse",
    "mode": "chat",
    "output_cost_per_token": 7.2e-07
  }
}
`

// TestLiteLLM reads decimals as text, from a file and from the wheel of the package, and warns of a price that it does
// not know.
func TestLiteLLM(t *testing.T) {
	file := filepath.Join(t.TempDir(), "map.json")
	if err := os.WriteFile(file, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	list, said := read(t, file)
	want := []string{
		"us.amazon.nova-lite-v1:0: input: 0.06, output: 0.24",
		"meta.llama3-3-70b-instruct-v1:0 us-east-1: input: 0.72, output: 0.72",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	const doubt = "map.json:10:5: warning: meta.llama3-3-70b-instruct-v1:0: input_cost_per_token_weekend is not known"
	if text := (&config.Error{Faults: list.Doubts}).Error(); !strings.Contains(text, doubt) {
		t.Error(text)
	}
	wheel := filepath.Join(filepath.Dir(file), "litellm-9.8.7-py3-none-any.whl")
	f, err := os.Create(wheel)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("litellm/model_prices_and_context_window_backup.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(sample)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	r := reading(t, wheel)
	r.Version = ""
	if list, err := Read(r); err != nil || !strings.Contains(list.Source, "litellm 9.8.7") || len(list.Prices) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	r.File = file
	if _, err := Read(r); err == nil || !strings.Contains(err.Error(), "of which version of LiteLLM") {
		t.Error(err)
	}
}

// TestBadImports: what is wrong in a file is told with file, line and column, and nothing is made of it.
func TestBadImports(t *testing.T) {
	offers, err := os.ReadFile("testdata/AmazonBedrockFoundationModels.json")
	if err != nil {
		t.Fatal(err)
	}
	market := string(offers)
	native, err := os.ReadFile("testdata/AmazonBedrock.json")
	if err != nil {
		t.Fatal(err)
	}
	f := func(name, text, old, changed, want string) {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%s: there is no %s", name, old)
		}
		file := filepath.Join(t.TempDir(), "bad.json")
		if err := os.WriteFile(file, []byte(strings.Replace(text, old, changed, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := Read(reading(t, file))
		if err == nil {
			_, table := shipped(t)
			err = list.Check(table, day)
		}
		var faulty *config.Error
		if !errors.As(err, &faulty) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", name, want, err)
			return
		}
		for _, fault := range faulty.Faults {
			if fault.File != file || fault.Line < 1 || fault.Column < 1 {
				t.Errorf("%s: %+v has no place", name, fault)
			}
		}
	}
	const lite, llama = `"input_cost_per_token": 6e-08`, `"input_cost_per_token": 7.2e-07`
	f("a factor of 1,000", sample, lite, `"input_cost_per_token": 6e-05`,
		"bad.json:3:5: error: us.amazon.nova-lite-v1:0: input is 60, 0.06 before: it differs too much")
	f("mixed units", sample, `"output_cost_per_token": 7.2e-07`, `"output_cost_per_token": 7.2e-04`,
		"bad.json:13:5: error: meta.llama3-3-70b-instruct-v1:0 us-east-1: output is 1000 times off input")
	f("a model twice", sample, `"meta.llama3-3-70b-instruct-v1:0": {`, `"us.amazon.nova-lite-v1:0": {`,
		"bad.json:8:3: error: us.amazon.nova-lite-v1:0 is there twice")
	f("a negative price", sample, llama, `"input_cost_per_token": -1`,
		"bad.json:9:5: error: meta.llama3-3-70b-instruct-v1:0 us-east-1: input_cost_per_token is -1, not a price")
	f("a price in words", sample, llama, `"input_cost_per_token": "cheap"`,
		`input_cost_per_token is "cheap", not a number`)
	f("two steps", sample, llama,
		`"input_cost_per_token_above_100k_tokens": 1e-6, "input_cost_per_token_above_200k_tokens": 1e-6, `+llama,
		"bad.json:8:38: error: meta.llama3-3-70b-instruct-v1:0 us-east-1 has rates above [100 200] thousand tokens")
	f("an entry that is none", sample, `{
    "input_cost_per_token": 6e-08,`, `[1], "x": {`,
		"bad.json:2:3: error: us.amazon.nova-lite-v1:0 is no entry of a price map")
	f("no JSON", sample, `"mode": "chat",`, `"mode" "chat",`, "bad.json:")
	f("nothing of Bedrock", sample, sample, `{"gpt": {"litellm_provider": "openai"}}`,
		"bad.json:1:1: error: LiteLLM's price map has no")

	f("a factor of 1,000 by its unit", market, `"unit" : "1M tokens"`, `"unit" : "1K tokens"`,
		"bad.json:1490:17: error: global.anthropic.claude-opus-4-6-v1 batch: output is 200 times off input")
	f("an offer off by 1,000", market, `"USD" : "3.3000000000"`, `"USD" : "0.0033000000"`,
		"bad.json:713:17: error: anthropic.claude-sonnet-4-5-20250929-v1:0 us-east-1: input is 0.0033, 3.3 before")
	f("a class twice", market, "USE1_OutputTokenCount-Units", "USE1_InputTokenCount-Units",
		"bad.json:734:17: error: anthropic.claude-sonnet-4-5-20250929-v1:0 us-east-1 has a second price for input: 16.5, "+
			"and 3.3 in line 713")
	f("a unit that is not known", string(native), `"unit" : "1K tokens"`, `"unit" : "1K words"`,
		`: error: unit "1K words" of USE1-NovaPro-input-tokens: it does not fit input`)
	f("a unit that does not say how many", string(native), `"unit" : "1K tokens"`, `"unit" : "Units"`,
		`: error: unit "Units" of USE1-NovaPro-input-tokens: it does not say how many tokens it has`)
	millions := strings.Replace(market, "_InputTokenCount-Units", "_MillionInputTokens-Units", 1)
	f("millions by name, thousands by unit", millions,
		`"unit" : "Units"`, `"unit" : "1K tokens"`, `: the usage counts millions`)
	f("mixed units of an offer", string(native), `"USD" : "0.0027500000"`, `"USD" : "2.7500000000"`,
		"amazon.nova-2-lite-v1:0 us-east-1: output is 8333 times off input")
	f("a SKU twice", string(native), `"NB000000000002" : {`, `"NB000000000001" : {`,
		": error: NB000000000001 is there twice")
	f("dates that overlap", string(native), `"NB000000000001.JRTCKXETXF" : {`,
		`"other" : {"effectiveDate" : "2026-11-01T00:00:00Z", "priceDimensions" : {}}, "NB000000000001.JRTCKXETXF" : {`,
		"overlaps with another term: both hold from 2026-11-01T00:00:00Z")
	f("a date that is none", string(native), `"effectiveDate" : "2026-11-01T00:00:00Z"`, `"effectiveDate" : "soon"`,
		`: error: effectiveDate "soon" is no time`)
	f("a negative offer", string(native), `"USD" : "0.0008000000"`, `"USD" : "-0.0008"`,
		"the price is -0.0008, not a price")
	f("a price of too many decimals", string(native), `"USD" : "0.0008000000"`, `"USD" : "0.00000000000000012345"`,
		"no whole number of pico-dollars")
	f("no product", string(native), `"products" : {`, `"products" : 7, "x" : {`, ": error: is no JSON object")
	f("nothing known", string(native), string(native), `{"offerCode": "AmazonBedrock", "products": {}}`,
		"bad.json:1:1: error: the offer has no price")
}
