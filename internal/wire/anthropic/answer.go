package anthropic

import (
	"encoding/json"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// stops are Converse's stop reasons in the words of Messages. "" is an answer that is not what
// the model meant to say.
var stops = map[string]string{
	"end_turn":                      "end_turn",
	"stop_sequence":                 "stop_sequence", // Converse does not say which
	"max_tokens":                    "max_tokens",
	"model_context_window_exceeded": "model_context_window_exceeded",
	"tool_use":                      "tool_use",
	"guardrail_intervened":          "refusal",
	"content_filtered":              "refusal",
	"malformed_tool_use":            "",
	"malformed_model_output":        "",
}

// stopOf is the stop reason in the words of Messages; one that nobody knows is the end of a turn.
func stopOf(native string) (string, *caller.Failure) {
	stop, known := stops[native]
	switch {
	case !known:
		return "end_turn", nil
	case stop == "":
		return "", converse.Malformed(native)
	}
	return stop, nil
}

// appendUsage appends the counts as Messages has them: input_tokens is what no cache had to do
// with.
func appendUsage(dst []byte, c *converse.Counts) []byte {
	dst = strconv.AppendInt(append(dst, `{"input_tokens":`...), c.Input, 10)
	dst = strconv.AppendInt(append(dst, `,"cache_creation_input_tokens":`...), c.CacheWrite, 10)
	dst = strconv.AppendInt(append(dst, `,"cache_read_input_tokens":`...), c.CacheRead, 10)
	if c.CacheWrite > 0 && c.Write5m+c.Write1h == c.CacheWrite {
		dst = strconv.AppendInt(append(dst, `,"cache_creation":{"ephemeral_5m_input_tokens":`...), c.Write5m, 10)
		dst = strconv.AppendInt(append(dst, `,"ephemeral_1h_input_tokens":`...), c.Write1h, 10)
		dst = append(dst, '}')
	}
	dst = strconv.AppendInt(append(dst, `,"output_tokens":`...), c.Output, 10)
	if c.Thinking >= 0 {
		dst = strconv.AppendInt(append(dst, `,"output_tokens_details":{"thinking_tokens":`...), c.Thinking, 10)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendHead appends how each message begins.
func (x *Exchange) appendHead(dst []byte, id string) []byte {
	dst = append(append(append(dst, `{"id":"msg_`...), id...), `","type":"message","role":"assistant","model":`...)
	return wire.AppendJSONString(dst, x.asked)
}

// converse translates an answer of Converse's.
func (x *Exchange) converse(a *caller.Answer) ([]byte, *caller.Failure) {
	v, failure := a.Tree()
	if failure != nil {
		return nil, failure
	}
	stop, failure := stopOf(v.Get("stopReason").Text())
	if failure != nil {
		return nil, failure
	}
	dst := append(x.appendHead(make([]byte, 0, len(a.Body)+256), a.ID), `,"content":[`...)
	start := len(dst)
	for block := range v.Get("output").Get("message").Get("content").All() {
		if lost := converse.LostIn(block); lost != "" {
			a.Lost = append(a.Lost, lost)
		}
		at := len(dst)
		if at > start {
			dst = append(dst, ',')
		}
		n := len(dst)
		if dst = x.appendBlock(dst, block); len(dst) == n {
			dst = dst[:at]
		}
	}
	dst = append(append(append(dst, `],"stop_reason":"`...), stop...), `","stop_sequence":null,"usage":`...)
	c, _ := converse.CountsOf(v)
	return append(appendUsage(dst, &c), '}'), nil
}

// appendBlock appends a block of the answer, nothing for one that Messages has no word for.
func (x *Exchange) appendBlock(dst []byte, block jsontree.Value) []byte {
	for m := range block.All() {
		switch string(m.Name()) {
		case "text":
			return appendText(dst, m.Raw())
		case "citationsContent":
			var words []byte
			for part := range m.Get("content").All() {
				words = append(words, part.Get("text").Bytes()...)
			}
			return appendText(dst, quoted(string(words)))
		case "toolUse":
			dst = append(append(dst, `{"type":"tool_use","id":`...), m.Get("toolUseId").Quoted()...)
			dst = wire.AppendJSONString(append(dst, `,"name":`...), x.renamed.Original(m.Get("name").Text()))
			return append(append(append(dst, `,"input":`...), rawObject(m.Get("input"))...), '}')
		case "reasoningContent":
			return appendThought(dst, m)
		}
	}
	return dst
}

func appendText(dst, words []byte) []byte {
	return append(append(append(dst, `{"type":"text","text":`...), words...), '}')
}

func appendThought(dst []byte, m jsontree.Value) []byte {
	if data := m.Get("redactedContent"); data.IsText() {
		return append(append(append(dst, `{"type":"redacted_thinking","data":`...), data.Raw()...), '}')
	}
	said := m.Get("reasoningText")
	dst = append(append(dst, `{"type":"thinking","thinking":`...), said.Get("text").Quoted()...)
	return append(append(append(dst, `,"signature":`...), said.Get("signature").Quoted()...), '}')
}

// rawObject is an object as it is in the text, an empty one for any other value.
func rawObject(v jsontree.Value) []byte {
	if !v.IsObject() {
		return []byte(`{}`)
	}
	return v.Raw()
}

// counted is the answer to a question for the count of tokens.
func counted(a *caller.Answer) ([]byte, *caller.Failure) {
	var said struct {
		InputTokens int64 `json:"inputTokens"`
	}
	if json.Unmarshal(a.Body, &said) != nil {
		return nil, caller.Broken("the upstream's count cannot be read")
	}
	return append(strconv.AppendInt([]byte(`{"input_tokens":`), said.InputTokens, 10), '}'), nil
}
