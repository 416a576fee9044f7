package prices

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// maxFile bounds the files that are read.
const maxFile = 1 << 30

// ReadFile reads LiteLLM's price map, as a file or in the wheel of its package,
// whose name has the version.
func ReadFile(name, version string) (*List, error) {
	data, version, err := contents(name, version)
	if err != nil {
		return nil, err
	}
	if version == "" {
		return nil, fmt.Errorf("%s does not say of which version of LiteLLM it is: name it", name)
	}
	return readLiteLLM(data, version)
}

// contents reads a file, or the price map in a wheel, whose name has the version.
func contents(name, version string) ([]byte, string, error) {
	if filepath.Ext(name) != ".whl" {
		f, err := os.Open(name)
		if err != nil {
			return nil, "", err
		}
		defer f.Close() //nolint:errcheck // only read
		data, err := io.ReadAll(io.LimitReader(f, maxFile))
		return data, version, err
	}
	wheel, err := zip.OpenReader(name)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	defer wheel.Close() //nolint:errcheck // only read
	if parts := strings.Split(filepath.Base(name), "-"); version == "" && len(parts) > 1 {
		version = parts[1]
	}
	f, err := wheel.Open("litellm/model_prices_and_context_window_backup.json")
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	return data, version, err
}

// fields are one entry of LiteLLM's map. Numbers stay text: as floats they would
// not be the prices any more.
type fields map[string]json.RawMessage

func (f fields) text(name string) string {
	var s string
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

// readLiteLLM reads the entries of Bedrock in LiteLLM's price map that are for
// text, embeddings, rerank and guardrails.
func readLiteLLM(data []byte, version string) (*List, error) {
	var all map[string]fields
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("read LiteLLM's price map: %w", err)
	}
	r := liteLLM{all: all, list: &List{Source: "BerriAI/litellm " + version + ", model_prices_and_context_window"},
		seen: map[string]bool{}}
	ids := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(ids, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, id := range ids { // those that name their region come first
		if err := r.entry(id, all[id]); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
	}
	r.lifecycles()
	slices.SortStableFunc(r.list.Prices, func(a, b config.Price) int { return cmp.Compare(a.Models[0], b.Models[0]) })
	if len(r.list.Prices) == 0 {
		return nil, fmt.Errorf("LiteLLM's price map has no prices of Bedrock")
	}
	return r.list, nil
}

type liteLLM struct {
	all  map[string]fields
	list *List
	ends []config.Lifecycle // one for each model
	seen map[string]bool    // by the names of prices
}

// modes are what is read; pictures and speech are not.
var modes = []string{"chat", "embedding", "rerank", "responses", "guardrail"}

func (r *liteLLM) entry(id string, f fields) error {
	if !strings.HasPrefix(f.text("litellm_provider"), "bedrock") {
		return nil
	}
	mode := f.text("mode")
	if !slices.Contains(modes, mode) {
		r.list.skip("", "it is for "+strings.ReplaceAll(mode, "_", " "))
		return nil
	}
	if mode == "guardrail" {
		r.list.skip("", "guardrails have the prices of the first book")
		return nil
	}
	p, reason := r.place(id)
	switch {
	case reason == sameModel:
		r.list.skip("", reason)
		return nil
	case reason != "":
		r.list.skip(id, reason)
		return nil
	}
	if p.Scope != "us-gov" && !strings.HasPrefix(p.Region, "us-gov-") { // those have dates of their own
		r.end(p.Models[0], f)
	}
	if p.Scope == "" && p.Region == "us-east-1" {
		f = r.inRegion(p.Models[0], f)
	}
	before := len(r.list.Prices)
	for _, t := range liteLLMTiers {
		if err := r.tier(p, f, t.name, t.suffix, mode); err != nil {
			return err
		}
	}
	if len(r.list.Prices) == before {
		r.list.skip(id, "the list has no price for it")
	}
	return nil
}

var (
	liteLLMRegion     = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	liteLLMCommitment = regexp.MustCompile(`/[0-9]+-month-commitment/`)
)

const sameModel = "another entry has the same model"

// place reads what an id of LiteLLM's prices, or why it is not read.
func (r *liteLLM) place(id string) (config.Price, string) {
	p := config.Price{Region: "us-east-1"}
	parts := strings.Split(id, "/")
	name := parts[len(parts)-1]
	switch {
	case parts[0] == "bedrock_mantle":
		return p, "it is served by another endpoint, bedrock-mantle"
	case liteLLMCommitment.MatchString(id):
		return p, "it is provisioned throughput, billed by the hour"
	case strings.HasPrefix(id, "bedrock/claude_platform/"):
		return p, "it is the Claude Platform on AWS, billed in units of its own"
	case strings.Contains(name, "@"):
		return p, "it is no id of Bedrock"
	case len(parts) == 3 && liteLLMRegion.MatchString(parts[1]):
		p.Region = parts[1]
	case len(parts) > 2 && parts[1] != "invoke":
		return p, "its form is not known"
	}
	m := wire.ParseModelID(name)
	if m.Foundation == "" {
		return p, "its form is not known"
	}
	p.Models = []string{m.Foundation}
	if p.Scope = m.Scope; p.Scope != "" {
		p.Region = ""
	}
	if r.seen[Name(&p)] {
		return p, sameModel
	}
	r.seen[Name(&p)] = true
	return p, ""
}

// inRegion are the fields of a plain id. Where they have the price of its global
// profile, and geographic profiles cost more, they are those of a geographic one: a
// call in a region costs what that costs (Anthropic, "regional endpoints carry 10
// percent over global"; BerriAI/litellm#42679).
func (r *liteLLM) inRegion(model string, f fields) fields {
	const input = "input_cost_per_token"
	global, geo := r.all["global."+model], r.all["us."+model]
	if global == nil || geo == nil || string(global[input]) != string(f[input]) {
		return f
	}
	return geo
}

var liteLLMTiers = []struct{ name, suffix string }{
	{"", ""}, {"flex", "_flex"}, {"priority", "_priority"}, {"batch", "_batches"},
}

// tier adds the prices of one tier, and of its long context.
func (r *liteLLM) tier(p config.Price, f fields, tier, suffix, mode string) error {
	p.Tier = tier
	rates, err := liteLLMRates(f, "", suffix, mode)
	if err != nil || !rates.HasInput && !rates.HasQuery && !rates.HasSecond {
		return err
	}
	p.Rates = rates
	r.list.Prices = append(r.list.Prices, p)
	steps, err := liteLLMSteps(f)
	if err != nil {
		return err
	}
	for _, step := range steps {
		long := p
		long.Above = step * 1000
		if long.Rates, err = liteLLMRates(f, fmt.Sprintf("_above_%dk_tokens", step), suffix, mode); err != nil {
			return err
		}
		if long.HasInput {
			r.list.Prices = append(r.list.Prices, long)
		}
	}
	return nil
}

var liteLLMStep = regexp.MustCompile(`^input_cost_per_token_above_([0-9]+)k_tokens$`)

// liteLLMSteps are the lengths, in thousands of tokens, above which an entry has
// other rates. There is one at most.
func liteLLMSteps(f fields) ([]int64, error) {
	var steps []int64
	for name := range f {
		if m := liteLLMStep.FindStringSubmatch(name); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			steps = append(steps, n)
		}
	}
	if len(steps) > 1 {
		return nil, fmt.Errorf("has rates above %v thousand tokens; a price has one step", steps)
	}
	return steps, nil
}

