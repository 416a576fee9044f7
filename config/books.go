package config

import (
	"cmp"
	_ "embed"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config/foreign"
	"github.com/sluice-gateway/sluice/config/similar"
)

// Books are written by people from price pages, so they say things once: an
// entry holds for several models, and its rates are multiplied for the scopes
// and tiers that differ by a factor. Expanded, each row has one scope and one
// tier.

// book is a price file as it is written.
type book struct {
	Effective time.Time
	Source    string
	Per       string // thousand or million: the tokens that a rate is for
	Regions   []string
	Scopes    map[string]*big.Rat
	Tiers     map[string]*big.Rat
	Entries   []bookEntry
	Lifecycle []Lifecycle
	Unpriced  []Unlisted
}

// bookEntry is one entry of a book.
type bookEntry struct {
	at               value
	Models           []string
	Effective, Until time.Time
	Source           string
	Regions          []string
	Scopes, Tiers    map[string]*big.Rat
	Tier             string // the only one that the rates are of, "" for the default one
	Rates            writtenRates
	Long             *longContext
}

// writtenRates are rates as they are written. A nil one is not listed.
type writtenRates struct {
	Input, Output, CacheRead, Write5m, Write1h *big.Rat
	Query, Image, Second                       *big.Rat
	Guardrail                                  map[string]*big.Rat
}

// longContext has the rates of a request with more than so many input tokens.
type longContext struct {
	Above int64
	Rates writtenRates
}

// priceFile reads the price book that a scalar names.
func priceFile(d *decoder, v value, dst *PriceBook) {
	var file string
	path(d, v, &file)
	if root, ok := d.further(v, file); ok {
		*dst = d.book(root, v)
	}
}

// book reads the price book at root. Its rows are known to At below outer.
func (d *decoder) book(root, outer value) PriceBook {
	b := book{Per: "thousand"}
	if d.meant(root, foreign.PriceFile) {
		bookSection(d, root, &b)
	}
	rows := PriceBook{Name: filepath.Base(root.file.name), Lifecycle: b.Lifecycle, Unpriced: b.Unpriced}
	seen := map[string][]dated{}
	for i := range b.Entries {
		e := &b.Entries[i]
		first := len(rows.Prices)
		rows.Prices = d.expandEntry(rows.Prices, &b, e)
		for i := range rows.Prices[first:] {
			at := placeOf(e.at.file, e.at.node)
			at.written = e.at.path // one entry can be several rows
			outer.at[fmt.Sprintf("%s.prices[%d]", outer.path, first+i)] = at
			d.overlap(seen, e.at, &rows.Prices[first+i])
		}
	}
	return rows
}

// dated is a price of a book, and where it is.
type dated struct {
	at          value
	from, until time.Time // until is the last day, zero without one
}

// overlap reports prices of a book that are both for the same days. One without an end
// ends where a later one begins.
func (d *decoder) overlap(seen map[string][]dated, v value, row *Price) {
	for _, m := range row.Models {
		sku := row.sku(m)
		for _, other := range seen[sku] {
			earlier, later := other, dated{v, row.Effective, row.Until}
			if later.from.Before(earlier.from) {
				earlier, later = later, earlier
			}
			line := placeOf(other.at.file, other.at.node).line
			switch {
			case earlier.from.Equal(later.from):
				d.fault(v, "has a second price of %s for the same day; the first is in line %d", m, line)
				return
			case !earlier.until.IsZero() && !earlier.until.Before(later.from):
				d.fault(v, "overlaps with the price of %s in line %d: both are for %s", m, line, later.from.Format(time.DateOnly))
				return
			}
		}
		seen[sku] = append(seen[sku], dated{v, row.Effective, row.Until})
	}
}

