package prices

import (
	"regexp"
	"slices"
	"strings"
)

// usage is what a product of an offer is the price of.
type usage struct {
	class          string // as in price files
	tier, latency  string
	scope          string // "" in a region, geo, global
	long           bool
	perMillionName bool // the name of the usage says that it counts millions
}

// skippedUsage are the products that are no price of what a call uses, by what is
// in their attributes.
var skippedUsage = []struct {
	has    *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`mantle`), "it is served by another endpoint, bedrock-mantle"},
	{regexp.MustCompile(`provisioned|modelunit`), "it is provisioned throughput, billed by the hour"},
	{regexp.MustCompile(`reserved|tpm`), "it is reserved capacity, billed by the month"},
	{regexp.MustCompile(`custom|storage|training|finetun|distillation`), "it is for models of your own"},
	{regexp.MustCompile(`guardrail`), "guardrails have the prices of the first book"},
	{regexp.MustCompile(`dataautomation|knowledgebase|flow|agent|evaluation|promptrouting|promptoptimization|` +
		`websearch|grounding`), "it is no call of a model"},
	{regexp.MustCompile(`speech|audio|sonic|voice`), "it is for speech"},
	{regexp.MustCompile(`t2i|i2i|t2v|i2v|imagetoken|videotoken|createdimage|createdvideo|imagegenerator|documentimage`),
		"it is for pictures, which are billed by size"},
	{regexp.MustCompile(`\(\d+k\)`), "it is a listing of one length of context"},
}

// skipped is why a product is not read, "" when it is.
func skipped(p *product) string {
	a := &p.Attributes
	text := strings.ToLower(strings.Join([]string{
		a.UsageType, a.Feature, a.InferenceType, a.ServiceName, a.Model, a.TitanModel}, "|"))
	text = strings.NewReplacer("-", "", "_", "", " ", "").Replace(text)
	for _, s := range skippedUsage {
		if s.has.MatchString(text) {
			return s.reason
		}
	}
	if a.RegionCode == "" || !liteLLMRegion.MatchString(a.RegionCode) {
		return "it is of no region"
	}
	return ""
}

// marketplace reports whether a product is sold by the Marketplace, whose usage
// types name their region twice: USE1-MP:USE1_InputTokenCount-Units.
func (p *product) marketplace() bool { return strings.Contains(p.Attributes.UsageType, "-MP:") }

const edition = " (Amazon Bedrock Edition)"

// modelName is what a product calls its model.
func modelName(p *product) string {
	a := &p.Attributes
	name := strings.TrimSpace(a.Model)
	switch {
	case name != "":
	case a.TitanModel != "":
		name = strings.TrimSpace(a.TitanModel)
	case strings.HasSuffix(a.ServiceName, edition):
		name = strings.TrimSuffix(a.ServiceName, edition)
	case strings.Contains(strings.ToLower(a.Feature+a.UsageType), "rerank"):
		return "Amazon Rerank 1.0"
	default:
		name, _ = splitUsage(p)
	}
	return strings.TrimSpace(strings.TrimSuffix(name, "Latency Optimized"))
}

var (
	usageRegion = regexp.MustCompile(`^[A-Z]{2,4}[0-9]?-(MP:[A-Z0-9]+_)?`)
	usageStart  = regexp.MustCompile(
		`(?i)(^|[-_])((text-)?(million|batch|prompt|cache|input|output|search|response|video|image))`)
)

// splitUsage cuts a usage type into the model, which only products that are not of
// the Marketplace name there, and the rest.
func splitUsage(p *product) (model, rest string) {
	rest = usageRegion.ReplaceAllString(p.Attributes.UsageType, "")
	if at := usageStart.FindStringIndex(rest); at != nil {
		return rest[:at[0]], rest[at[0]:]
	}
	return rest, ""
}

