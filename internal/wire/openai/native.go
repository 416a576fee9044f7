package openai

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// api is one of OpenAI's paths, which AWS serves itself for some models. Their requests pass: only members are read and
// changed, and only those that must be.
type api struct {
	op, stream wire.Operation
	serves     func(*caller.Model) bool
	translate  func(*caller.Request) (*known, *caller.Native, *caller.Failure)
	stores     bool   // what is not told otherwise
	effort     string // the member that has it
	names      func([]byte) string
}

var (
	chatAPI = api{
		op: wire.OpChat, stream: wire.OpChatStream, serves: func(m *caller.Model) bool { return m.Chat },
		translate: translateChat, effort: "reasoning_effort", names: chat.Name,
	}
	responsesAPI = api{
		op: wire.OpResponse, stream: wire.OpResponseStream, serves: func(m *caller.Model) bool { return m.Responses },
		translate: translateResponses, stores: true, effort: "reasoning", names: responses.Name,
	}
)

// request makes the native request: the caller's own where AWS serves the path for the model, and Converse's for all
// others, and for those that a cascade takes.
func (p *api) request(from *caller.Request) (*known, *caller.Native, *caller.Failure) {
	b, failure := caller.ReadBody(from.Body, p.names, nil)
	if failure != nil || b.Model == "" {
		return p.translate(from) // which says what is wrong
	}
	m := from.Model(ModelName(b.Model))
	model := capability.Of(m.Foundation)
	elsewhere := model.ChatOrTools && !m.Mantle && p.op == wire.OpChat && thinksWithTools(b)
	if !p.serves(&m) || !wire.ValidID(m.ID) || elsewhere {
		return p.translate(from)
	}
	var translated *known
	var n *caller.Native
	if from.Cascaded(func() *caller.Native { translated, n, _ = p.translate(from); return n }) {
		return translated, n, nil
	}
	x := &passing{
		api: p, body: b, model: &model, Reading: caller.Reading{Words: &words, Policy: from.Policy},
		changed: map[string]string{},
	}
	x.read(from.Stores)
	if x.Failure == nil && x.changes() {
		x.Failure = from.Take(len(from.Body))
	}
	if x.Failure != nil {
		return nil, nil, x.Failure
	}
	n = &caller.Native{Op: p.op, Model: m.ID, Body: x.made(), Dropped: x.Dropped, Own: isError}
	if b.Stream {
		n.Op = p.stream
	}
	return &known{model: b.Model, stream: b.Stream, usage: x.usage, passed: true}, n, nil
}

// thinksWithTools reports whether the model is to think and has tools.
func thinksWithTools(b *caller.Body) bool {
	tools, effort := b.Find("tools"), b.Find("reasoning_effort")
	return tools != nil && len(b.Text(tools)) > len("null") && (effort == nil || string(b.Text(effort)) != `"none"`)
}

// passing is a request on its way to AWS's own path.
type passing struct {
	caller.Reading
	api     *api
	body    *caller.Body
	model   *capability.Model
	usage   bool              // the caller wants counts at the end of a stream
	changed map[string]string // what members become, whole: "" for nothing
	added   string            // members, each with a comma before it
}

// read finds out what has to be changed.
func (x *passing) read(stores bool) {
	x.store(stores)
	x.refuse("background", "The gateway counts answers as they come.", "false")
	x.refuse("conversation", stateless)
	if !stores {
		x.refuse("previous_response_id", stateless)
	}
	if list := x.body.Find("input"); list != nil && bytes.Contains(x.body.Text(list), []byte("item_reference")) {
		x.references(x.body.Text(list))
	}
	x.sampling()
	if x.api.op == wire.OpChat {
		x.cap()
		x.counts()
	}
}

// store has AWS store nothing, unless the tenant lets it.
func (x *passing) store(allowed bool) {
	m := x.body.Find("store")
	stays := m == nil && !x.api.stores || m != nil && m.Kind == jsonscan.False
	if allowed || stays {
		return
	}
	x.DropAt("store")
	if m == nil {
		x.added += `,"store":false`
		return
	}
	x.changed["store"] = `"store":false`
}

// refuse refuses a member, unless it says the same as none.
func (x *passing) refuse(name, why string, none ...string) {
	m := x.body.Find(name)
	if m == nil || m.Kind == jsonscan.Null || len(none) > 0 && string(x.body.Text(m)) == none[0] {
		return
	}
	if x.Policy != caller.PolicyDrop {
		x.Fail(words.Unsupported(name, why))
		return
	}
	x.DropAt(name)
	x.changed[name] = ""
}

var itemTypes = jsonscan.NewTree([]jsonscan.Rule{{Path: "[].type", Role: 1}})

// references refuses references to stored items: nobody knows whose they are.
func (x *passing) references(input []byte) {
	var w jsonscan.Walker
	w.Reset(itemTypes, input)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		if m.Kind == jsonscan.String && string(jsonscan.AppendString(nil, input[m.Start:m.End])) == "item_reference" {
			x.Fail(words.Unsupported("input", stateless))
		}
	}
}

// sampling drops what a model refuses that thinks.
func (x *passing) sampling() {
	effort := x.body.Find(x.api.effort)
	idle := effort != nil && bytes.Contains(x.body.Text(effort), []byte(`"none"`))
	if x.model.Sampling != capability.SamplingNone || idle {
		return
	}
	for _, name := range []string{"temperature", "top_p"} {
		m := x.body.Find(name)
		if m == nil || m.Kind == jsonscan.Null {
			continue
		}
		if said := string(x.body.Text(m)); said != "1" && said != "1.0" {
			x.DropAt(name)
		}
		x.changed[name] = ""
	}
}