func bookSection(d *decoder, v value, b *book) {
	d.section(v,
		key("effective", &b.Effective, day),
		key("source", &b.Source, name),
		key("per", &b.Per, oneOf("thousand", "million")),
		key("regions", &b.Regions, list(region)),
		key("scopes", &b.Scopes, factors(scopes)),
		key("tiers", &b.Tiers, factors(tiers)),
		need("prices", &b.Entries, list(entrySection)),
		key("lifecycle", &b.Lifecycle, list(lifecycleSection)),
		key("unpriced", &b.Unpriced, list(unlistedSection)),
	)
}

func entrySection(d *decoder, v value, e *bookEntry) {
	e.at = v
	d.section(v, append([]field{
		need("models", &e.Models, list(name)),
		key("effective", &e.Effective, day),
		key("until", &e.Until, day),
		key("source", &e.Source, name),
		key("regions", &e.Regions, list(region)),
		key("scopes", &e.Scopes, factors(scopes)),
		key("tier", &e.Tier, oneOf(tiers...)),
		key("tiers", &e.Tiers, factors(tiers)),
		key("query", &e.Rates.Query, rate),
		key("image", &e.Rates.Image, rate),
		key("second", &e.Rates.Second, rate),
		key("guardrail", &e.Rates.Guardrail, guardrailRates),
		key("long", &e.Long, optional(longSection)),
	}, tokenRates(&e.Rates)...)...)
}

func longSection(d *decoder, v value, l *longContext) {
	d.section(v, append(tokenRates(&l.Rates), need("above", &l.Above, count))...)
}

func tokenRates(r *writtenRates) []field {
	return []field{
		key("input", &r.Input, rate),
		key("output", &r.Output, rate),
		key("cache_read", &r.CacheRead, rate),
		key("cache_write_5m", &r.Write5m, rate),
		key("cache_write_1h", &r.Write1h, rate),
	}
}

func lifecycleSection(d *decoder, v value, l *Lifecycle) {
	d.section(v,
		need("models", &l.Models, list(name)),
		need("ends", &l.Ends, day),
		key("successor", &l.Successor, name),
	)
}

func unlistedSection(d *decoder, v value, u *Unlisted) {
	d.section(v,
		need("models", &u.Models, list(name)),
		need("reason", &u.Reason, name),
	)
}

// The words of the books. A region is the scope of a plain model id, geo that
// of us., eu. and the like where the book has no row of its own for them, global
// that of global.
var (
	scopes = []string{
		"region", "geo", "us", "eu", "apac", "jp", "au", "ca", "in", "us-gov", "global",
	}
	tiers    = []string{"flex", "priority", "optimized", "reserved", "batch"}
	policies = []string{
		"content", "topic", "word", "sensitive", "sensitive_free",
		"grounding", "content_image", "automated_reasoning",
	}
)

var regionForm = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)

// region reads the name of an AWS region.
var region = parsed(form{wanted: "a region such as eu-central-1"}, func(text string) (string, error) {
	if !regionForm.MatchString(text) {
		return "", errForm
	}
	return text, nil
})

// factors reads a mapping from some of the words to factors.
func factors(words []string) decode[map[string]*big.Rat] { return wordTable(words, factor) }

var guardrailRates = wordTable(policies, rate)

// wordTable reads a mapping whose keys are some of the words.
func wordTable(words []string, f decode[*big.Rat]) decode[map[string]*big.Rat] {
	return func(d *decoder, v value, dst *map[string]*big.Rat) {
		values := make([]*big.Rat, len(words))
		rows := make([]field, len(words))
		for i, w := range words {
			rows[i] = key(w, &values[i], f)
		}
		d.section(v, rows...)
		*dst = map[string]*big.Rat{}
		for i, w := range words {
			if values[i] != nil {
				(*dst)[w] = values[i]
			}
		}
	}
}

// Model is a catalogue entry: what a model accepts.
type Model struct {
	IDs                                                      []string // foundation ids, or globs, without region prefix
	Dialect                                                  string   // name of its InvokeModel body
	Context                                                  int64    // tokens, 0 unknown
	MaxOutput                                                int64    // tokens, 0 unknown
	System, Tools, Images, Documents, CachePoints, Reasoning bool
	Converse                                                 bool
	Cache                                                    *PromptCache // nil: none that is known
	Tiers                                                    []string     // beside the default one: flex, priority
	Source                                                   string
}

