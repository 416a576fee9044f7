// Package parts extracts from Bedrock bodies and frames what the checks of a cascade
// look at: text, stop reason and tool calls of an answer, tools and schema of a
// request.
//
// It serves Converse and the InvokeModel bodies of every dialect that package
// wire knows. It runs only for legs whose answer is checked, so it decodes what
// is not of the most frequent form with encoding/json. It never fails on unknown content. Of an answer it tells three
// things apart: parts that it does not read, such as images (Unread); a body of a
// form that it does not know (nil), which the cascade treats as unknown; and what is
// no answer at all (Broken).
package parts

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Answer reads a whole answer of op, nil when it does not know its form.
func Answer(op wire.Operation, body []byte) *answer.Answer {
	var b builder
	switch op {
	case wire.OpConverse:
		if plain := plainAnswer(body); plain != nil {
			return plain
		}
		return decodedAnswer(body)
	case wire.OpInvoke:
		if noAnswer(body) {
			return broken()
		}
		var message invokeAnswer
		if json.Unmarshal(body, &message) != nil || b.invoke(&message) != nil || !b.read {
			return nil
		}
	default:
		return nil
	}
	return b.answer()
}

// decodedAnswer reads an answer of Converse, whatever is in it.
func decodedAnswer(body []byte) *answer.Answer {
	var b builder
	var message converseAnswer
	if json.Unmarshal(body, &message) != nil || b.converse(&message) != nil || message.Output.Message == nil {
		return broken()
	}
	return b.answer()
}

func broken() *answer.Answer { return &answer.Answer{Broken: true} }

// failures are members of a body that reports a failure with the status of a success.
var failures = []string{"error", "errors", "message", "Message", "errorMessage", "__type", "detail"}

// noAnswer reports whether an InvokeModel body is none of any family's answers: no
// JSON, nothing, or a report of a failure.
func noAnswer(body []byte) bool {
	trimmed := bytes.TrimSpace(body)
	if !json.Valid(trimmed) {
		return true
	}
	if trimmed[0] == '[' {
		return bytes.Equal(bytes.TrimSpace(trimmed[1:len(trimmed)-1]), nil)
	}
	var object members
	if json.Unmarshal(trimmed, &object) != nil || len(object) == 0 {
		return true
	}
	left := len(object)
	for _, name := range failures {
		if _, has := object[name]; has {
			left--
		}
	}
	return left == 0
}

// Stream assembles the answer of op from the frames of its stream, nil when it does
// not know their form.
func Stream(op wire.Operation, frames [][]byte) *answer.Answer {
	var (
		b     builder
		chunk []byte
		other bool // a chunk that says something
	)
	for _, raw := range frames {
		f, err := wire.ParseFrame(raw)
		if err != nil {
			return broken()
		}
		switch event, _ := f.Header(":event-type"); {
		case op == wire.OpConverseStream:
			err = b.event(event, f.Payload)
		case event == "chunk":
			chunk = wire.AppendChunk(chunk[:0], f)
			says := !noAnswer(chunk)
			if err = b.chunk(chunk); err != nil && says {
				return nil
			}
			other = other || says
		}
		if err != nil {
			return broken()
		}
	}
	switch {
	case b.read:
		return b.answer()
	case other:
		return nil
	}
	return broken()
}

// builder assembles an answer from its blocks, in the order of their first
// appearance.
type builder struct {
	blocks []block
	stop   string
	read   bool // something of an answer was understood

	other   bool // there are parts that are not read
	thought bool // there is reasoning
	refused bool // the model's family says so itself
}

// block is a text or a tool call; index is what the stream calls it.
type block struct {
	index int
	tool  bool
	name  string
	text  bytes.Buffer // or the arguments of the call
}

// at returns the block with this index, a new one when there is none.
func (b *builder) at(index int) *block {
	for i := len(b.blocks) - 1; i >= 0; i-- {
		if b.blocks[i].index == index {
			return &b.blocks[i]
		}
	}
	b.blocks = append(b.blocks, block{index: index})
	return &b.blocks[len(b.blocks)-1]
}

// say appends text to a block. Text without a block of its own has index 0.
func (b *builder) say(index int, text string) {
	b.read = true
	b.at(index).text.WriteString(text)
}

// call names the tool of a block.
func (b *builder) call(index int, name string) {
	b.read = true
	at := b.at(index)
	at.tool = true
	at.name += name
}

// stopped notes why the answer ended; "" changes nothing.
func (b *builder) stopped(reason string) {
	if reason != "" {
		b.stop, b.read = reason, true
	}
}

// unread notes a part that is not read.
func (b *builder) unread() { b.read, b.other = true, true }

// reasoned notes that a model thought aloud, which is no part of its answer.
func (b *builder) reasoned() { b.read, b.thought = true, true }

func (b *builder) answer() *answer.Answer {
	a := &answer.Answer{StopReason: b.stop}
	var texts []string
	for i := range b.blocks {
		at := &b.blocks[i]
		switch {
		case at.tool:
			a.ToolCalls = append(a.ToolCalls, answer.ToolCall{Name: at.name, Input: arguments(at.text.Bytes())})
		case at.text.Len() > 0:
			texts = append(texts, at.text.String())
		}
	}
	a.Text = strings.Join(texts, "\n")
	a.Unread = b.other || b.thought && len(a.ToolCalls) == 0 && len(texts) == 0
	if b.refused {
		a.StopReason = "refusal"
	}
	return a
}

// arguments are those of a call; a stream without any means an empty object.
func arguments(raw []byte) json.RawMessage {
	if len(bytes.TrimSpace(raw)) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}
