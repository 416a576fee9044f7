package anthropic

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// fields are the members of Messages in the order in which they are read. Those that are not
// here are refused.
var fields = caller.NewTable([]field{
	{Name: "model", How: caller.Consumed, Note: "the path"},
	{Name: "stream", How: caller.Consumed, Note: "the path"},
	{Name: "anthropic_version", How: caller.Consumed},
	{Name: "service_tier", How: caller.Consumed, Note: "Bedrock's default tier"},
	{Name: "anthropic_beta", How: caller.Dropped},
	{Name: "max_tokens", Must: true, Note: "inferenceConfig.maxTokens", Read: readMaxTokens},
	{Name: "system", Note: "system, with cache points", Read: readSystem},
	{Name: "tools", How: caller.Fitted, Read: readTools,
		Note: "toolConfig; tools that Anthropic runs or defines are refused"},
	{Name: "messages", Must: true, Note: "messages; see the blocks", Read: readMessages},
	{Name: "tool_choice", How: caller.Fitted, Note: "toolChoice, where the model can be told", Read: readToolChoice},
	{Name: "thinking", How: caller.Fitted, Read: readThinking,
		Note: "the model's own way to reason, dropped where it has none"},
	{Name: "output_config", How: caller.Fitted, Read: readOutputConfig,
		Note: "effort and format, as the model takes them"},
	{Name: "output_format", How: caller.Fitted, Note: "like output_config.format", Read: readFormat},
	{Name: "stop_sequences", Note: "inferenceConfig.stopSequences", Read: readStops},
	{Name: "temperature", How: caller.Fitted, Note: "dropped where the model refuses it", Read: readTemperature},
	{Name: "top_p", How: caller.Fitted, Note: "dropped where the model refuses it", Read: readTopP},
	{Name: "top_k", How: caller.Fitted, Note: "the family's own place, dropped where it has none", Read: readTopK},
	{Name: "metadata", Note: "user_id as requestMetadata", Read: readMetadata},
	{Name: "context_management", How: caller.Dropped, Note: "Claude by InvokeModel has it"},
	{Name: "compaction", How: caller.Dropped, Note: "Claude by InvokeModel has it"},
	{Name: "cache_control", How: caller.Dropped, Note: "use cache points of blocks"},
	{Name: "speed", How: caller.Dropped},
	{Name: "safeguards", How: caller.Refused},
	{Name: "inference_geo", How: caller.Refused, Note: "choose a profile of the geography as the model"},
	{Name: "container", How: caller.Refused},
	{Name: "mcp_servers", How: caller.Refused},
	{Name: "fallbacks", How: caller.Refused},
})

func readMaxTokens(t *translation, v jsontree.Value) {
	n, ok := v.Int()
	switch {
	case !ok:
		t.failAt(v, "Input should be a valid integer")
	case n < 1 || n > 1<<31-1:
		t.failAt(v, "Input should be greater than or equal to 1")
	}
	t.b.MaxTokens = n
}

func readSystem(t *translation, v jsontree.Value) {
	if v.IsText() {
		t.b.System(v.Raw())
		return
	}
	if !t.Is(v, caller.Array) {
		return
	}
	for block := range v.All() {
		if !t.Is(block, caller.Object) {
			return
		}
		words, ok := t.Need(block, "text", caller.Text)
		if !ok {
			return
		}
		t.Only(block, "type", "text", "cache_control", "citations")
		t.dropCitations(block)
		t.b.System(words.Raw())
		t.b.ReadCachePoint(&t.Reading, block, converse.InSystem)
	}
}

func readStops(t *translation, v jsontree.Value) {
	if !t.Is(v, caller.Array) || v.Len() == 0 {
		return
	}
	if t.b.Model.NoStop {
		t.Refuse(v, "this model takes no stop sequences")
		return
	}
	for s := range v.All() {
		if t.Is(s, caller.Text) && strings.TrimSpace(s.Text()) == "" {
			t.failAt(s, "each stop sequence must contain non-whitespace")
		}
	}
	t.b.Inference.Add("stopSequences", v.Raw())
}

