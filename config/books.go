package config

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
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
	Tiers     map[string]*big.Rat
	Entries   []bookEntry
}

// bookEntry is one entry of a book. A nil rate is not listed.
type bookEntry struct {
	at               value
	Models           []string
	Effective        time.Time
	Source           string
	Scopes, Tiers    map[string]*big.Rat
	Input, Output    *big.Rat
	CacheRead        *big.Rat
	Write5m, Write1h *big.Rat
	Guardrail        map[string]*big.Rat
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
	bookSection(d, root, &b)
	rows := PriceBook{Name: filepath.Base(root.file.name)}
	seen := map[string]bool{}
	for _, e := range b.Entries {
		first := len(rows.Prices)
		rows.Prices = d.expandEntry(rows.Prices, &b, &e)
		for i, row := range rows.Prices[first:] {
			outer.at[fmt.Sprintf("%s.prices[%d]", outer.path, first+i)] = placeOf(e.at.file, e.at.node)
			d.once(seen, e.at, row)
		}
	}
	return rows
}

// once reports a price that the same book has twice.
func (d *decoder) once(seen map[string]bool, v value, row Price) {
	for _, m := range row.Models {
		id := fmt.Sprintf("%s|%s|%s|%s", m, row.Scope, row.Tier, row.Effective)
		if seen[id] {
			d.fault(v, "has a second price of %s for the same day", m)
			return
		}
		seen[id] = true
	}
}

func bookSection(d *decoder, v value, b *book) {
	d.section(v,
		key("effective", &b.Effective, day),
		key("source", &b.Source, name),
		key("per", &b.Per, oneOf("thousand", "million")),
		key("tiers", &b.Tiers, factors(tiers)),
		need("prices", &b.Entries, list(entrySection)),
	)
}

func entrySection(d *decoder, v value, e *bookEntry) {
	e.at = v
	d.section(v,
		need("models", &e.Models, list(name)),
		key("effective", &e.Effective, day),
		key("source", &e.Source, name),
		key("scopes", &e.Scopes, factors(scopes)),
		key("tiers", &e.Tiers, factors(tiers)),
		key("input", &e.Input, rate),
		key("output", &e.Output, rate),
		key("cache_read", &e.CacheRead, rate),
		key("cache_write_5m", &e.Write5m, rate),
		key("cache_write_1h", &e.Write1h, rate),
		key("guardrail", &e.Guardrail, guardrailRates),
	)
}

// The words of the books. A region is the scope of a plain model id, geo that
// of us., eu. and the like, global that of global.
var (
	scopes   = []string{"region", "geo", "global"}
	tiers    = []string{"flex", "priority", "optimized", "reserved", "batch"}
	policies = []string{
		"content", "topic", "word", "sensitive", "sensitive_free",
		"grounding", "content_image", "automated_reasoning",
	}
)

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

// expandEntry appends a row per scope and tier of e.
func (d *decoder) expandEntry(rows []Price, b *book, e *bookEntry) []Price {
	row, ok := d.entryRow(b, e)
	if !ok {
		return rows
	}
	inScope, inTier := e.Scopes, e.Tiers
	if inScope == nil {
		inScope = map[string]*big.Rat{"region": one, "geo": one, "global": one}
	}
	if inTier == nil {
		inTier = b.Tiers
	}
	for _, scope := range scopes {
		byScope, ok := inScope[scope]
		if !ok {
			continue
		}
		row.Scope, row.Tier = scope, ""
		if scope == "region" {
			row.Scope = ""
		}
		rows = append(rows, d.priceRow(row, e, rateUnit(b.Per, byScope)))
		for _, tier := range slices.Sorted(maps.Keys(inTier)) {
			row.Tier = tier
			by := new(big.Rat).Mul(byScope, inTier[tier])
			rows = append(rows, d.priceRow(row, e, rateUnit(b.Per, by)))
		}
	}
	return rows
}