// Terms are what the makers of models promise their users through Amazon Bedrock, as far as somebody has read it.
type Terms struct {
	Makers []string // the first labels of foundation ids: anthropic, amazon
	// Indemnity is whether the maker, or AWS, answers for claims that an answer infringes rights. Residency is whether
	// the contract says where the maker keeps data. Each is one of full, limited, none, unstated.
	Indemnity, Residency string
	AsOf                 time.Time // UTC day on which Source said so
	Source               string
}

// Of is how far the terms go in one of TermNames, "" for another name.
func (t *Terms) Of(name string) string {
	switch name {
	case "indemnity":
		return t.Indemnity
	case "residency":
		return t.Residency
	}
	return ""
}

// TermNames are what a tenant may require, TermFull how far its models must go in that.
var TermNames = []string{"indemnity", "residency"}

// TermFull is the extent of terms that meets a requirement.
const TermFull = "full"

// PromptCache is what is known of a model's prompt cache.
type PromptCache struct {
	Minimum int64           // the fewest tokens of a prefix that is kept
	TTLs    []time.Duration // for how long a prefix can be kept, the shortest first
	In      []string        // behind which parts it can end: tools, system, messages
	AsOf    time.Time       // the UTC day of which this is known
}

// Caching is what is done about the caches that models have for prompts.
type Caching struct {
	Inject string // off (default), auto: points where the caller set none and they pay
}

// modelFiles reads the catalogues that a list names, and appends their models.
func modelFiles(d *decoder, v value, dst *[]Model) {
	var files [][]Model
	list(modelFile)(d, v, &files)
	*dst = append(*dst, slices.Concat(files...)...)
}

// modelFile reads the catalogue that a scalar names.
func modelFile(d *decoder, v value, dst *[]Model) {
	var file string
	path(d, v, &file)
	if root, ok := d.further(v, file); ok {
		catalogueSection(d, root, dst)
	}
}

// catalogueSection reads a catalogue and appends its models. Its terms go to d.
func catalogueSection(d *decoder, v value, dst *[]Model) {
	var source string
	var models []Model
	var terms []Terms
	d.section(v,
		key("source", &source, name),
		key("models", &models, list(modelSection)),
		key("terms", &terms, list(termsSection)),
	)
	d.terms = append(d.terms, terms...)
	for _, m := range models {
		if m.Source == "" {
			m.Source = source
		}
		*dst = append(*dst, m)
	}
}

func termsSection(d *decoder, v value, t *Terms) {
	t.Indemnity, t.Residency = "unstated", "unstated"
	extent := oneOf(TermFull, "limited", "none", "unstated")
	d.section(v,
		need("makers", &t.Makers, list(name)),
		key("indemnity", &t.Indemnity, extent),
		key("residency", &t.Residency, extent),
		need("as_of", &t.AsOf, day),
		need("source", &t.Source, name),
	)
}

func modelSection(d *decoder, v value, m *Model) {
	var accepts []string
	d.section(v,
		need("ids", &m.IDs, list(name)),
		key("dialect", &m.Dialect, oneOf(dialects...)),
		key("context", &m.Context, count),
		key("max_output", &m.MaxOutput, count),
		key("accepts", &accepts, list(oneOf(abilities...))),
		key("cache", &m.Cache, optional(cacheSection)),
		key("tiers", &m.Tiers, list(oneOf("flex", "priority"))),
		key("source", &m.Source, name),
	)
	has := func(ability string) bool { return slices.Contains(accepts, ability) }
	m.Converse, m.System, m.Tools = has("converse"), has("system"), has("tools")
	m.Images, m.Documents = has("images"), has("documents")
	m.CachePoints, m.Reasoning = has("cache_points"), has("reasoning")
}