// liteLLMRates reads the rates of a step and tier.
func liteLLMRates(f fields, step, tier, mode string) (config.Rates, error) {
	var r config.Rates
	for _, c := range []struct {
		name  string
		units int64 // of the field's unit in a million of ours
		to    *money.Price
		has   *bool
	}{
		{"input_cost_per_token" + step, 1_000_000, &r.Input, &r.HasInput},
		{"output_cost_per_token" + step, 1_000_000, &r.Output, &r.HasOutput},
		{"cache_read_input_token_cost" + step, 1_000_000, &r.CacheRead, &r.HasCacheRead},
		{"cache_creation_input_token_cost" + step, 1_000_000, &r.CacheWrite5m, &r.HasCacheWrite5m},
		{"cache_creation_input_token_cost_above_1hr" + step, 1_000_000, &r.CacheWrite1h, &r.HasCacheWrite1h},
		{"input_cost_per_query" + step, 1_000_000, &r.Query, &r.HasQuery},
		{"input_cost_per_image" + step, 1_000_000, &r.Image, &r.HasImage},
		{"input_cost_per_video_per_second" + step, 1000, &r.Second, &r.HasSecond},
	} {
		price, ok, err := decimal(f[c.name+tier], c.units)
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.name+tier, err)
		}
		*c.to, *c.has = price, ok
	}
	if mode != "chat" && mode != "responses" && r.Output == 0 {
		r.HasOutput = false // vectors and scores are no tokens
	}
	return r, nil
}

// decimal reads a JSON number of dollars for one unit as a price for so many units,
// exactly. A missing one is not listed.
func decimal(number json.RawMessage, units int64) (_ money.Price, listed bool, _ error) {
	text := string(number)
	if text == "" || text == "null" {
		return 0, false, nil
	}
	if json.Valid(number) && (text[0] < '0' || text[0] > '9') && text[0] != '-' {
		return 0, false, fmt.Errorf("is %s, not a number", text)
	}
	amount, ok := new(big.Rat).SetString(text)
	if !ok || amount.Sign() < 0 {
		return 0, false, fmt.Errorf("is %s, not a price", text)
	}
	amount.Mul(amount, big.NewRat(units, 1)).Mul(amount, big.NewRat(int64(money.Dollar), 1))
	if !amount.IsInt() || !amount.Num().IsInt64() {
		return 0, false, fmt.Errorf("is %s, which is no whole number of pico-dollars per million", text)
	}
	return money.Price(amount.Num().Int64()), true, nil
}

// end notes when a model ends: by its plain id where that is listed, because the
// dates of single profiles are not the model's.
func (r *liteLLM) end(model string, f fields) {
	if plain := r.all[model]; plain != nil {
		f = plain
	}
	day, err := time.Parse(time.DateOnly, f.text("deprecation_date"))
	if err != nil || slices.ContainsFunc(r.ends, func(l config.Lifecycle) bool { return l.Models[0] == model }) {
		return
	}
	successor := wire.ParseModelID(f.text("successor_model")).Foundation
	r.ends = append(r.ends, config.Lifecycle{Models: []string{model}, Ends: day, Successor: successor})
}

// lifecycles joins the models that end on one day and have one successor.
func (r *liteLLM) lifecycles() {
	for _, l := range r.ends {
		i := slices.IndexFunc(r.list.Lifecycle, func(have config.Lifecycle) bool {
			return have.Ends.Equal(l.Ends) && have.Successor == l.Successor
		})
		if i < 0 {
			r.list.Lifecycle = append(r.list.Lifecycle, l)
			continue
		}
		r.list.Lifecycle[i].Models = append(r.list.Lifecycle[i].Models, l.Models...)
	}
	slices.SortStableFunc(r.list.Lifecycle, func(a, b config.Lifecycle) int { return a.Ends.Compare(b.Ends) })
}
