package sandbox

import (
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// openAIPath begins OpenAI's own paths on the runtime host.
const openAIPath = "/openai/v1/"

// openAITarget reads a request for one of OpenAI's paths. The model is in the body.
func openAITarget(method, raw string) (wire.Target, bool) {
	path, ok := strings.CutPrefix(raw, openAIPath)
	if !ok {
		return wire.Target{}, false
	}
	id, of := strings.CutPrefix(path, "responses/")
	cancelled, cancel := strings.CutSuffix(id, "/cancel")
	switch {
	case path == "chat/completions" && method == http.MethodPost:
		return wire.Target{Op: wire.OpChat}, true
	case path == "responses" && method == http.MethodPost:
		return wire.Target{Op: wire.OpResponse}, true
	case of && cancel && method == http.MethodPost:
		return wire.Target{Op: wire.OpCancelResponse, Resource: cancelled}, true
	case of && method == http.MethodGet:
		return wire.Target{Op: wire.OpGetResponse, Resource: id}, true
	case of && method == http.MethodDelete:
		return wire.Target{Op: wire.OpDeleteResponse, Resource: id}, true
	}
	return wire.Target{}, false
}

// readOpenAI reads what a body for one of OpenAI's paths contains.
func (c *call) readOpenAI() *failure {
	c.model, _ = c.body["model"].(string)
	if c.model == "" {
		return invalid("model: Field required")
	}
	caps := []string{"max_completion_tokens", "max_tokens"}
	if c.op == wire.OpResponse {
		caps = []string{"max_output_tokens"}
	}
	c.copies = max(1, min(whole(c.body["n"]), maxCopies))
	for _, name := range caps {
		if c.body[name] != nil && c.cap == 0 {
			if c.cap = whole(c.body[name]); c.cap < 1 {
				return invalid(name + ": must be at least 1.")
			}
		}
	}
	if c.body["stream"] == true {
		c.op = map[wire.Operation]wire.Operation{
			wire.OpChat: wire.OpChatStream, wire.OpResponse: wire.OpResponseStream,
		}[c.op]
	}
	c.family = familyOf("openai.", nil)
	if problem := c.unserved(); problem != nil {
		return problem
	}
	return nil
}

// unserved refuses what AWS refuses on these paths: models that it does not serve there, and, of the newest, the old
// name of the cap.
func (c *call) unserved() *failure {
	if c.mantle {
		return c.onMantle()
	}
	id := wire.ParseModelID(c.model)
	name, ours := strings.CutPrefix(id.Foundation, "openai.gpt-")
	oss, mantle := strings.HasPrefix(name, "oss"), strings.HasPrefix(name, "5.4") || strings.HasPrefix(name, "5.5")
	switch responses := c.op == wire.OpResponse || c.op == wire.OpResponseStream; {
	case mantle, !ours && !strings.HasPrefix(id.Foundation, "xai."), responses && (oss || id.Kind != wire.ModelProfile):
		return invalid("The model " + c.model + " isn't supported on this route.")
	case ours && !oss && c.body["max_tokens"] != nil:
		return invalid("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
	case c.body["background"] == true:
		return invalid("background is not supported.")
	}
	return nil
}

// openAIUsage is how Responses counts: what came from a cache is input, too.
func responseUsage(r *reply) object {
	input := r.input + r.cacheRead + r.write5m + r.write1h
	return object{
		"input_tokens": input, "output_tokens": r.output, "total_tokens": input + r.output,
		"input_tokens_details":  object{"cached_tokens": r.cacheRead, "cache_write_tokens": r.write5m + r.write1h},
		"output_tokens_details": object{"reasoning_tokens": 0},
	}
}

// echoed are members of a request that its response repeats, and what they are when they are absent.
var echoed = object{
	"instructions": nil, "metadata": object{}, "parallel_tool_calls": true, "temperature": 1, "tool_choice": "auto",
	"tools": []any{}, "top_p": 1,
}

func responseBody(c *call, r *reply) object {
	output := []any{object{"type": "message", "id": "msg_" + r.id[:8], "role": "assistant", "status": "completed",
		"content": []any{object{"type": "output_text", "text": r.text, "annotations": []any{}}}}}
	if r.tool != nil {
		output = []any{object{"type": "function_call", "id": "fc_" + r.id[:8], "call_id": r.toolID(), "name": r.tool.Name,
			"arguments": r.toolInput(), "status": "completed"}}
	}
	body := object{"id": "resp_" + r.id, "object": "response", "created_at": c.start.Unix(), "model": r.model,
		"status": "completed", "output": output, "usage": responseUsage(r), "store": c.body["store"] != false,
		"previous_response_id": c.body["previous_response_id"], "error": nil, "incomplete_details": nil}
	for name, absent := range echoed {
		if body[name] = c.body[name]; body[name] == nil {
			body[name] = absent
		}
	}
	if r.stop == "max_tokens" {
		body["status"], body["incomplete_details"] = "incomplete", object{"reason": "max_output_tokens"}
	}
	return body
}

// event kinds of server-sent events.
const (
	kindData  = "sse"      // data alone
	kindNamed = "sse-type" // named by their type
)

// responseEvents is a stream of Responses, in the order that OpenAI's clients insist on.
func responseEvents(c *call, r *reply) []event {
	whole := responseBody(c, r)
	begun := maps.Clone(whole)
	begun["status"], begun["output"], begun["usage"] = "in_progress", []any{}, nil
	status, _ := whole["status"].(string)
	out := []event{
		named("response.created", object{"response": begun}), named("response.in_progress", object{"response": begun}),
	}
	if r.tool != nil {
		out = append(out, callEvents(whole, r)...)
	} else {
		out = append(out, messageItemEvents(whole, r)...)
	}
	last := named("response."+status, object{"response": whole})
	last.usage = true
	out = append(out, last)
	for i := range out {
		out[i].payload["sequence_number"] = i
	}
	return out
}

func named(kind string, payload object) event {
	payload["type"] = kind
	return event{kind: kindNamed, payload: payload}
}

// itemEvents are the events of the one item of a response, around those of what is in it.
func itemEvents(whole object, begun object, inside []event) []event {
	items, _ := whole["output"].([]any)
	done, _ := items[0].(object)
	item := maps.Clone(done)
	maps.Copy(item, begun)
	item["status"] = "in_progress"
	out := append([]event{named("response.output_item.added", object{"output_index": 0, "item": item})}, inside...)
	for i := range out[1:] {
		out[i+1].payload["output_index"], out[i+1].payload["item_id"] = 0, done["id"]
	}
	return append(out, named("response.output_item.done", object{"output_index": 0, "item": done}))
}

func messageItemEvents(whole object, r *reply) []event {
	part := func(text string) object {
		return object{"content_index": 0, "part": object{"type": "output_text", "text": text, "annotations": []any{}}}
	}
	inside := []event{named("response.content_part.added", part(""))}
	for _, piece := range r.pieces() {
		delta := named("response.output_text.delta", object{"content_index": 0, "delta": piece, "logprobs": []any{}})
		delta.text = len(piece)
		inside = append(inside, delta)
	}
	inside = append(inside,
		named("response.output_text.done", object{"content_index": 0, "text": r.text, "logprobs": []any{}}),
		named("response.content_part.done", part(r.text)))
	return itemEvents(whole, object{"content": []any{}}, inside)
}

func callEvents(whole object, r *reply) []event {
	input := r.toolInput()
	delta := named("response.function_call_arguments.delta", object{"delta": input})
	delta.text = len(input)
	return itemEvents(whole, object{"arguments": ""}, []event{delta,
		named("response.function_call_arguments.done", object{"arguments": input, "name": r.tool.Name})})
}

// chatEvents is a stream of Chat Completions. Its counts come last, for who has asked for them.
func chatEvents(c *call, r *reply) []event {
	out := chatChunks(r)
	last := out[len(out)-1].payload
	usage := last["usage"]
	delete(last, "usage")
	for i := range out {
		out[i].kind = kindData
	}
	if lookup(c.body, "stream_options.include_usage") == true {
		out = append(out, event{kind: kindData, usage: true, payload: object{
			"id": last["id"], "object": last["object"], "model": r.model, "choices": []any{}, "usage": usage,
		}})
	}
	return append(out, event{kind: kindData})
}

// sse is one server-sent event; one of Chat Completions without a payload ends the stream.
func sse(e *event) []byte {
	switch {
	case e.payload == nil:
		return []byte("data: [DONE]\n\n")
	case e.kind == kindNamed:
		name, _ := e.payload["type"].(string)
		return append(append(append([]byte("event: "+name+"\ndata: "), marshal(e.payload)...), '\n'), '\n')
	}
	return append(append([]byte("data: "), marshal(e.payload)...), "\n\n"...)
}

// stored are the responses that callers have not told it to forget.
type stored struct {
	mu  sync.Mutex // guards the rest
	all map[string]object
}

func (s *stored) keep(body object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]object{}
	}
	id, _ := body["id"].(string)
	s.all[id] = body
}

