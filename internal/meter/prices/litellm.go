package prices

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
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

// Reading is what is read, and what must be known for it.
type Reading struct {
	File string
	// Version is that of LiteLLM, where the file does not say it.
	Version string
	// Day is the one on which the prices of an offer are to hold.
	Day time.Time
	// IDs are the models that the names in an offer may mean.
	IDs []string
}

// Read reads LiteLLM's price map, as a file or in the wheel of its package, whose
// name has the version, or an offer of AWS's price list. What is wrong in the file is
// a *config.Error.
func Read(r *Reading) (*List, error) {
	if filepath.Ext(r.File) == ".whl" {
		return readWheel(r)
	}
	d, err := openDocument(r.File)
	if err != nil {
		return nil, err
	}
	isOffer := false
	if err := d.members(d.whole(), func(name string, _, _ span) error {
		isOffer = isOffer || name == "offerCode" || name == "products"
		return nil
	}); err != nil {
		return nil, err
	}
	if isOffer {
		d.faults = nil // it finds them again
		return readOffer(d, r.IDs, r.Day)
	}
	if r.Version == "" {
		return nil, fmt.Errorf("%s does not say of which version of LiteLLM it is: name it", r.File)
	}
	d.faults = nil
	return readLiteLLM(d, r.Version)
}

