package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine/sandbox/prefixcache"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// object is a JSON object.
type object = map[string]any

// call is one request, read.
type call struct {
	id     string // x-amzn-RequestId
	start  time.Time
	op     wire.Operation
	target wire.Target
	model  string // "" where the path has none
	region string // that the caller signed for
	path   string // as it came
	mantle bool   // for the host bedrock-mantle
	header http.Header
	body   object
	family *family // of InvokeModel bodies, nil for other operations

	lastText    string // the last user text
	inputTokens int64
	cap         int64 // the caller's output cap in tokens, 0 when absent
	copies      int64 // answers asked for at once, at least 1
	metadata    map[string]string
}

// failure is an answer with an error status. uri stands behind the type in
// x-amzn-ErrorType.
type failure struct {
	status             int
	kind, message, uri string
}

func invalid(message string) *failure {
	return &failure{http.StatusBadRequest, "ValidationException", message, modelsURI}
}

// read fills in what the body contains.
func (c *call) read(raw []byte) *failure {
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &c.body); err != nil {
			return invalid("Malformed input request, please reformat your input and try again.")
		}
	} else if c.op.Method() == http.MethodPost && !c.op.OfStored() {
		return invalid("The request body is empty.")
	}
	if c.op == wire.OpCountTokens {
		return c.readCountTokens()
	}
	c.readTexts()
	c.metadata = metadataOf(c.op, c.header, c.body)
	switch c.op {
	case wire.OpConverse, wire.OpConverseStream:
		c.cap, c.copies = whole(lookup(c.body, "inferenceConfig.maxTokens")), 1
		return c.checkConverse()
	case wire.OpInvoke, wire.OpInvokeStream:
		return c.readInvoke()
	case wire.OpChat, wire.OpResponse:
		return c.readOpenAI()
	case wire.OpMessages, wire.OpCountMessages:
		return c.readMessages()
	}
	return nil
}

func (c *call) readTexts() {
	c.lastText = lastText(c.body)
	bytes := 0
	eachText(c.body, "", func(s string) { bytes += len(s) })
	c.inputTokens = tokens(bytes)
}

// readCountTokens reads the request that is wrapped in a CountTokens request.
func (c *call) readCountTokens() *failure {
	if inner, ok := lookup(c.body, "input.converse").(object); ok {
		c.body = inner
		c.readTexts()
		return nil
	}
	encoded, ok := lookup(c.body, "input.invokeModel.body").(string)
	if !ok {
		return invalid("input must hold converse or invokeModel.")
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	c.body = nil
	if err != nil || json.Unmarshal(raw, &c.body) != nil {
		return invalid("input.invokeModel.body is not the base64 of a JSON object.")
	}
	c.readTexts()
	return nil
}

// checkConverse refuses what Converse refuses of a request that is valid JSON.
func (c *call) checkConverse() *failure {
	if wire.ParseModelID(c.model).Kind == wire.ModelPrompt {
		for _, member := range []string{"inferenceConfig", "system", "toolConfig", "additionalModelRequestFields"} {
			if c.body[member] != nil {
				return invalid(member + " must not be given with a prompt ARN.")
			}
		}
		return nil
	}
	if list, _ := c.body["messages"].([]any); len(list) == 0 {
		return invalid("A conversation must start with a user message. Try again with a conversation that starts with a " +
			"user message.")
	}
	if v := lookup(c.body, "inferenceConfig.maxTokens"); v != nil && c.cap < 1 {
		return invalid("Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater " +
			"than or equal to 1")
	}
	return nil
}

func (c *call) readInvoke() *failure {
	c.family = familyOf(wire.ParseModelID(c.model).Foundation, c.body)
	c.copies = 1
	for _, path := range c.family.caps {
		if v := lookup(c.body, path); v != nil {
			c.cap = whole(v)
			if c.cap < 1 {
				return invalid(path + " must be a positive integer.")
			}
		}
	}
	if c.family.capNeeded && c.cap == 0 {
		return invalid(c.family.caps[0] + ": Field required")
	}
	if c.family.copies != "" {
		c.copies = max(1, min(whole(c.body[c.family.copies]), maxCopies))
	}
	if named, ok := c.body["model"].(string); ok && c.family.namesModel && named != c.model {
		return invalid("The model in the body must be the model in the path.")
	}
	return nil
}

// maxCopies bounds the answers to one call.
const maxCopies = 16

// metadataOf returns the call's request metadata, from the member of Converse or
// the header of InvokeModel.
func metadataOf(op wire.Operation, h http.Header, body object) map[string]string {
	var pairs map[string]string
	if text := h.Get("X-Amzn-Bedrock-Request-Metadata"); text != "" && op != wire.OpConverse &&
		op != wire.OpConverseStream {
		if json.Unmarshal([]byte(text), &pairs) != nil {
			return nil
		}
		return pairs
	}
	member, _ := body["requestMetadata"].(object)
	for name, value := range member {
		if s, ok := value.(string); ok {
			if pairs == nil {
				pairs = make(map[string]string, len(member))
			}
			pairs[name] = s
		}
	}
	return pairs
}

// textMembers are the members whose strings are text to a model, in any family.
var textMembers = map[string]bool{
	"text": true, "content": true, "prompt": true, "inputText": true, "message": true, "preamble": true,
	"system": true, "query": true, "texts": true, "documents": true, "value": true, "input": true, "instructions": true,
}

// eachText visits the texts below v, which is the value of a member.
func eachText(v any, member string, visit func(string)) {
	switch v := v.(type) {
	case string:
		if textMembers[member] {
			visit(v)
		}
	case []any:
		for _, e := range v {
			eachText(e, member, visit)
		}
	case object:
		for name, e := range v {
			eachText(e, name, visit)
		}
	}
}

// lastText returns the text of the last message of a user, or of the member
// that stands for it in families without messages.
func lastText(body object) string {
	var parts []string
	visit := func(s string) { parts = append(parts, s) }
	list, ok := body["messages"].([]any)
	if items, given := body["input"].([]any); given {
		list, ok = items, true
	}
	if ok {
		for i := len(list) - 1; i >= 0; i-- {
			if m, ok := list[i].(object); ok && m["role"] == "user" {
				eachText(m["content"], "content", visit)
				break
			}
		}
		return strings.Join(parts, "\n")
	}
	for _, member := range []string{"prompt", "inputText", "message", "query", "texts", "content", "singleEmbeddingParams",
		"modelInput", "input"} {
		eachText(body[member], member, visit)
	}
	return strings.Join(parts, "\n")
}

// tokens is the stand-in's measure of text: one token per four bytes begun.
func tokens(bytes int) int64 { return (int64(bytes) + 3) / 4 }

// lookup returns the member at a dotted path, nil when it is absent.
func lookup(v any, path string) any {
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, ".")
		o, _ := v.(object)
		v = o[name]
	}
	return v
}

