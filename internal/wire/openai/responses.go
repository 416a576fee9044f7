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

const (
	stateless    = "The gateway keeps no responses: send the whole conversation as input."
	noTruncation = "The gateway leaves no message out."
)

// responses are the members of a Responses request, in the order in which they are read.
var responses = caller.NewTable([]field{
	{Name: "model", Want: caller.Text, How: caller.Consumed},
	{Name: "stream", Want: caller.Boolean, Read: readStream},
	{Name: "stream_options", Want: caller.Object, Read: readStreamOptions},
	{Name: "include", Want: caller.Array, Note: "reasoning.encrypted_content", Same: []string{"[]"}, Read: readInclude},
	{Name: "instructions", Want: caller.Text, Read: readInstructions},
	{Name: "input", Want: caller.Text | caller.Array, Must: true, Read: readItems},
	tools,
	{Name: "max_output_tokens", Want: caller.Integer, Read: readMax},
	toolChoice,
	{Name: "text", Want: caller.Object, How: caller.Fitted, Read: readTextConfig,
		Note: "format as response_format of Chat Completions; verbosity is dropped"},
	{Name: "reasoning", Want: caller.Object, How: caller.Fitted, Read: readReasoning,
		Note: "effort as reasoning_effort of Chat Completions"},
}, sampling, options, []field{
	{Name: "store", Want: caller.Boolean, How: caller.Dropped, Note: "nothing is stored", Same: []string{"false"}},
}, caching, []field{
	{Name: "client_metadata", Want: caller.Object, How: caller.Dropped, Same: []string{"{}"}},
	{Name: "max_tool_calls", Want: caller.Integer, How: caller.Dropped},
	topLogprobs,
	{Name: "truncation", Want: caller.Text, How: caller.Refused, Note: noTruncation, Same: []string{`"disabled"`}},
	{Name: "background", Want: caller.Boolean, How: caller.Refused, Note: stateless, Same: []string{"false"}},
	{Name: "previous_response_id", Want: caller.Text, How: caller.Refused, Note: stateless},
	{Name: "conversation", Want: caller.Text | caller.Object, How: caller.Refused, Note: stateless},
	{Name: "prompt", Want: caller.Object, How: caller.Refused, Note: stateless},
	{Name: "context_management", Want: caller.Array, How: caller.Refused, Note: noTruncation, Same: []string{"[]"}},
	moderation,
})

// translateResponses translates a Responses request.
func translateResponses(from *caller.Request) (*known, *caller.Native, *caller.Failure) {
	r := newRequest(from)
	r.talk = "input"
	var d jsontree.Doc
	if v, ok := r.begin(&d, from.Body); ok {
		responses.Read(&r.Reading, r, v)
		r.echo, r.tier = echoOf(v), v.Get("service_tier").Text()
		if !v.Get("store").Present() && r.Failure == nil {
			r.DropAt("store") // true unless it is said
		}
	}
	return r.end()
}

// echoed are the members of a request that its response repeats, and what they are when they are absent.
var echoed = []struct{ name, absent string }{
	{"instructions", "null"}, {"max_output_tokens", "null"}, {"max_tool_calls", "null"}, {"parallel_tool_calls", "true"},
	{"temperature", "1.0"}, {"top_p", "1.0"}, {"tool_choice", `"auto"`}, {"tools", "[]"},
	{"text", `{"format":{"type":"text"}}`}, {"reasoning", `{"effort":null,"summary":null}`}, {"metadata", "{}"},
	{"user", "null"}, {"truncation", `"disabled"`},
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
		case !r.Is(m, caller.Text):
			return
		case m.Is("reasoning.encrypted_content"):
			r.encrypted = true
		case m.Is("message.output_text.logprobs"):
			r.Refuse(m, noLogprobs)
		default:
			r.Drop(v) // of tools that the gateway does not have
		}
	}
}