// within reads a number and refuses one outside of its bounds.
func (t *translation) within(v jsontree.Value, least, most float64) (float64, bool) {
	if !t.Is(v, caller.Number) {
		return 0, false
	}
	f, _ := v.Float()
	if f < least || f > most {
		t.failAt(v, "range: "+strconv.FormatFloat(least, 'g', -1, 64)+".."+strconv.FormatFloat(most, 'g', -1, 64))
		return f, false
	}
	return f, true
}

func readTemperature(t *translation, v jsontree.Value) {
	if f, ok := t.within(v, 0, 1); ok && t.b.Samples(&t.Reading, v, f) {
		t.b.Temperature(v.Raw())
	}
}

func readTopP(t *translation, v jsontree.Value) {
	if f, ok := t.within(v, 0, 1); ok && t.b.Samples(&t.Reading, v, f) {
		t.b.Inference.Add("topP", v.Raw())
	}
}

func readTopK(t *translation, v jsontree.Value) {
	if _, ok := t.within(v, 0, 1<<31); ok && t.b.Samples(&t.Reading, v, 0) && !t.b.TopK(v.Raw()) {
		t.Drop(v)
	}
}

// budgets are what a budget of thinking is as an effort, up to so many tokens.
var budgets = []struct {
	most   int64
	effort string
}{{4 << 10, "low"}, {16 << 10, "medium"}, {1 << 62, "high"}}

func readThinking(t *translation, v jsontree.Value) {
	kind, ok := t.Need(v, "type", caller.Text)
	if !ok {
		return
	}
	effort := "medium"
	switch kind.Text() {
	case "disabled":
		if t.b.Model.AlwaysThinks {
			t.Drop(v)
		}
		return
	case "adaptive":
	case "enabled":
		budget, ok := t.Need(v, "budget_tokens", caller.Number)
		if !ok {
			return
		}
		n, _ := budget.Int()
		if n >= t.b.MaxTokens && !t.counting {
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
		t.b.Thinking = true
		return
	default:
		t.Drop(v)
		return
	}
	t.b.Thinking = true
	if display := v.Get("display"); display.Present() {
		t.Drop(display)
	}
}

func readOutputConfig(t *translation, v jsontree.Value) {
	if !t.Is(v, caller.Object) {
		return
	}
	t.Only(v, "effort", "format")
	if effort := v.Get("effort"); effort.Present() && t.Is(effort, caller.Text) {
		switch {
		case t.b.Model.Thinking == capability.ThinkingEffort && !t.b.Thinking && capability.KnownEffort(effort.Text()):
			t.b.Extra.Add("reasoning_effort", quoted(t.b.Model.Effort(effort.Text())))
			t.b.Thinking = true
		case t.b.Model.Thinking == capability.ThinkingAdaptive:
			t.b.Extra.Add("output_config", slices.Concat([]byte(`{"effort":`), effort.Raw(), []byte(`}`)))
		default:
			t.Drop(effort)
		}
	}
	if format := v.Get("format"); format.Present() {
		readFormat(t, format)
	}
}

// readFormat binds the answer to a schema.
func readFormat(t *translation, v jsontree.Value) {
	kind, ok := t.Need(v, "type", caller.Text)
	if !ok || kind.Is("text") {
		return
	}
	if !kind.Is("json_schema") {
		t.failAt(kind, "Input should be 'json_schema'")
		return
	}
	schema, ok := t.Need(v, "schema", caller.Object)
	if !ok {
		return
	}
	if t.b.Model.Schema != capability.SchemaNative {
		t.Refuse(v, "this model cannot be bound to a schema; declare a tool with it and choose the tool")
		return
	}
	if t.counting { // the question for the count has no place for it
		t.Drop(v)
		return
	}
	t.b.BindTo(schema.Raw(), []byte(`"answer"`), nil)
}

// readMetadata carries user_id as a pair of requestMetadata.
func readMetadata(t *translation, v jsontree.Value) {
	if !t.Is(v, caller.Object) {
		return
	}
	t.Only(v, "user_id")
	user := v.Get("user_id")
	if user.Present() && t.Is(user, caller.Text) && len(user.Bytes()) > 0 {
		t.b.Pair("user_id", user.Text())
	}
}
