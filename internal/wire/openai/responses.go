package openai

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

const stateless = "The gateway keeps no responses: send the whole conversation as input."

// responses are the members of a Responses request, in the order in which they are read.
var responses = newTable([]field{
	{name: "model", want: text, how: carried, read: already},
	{name: "stream", want: boolean, how: carried, read: readStream},
	{name: "stream_options", want: object, how: carried, read: readStreamOptions},
	{name: "include", want: array, how: carried, note: "reasoning.encrypted_content", same: []string{"[]"},
		read: readInclude},
	{name: "instructions", want: text, how: carried, read: readInstructions},
	{name: "input", want: text | array, how: carried, must: true, read: readItems},
	{name: "tools", want: array, how: carried, note: "of type function", same: []string{"[]"}, read: readTools},
	{name: "max_output_tokens", want: integer, how: carried, read: readMax},
	{name: "tool_choice", want: text | object, how: fitted, same: []string{`"auto"`}, read: readToolChoice,
		note: "none keeps the tools that the conversation has called, and asks in words"},
	{name: "text", want: object, how: fitted, note: "format as response_format of Chat Completions; verbosity is dropped",
		read: readTextConfig},
	{name: "reasoning", want: object, how: fitted, note: "effort as reasoning_effort of Chat Completions",
		read: readReasoning},
	{name: "temperature", want: number, how: fitted, note: "above 1 is refused for Claude", read: readTemperature},
	{name: "top_p", want: number, how: fitted, note: "not beside temperature where the model takes one of them",
		read: readTopP},
	{name: "parallel_tool_calls", want: boolean, how: fitted, note: "for Claude", same: []string{"true"},
		read: readParallel},
	{name: "service_tier", want: text, how: carried, note: "auto, default, flex and priority",
		same: []string{`"auto"`, `"default"`}, read: readTier},
	{name: "metadata", want: object, how: carried, note: "requestMetadata", read: readMetadata},
	{name: "user", want: text, how: carried, note: "requestMetadata", read: readUser},
	{name: "safety_identifier", want: text, how: carried, note: "requestMetadata", read: readUser},
	{name: "store", want: boolean, how: dropped, note: "nothing is stored", same: []string{"false"}},
	{name: "prompt_cache_key", want: text, how: dropped},
	{name: "prompt_cache_retention", want: text, how: dropped, same: []string{`"in_memory"`, `"in-memory"`}},
	{name: "client_metadata", want: object, how: dropped, same: []string{"{}"}},
	{name: "max_tool_calls", want: integer, how: dropped},
	{name: "top_logprobs", want: integer, how: refused, note: "Bedrock's models do not tell them.", same: zero},
	{name: "truncation", want: text, how: refused, note: "The gateway leaves no message out.", same: []string{`"dis` +
		`abled"`}},
	{name: "background", want: boolean, how: refused, note: stateless, same: []string{"false"}},
	{name: "previous_response_id", want: text, how: refused, note: stateless},
	{name: "conversation", want: text | object, how: refused, note: stateless},
	{name: "prompt", want: object, how: refused, note: stateless},
	{name: "context_management", want: array, how: refused, note: "The gateway leaves no message out.",
		same: []string{"[]"}},
	{name: "moderation", want: object | text, how: refused, note: "Use a guardrail of the gateway's."},
})

// responsesRequest translates a Responses request.
func responsesRequest(from *caller.Request) (*known, *caller.Native, *caller.Failure) {
	r := request{from: from, talk: "input"}
	var d jsontree.Doc
	if v, ok := r.begin(&d, from.Body); ok {
		r.read(responses, v)
		r.echo = echoOf(v)
		if !v.Get("store").Present() && r.problem == nil {
			r.dropAt("store") // true unless it is said
		}
	}
	return r.end()
}

// echoed are the members of a request that its response repeats, and what they are when they are absent.
var echoed = []struct{ name, absent string }{
	{"instructions", "null"}, {"max_output_tokens", "null"}, {"max_tool_calls", "null"}, {"parallel_tool_calls", "true"},
	{"temperature", "1.0"}, {"top_p", "1.0"}, {"tool_choice", `"auto"`}, {"tools", "[]"},
	{"text", `{"format":{"type":"text"}}`}, {"reasoning", `{"effort":null,"summary":null}`}, {"metadata", "{}"},
	{"user", "null"}, {"truncation", `"disabled"`}, {"service_tier", `"default"`},
}

// echoOf is what the response repeats, as members of it. It is a copy: the request is gone when a stream ends.
func echoOf(v jsontree.Value) []byte {
	var out converse.Members
	for _, e := range echoed {
		value := []byte(e.absent)
		if m := v.Get(e.name); m.Present() {
			value = m.Raw()
		}
		out.Add(e.name, value)
	}
	return out
}

func readInstructions(r *request, v jsontree.Value) { r.b.System(v.Raw()) }

func readInclude(r *request, v jsontree.Value) {
	for m := range v.All() {
		switch {
		case !r.check(m, text):
			return
		case m.Is("reasoning.encrypted_content"):
			r.encrypted = true
		case m.Is("message.output_text.logprobs"):
			r.refuse(m, "Bedrock's models do not tell them.")
		default:
			r.drop(v) // of tools that the gateway does not have
		}
	}
}

func readTextConfig(r *request, v jsontree.Value) {
	r.members(v, "format", "verbosity")
	if w := v.Get("verbosity"); w.Present() && r.check(w, text) && !w.Is("medium") {
		r.drop(w)
	}
	if f := v.Get("format"); f.Present() && r.check(f, object) {
		readResponseFormat(r, f)
	}
}

