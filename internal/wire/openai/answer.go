package openai

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// stops are Converse's stop reasons, as Chat Completions and Responses call them. failed is for answers that are not
// what the model meant to say; what is not listed is a stop.
var stops = map[string]struct {
	finish string // Chat Completions
	reason string // of an incomplete response, "" for a complete one
	failed bool
}{
	"end_turn":                      {finish: "stop"},
	"stop_sequence":                 {finish: "stop"},
	"max_tokens":                    {finish: "length", reason: "max_output_tokens"},
	"model_context_window_exceeded": {finish: "length", reason: "max_output_tokens"},
	"tool_use":                      {finish: "tool_calls"},
	"guardrail_intervened":          {finish: "content_filter", reason: "content_filter"},
	"content_filtered":              {finish: "content_filter", reason: "content_filter"},
	"malformed_tool_use":            {failed: true},
	"malformed_model_output":        {failed: true},
}

// counts are the tokens of an answer, as OpenAI has them.
type counts struct{ converse.Counts }

// prompt is OpenAI's count of input, which includes what came from a cache and what went to one.
func (c *counts) prompt() int64 { return c.Input + c.CacheRead + c.CacheWrite }

// appendChat appends usage as Chat Completions has it.
func (c *counts) appendChat(dst []byte) []byte {
	dst = appendInt(append(dst, `{"prompt_tokens":`...), c.prompt())
	dst = appendInt(append(dst, `,"completion_tokens":`...), c.Output)
	dst = appendInt(append(dst, `,"total_tokens":`...), c.prompt()+c.Output)
	dst = appendInt(append(dst, `,"prompt_tokens_details":{"cached_tokens":`...), c.CacheRead)
	if c.CacheWrite > 0 {
		dst = appendInt(append(dst, `,"cache_write_tokens":`...), c.CacheWrite)
	}
	dst = append(dst, '}')
	if c.Thinking >= 0 {
		dst = appendInt(append(dst, `,"completion_tokens_details":{"reasoning_tokens":`...), c.Thinking)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// answer is an answer of Converse, in pieces of JSON.
type answer struct {
	content   []byte // without its quotes
	words     bool
	reasoning []byte // without its quotes
	details   []byte // reasoning_details, joined by commas
	calls     []call
	unwrapped bool // the words are the input of the tool that stands for a schema
	stop      string
	counts
	counted bool
	tier    string // that has served, "" when nobody tells
}

// call is a call of a tool.
type call struct {
	id    []byte // with quotes
	name  string
	input []byte // a JSON object
}

// readAnswer reads what Converse answers.
func (k *known) readAnswer(from *caller.Answer) (*answer, *caller.Failure) {
	v, failure := from.Tree()
	if failure != nil {
		return nil, failure
	}
	a := &answer{stop: v.Get("stopReason").Text()}
	for block := range v.Get("output").Get("message").Get("content").All() {
		if lost := converse.LostIn(block); lost != "" {
			from.Lost = append(from.Lost, lost)
		}
		k.readBlock(a, block, from.Model)
	}
	a.Counts, a.counted = converse.CountsOf(v)
	a.tier = converse.Tier(v)
	if stops[a.stop].failed {
		return nil, converse.Malformed(a.stop)
	}
	return a, nil
}

func (k *known) readBlock(a *answer, block jsontree.Value, served string) {
	for m := range block.All() {
		switch string(m.Name()) {
		case "text":
			a.say(m)
		case "citationsContent":
			for part := range m.Get("content").All() {
				a.say(part.Get("text"))
			}
		case "reasoningContent":
			words := m.Get("reasoningText").Get("text")
			a.reasoning = append(a.reasoning, unquoted(words)...)
			a.details = appendDetail(a.details, words, m.Get("reasoningText").Get("signature"), m.Get("redactedContent"), served)
		case "toolUse":
			input := compact(m.Get("input"))
			if name := m.Get("name"); k.jsonTool != "" && name.Is(k.jsonTool) {
				a.content = append(a.content, inner(wire.AppendJSONString(nil, string(input)))...)
				a.unwrapped, a.words = true, true
				continue
			}
			a.calls = append(a.calls, call{id: m.Get("toolUseId").Quoted(), name: k.names.Original(m.Get("name").Text()),
				input: input})
		}
	}
}

func (a *answer) say(words jsontree.Value) {
	a.content, a.words = append(a.content, unquoted(words)...), true
}

// unquoted is a JSON string without its quotes.
func unquoted(v jsontree.Value) []byte {
	if !v.IsText() {
		return nil
	}
	return inner(v.Raw())
}

func inner(quoted []byte) []byte { return quoted[1 : len(quoted)-1] }

// compact is a JSON object without space between its parts; an object without members when there is none.
func compact(v jsontree.Value) []byte {
	if !v.IsObject() {
		return []byte("{}")
	}
	var b bytes.Buffer
	if json.Compact(&b, v.Raw()) != nil {
		return v.Raw()
	}
	return b.Bytes()
}

// appendDetail appends signed reasoning in the form that clients send back. It is of use to the model alone that
// made it, which format names.
func appendDetail(dst []byte, words, signature, redacted jsontree.Value, served string) []byte {
	format := wire.ParseModelID(served).Foundation
	if format == "" || !signature.IsText() && !redacted.IsText() {
		return dst
	}
	if len(dst) > 0 {
		dst = append(dst, ',')
	}
	if redacted.IsText() {
		dst = append(append(dst, `{"type":"reasoning.encrypted","data":`...), redacted.Raw()...)
	} else {
		dst = append(append(dst, `{"type":"reasoning.text","text":`...), words.Quoted()...)
		dst = append(append(dst, `,"signature":`...), signature.Raw()...)
	}
	return append(wire.AppendJSONString(append(dst, `,"format":`...), format), '}')
}

// finish is why the answer ended, in Chat Completions' words.
func (a *answer) finish() string {
	reason := stops[a.stop].finish
	switch {
	case reason == "":
		reason = "stop"
	case reason == "tool_calls" && len(a.calls) == 0:
		reason = "stop" // the only call was the answer itself
	}
	return reason
}

// chatAnswer translates an answer of Converse into one of Chat Completions.
func (k *known) chatAnswer(from *caller.Answer) ([]byte, *caller.Failure) {
	a, failure := k.readAnswer(from)
	if failure != nil {
		return nil, failure
	}
	dst := make([]byte, 0, len(from.Body)+512)
	dst = k.appendHead(dst, "chat.completion", from)
	dst = append(dst, `"choices":[{"index":0,"message":{"role":"assistant","content":`...)
	if a.words || len(a.calls) == 0 {
		dst = append(append(append(dst, '"'), a.content...), '"')
	} else {
		dst = append(dst, `null`...)
	}
	dst = append(dst, `,"refusal":null`...)
	if len(a.reasoning) > 0 {
		dst = append(append(append(dst, `,"reasoning_content":"`...), a.reasoning...), '"')
	}
	if len(a.details) > 0 {
		dst = append(append(append(dst, `,"reasoning_details":[`...), a.details...), ']')
	}
	dst = appendCalls(dst, a.calls)
	dst = append(append(dst, `},"logprobs":null,"finish_reason":"`...), a.finish()...)
	dst = appendTier(append(dst, `"}]`...), a.tier)
	if a.counted {
		dst = a.appendChat(append(dst, `,"usage":`...))
	}
	return append(dst, '}'), nil
}

// appendTier appends the tier that has served, where it is known.
func appendTier(dst []byte, tier string) []byte {
	if tier == "" {
		return dst
	}
	return wire.AppendJSONString(append(dst, `,"service_tier":`...), tier)
}

// appendHead appends how each answer begins.
func (k *known) appendHead(dst []byte, object string, from *caller.Answer) []byte {
	dst = append(append(append(dst, `{"id":"chatcmpl-`...), from.ID...), `","object":"`...)
	dst = appendInt(append(append(dst, object...), `","created":`...), from.Received.Unix())
	dst = wire.AppendJSONString(append(dst, `,"model":`...), k.model)
	return append(dst, ',')
}

func appendCalls(dst []byte, calls []call) []byte {
	if len(calls) == 0 {
		return dst
	}
	dst = append(dst, `,"tool_calls":[`...)
	for i, c := range calls {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, `{"id":`...), c.id...)
		dst = wire.AppendJSONString(append(dst, `,"type":"function","function":{"name":`...), c.name)
		dst = wire.AppendJSONString(append(dst, `,"arguments":`...), string(c.input))
		dst = append(dst, `}}`...)
	}
	return append(dst, ']')
}