// cap gives the cap its new name, where the model knows only that.
func (x *passing) cap() {
	old := x.body.Find("max_tokens")
	if old == nil || !x.model.NoMaxTokens {
		return
	}
	x.changed["max_tokens"] = ""
	if x.body.Find("max_completion_tokens") == nil {
		x.changed["max_tokens"] = `"max_completion_tokens":` + string(x.body.Text(old))
	}
}

// counts has a stream tell its counts, by which it is billed. Who has not asked for them does not get them.
func (x *passing) counts() {
	const wanted = `"include_usage":true`
	m := x.body.Find("stream_options")
	switch {
	case !x.body.Stream:
		return
	case m == nil:
		x.added += `,"stream_options":{` + wanted + `}`
		return
	case m.Kind == jsonscan.Null:
		x.changed["stream_options"] = `"stream_options":{` + wanted + `}`
		return
	}
	options, failure := caller.ReadBody(x.body.Text(m), nil, nil)
	if failure != nil {
		return // AWS says what is wrong
	}
	made := `"stream_options":{` + wanted
	for i := range options.Members {
		o := &options.Members[i]
		if o.Name != "include_usage" {
			made += "," + string(options.Raw[o.Start:o.End])
			continue
		}
		if x.usage = o.Kind == jsonscan.True; x.usage {
			return
		}
	}
	x.changed["stream_options"] = made + "}"
}

// changes reports whether something of the body has to be changed.
func (x *passing) changes() bool { return len(x.changed)+len(x.added) > 0 }

// made is the body: the caller's own bytes where nothing has to be changed.
func (x *passing) made() []byte {
	if !x.changes() {
		return x.body.Raw
	}
	return x.body.With(x.changed, x.added)
}

// isError reports whether a body is an error as OpenAI says it.
func isError(body []byte) bool {
	b, failure := caller.ReadBody(body, nil, nil)
	if failure != nil {
		return false
	}
	m := b.Find("error")
	return m != nil && m.Kind == jsonscan.BeginObject
}

// passed is a stream that passes as it comes.
type passed struct {
	known *known
	api   wire.Operation
	seq   int64  // how many events of Responses have passed
	data  []byte // memory
}

// usageOnly finds whether a chunk has counts and nothing else.
var usageOnly = jsonscan.NewTree([]jsonscan.Rule{{Path: "choices[]", Role: 1}, {Path: "usage", Role: 2}})

// Frame passes an event, unless it is one that the gateway alone has asked for.
func (s *passed) Frame(dst []byte, f wire.Frame) ([]byte, *caller.Failure) {
	if s.api == wire.OpChatStream && !s.known.usage && s.counts(f.Payload) {
		return dst, nil
	}
	if s.api == wire.OpResponseStream && bytes.Contains(f.Payload, []byte(`"sequence_number"`)) {
		s.seq++
	}
	return append(dst, f.Payload...), nil
}

func (s *passed) counts(event []byte) bool {
	if !bytes.Contains(event, []byte(`"usage"`)) {
		return false
	}
	s.data = wire.AppendEventData(s.data[:0], event)
	var w jsonscan.Walker
	w.AllowDuplicates = true
	w.Reset(usageOnly, s.data)
	counted := false
	for m := w.Next(); m.Role != 0; m = w.Next() {
		if m.Role == 1 {
			return false
		}
		counted = counted || m.Kind == jsonscan.BeginObject
	}
	return counted
}

// Fail ends a stream that has broken.
func (s *passed) Fail(dst []byte, f *caller.Failure) []byte {
	if s.api == wire.OpResponseStream {
		dst = appendInt(append(dst, "event: error\ndata: {\"type\":\"error\",\"sequence_number\":"...), s.seq)
		return append(appendErrorEvent(append(dst, ','), f), "}\n\n"...)
	}
	return append(AppendFailure(append(dst, "data: "...), f), "\n\n"...)
}

// End has nothing to say: the upstream has said it.
func (s *passed) End(dst []byte) []byte { return dst }

// storedRequest asks for a stored response, or has it deleted or cancelled.
func storedRequest(from *caller.Request) (*known, *caller.Native, *caller.Failure) {
	if !from.Stores {
		return nil, nil, &caller.Failure{Class: caller.ClassNotFound, Code: codeURL, Message: stateless}
	}
	id, tail, _ := strings.Cut(strings.TrimPrefix(from.Path, "/v1/responses/"), "/")
	n := &caller.Native{Resource: id, Own: isError}
	switch {
	case tail == "" && from.Method == http.MethodGet:
		n.Op = wire.OpGetResponse
	case tail == "" && from.Method == http.MethodDelete:
		n.Op = wire.OpDeleteResponse
	case tail == "cancel" && from.Method == http.MethodPost:
		n.Op = wire.OpCancelResponse
	case tail == "" || tail == "cancel":
		return nil, nil, &caller.Failure{Class: caller.ClassMethod, Message: "This path does not take the method."}
	}
	if n.Op == wire.OpUnknown || !wire.ValidID(id) {
		return nil, nil, &caller.Failure{Class: caller.ClassNotFound, Code: codeURL, Message: nowhere}
	}
	if strings.Contains(from.Query, "stream=true") {
		return nil, nil, words.Unsupported("stream", "A stored response comes whole.")
	}
	return &known{passed: true}, n, nil
}

// asItCame is the answer of an upstream that speaks the dialect.
func (k *known) asItCame(a *caller.Answer) ([]byte, *caller.Failure) { return a.Body, nil }