func readTextConfig(r *request, v jsontree.Value) {
	r.Only(v, "format", "verbosity")
	if w := v.Get("verbosity"); w.Present() && r.Is(w, caller.Text) && !w.Is("medium") {
		r.Drop(w)
	}
	if f := v.Get("format"); f.Present() && r.Is(f, caller.Object) {
		readResponseFormat(r, f)
	}
}

func readReasoning(r *request, v jsontree.Value) {
	r.Only(v, "effort", "summary", "generate_summary", "context", "encrypted_content")
	for _, name := range []string{"summary", "generate_summary"} { // the second is what it was called
		if s := v.Get(name); s.Present() && r.Is(s, caller.Text) && !s.Is("auto") {
			r.Drop(s) // the model says what it thinks as it does
		}
	}
	if c := v.Get("context"); c.Present() && r.Is(c, caller.Text) && !c.Is("auto") {
		r.Drop(c) // the model gets what the caller sends back
	}
	if e := v.Get("effort"); e.Present() && r.Is(e, caller.Text) {
		readEffort(r, e)
	}
}

// items are the kinds of items that an input may have. An item without a type is a message.
var items = map[string]func(r *request, m jsontree.Value){
	"message":              readItem,
	"function_call":        readFunctionCall,
	"function_call_output": readFunctionOutput,
	"reasoning":            readReasoningItem,
	"item_reference":       func(r *request, m jsontree.Value) { r.Refuse(m, stateless) },
}

func readItems(r *request, v jsontree.Value) {
	if v.IsText() {
		r.b.Turn(converse.User)
		r.b.Text(v.Raw())
		return
	}
	r.expect(v)
	for m := range v.All() {
		if r.Failure != nil || !r.Is(m, caller.Object) {
			return
		}
		kind := "message"
		if t := m.Get("type"); t.Present() && r.Is(t, caller.Text) {
			kind = t.Text()
		}
		read := items[kind]
		if read == nil {
			r.Refuse(m, "Items of type '"+kind+"' are of tools that the gateway does not have.")
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
	role, ok := r.Need(m, "role", caller.Text)
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
	r.Only(m, "type", "role", "content", "id", "status", "phase")
	r.leave(m, "phase")
	content, ok := r.Need(m, "content", caller.Text|caller.Array)
	if !ok {
		return
	}
	r.b.Turn(converse.Assistant)
	r.eachAnswer(content)
}

func readFunctionCall(r *request, m jsontree.Value) {
	r.Only(m, "type", "id", "call_id", "name", "arguments", "status", "namespace")
	id, ok := r.Need(m, "call_id", caller.Text)
	if !ok {
		return
	}
	name, ok := r.Need(m, "name", caller.Text)
	if !ok {
		return
	}
	r.leave(m, "namespace")
	input, ok := r.arguments(m.Get("arguments"))
	if !ok {
		return
	}
	r.unsigned = r.lastRole != "reasoning"
	r.b.Turn(converse.Assistant)
	r.b.Call(id.Text(), name.Text(), input)
}

func readFunctionOutput(r *request, m jsontree.Value) {
	r.Only(m, "type", "id", "call_id", "output", "status")
	id, ok := r.Need(m, "call_id", caller.Text)
	if !ok {
		return
	}
	output, ok := r.Need(m, "output", caller.Text|caller.Array)
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
	r.Only(m, "type", "id", "summary", "content", "encrypted_content", "status")
	sealed := m.Get("encrypted_content")
	t, ok := unseal(sealed.Text())
	if !ok || t.Model != r.foundation {
		if sealed.Present() || m.Get("summary").Len()+m.Get("content").Len() > 0 {
			r.Drop(m)
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
	r.Only(p, "type", "image_url", "detail", "file_id", "cache_control")
	r.detail(p)
	if f := p.Get("file_id"); f.Present() {
		r.fail(f, codeUnsupported, "Unsupported parameter: '"+f.Path()+"'. Send the image itself, as a data: URL.")
		return
	}
	if url, ok := r.Need(p, "image_url", caller.Text); ok {
		r.image(url)
	}
}