// about answers what is asked of a stored response.
func (s *stored) about(c *call) (*outcome, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := c.target.Resource
	body := s.all[id]
	switch {
	case body == nil:
		return nil, &failure{http.StatusNotFound, "ResourceNotFoundException", "Response " + id + " not found.", modelsURI}
	case c.op == wire.OpDeleteResponse:
		delete(s.all, id)
		return &outcome{body: object{"id": id, "object": "response", "deleted": true}}, nil
	case c.op == wire.OpCancelResponse:
		return nil, invalid("Only responses in the background can be cancelled.")
	}
	return &outcome{body: body}, nil
}

// askOpenAI is the answer on one of OpenAI's paths.
func (x *exchange) askOpenAI(r *reply) (*outcome, *failure) {
	c := &x.call
	if before, ok := c.body["previous_response_id"].(string); ok {
		x.s.stored.mu.Lock()
		known := x.s.stored.all[before] != nil
		x.s.stored.mu.Unlock()
		if !known {
			return nil, invalid("Previous response with id '" + before + "' not found.")
		}
	}
	responses := c.op == wire.OpResponse || c.op == wire.OpResponseStream
	if responses && c.body["store"] != false {
		x.s.stored.keep(responseBody(c, r))
	}
	switch c.op {
	case wire.OpChat:
		return &outcome{body: chatBody(c, r)}, nil
	case wire.OpChatStream:
		return &outcome{events: chatEvents(c, r)}, nil
	case wire.OpResponse:
		return &outcome{body: responseBody(c, r)}, nil
	}
	return &outcome{events: responseEvents(c, r)}, nil
}
