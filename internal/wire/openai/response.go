package openai

import (
	"cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// appendResponses appends usage as Responses has it. Clients expect counts of reasoning and of what went to a cache, so
// they are there when there was none, and when nobody tells: Codex takes a response without them for a broken one.
func (c *counts) appendResponses(dst []byte) []byte {
	dst = appendInt(append(dst, `{"input_tokens":`...), c.prompt())
	dst = appendInt(append(dst, `,"input_tokens_details":{"cached_tokens":`...), c.CacheRead)
	dst = appendInt(append(dst, `,"cache_write_tokens":`...), c.CacheWrite)
	dst = appendInt(append(dst, `},"output_tokens":`...), c.Output)
	dst = appendInt(append(dst, `,"output_tokens_details":{"reasoning_tokens":`...), max(c.Thinking, 0))
	dst = appendInt(append(dst, `},"total_tokens":`...), c.prompt()+c.Output)
	return append(dst, '}')
}

// state is how far a response is.
type state struct {
	status  string // in_progress, completed, incomplete, failed
	reason  string // of an incomplete one
	tier    string // that has served, "" until it is known
	output  []byte // items, joined by commas
	usage   *counts
	failure *caller.Failure
}

// appendResponse appends a response.
func (k *known) appendResponse(dst []byte, from *caller.Answer, s *state) []byte {
	dst = append(append(append(dst, `{"id":"resp_`...), from.ID...), `","object":"response","created_at":`...)
	dst = appendInt(dst, from.Received.Unix())
	dst = append(append(append(dst, `,"status":"`...), s.status...), `","background":false,"error":`...)
	if s.failure != nil {
		dst = wire.AppendJSONString(append(dst, `{"code":`...), responseCode(s.failure))
		dst = wire.AppendJSONString(append(dst, `,"message":`...), s.failure.Message)
		dst = append(dst, '}')
	} else {
		dst = append(dst, `null`...)
	}
	dst = append(dst, `,"incomplete_details":`...)
	if s.reason != "" {
		dst = append(append(append(dst, `{"reason":"`...), s.reason...), `"}`...)
	} else {
		dst = append(dst, `null`...)
	}
	dst = wire.AppendJSONString(append(dst, `,"model":`...), k.model)
	dst = append(append(append(dst, `,"output":[`...), s.output...), ']')
	dst = append(append(dst, `,"previous_response_id":null,"store":false,`...), k.echo...)
	dst = wire.AppendJSONString(append(dst, `,"service_tier":`...), cmp.Or(s.tier, k.tier, "default"))
	dst = append(dst, `,"usage":`...)
	if s.usage == nil {
		return append(dst, `null}`...)
	}
	return append(s.usage.appendResponses(dst), '}')
}

// responseCode is a failure in the words that a response has for it.
func responseCode(f *caller.Failure) string {
	switch f.Class {
	case caller.ClassBudget:
		return insufficientQuota // which Codex does not repeat
	case caller.ClassRate:
		return "rate_limit_exceeded"
	case caller.ClassInvalid:
		return "invalid_prompt"
	}
	return serverError
}

// item is an item of a response's output.
type item struct {
	id   string
	kind itemKind
	// call is of a function call, words of a message or of reasoning, without quotes.
	call  call
	words []byte
	seal  string // of reasoning, "" for none
}

type itemKind uint8

const (
	messageItem itemKind = iota
	callItem
	reasoningItem
)

// append appends the item as it is at its end, or in progress, when it has nothing in it.
func (i *item) append(dst []byte, done bool) []byte {
	status := "in_progress"
	if done {
		status = "completed"
	}
	dst = append(append(append(dst, `{"id":"`...), i.id...), '"')
	switch i.kind {
	case callItem:
		dst = append(append(append(dst, `,"type":"function_call","status":"`...), status...), `","call_id":`...)
		dst = wire.AppendJSONString(append(append(dst, i.call.id...), `,"name":`...), i.call.name)
		dst = wire.AppendJSONString(append(dst, `,"arguments":`...), string(i.call.input))
	case reasoningItem:
		dst = append(dst, `,"type":"reasoning","summary":[`...)
		if done && len(i.words) > 0 {
			dst = i.appendSummary(dst)
		}
		dst = append(dst, ']')
		if i.seal != "" {
			dst = append(append(append(dst, `,"encrypted_content":"`...), i.seal...), '"')
		}
	case messageItem:
		dst = append(append(append(dst, `,"type":"message","status":"`...), status...), `","role":"assistant","content":[`...)
		if done {
			dst = i.appendPart(dst)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func (i *item) appendPart(dst []byte) []byte {
	return append(append(append(dst, `{"type":"output_text","annotations":[],"logprobs":[],"text":"`...),
		i.words...), `"}`...)
}

func (i *item) appendSummary(dst []byte) []byte {
	return append(append(append(dst, `{"type":"summary_text","text":"`...), i.words...), `"}`...)
}

// prefixes are how the ids of items begin.
var prefixes = [...]string{messageItem: "msg_", callItem: "fc_", reasoningItem: "rs_"}

func newItem(kind itemKind, id string, at int) *item {
	return &item{kind: kind, id: prefixes[kind] + id + "_" + string(appendInt(nil, int64(at)))}
}

// responsesAnswer translates an answer of Converse into a response. It is what a stream of the same answer adds up to.
func (k *known) responsesAnswer(from *caller.Answer) ([]byte, *caller.Failure) {
	s := k.responseStream(from)
	if failure := s.replay(); failure != nil {
		return nil, failure
	}
	return k.appendResponse(make([]byte, 0, len(from.Body)+1024), from, &s.state), nil
}
