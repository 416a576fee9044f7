package anthropic

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// fields are the members of Messages in the order in which they are read. Those that are not
// here are refused.
var fields = []field{
	{name: "model", how: consumed, note: "the path"},
	{name: "stream", how: consumed, note: "the path"},
	{name: "anthropic_version", how: consumed},
	{name: "service_tier", how: consumed, note: "Bedrock's default tier"},
	{name: "anthropic_beta", how: dropped},
	{name: "max_tokens", how: carried, must: true, note: "inferenceConfig.maxTokens", read: readMaxTokens},
	{name: "system", how: carried, note: "system, with cache points", read: readSystem},
	{name: "tools", how: fitted, note: "toolConfig; tools that Anthropic runs or defines are refused", read: readTools},
	{name: "messages", how: carried, must: true, note: "messages; see the blocks", read: readMessages},
	{name: "tool_choice", how: fitted, note: "toolChoice, where the model can be told", read: readToolChoice},
	{name: "thinking", how: fitted, note: "the model's own way to reason, dropped where it has none", read: readThinking},
	{name: "output_config", how: fitted, note: "effort and format, as the model takes them", read: readOutputConfig},
	{name: "output_format", how: fitted, note: "like output_config.format", read: readFormat},
	{name: "stop_sequences", how: carried, note: "inferenceConfig.stopSequences", read: readStops},
	{name: "temperature", how: fitted, note: "dropped where the model refuses it", read: readTemperature},
	{name: "top_p", how: fitted, note: "dropped where the model refuses it", read: readTopP},
	{name: "top_k", how: fitted, note: "the family's own place, dropped where it has none", read: readTopK},
	{name: "metadata", how: carried, note: "user_id as requestMetadata", read: readMetadata},
	{name: "context_management", how: dropped, note: "Claude by InvokeModel has it"},
	{name: "compaction", how: dropped, note: "Claude by InvokeModel has it"},
	{name: "cache_control", how: dropped, note: "use cache points of blocks"},
	{name: "speed", how: dropped},
	{name: "safeguards", how: refused},
	{name: "inference_geo", how: refused, note: "choose a profile of the geography as the model"},
	{name: "container", how: refused},
	{name: "mcp_servers", how: refused},
	{name: "fallbacks", how: refused},
}

func readMaxTokens(t *translation, v jsontree.Value) {
	n, ok := v.Int()
	switch {
	case !ok:
		t.failAt(v, "Input should be a valid integer")
	case n < 1 || n > 1<<31-1:
		t.failAt(v, "Input should be greater than or equal to 1")
	}
	t.max = n
}

func readSystem(t *translation, v jsontree.Value) {
	if kindOf(v) == aString {
		t.b.System(v.Raw())
		return
	}
	if !t.is(v, aList) {
		return
	}
	for block := range v.All() {
		if !t.is(block, anObject) {
			return
		}
		words, ok := t.need(block, "text", aString)
		if !ok {
			return
		}
		t.only(block, "type", "text", "cache_control", "citations")
		t.b.System(words.Raw())
		t.cachePoint(block, converse.InSystem)
	}
}

// cachePoint reads the cache_control of a block, which Converse has behind it.
func (t *translation) cachePoint(block jsontree.Value, at converse.Place) {
	control := block.Get("cache_control")
	if !control.Present() || !t.is(control, anObject) {
		return
	}
	if !t.b.CachePoint(at, control.Get("ttl").Is("1h")) {
		t.drop(control)
	}
}

func readStops(t *translation, v jsontree.Value) {
	if !t.is(v, aList) || v.Len() == 0 {
		return
	}
	if t.b.Model.NoStop {
		t.refuse(v, "this model takes no stop sequences")
		return
	}
	for s := range v.All() {
		if t.is(s, aString) && strings.TrimSpace(s.Text()) == "" {
			t.failAt(s, "each stop sequence must contain non-whitespace")
		}
	}
	t.b.Inference.Add("stopSequences", v.Raw())
}

// within reads a number and refuses one outside of its bounds.
func (t *translation) within(v jsontree.Value, least, most float64) (float64, bool) {
	if !t.is(v, aNumber) {
		return 0, false
	}
	f, _ := v.Float()
	if f < least || f > most {
		t.failAt(v, "range: "+strconv.FormatFloat(least, 'g', -1, 64)+".."+strconv.FormatFloat(most, 'g', -1, 64))
		return f, false
	}
	return f, true
}

// samples reports whether the model takes a parameter of sampling.
func (t *translation) samples(v jsontree.Value, f float64) bool {
	how := t.b.Model.Sampling
	if how == capability.SamplingNone || how == capability.SamplingOne && t.sampled || t.thinking {
		if f != 1 {
			t.drop(v)
		}
		return false
	}
	return true
}

func readTemperature(t *translation, v jsontree.Value) {
	if f, ok := t.within(v, 0, 1); ok && t.samples(v, f) {
		t.sampled = true
		t.b.Inference.Add("temperature", v.Raw())
	}
}