func readReasoning(r *request, v jsontree.Value) {
	r.members(v, "effort", "summary", "generate_summary", "context", "encrypted_content")
	if s := v.Get("summary"); s.Present() && r.check(s, text) && !s.Is("auto") {
		r.drop(s) // the model says what it thinks as it does
	}
	if e := v.Get("effort"); e.Present() && r.check(e, text) {
		readEffort(r, e)
	}
}

// items are the kinds of items that an input may have. An item without a type is a message.
var items = map[string]func(r *request, m jsontree.Value){
	"message":              readItem,
	"function_call":        readFunctionCall,
	"function_call_output": readFunctionOutput,
	"reasoning":            readReasoningItem,
	"item_reference":       func(r *request, m jsontree.Value) { r.refuse(m, stateless) },
}

func readItems(r *request, v jsontree.Value) {
	if v.IsText() {
		r.b.Turn(converse.User)
		r.b.Text(v.Raw())
		return
	}
	for m := range v.All() {
		if r.problem != nil || !r.check(m, object) {
			return
		}
		kind := "message"
		if t := m.Get("type"); t.Present() && r.check(t, text) {
			kind = t.Text()
		}
		read := items[kind]
		if read == nil {
			r.refuse(m, "Items of type '"+kind+"' are of tools that the gateway does not have.")
			continue
		}
		r.last = m.Last()
		read(r, m)
	}
}

// itemRoles are who may speak in an item of an input.
var itemRoles = map[string]func(r *request, m jsontree.Value){
	"system":    readInstruction,
	"developer": readInstruction,
	"user":      readUserTurn,
	"assistant": readOutputMessage,
}

func readItem(r *request, m jsontree.Value) {
	role, ok := r.need(m, "role", text)
	if !ok {
		return
	}
	read := itemRoles[role.Text()]
	if read == nil {
		r.fail(role, codeValue, "Invalid value: '"+role.Text()+"'. Supported values are: 'assistant', 'system', 'developer' "+
			"and 'user'.")
		return
	}
	read(r, m)
	r.lastRole = role.Text()
}

func readOutputMessage(r *request, m jsontree.Value) {
	r.members(m, "type", "role", "content", "id", "status", "phase")
	content, ok := r.need(m, "content", text|array)
	if !ok {
		return
	}
	r.b.Turn(converse.Assistant)
	r.eachAnswer(content)
}

func readFunctionCall(r *request, m jsontree.Value) {
	r.members(m, "type", "id", "call_id", "name", "arguments", "status", "namespace")
	id, ok := r.need(m, "call_id", text)
	if !ok {
		return
	}
	name, ok := r.need(m, "name", text)
	if !ok {
		return
	}
	input, ok := r.arguments(m.Get("arguments"))
	if !ok {
		return
	}
	r.unsigned = r.lastRole != "reasoning"
	r.b.Turn(converse.Assistant)
	r.b.Call(id.Text(), name.Text(), input)
}

func readFunctionOutput(r *request, m jsontree.Value) {
	r.members(m, "type", "id", "call_id", "output", "status")
	id, ok := r.need(m, "call_id", text)
	if !ok {
		return
	}
	output, ok := r.need(m, "output", text|array)
	if !ok {
		return
	}
	r.result(id, output, m.Get("status").Is("failed"))
	r.lastRole = "tool"
}

// thought is what a model has thought, as clients keep it for the next turn. It is of use to that model alone.
type thought struct {
	Model     string `json:"m"`
	Text      string `json:"t,omitempty"`
	Signature string `json:"s,omitempty"`
	Redacted  string `json:"r,omitempty"`
}

// sealPrefix begins what seal makes.
const sealPrefix = "sluice1."

func (t *thought) seal() string {
	b, err := json.Marshal(t)
	if err != nil {
		panic("BUG: strings have no JSON: " + err.Error())
	}
	return sealPrefix + base64.RawURLEncoding.EncodeToString(b)
}

func unseal(s string) (t thought, ok bool) {
	s, ok = strings.CutPrefix(s, sealPrefix)
	if !ok {
		return t, false
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	return t, err == nil && json.Unmarshal(b, &t) == nil
}

// readReasoningItem puts what a model has thought back where it was, if it is the same model.
func readReasoningItem(r *request, m jsontree.Value) {
	r.members(m, "type", "id", "summary", "content", "encrypted_content", "status")
	sealed := m.Get("encrypted_content")
	t, ok := unseal(sealed.Text())
	if !ok || t.Model != r.foundation {
		if sealed.Present() || m.Get("summary").Len()+m.Get("content").Len() > 0 {
			r.drop(m)
		}
		return
	}
	r.b.Turn(converse.Assistant)
	if t.Redacted != "" {
		r.b.Redacted(wire.AppendJSONString(nil, t.Redacted))
	} else {
		r.b.Reasoning(wire.AppendJSONString(nil, t.Text), wire.AppendJSONString(nil, t.Signature))
	}
	r.lastRole = "reasoning"
}

func readInputImage(r *request, p jsontree.Value) {
	r.members(p, "type", "image_url", "detail", "file_id", "cache_control")
	r.detail(p)
	if f := p.Get("file_id"); f.Present() {
		r.fail(f, codeUnsupported, "Unsupported parameter: '"+f.Path()+"'. Send the image itself, as a data: URL.")
		return
	}
	if url, ok := r.need(p, "image_url", text); ok {
		r.image(url)
	}
}