var word = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+|[0-9]+[hmk]?`)

// usageWords are the words of usage types that say nothing more than others do.
var usageWords = []string{
	"token", "tokens", "count", "units", "unit", "standard", "region", "prompt", "ctx", "context", "input", "inputs",
	"text", "request", "requests", "on", "demand", "inference", "cache", "optimized", "cross",
}

// usageOf is what a product says in words: in its usage type, where all else is in
// some offers, and in attributes that others have.
func usageOf(p *product) []string {
	a := &p.Attributes
	_, rest := splitUsage(p)
	words := word.FindAllString(strings.NewReplacer("1Hour", "1h", "LCtx", "-lctx").Replace(rest), -1)
	text := []string{strings.Join(words, " "), a.InferenceType, a.TokenType, strings.ReplaceAll(a.ServiceTier, "-", " ")}
	if strings.HasPrefix(strings.ToLower(a.Feature), "batch") {
		text = append(text, "batch")
	}
	return strings.Fields(strings.ToLower(strings.Join(text, " ")))
}

// parseUsage reads what a product is the price of. unknown says what in it is not
// known: nothing of such a product is guessed.
func parseUsage(p *product) (u usage, unknown string) {
	words := usageOf(p)
	if strings.Contains(letters(p.Attributes.Model+p.Attributes.UsageType), "latencyoptimized") {
		u.latency = "optimized"
	}
	for _, w := range words {
		if !u.take(w) && !slices.Contains(usageWords, w) {
			return u, "the word " + w + " is not known"
		}
	}
	if u.class = classIn(words); u.class == "" {
		return u, "it names no class"
	}
	return u, ""
}

// classIn is the class that words name, "" for none.
func classIn(words []string) string {
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(w string) bool { return slices.Contains(words, w) })
	}
	switch {
	case has("cache") && has("read", "reads"):
		return "cache_read"
	case has("cache") && has("write", "writes") && has("1h", "1") && !has("5m", "30m"):
		return "cache_write_1h"
	case has("cache") && has("write", "writes"):
		return "cache_write_5m" // the shortest that there is: 30 minutes for some
	case has("output", "response"):
		return "output"
	case has("search", "query", "queries"):
		return "query"
	case has("image", "images"):
		return "image"
	case has("video", "second", "seconds"):
		return "second"
	case has("input", "inputs"):
		return "input"
	}
	return ""
}

// take reads a word that says more than which class it is.
func (u *usage) take(w string) bool {
	switch w {
	case "flex", "priority", "batch":
		u.tier = w
	case "global":
		u.scope = "global"
	case "geo":
		u.scope = "geo"
	case "lctx", "l", "long", "long-ctx":
		u.long = true
	case "million":
		u.perMillionName = true
	case "latency":
	case "read", "reads", "write", "writes", "output", "response", "search", "query", "queries", "image", "images",
		"video", "second", "seconds", "1h", "1", "h", "hour", "5m", "30m":
	default:
		return false
	}
	return true
}

var unitForm = regexp.MustCompile(`^(?i)(?:(1K|1M|1000|1,000|1000000|1,000,000|1) ?)?([a-z ]+?)s?$`)

// unitSizes are how many of what is counted a unit has.
var unitSizes = map[string]int64{
	"": 1, "1": 1, "1K": 1000, "1000": 1000, "1,000": 1000, "1M": 1_000_000, "1000000": 1_000_000, "1,000,000": 1_000_000,
}

// units is how many units are in a million of what a class counts, in a thousand
// seconds for video. The Marketplace's "Units" are a million tokens, or one of
// anything else. A unit that does not fit the class is an error, and not a guess:
// lists per thousand and per million differ by a factor of a thousand.
func (u *usage) units(unit string, marketplace bool) (int64, string) {
	m := unitForm.FindStringSubmatch(unit)
	if m == nil {
		return 0, "it is not known"
	}
	size, noun := unitSizes[strings.ToUpper(m[1])], strings.ToLower(m[2])
	tokens := !slices.Contains([]string{"query", "image", "second"}, u.class)
	switch {
	case noun == "unit" && marketplace && tokens:
		size = 1_000_000
	case noun == "unit" && marketplace:
	case noun == "unit":
		return 0, "it does not say how many tokens it has"
	case tokens != (noun == "token"):
		return 0, "it does not fit " + u.class
	case tokens && u.perMillionName && size != 1_000_000:
		return 0, "the usage counts millions"
	case u.class == "second" && noun != "second", u.class != "second" && noun == "second":
		return 0, "it does not fit " + u.class
	}
	if u.class == "second" {
		return 1000 / min(size, 1000), ""
	}
	return 1_000_000 / size, ""
}
