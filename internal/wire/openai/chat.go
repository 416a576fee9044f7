package openai

import (
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// chat are the members of a Chat Completions request, in the order in which they are read.
var chat = newTable([]field{
	{name: "model", want: text, how: carried, note: "an alias, a model id, a profile or an ARN", read: already},
	{name: "stream", want: boolean, how: carried, read: readStream},
	{name: "stream_options", want: object, how: carried, note: "include_usage", read: readStreamOptions},
	{name: "messages", want: array, how: carried, must: true, read: readMessages},
	{name: "tools", want: array, how: carried, note: "of type function", same: []string{"[]"}, read: readTools},
	{name: "max_tokens", want: integer, how: carried, note: "max_completion_tokens wins", read: readMax},
	{name: "max_completion_tokens", want: integer, how: carried, read: readMax},
	{name: "tool_choice", want: text | object, how: fitted, same: []string{`"auto"`}, read: readToolChoice,
		note: "none keeps the tools that the conversation has called, and asks in words"},
	{name: "response_format", want: object, how: fitted, read: readResponseFormat,
		note: "json_schema by outputConfig where the model has it, else by a forced tool, else in words"},
	{name: "reasoning_effort", want: text, how: fitted, read: readEffort,
		note: "thinking, reasoningConfig or reasoning_effort, by generation"},
	{name: "temperature", want: number, how: fitted, note: "above 1 is refused for Claude", read: readTemperature},
	{name: "top_p", want: number, how: fitted, note: "not beside temperature where the model takes one of them",
		read: readTopP},
	{name: "top_k", want: integer, how: fitted, note: "not OpenAI's, but sent by many", read: readTopK},
	{name: "stop", want: text | array, how: carried, note: "refused where the model refuses it", same: []string{"[]"},
		read: readStop},
	{name: "parallel_tool_calls", want: boolean, how: fitted, note: "for Claude", same: []string{"true"},
		read: readParallel},
	{name: "service_tier", want: text, how: carried, note: "auto, default, flex and priority",
		same: []string{`"auto"`, `"default"`}, read: readTier},
	{name: "metadata", want: object, how: carried, note: "requestMetadata", read: readMetadata},
	{name: "user", want: text, how: carried, note: "requestMetadata", read: readUser},
	{name: "safety_identifier", want: text, how: carried, note: "requestMetadata", read: readUser},
	{name: "prompt_cache_key", want: text, how: dropped},
	{name: "prompt_cache_retention", want: text, how: dropped, same: []string{`"in_memory"`, `"in-memory"`}},
	{name: "seed", want: integer, how: dropped},
	{name: "verbosity", want: text, how: dropped, same: []string{`"medium"`}},
	{name: "frequency_penalty", want: number, how: dropped, same: zero},
	{name: "presence_penalty", want: number, how: dropped, same: zero},
	{name: "logit_bias", want: object, how: dropped, same: []string{"{}"}},
	{name: "prediction", want: object, how: dropped},
	{name: "store", want: boolean, how: dropped, same: []string{"false"}},
	{name: "n", want: integer, how: refused, note: "Send the request as often as you want answers.", same: []string{"1"}},
	{name: "logprobs", want: boolean, how: refused, note: "Bedrock's models do not tell them.", same: []string{"false"}},
	{name: "top_logprobs", want: integer, how: refused, note: "Bedrock's models do not tell them.", same: zero},
	{name: "modalities", want: array, how: refused, note: "Answers are text.", same: []string{`["text"]`, "[]"}},
	{name: "audio", want: object, how: refused, note: "Answers are text."},
	{name: "moderation", want: object | text, how: refused, note: "Use a guardrail of the gateway's."},
	{name: "web_search_options", want: object, how: refused, note: "The gateway does not search the web."},
	{name: "functions", want: array, how: refused, note: "Use tools.", same: []string{"[]"}},
	{name: "function_call", want: text | object, how: refused, note: "Use tool_choice.", same: []string{`"auto"`, `` +
		`"none"`}},
	{name: "previous_response_id", want: text, how: refused, note: "Send the whole conversation."},
})

var zero = []string{"0", "0.0", "-0"}

func already(*request, jsontree.Value) {}

func readStream(r *request, v jsontree.Value) { r.stream = v.IsTrue() }

func readStreamOptions(r *request, v jsontree.Value) {
	r.members(v, "include_usage", "include_obfuscation")
	for m := range v.All() {
		if m.Present() {
			r.check(m, boolean)
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
	r.max = n
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

// sampling reports whether the model takes a value that is not the one that it has by itself.
func sampling(r *request, v jsontree.Value, f float64) bool {
	switch {
	case r.b.Model.Sampling == capability.SamplingNone || r.thinking:
		if f != 1 {
			r.drop(v)
		}
		return false
	case r.b.Model.Sampling == capability.SamplingOne && r.sampled:
		if f != 1 {
			r.drop(v)
		}
		return false
	}
	return true
}

func readTemperature(r *request, v jsontree.Value) {
	f, ok := within(r, v, 0, 2)
	if !ok || !sampling(r, v, f) {
		return
	}
	if f > 1 && r.b.Model.Claude() {
		r.fail(v, codeValue, "Invalid value for 'temperature': this model takes 0 to 1.")
		return
	}
	r.sampled = true
	r.b.Inference.Add("temperature", v.Raw())
}

func readTopP(r *request, v jsontree.Value) {
	if f, ok := within(r, v, 0, 1); ok && sampling(r, v, f) {
		r.b.Inference.Add("topP", v.Raw())
	}
}

func readTopK(r *request, v jsontree.Value) {
	if _, ok := within(r, v, 0, 1<<31); !ok || !sampling(r, v, 0) {
		return
	}
	switch place := r.b.Model.TopK; place {
	case "":
		r.drop(v)
	case "inferenceConfig.topK":
		r.b.Extra.Add("inferenceConfig", append(append([]byte(`{"topK":`), v.Raw()...), '}'))
	default:
		r.b.Extra.Add(place, v.Raw())
	}
}

// mostStops is how many sequences OpenAI takes.
const mostStops = 16

func readStop(r *request, v jsontree.Value) {
	if r.b.Model.NoStop {
		r.refuse(v, "It takes no stop sequences.")
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
	if r.check(v, text) && len(v.Bytes()) == 0 {
		r.fail(v, codeValue, "Invalid value for '"+v.Path()+"': a stop sequence must not be empty.")
	}
}

var tiers = map[string]string{"flex": "flex", "priority": "priority"}

func readTier(r *request, v jsontree.Value) {
	tier, ok := tiers[v.Text()]
	if !ok { // scale, fast and the like
		r.drop(v)
		return
	}
	r.b.Rest.Add("serviceTier", []byte(`{"type":"`+tier+`"}`))
}

// Bounds of requestMetadata (service model).
const (
	mostPairs = 16
	pairBytes = 256
)

func readMetadata(r *request, v jsontree.Value) {
	for m := range v.All() {
		if m.Present() && r.check(m, text) {
			addPair(r, m, string(m.Name()))
		}
	}
}

func readUser(r *request, v jsontree.Value) { addPair(r, v, string(v.Name())) }

// addPair adds a pair of request metadata, as far as there is room for one more.
func addPair(r *request, v jsontree.Value, key string) {
	if key == "" || r.pairs == mostPairs {
		r.drop(v)
		return
	}
	r.pairs++
	r.b.Metadata.Add(metadataText(key), wire.AppendJSONString(nil, metadataText(v.Text())))
}

// metadataText makes a text one that requestMetadata takes (service model, RequestMetadataKeyString).
func metadataText(s string) string {
	good := func(c byte) bool {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		return letter || strings.IndexByte(" \t\n\r:_@$#=/+,-.", c) >= 0
	}
	out := []byte(s[:min(len(s), pairBytes)])
	for i, c := range out {
		if !good(c) {
			out[i] = '_'
		}
	}
	return string(out)
}