// readWheel reads the price map in a wheel.
func readWheel(r *Reading) (*List, error) {
	wheel, err := zip.OpenReader(r.File)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.File, err)
	}
	defer wheel.Close() //nolint:errcheck // only read
	version := r.Version
	if parts := strings.Split(filepath.Base(r.File), "-"); version == "" && len(parts) > 1 {
		version = parts[1]
	}
	const member, most = "litellm/model_prices_and_context_window_backup.json", 1 << 30
	f, err := wheel.Open(member)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.File, err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.File, err)
	}
	return readLiteLLM(&document{name: r.File + "/" + member, data: data}, version)
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
func readLiteLLM(d *document, version string) (*List, error) {
	r := liteLLM{document: d, all: map[string]fields{}, where: map[string]span{}, seen: map[string]bool{}, list: &List{
		Source: "BerriAI/litellm " + version + ", model_prices_and_context_window", doc: d}}
	err := d.members(d.whole(), func(id string, key, value span) error {
		var f fields
		if err := d.decode(value, &f); err != nil {
			d.fault(key, "%s is no entry of a price map: %v", id, err)
		}
		r.all[id], r.where[id] = f, value
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(maps.Keys(r.all))
	slices.SortStableFunc(ids, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, id := range ids { // those that name their region come first
		r.entry(id, r.all[id])
	}
	r.lifecycles()
	slices.SortStableFunc(r.list.Prices, func(a, b config.Price) int { return cmp.Compare(a.Models[0], b.Models[0]) })
	if len(r.list.Prices) == 0 {
		d.fault(d.whole(), "LiteLLM's price map has no prices of Bedrock")
	}
	return r.list, d.err()
}

type liteLLM struct {
	*document
	all   map[string]fields
	where map[string]span
	list  *List
	ends  []config.Lifecycle // one for each model
	seen  map[string]bool    // by the names of prices
}

// modes are what is read; pictures and speech are not.
var modes = []string{"chat", "embedding", "rerank", "responses", "guardrail"}

func (r *liteLLM) entry(id string, f fields) {
	if !strings.HasPrefix(f.text("litellm_provider"), "bedrock") {
		return
	}
	mode := f.text("mode")
	if !slices.Contains(modes, mode) {
		r.list.skip("", "it is for "+strings.ReplaceAll(mode, "_", " "))
		return
	}
	if mode == "guardrail" {
		r.list.skip("", "guardrails have the prices of the first book")
		return
	}
	p, reason := r.place(id)
	switch {
	case reason == sameModel:
		r.list.skip("", reason)
		return
	case reason != "":
		r.list.skip(id, reason)
		return
	}
	r.unknown(id, f)
	if p.Scope != "us-gov" && !strings.HasPrefix(p.Region, "us-gov-") { // those have dates of their own
		r.end(p.Models[0], f)
	}
	at := r.where[id]
	if p.Scope == "" && p.Region == "us-east-1" {
		if geo := r.inRegion(p.Models[0], f); geo != "" {
			f, at = r.all[geo], r.where[geo]
		}
	}
	before := len(r.list.Prices)
	for _, t := range liteLLMTiers {
		r.tier(p, f, at, t.name, t.suffix, mode)
	}
	if len(r.list.Prices) == before && len(r.faults) == 0 {
		r.list.skip(id, "the list has no price for it")
	}
}

// liteLLMOther are the prices that no call of text, embeddings or rerank has, and the
// tier ultrafast, which Bedrock's API does not have.
var liteLLMOther = regexp.MustCompile(`_ultrafast$|audio|_image_token|per_second|search_context|` +
	`code_interpreter|file_search|output_cost_per_(image|pixel|reasoning)|per_character|guardrail_cost`)

var liteLLMKnown = regexp.MustCompile(`^(input_cost_per_(token|query|image|video_per_second)|output_cost_per_token|` +
	`cache_(read|creation)_input_token_cost(_above_1hr)?)(_above_[0-9]+k_tokens)?(_flex|_priority|_batches)?$`)

// unknown warns of a price that is not read.
func (r *liteLLM) unknown(id string, f fields) {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if strings.Contains(name, "cost") && !liteLLMKnown.MatchString(name) && !liteLLMOther.MatchString(name) {
			r.list.doubt(r.inside(r.where[id], name), id+": "+name+" is not known, and not read")
		}
	}
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
	case r.all["anthropic."+name] != nil:
		return p, "its maker is missing; the id with it has the price"
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

// inRegion is the id whose fields a plain id has, "" for its own. Where those have the
// price of its global profile, and geographic profiles cost more, it is a geographic
// one: a call in a region costs what that costs (Anthropic, "regional endpoints carry
// 10 percent over global"; BerriAI/litellm#42679).
func (r *liteLLM) inRegion(model string, f fields) string {
	const input = "input_cost_per_token"
	global, geo := r.all["global."+model], r.all["us."+model]
	if global == nil || geo == nil || string(global[input]) != string(f[input]) {
		return ""
	}
	return "us." + model
}

var liteLLMTiers = []struct{ name, suffix string }{
	{"", ""}, {"flex", "_flex"}, {"priority", "_priority"}, {"batch", "_batches"},
}

// tier adds the prices of one tier, and of its long context. at is where the fields
// are.
func (r *liteLLM) tier(p config.Price, f fields, at span, tier, suffix, mode string) {
	p.Tier = tier
	p.Rates = r.rates(&p, f, at, "", suffix, mode)
	if !p.HasInput && !p.HasQuery && !p.HasSecond {
		return
	}
	r.list.Prices = append(r.list.Prices, p)
	steps := liteLLMSteps(f)
	if len(steps) > 1 {
		r.fault(at, "%s has rates above %v thousand tokens; a price has one step", Name(&p), steps)
		return
	}
	for _, step := range steps {
		long := p
		long.Above = step * 1000
		long.Rates = r.rates(&long, f, at, fmt.Sprintf("_above_%dk_tokens", step), suffix, mode)
		if long.HasInput {
			r.list.Prices = append(r.list.Prices, long)
		}
	}
}

var liteLLMStep = regexp.MustCompile(`^input_cost_per_token_above_([0-9]+)k_tokens$`)

// liteLLMSteps are the lengths, in thousands of tokens, above which an entry has
// other rates.
func liteLLMSteps(f fields) []int64 {
	var steps []int64
	for name := range f {
		if m := liteLLMStep.FindStringSubmatch(name); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			steps = append(steps, n)
		}
	}
	slices.Sort(steps)
	return steps
}

// rates reads the rates of a step and tier.
func (r *liteLLM) rates(p *config.Price, f fields, at span, step, tier, mode string) config.Rates {
	var rates config.Rates
	for _, c := range []struct{ field, class string }{
		{"input_cost_per_token", "input"},
		{"output_cost_per_token", "output"},
		{"cache_read_input_token_cost", "cache_read"},
		{"cache_creation_input_token_cost", "cache_write_5m"},
		{"cache_creation_input_token_cost_above_1hr", "cache_write_1h"},
		{"input_cost_per_query", "query"},
		{"input_cost_per_image", "image"},
		{"input_cost_per_video_per_second", "second"},
	} {
		name, units := c.field+step+tier, int64(1_000_000)
		if c.class == "second" {
			units = 1000
		}
		price, ok, err := decimal(f[name], units)
		if err != nil {
			r.fault(r.inside(at, name), "%s: %s %v", Name(p), name, err)
		}
		rates.Set(config.Class{Name: c.class, Price: price, Listed: ok})
		if ok {
			r.list.note(p, c.class, r.inside(at, name))
		}
	}
	if mode != "chat" && mode != "responses" && rates.Output == 0 {
		rates.HasOutput = false // vectors and scores are no tokens
	}
	return rates
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