func readTopP(t *translation, v jsontree.Value) {
	if f, ok := t.within(v, 0, 1); ok && t.samples(v, f) {
		t.b.Inference.Add("topP", v.Raw())
	}
}

func readTopK(t *translation, v jsontree.Value) {
	if _, ok := t.within(v, 0, 1<<31); !ok || !t.samples(v, 0) {
		return
	}
	switch place := t.b.Model.TopK; place {
	case "":
		t.drop(v)
	case "inferenceConfig.topK":
		t.b.Extra.Add("inferenceConfig", slices.Concat([]byte(`{"topK":`), v.Raw(), []byte(`}`)))
	default:
		t.b.Extra.Add(place, v.Raw())
	}
}

// budgets are what a budget of thinking is as an effort, up to so many tokens.
var budgets = []struct {
	most   int64
	effort string
}{{4 << 10, "low"}, {16 << 10, "medium"}, {1 << 62, "high"}}

func readThinking(t *translation, v jsontree.Value) {
	kind, ok := t.need(v, "type", aString)
	if !ok {
		return
	}
	effort := "medium"
	switch kind.Text() {
	case "disabled":
		return
	case "adaptive":
	case "enabled":
		budget, ok := t.need(v, "budget_tokens", aNumber)
		if !ok {
			return
		}
		n, _ := budget.Int()
		if n >= t.max && !t.counting {
			t.failAt(budget, "`max_tokens` must be greater than `thinking.budget_tokens`")
			return
		}
		effort = budgets[slices.IndexFunc(budgets, func(b struct {
			most   int64
			effort string
		},
		) bool {
			return n <= b.most
		})].effort
	default:
		t.failAt(kind, "Input tag '"+kind.Text()+"' does not match any of the expected tags: 'adaptive', 'disabled', "+
			"'enabled'")
		return
	}
	t.think(v, effort)
}

// think asks the model to reason, in its own way.
func (t *translation) think(v jsontree.Value, effort string) {
	switch t.b.Model.Thinking {
	case capability.ThinkingNova:
		if effort != "low" {
			effort = "medium" // with high, Nova takes no cap
		}
		t.b.Extra.Add("reasoningConfig", []byte(`{"type":"enabled","maxReasoningEffort":"`+effort+`"}`))
	case capability.ThinkingEffort:
		t.b.Extra.Add("reasoning_effort", quoted(t.b.Model.Effort(effort)))
	case capability.ThinkingBudget, capability.ThinkingAdaptive:
		t.b.Extra.Add("thinking", v.Raw())
	default:
		t.drop(v)
		return
	}
	t.thinking = true
}

func readOutputConfig(t *translation, v jsontree.Value) {
	if !t.is(v, anObject) {
		return
	}
	t.only(v, "effort", "format")
	if effort := v.Get("effort"); effort.Present() && t.is(effort, aString) {
		switch {
		case t.b.Model.Thinking == capability.ThinkingEffort && !t.thinking && capability.KnownEffort(effort.Text()):
			t.b.Extra.Add("reasoning_effort", quoted(t.b.Model.Effort(effort.Text())))
			t.thinking = true
		case t.b.Model.Thinking == capability.ThinkingAdaptive:
			t.b.Extra.Add("output_config", slices.Concat([]byte(`{"effort":`), effort.Raw(), []byte(`}`)))
		default:
			t.drop(effort)
		}
	}
	if format := v.Get("format"); format.Present() {
		readFormat(t, format)
	}
}

// readFormat binds the answer to a schema.
func readFormat(t *translation, v jsontree.Value) {
	kind, ok := t.need(v, "type", aString)
	if !ok || kind.Is("text") {
		return
	}
	if !kind.Is("json_schema") {
		t.failAt(kind, "Input should be 'json_schema'")
		return
	}
	schema, ok := t.need(v, "schema", anObject)
	if !ok {
		return
	}
	if t.b.Model.Schema != capability.SchemaNative {
		t.refuse(v, "this model cannot be bound to a schema; declare a tool with it and choose the tool")
		return
	}
	t.b.Rest.Add("outputConfig", slices.Concat(
		[]byte(`{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"name":"answer","schema":`),
		quoted(string(schema.Raw())), []byte(`}}}}`)))
}

// userBytes is how long a value of requestMetadata may be (service model).
const userBytes = 256

// readMetadata carries user_id as a pair of requestMetadata, with the letters that it takes.
func readMetadata(t *translation, v jsontree.Value) {
	if !t.is(v, anObject) {
		return
	}
	t.only(v, "user_id")
	user := v.Get("user_id")
	if !user.Present() || !t.is(user, aString) {
		return
	}
	out := user.Bytes()
	out = slices.Clone(out[:min(len(out), userBytes)])
	for i, c := range out {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(" :_@$#=/+,-.", c) < 0 {
			out[i] = '_'
		}
	}
	if len(out) > 0 {
		t.b.Metadata.Add("user_id", quoted(string(out)))
	}
}