// whole returns a JSON number as an integer, 0 when v is none.
func whole(v any) int64 {
	f, _ := v.(float64)
	return int64(f)
}

// blocks are the parts of a prompt of Converse or of Claude in the order in which its model
// reads them, and whether there is a point among them.
func (c *call) blocks() (all []prefixcache.Block, points bool) {
	add := func(frame, member string, v any) {
		list, ok := v.([]any)
		if !ok && v != nil {
			list = []any{v}
		}
		for _, e := range list {
			if o, _ := e.(object); o["cachePoint"] != nil && len(all) > 0 {
				all[len(all)-1].TTL, points = ttlOf(o["cachePoint"]), true
				continue
			}
			b := blockOf(frame, member, e)
			all, points = append(all, b), points || b.TTL > 0
		}
	}
	add("tool", "tools", c.body["tools"])
	add("tool", "tools", lookup(c.body, "toolConfig.tools"))
	add("system", "system", c.body["system"])
	frame := string(marshal([]any{c.body["thinking"], c.body["tool_choice"], lookup(c.body, "toolConfig.toolChoice")}))
	messages, _ := c.body["messages"].([]any)
	for _, m := range messages {
		turn, _ := m.(object)
		role, _ := turn["role"].(string)
		add(frame+role, "content", turn["content"])
	}
	return all, points
}

// blockOf is a part of a prompt without the point that Claude's blocks have in them. A text
// is the same as a block of it.
func blockOf(frame, member string, v any) prefixcache.Block {
	var b prefixcache.Block
	if o, ok := v.(object); ok {
		plain := maps.Clone(o)
		if o["cache_control"] != nil {
			b.TTL = ttlOf(o["cache_control"])
			delete(plain, "cache_control")
		}
		if text, ok := o["text"].(string); ok && (len(plain) == 1 || len(plain) == 2 && o["type"] == "text") {
			v, member = text, "text"
		} else {
			v = plain
		}
	}
	eachText(v, member, func(s string) { b.Bytes += len(s) })
	b.Text = append([]byte(frame), marshal(v)...)
	return b
}

// ttlOf is how long what is before a point is to be kept.
func ttlOf(point any) time.Duration {
	if lookup(point, "ttl") == "1h" {
		return time.Hour
	}
	return 5 * time.Minute
}