// entryRow is what all rows of e share, and whether e is one at all.
func (d *decoder) entryRow(b *book, e *bookEntry) (Price, bool) {
	row := Price{Models: e.Models, Effective: e.Effective, Source: cmp.Or(e.Source, b.Source)}
	if row.Effective.IsZero() {
		row.Effective = b.Effective
	}
	if row.Effective.IsZero() {
		d.fault(e.at, "needs the key %q, here or for the whole book", "effective")
		return row, false
	}
	if e.Input == nil && e.Guardrail == nil {
		d.fault(e.at, "needs the key %q", "input")
		return row, false
	}
	return row, true
}

var one = big.NewRat(1, 1)

// units turn a rate into pico-dollars per million.
type units struct{ token, guardrail *big.Rat }

// rateUnit returns the units of a book whose rates are multiplied by factor.
// Tiers do not change what a guardrail costs, nor do scopes.
func rateUnit(per string, factor *big.Rat) units {
	tokens := map[string]int64{"thousand": 1000, "million": 1}[per]
	return units{
		token:     new(big.Rat).Mul(factor, big.NewRat(tokens, 1)),
		guardrail: big.NewRat(1_000_000, 1),
	}
}

// priceRow fills in the rates of e.
func (d *decoder) priceRow(row Price, e *bookEntry, u units) Price {
	row.Input, _ = d.price(e.at, e.Input, u.token)
	row.Output, row.HasOutput = d.price(e.at, e.Output, u.token)
	row.CacheRead, row.HasCacheRead = d.price(e.at, e.CacheRead, u.token)
	row.CacheWrite5m, row.HasCacheWrite5m = d.price(e.at, e.Write5m, u.token)
	row.CacheWrite1h, row.HasCacheWrite1h = d.price(e.at, e.Write1h, u.token)
	for _, policy := range policies {
		amount, ok := d.price(e.at, e.Guardrail[policy], u.guardrail)
		if !ok {
			continue
		}
		if row.Guardrail == nil {
			row.Guardrail = map[string]money.Price{}
		}
		row.Guardrail[policy] = amount
	}
	return row
}

// maxPrice is a dollar per thousand. It catches a rate in the wrong unit and
// keeps any cost far inside an int64.
const maxPrice = 1_000_000_000_000_000

// price returns rate in pico-dollars per million, and whether there is one.
func (d *decoder) price(v value, rate, unit *big.Rat) (money.Price, bool) {
	if rate == nil {
		return 0, false
	}
	amount := new(big.Rat).Mul(rate, unit)
	switch {
	case !amount.IsInt():
		d.fault(v, "has a price with more decimals than a pico-dollar per million tokens")
	case amount.Cmp(big.NewRat(maxPrice, 1)) > 0:
		d.fault(v, "has a price of more than a dollar per thousand: is it in the unit that %q names?", "per")
	default:
		return money.Price(amount.Num().Int64()), true
	}
	return 0, true
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

// catalogueSection reads a catalogue and appends its models.
func catalogueSection(d *decoder, v value, dst *[]Model) {
	var source string
	var models []Model
	d.section(v,
		key("source", &source, name),
		need("models", &models, list(modelSection)),
	)
	for _, m := range models {
		if m.Source == "" {
			m.Source = source
		}
		*dst = append(*dst, m)
	}
}

func modelSection(d *decoder, v value, m *Model) {
	var accepts []string
	d.section(v,
		need("ids", &m.IDs, list(name)),
		key("dialect", &m.Dialect, oneOf(dialects...)),
		key("context", &m.Context, count),
		key("max_output", &m.MaxOutput, count),
		key("accepts", &accepts, list(oneOf(abilities...))),
		key("source", &m.Source, name),
	)
	has := func(ability string) bool { return slices.Contains(accepts, ability) }
	m.Converse, m.System, m.Tools = has("converse"), has("system"), has("tools")
	m.Images, m.Documents = has("images"), has("documents")
	m.CachePoints, m.Reasoning = has("cache_points"), has("reasoning")
}

var abilities = []string{
	"converse", "system", "tools", "images", "documents", "cache_points", "reasoning",
}

// dialects are the names of the InvokeModel bodies that the gateway reads.
var dialects = []string{
	"anthropic", "nova", "nova-embed", "titan-text", "titan-embed", "llama", "mistral", "cohere-text",
	"cohere-chat", "cohere-embed", "rerank", "jamba", "j2", "deepseek-r1", "openai", "openai-compatible",
}
