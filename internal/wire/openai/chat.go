package openai

import (
	"strconv"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// chat are the members of a Chat Completions request, in the order in which they are read.
var chat = caller.NewTable([]field{
	{Name: "model", Want: caller.Text, Note: "an alias, a model id, a profile or an ARN", How: caller.Consumed},
	{Name: "stream", Want: caller.Boolean, Read: readStream},
	{Name: "stream_options", Want: caller.Object, Note: "include_usage", Read: readStreamOptions},
	{Name: "messages", Want: caller.Array, Must: true, Read: readMessages},
	tools,
	{Name: "max_tokens", Want: caller.Integer, Note: "max_completion_tokens wins", Read: readMax},
	{Name: "max_completion_tokens", Want: caller.Integer, Read: readMax},
	toolChoice,
	{Name: "response_format", Want: caller.Object, How: caller.Fitted, Read: readResponseFormat,
		Note: "json_schema by outputConfig where the model has it, else by a forced tool, else in words"},
	{Name: "reasoning_effort", Want: caller.Text, How: caller.Fitted, Read: readEffort,
		Note: "thinking, reasoningConfig or reasoning_effort, by generation"},
}, sampling, []field{
	{Name: "top_k", Want: caller.Integer, How: caller.Fitted, Note: "not OpenAI's, but sent by many", Read: readTopK},
	{Name: "stop", Want: caller.Text | caller.Array, Same: []string{"[]"}, Read: readStop,
		Note: "refused where the model refuses it"},
}, options, caching, []field{
	{Name: "seed", Want: caller.Integer, How: caller.Dropped},
	{Name: "verbosity", Want: caller.Text, How: caller.Dropped, Same: []string{`"medium"`}},
	{Name: "frequency_penalty", Want: caller.Number, How: caller.Dropped, Same: zero},
	{Name: "presence_penalty", Want: caller.Number, How: caller.Dropped, Same: zero},
	{Name: "logit_bias", Want: caller.Object, How: caller.Dropped, Same: []string{"{}"}},
	{Name: "prediction", Want: caller.Object, How: caller.Dropped},
	{Name: "store", Want: caller.Boolean, How: caller.Dropped, Same: []string{"false"}},
	{Name: "n", Want: caller.Integer, How: caller.Refused, Same: []string{"1"},
		Note: "Send the request as often as you want answers."},
	{Name: "logprobs", Want: caller.Boolean, How: caller.Refused, Note: noLogprobs, Same: []string{"false"}},
	topLogprobs,
	{Name: "modalities", Want: caller.Array, How: caller.Refused, Note: onlyText, Same: []string{`["text"]`, "[]"}},
	{Name: "audio", Want: caller.Object, How: caller.Refused, Note: onlyText},
	moderation,
	{Name: "web_search_options", Want: caller.Object, How: caller.Refused, Note: "The gateway does not search the web."},
	{Name: "functions", Want: caller.Array, How: caller.Refused, Note: "Use tools.", Same: []string{"[]"}},
	{Name: "function_call", Want: caller.Text | caller.Object, How: caller.Refused, Note: "Use tool_choice.",
		Same: []string{`"auto"`, `"none"`}},
	{Name: "previous_response_id", Want: caller.Text, How: caller.Refused, Note: "Send the whole conversation."},
})

const (
	noLogprobs = "Bedrock's models do not tell them."
	onlyText   = "Answers are text."
)

// Fields that Chat Completions and Responses have both.
var (
	tools = field{Name: "tools", Want: caller.Array, Note: "of type function", Same: []string{"[]"}, Read: readTools}

	toolChoice = field{Name: "tool_choice", Want: caller.Text | caller.Object, How: caller.Fitted,
		Same: []string{`"auto"`}, Read: readToolChoice,
		Note: "none keeps the tools that the conversation has called, and asks in words"}

	sampling = []field{
		{Name: "temperature", Want: caller.Number, How: caller.Fitted, Read: readTemperature,
			Note: "above 1 is refused for Claude"},
		{Name: "top_p", Want: caller.Number, How: caller.Fitted, Read: readTopP,
			Note: "not beside temperature where the model takes one of them"},
	}
	options = []field{
		{Name: "parallel_tool_calls", Want: caller.Boolean, How: caller.Fitted, Same: []string{"true"}, Read: readParallel,
			Note: "for Claude"},
		{Name: "service_tier", Want: caller.Text, Same: []string{`"auto"`, `"default"`}, Read: readTier,
			Note: "auto, default, flex and priority"},
		{Name: "metadata", Want: caller.Object, Note: "requestMetadata", Read: readMetadata},
		{Name: "user", Want: caller.Text, Note: "requestMetadata", Read: addPair},
		{Name: "safety_identifier", Want: caller.Text, Note: "requestMetadata", Read: addPair},
	}
	caching = []field{
		{Name: "prompt_cache_key", Want: caller.Text, How: caller.Dropped},
		{Name: "prompt_cache_retention", Want: caller.Text, How: caller.Dropped,
			Same: []string{`"in_memory"`, `"in-memory"`}},
	}
	topLogprobs = field{Name: "top_logprobs", Want: caller.Integer, How: caller.Refused, Note: noLogprobs, Same: zero}
	moderation  = field{Name: "moderation", Want: caller.Object | caller.Text, How: caller.Refused,
		Note: "Use a guardrail of the gateway's."}
)

var zero = []string{"0", "0.0", "-0"}

func readStream(r *request, v jsontree.Value) { r.stream = v.IsTrue() }

func readStreamOptions(r *request, v jsontree.Value) {
	r.Only(v, "include_usage", "include_obfuscation")
	for m := range v.All() {
		if m.Present() {
			r.Is(m, caller.Boolean)
		}
	}
	r.usage = v.Get("include_usage").IsTrue()
}

func readMax(r *request, v jsontree.Value) {
	n, _ := v.Int()
	if n < 1 || n > 1<<31-1 {
		r.fail(v, codeValue, "Invalid value for '"+v.Path()+"': it must be a whole number from 1 on.")
		return
	}
	r.b.MaxTokens = n
}

// within refuses a value outside of lowest to highest.
func within(r *request, v jsontree.Value, lowest, highest float64) (float64, bool) {
	f, ok := v.Float()
	if !ok || f < lowest || f > highest {
		r.fail(v, codeValue, "Invalid value for '"+v.Path()+"': it must be from "+
			strconv.FormatFloat(lowest, 'g', -1, 64)+" to "+strconv.FormatFloat(highest, 'g', -1, 64)+".")
		return f, false
	}
	return f, true
}

func readTemperature(r *request, v jsontree.Value) {
	f, ok := within(r, v, 0, 2)
	if !ok || !r.b.Samples(&r.Reading, v, f) {
		return
	}
	if f > 1 && r.b.Model.Claude() {
		r.fail(v, codeValue, "Invalid value for 'temperature': this model takes 0 to 1.")
		return
	}
	r.b.Temperature(v.Raw())
}

func readTopP(r *request, v jsontree.Value) {
	if f, ok := within(r, v, 0, 1); ok && r.b.Samples(&r.Reading, v, f) {
		r.b.Inference.Add("topP", v.Raw())
	}
}

func readTopK(r *request, v jsontree.Value) {
	if _, ok := within(r, v, 0, 1<<31); ok && r.b.Samples(&r.Reading, v, 0) && !r.b.TopK(v.Raw()) {
		r.Drop(v)
	}
}

// mostStops is how many sequences OpenAI takes.
const mostStops = 16

func readStop(r *request, v jsontree.Value) {
	if r.b.Model.NoStop {
		r.Refuse(v, "It takes no stop sequences.")
		return
	}
	if v.IsText() {
		stopSequence(r, v)
		r.b.Inference.Add("stopSequences", append(append([]byte{'['}, v.Raw()...), ']'))
		return
	}
	if v.Len() > mostStops {
		r.fail(v, codeValue, "Invalid value for 'stop': it has too many sequences.")
	}
	for s := range v.All() {
		stopSequence(r, s)
	}
	r.b.Inference.Add("stopSequences", v.Raw())
}

func stopSequence(r *request, v jsontree.Value) {
	if r.Is(v, caller.Text) && len(v.Bytes()) == 0 {
		r.fail(v, codeValue, "Invalid value for '"+v.Path()+"': a stop sequence must not be empty.")
	}
}

func readTier(r *request, v jsontree.Value) {
	switch tier := v.Text(); tier {
	case "flex", "priority":
		r.b.Rest.Add("serviceTier", []byte(`{"type":"`+tier+`"}`))
	default: // scale, fast and the like
		r.Drop(v)
	}
}

func readMetadata(r *request, v jsontree.Value) {
	for m := range v.All() {
		if m.Present() && r.Is(m, caller.Text) {
			addPair(r, m)
		}
	}
}

// addPair adds a member as a pair of request metadata, as far as there is room for one more.
func addPair(r *request, m jsontree.Value) {
	if !r.b.Pair(string(m.Name()), m.Text()) {
		r.Drop(m)
	}
}