func cacheSection(d *decoder, v value, c *PromptCache) {
	d.section(v,
		need("minimum", &c.Minimum, count),
		need("ttl", &c.TTLs, list(cacheTTL)),
		need("in", &c.In, list(oneOf("tools", "system", "messages"))),
		need("as_of", &c.AsOf, day),
	)
	slices.Sort(c.TTLs)
}

// cacheTTL reads one of the lifetimes that a point in a prompt can ask for (AWS user guide,
// "Prompt caching").
var cacheTTL = parsed(form{wanted: "5m or 1h", schema: shape{"enum": []string{"5m", "1h"}}},
	func(text string) (time.Duration, error) {
		switch text {
		case "5m":
			return 5 * time.Minute, nil
		case "1h":
			return time.Hour, nil
		}
		return 0, errForm
	})

var abilities = []string{
	"converse", "system", "tools", "images", "documents", "cache_points", "reasoning",
}

// dialects are the names of the InvokeModel bodies that the gateway reads.
var dialects = []string{
	"anthropic", "nova", "nova-embed", "titan-text", "titan-embed", "llama", "mistral", "cohere-text",
	"cohere-chat", "cohere-embed", "rerank", "jamba", "j2", "deepseek-r1", "openai", "openai-compatible",
	"pegasus", "marengo",
}

var (
	//go:embed quickstart.yaml
	quickstart []byte
	//go:embed prices.yaml
	pricesBook []byte
	//go:embed prices-more.yaml
	pricesMoreBook []byte
	//go:embed models.yaml
	modelsFile []byte
)

// Quickstart returns the configuration that the quickstart runs on. It needs
// the variable SLUICE_DEMO_KEY, the id of the demo tenant's key.
func Quickstart() []byte { return append([]byte(nil), quickstart...) }

// shippedBooks is how many price books come before those of the operator.
const shippedBooks = 2

// shippedPrices reads the price books in the program, which come before those that
// the operator names and before all else, or takes them from the previous configuration: they are always the same.
func (d *decoder) shippedPrices(main *tree, c *Config) {
	if old := d.previous; old != nil {
		c.Prices = slices.Clone(old.Prices[:shippedBooks])
		d.files = append(d.files, old.source.files[1:1+shippedBooks]...)
		d.shipped = old.source.shipped
		maps.Copy(main.at, d.shipped)
		return
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"prices.yaml", pricesBook}, {"prices-more.yaml", pricesMoreBook}} {
		if root, ok := d.parseFile(f.name, f.data); ok {
			d.appendBook(c, main, root)
			c.Prices[len(c.Prices)-1].Shipped = true
		}
	}
	d.shipped = maps.Clone(main.at)
}

// shippedModels reads the catalogue in the program, which comes before the files
// that the operator names.
func (d *decoder) shippedModels(c *Config) {
	if root, ok := d.parseFile("models.yaml", modelsFile); ok {
		catalogueSection(d, root, &c.Models)
	}
}

// appendBook appends the price book at root, which no value of main names.
func (d *decoder) appendBook(c *Config, main *tree, root value) {
	outer := value{main, root.node, fmt.Sprintf("prices[%d]", len(c.Prices))}
	c.Prices = append(c.Prices, d.book(root, outer))
}

//go:embed zones.txt
var zones string

// zoneHint names the time zone that was probably meant, by its name or its city alone.
func zoneHint(name string) string {
	all := strings.Fields(zones)
	for _, zone := range all {
		city := zone[strings.LastIndex(zone, "/")+1:]
		if strings.EqualFold(zone, name) || strings.EqualFold(city, strings.ReplaceAll(name, " ", "_")) {
			return `; did you mean "` + zone + `"?`
		}
	}
	return cmp.Or(similar.Hint(name, all), "; names are such as UTC and Europe/Berlin")
}

// ShippedModels reads the catalogue in the program alone.
func ShippedModels() []Model {
	d, c := &decoder{env: func(string) string { return "" }}, &Config{}
	d.shippedModels(c)
	return c.Models
}
