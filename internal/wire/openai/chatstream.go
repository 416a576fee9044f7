package openai

import (
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// chatStream translates a stream of Converse into one of Chat Completions, frame by frame.
type chatStream struct {
	converse.Stream
	known  *known
	from   *caller.Answer
	head   []byte // of each chunk, up to its choices
	tail   string // of each chunk but the last
	blocks blocks
	calls  int  // begun so far
	called bool // one of them was the caller's own tool
}

// block is a block of the answer that has begun.
type block struct {
	index     int64 // Converse's
	call      int   // its place among the calls, -1 for none
	unwrapped bool  // it is the tool that stands for a schema
	input     bool  // some of it has come
	signature []byte
	reasoning []byte
}

// blocks are those that are open. Converse's blocks seldom overlap.
type blocks []block

func (b *blocks) at(index int64) *block {
	for i := range *b {
		if (*b)[i].index == index {
			return &(*b)[i]
		}
	}
	*b = append(*b, block{index: index, call: -1})
	return &(*b)[len(*b)-1]
}

func (b *blocks) close(index int64) (closed block) {
	for i := range *b {
		if (*b)[i].index == index {
			closed = (*b)[i]
			*b = append((*b)[:i], (*b)[i+1:]...)
			return closed
		}
	}
	return block{call: -1}
}

func (k *known) chatStream(from *caller.Answer) *chatStream {
	s := &chatStream{known: k, from: from, tail: `}`}
	s.head = k.appendHead([]byte("data: "), "chat.completion.chunk", from)
	if k.usage {
		s.tail = `,"usage":null}`
	}
	return s
}

// Frame appends what the caller gets of a frame.
func (s *chatStream) Frame(dst []byte, f wire.Frame) ([]byte, *caller.Failure) {
	kind, index, v, failure := s.Read(f)
	if failure != nil {
		return dst, failure
	}
	switch kind {
	case "messageStart":
		dst = s.delta(dst, `"role":"assistant","content":""`)
	case "contentBlockStart":
		dst = s.start(s.Lost(dst, v.Get("start")), index, v.Get("start").Get("toolUse"))
	case "contentBlockDelta":
		dst = s.piece(s.Lost(dst, v.Get("delta")), index, v.Get("delta"))
	case "contentBlockStop":
		dst = s.close(dst, index)
	case "messageStop":
		return s.finish(dst, v)
	case "metadata":
		dst = s.usage(dst, v)
	}
	return dst, nil
}

// delta appends a chunk with members of its delta.
func (s *chatStream) delta(dst []byte, members ...string) []byte {
	dst = append(append(dst, s.head...), `"choices":[{"index":0,"delta":{`...)
	for _, m := range members {
		dst = append(dst, m...)
	}
	return s.end(append(dst, `},"logprobs":null,"finish_reason":null}]`...))
}

func (s *chatStream) end(dst []byte) []byte { return append(append(dst, s.tail...), "\n\n"...) }

func (s *chatStream) start(dst []byte, index int64, tool jsontree.Value) []byte {
	b := s.blocks.at(index)
	if !tool.Present() {
		return dst
	}
	name := tool.Get("name").Text()
	if b.unwrapped = s.known.jsonTool != "" && name == s.known.jsonTool; b.unwrapped {
		return dst
	}
	b.call = s.calls
	s.calls, s.called = s.calls+1, true
	dst = s.call(dst, b.call)
	dst = append(append(dst, `"id":`...), tool.Get("toolUseId").Quoted()...)
	dst = wire.AppendJSONString(append(dst, `,"type":"function","function":{"name":`...), s.known.names.Original(name))
	return s.endCall(append(dst, `,"arguments":""`...))
}

func (s *chatStream) call(dst []byte, at int) []byte {
	dst = append(append(dst, s.head...), `"choices":[{"index":0,"delta":{"tool_calls":[{"index":`...)
	return append(appendInt(dst, int64(at)), ',')
}

func (s *chatStream) endCall(dst []byte) []byte {
	return s.end(append(dst, `}}]},"logprobs":null,"finish_reason":null}]`...))
}

func (s *chatStream) piece(dst []byte, index int64, delta jsontree.Value) []byte {
	b := s.blocks.at(index)
	for m := range delta.All() {
		switch string(m.Name()) {
		case "text":
			dst = s.delta(dst, `"content":`, string(m.Quoted()))
		case "toolUse":
			dst = s.input(dst, b, m.Get("input"))
		case "reasoningContent":
			dst = s.reasoning(dst, b, m)
		}
	}
	return dst
}

func (s *chatStream) input(dst []byte, b *block, input jsontree.Value) []byte {
	if len(input.Bytes()) == 0 {
		return dst
	}
	b.input = true
	switch {
	case b.unwrapped:
		return s.delta(dst, `"content":`, string(input.Raw()))
	case b.call < 0: // a tool that nobody has begun
		return dst
	}
	dst = append(append(s.call(dst, b.call), `"function":{"arguments":`...), input.Raw()...)
	return s.endCall(dst)
}

// reasoning passes on what the model thinks. Its signature comes at the end of the block.
func (s *chatStream) reasoning(dst []byte, b *block, m jsontree.Value) []byte {
	for part := range m.All() {
		switch string(part.Name()) {
		case "text":
			b.reasoning = append(b.reasoning, unquoted(part)...)
			dst = s.delta(dst, `"reasoning_content":`, string(part.Quoted()))
		case "signature":
			b.signature = append(b.signature, unquoted(part)...)
		case "redactedContent":
			if d := appendDetail(nil, jsontree.Value{}, jsontree.Value{}, part, s.from.Model); d != nil {
				dst = s.delta(dst, `"reasoning_details":[`, string(d), `]`)
			}
		}
	}
	return dst
}

// close ends a block. Clients read the arguments of a call as JSON, be there none.
func (s *chatStream) close(dst []byte, index int64) []byte {
	b := s.blocks.close(index)
	switch {
	case b.input:
	case b.unwrapped:
		return s.delta(dst, `"content":"{}"`)
	case b.call >= 0:
		return s.endCall(append(s.call(dst, b.call), `"function":{"arguments":"{}"`...))
	}
	if format := wire.ParseModelID(s.from.Model).Foundation; len(b.signature) > 0 && format != "" {
		return s.delta(dst, `"reasoning_details":[{"type":"reasoning.text","text":"`, string(b.reasoning), `","signature":"`,
			string(b.signature), `","format":"`, format, `"}]`)
	}
	return dst
}

func (s *chatStream) finish(dst []byte, v jsontree.Value) ([]byte, *caller.Failure) {
	s.Stopped(v)
	if stops[s.Stop].failed {
		return dst, converse.Malformed(s.Stop)
	}
	for len(s.blocks) > 0 { // some models do not end their blocks
		dst = s.close(dst, s.blocks[0].index)
	}
	reason := stops[s.Stop].finish
	if reason == "" || reason == "tool_calls" && !s.called {
		reason = "stop"
	}
	dst = append(append(dst, s.head...), `"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"`...)
	return s.end(append(append(dst, reason...), `"}]`...)), nil
}

// usage appends the chunk with the counts, for who has asked for it, and ends the stream: no frame comes after this.
func (s *chatStream) usage(dst []byte, v jsontree.Value) []byte {
	if s.Stop == "" || s.Ended {
		return dst
	}
	if c, ok := s.Counts(v); ok && s.known.usage {
		dst = appendTier(append(append(dst, s.head...), `"choices":[]`...), converse.Tier(v))
		dst = append(dst, `,"usage":`...)
		dst = append((&counts{c}).appendChat(dst), "}\n\n"...)
	}
	s.Ended = true
	return append(dst, "data: [DONE]\n\n"...)
}

// Fail ends a stream that has broken: by an error, and without [DONE].
func (s *chatStream) Fail(dst []byte, f *caller.Failure) []byte {
	if s.Ended {
		return dst
	}
	s.Ended = true
	return append(AppendFailure(append(dst, "data: "...), f), "\n\n"...)
}

// End ends a stream whose last frame has come.
func (s *chatStream) End(dst []byte) []byte {
	switch {
	case s.Ended:
		return dst
	case s.Stop == "":
		return s.Fail(dst, converse.Unfinished())
	}
	s.Ended = true
	return append(dst, "data: [DONE]\n\n"...)
}
