// Package parts extracts from Bedrock bodies and frames what the checks of a cascade
// look at: text, stop reason and tool calls of an answer, tools and schema of a
// request.
//
// It serves Converse and the InvokeModel bodies of every dialect that package
// wire knows. It runs only for legs whose answer is checked, so it decodes with
// encoding/json. It never fails on unknown content: an answer that it cannot read
// is reported as unreadable, which the cascade treats as unknown.
package parts

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Answer reads a whole answer of op. It reports false when it cannot read the body.
func Answer(op wire.Operation, body []byte) (*answer.Answer, bool) {
	var (
		b  builder
		ok bool
	)
	switch op {
	case wire.OpConverse:
		var message converseAnswer
		ok = json.Unmarshal(body, &message) == nil && b.converse(&message)
	case wire.OpInvoke:
		var message invokeAnswer
		ok = json.Unmarshal(body, &message) == nil && b.invoke(&message)
	}
	return b.answer(), ok
}

// Stream assembles the answer of op from the frames of its stream. It reports
// false when it cannot read a frame, or when they contain nothing of an answer.
func Stream(op wire.Operation, frames [][]byte) (*answer.Answer, bool) {
	var (
		b     builder
		chunk []byte
	)
	for _, raw := range frames {
		f, err := wire.ParseFrame(raw)
		if err != nil {
			return nil, false
		}
		switch event, _ := f.Header(":event-type"); {
		case op == wire.OpConverseStream:
			err = b.event(event, f.Payload)
		case event == "chunk":
			chunk = wire.AppendChunk(chunk[:0], f)
			err = b.chunk(chunk)
		}
		if err != nil {
			return nil, false
		}
	}
	return b.answer(), b.read
}

// builder assembles an answer from its blocks, in the order of their first
// appearance.
type builder struct {
	blocks []block
	stop   string
	read   bool // something of an answer was understood
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
	return a
}

// arguments are those of a call; a stream without any means an empty object.
func arguments(raw []byte) json.RawMessage {
	if len(bytes.TrimSpace(raw)) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}
