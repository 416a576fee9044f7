package anthropic

import (
	"maps"
	"slices"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// stream translates a stream of Converse's into one of Messages, frame by frame.
type stream struct {
	converse.Stream
	exchange *Exchange
	id       string
	begun    bool
	open     map[int64]*openBlock // by Converse's index
	next     int                  // index of the next block that begins
}

// openBlock is a block that has begun. Converse begins blocks of text without saying so.
type openBlock struct {
	index int
	kind  string
}

// Frame appends what the caller gets of a frame.
func (s *stream) Frame(dst []byte, f wire.Frame) ([]byte, *caller.Failure) {
	kind, index, v, failure := s.Read(f)
	if failure != nil {
		return dst, failure
	}
	if s.Ended {
		return dst, nil
	}
	if !s.begun {
		dst = s.begin(dst)
	}
	switch kind {
	case "contentBlockStart":
		dst = s.Lost(dst, v.Get("start"))
		if tool := v.Get("start").Get("toolUse"); tool.Present() {
			block := append([]byte(`{"type":"tool_use","id":`), tool.Get("toolUseId").Quoted()...)
			block = wire.AppendJSONString(append(block, `,"name":`...), s.exchange.renamed.Original(tool.Get("name").Text()))
			dst = s.start(dst, index, "tool_use", append(block, `,"input":{}}`...))
		}
	case "contentBlockDelta":
		dst = s.Lost(dst, v.Get("delta"))
		for m := range v.Get("delta").All() {
			dst = s.delta(dst, index, m)
		}
	case "contentBlockStop":
		dst = s.close(dst, index)
	case "messageStop":
		s.Stopped(v)
		_, failure = stopOf(s.Stop)
	case "metadata":
		if s.Stop != "" {
			c, _ := s.Counts(v)
			dst = s.finish(dst, &c)
		}
	}
	return dst, failure
}

// begin says message_start. Converse tells the counts at the end, where they are said in full.
func (s *stream) begin(dst []byte) []byte {
	s.begun = true
	head := s.exchange.appendHead([]byte(`{"type":"message_start","message":`), s.id)
	head = append(head, `,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,`+
		`"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}`...)
	return appendEvent(dst, "message_start", head)
}

// start begins a block.
func (s *stream) start(dst []byte, index int64, kind string, block []byte) []byte {
	dst = s.close(dst, index)
	s.open[index] = &openBlock{s.next, kind}
	data := strconv.AppendInt([]byte(`{"type":"content_block_start","index":`), int64(s.next), 10)
	s.next++
	return appendEvent(dst, "content_block_start", append(append(append(data, `,"content_block":`...), block...), '}'))
}

// emptyBlocks are how blocks begin that Converse begins without saying so.
var emptyBlocks = map[string]string{
	"text": `{"type":"text","text":""}`, "thinking": `{"type":"thinking","thinking":"","signature":""}`,
}

// in begins a block of a kind, unless it is open.
func (s *stream) in(dst []byte, index int64, kind string) []byte {
	if b := s.open[index]; b != nil && b.kind == kind {
		return dst
	}
	return s.start(dst, index, kind, []byte(emptyBlocks[kind]))
}

// delta passes on a part of a block.
func (s *stream) delta(dst []byte, index int64, m jsontree.Value) []byte {
	switch string(m.Name()) {
	case "text":
		dst = s.in(dst, index, "text")
		return s.part(dst, index, "text_delta", "text", m)
	case "toolUse":
		if b := s.open[index]; b == nil || b.kind != "tool_use" {
			return dst // a call that nobody has begun
		}
		return s.part(dst, index, "input_json_delta", "partial_json", m.Get("input"))
	case "reasoningContent":
		for part := range m.All() {
			dst = s.thought(dst, index, part)
		}
	}
	return dst
}

func (s *stream) thought(dst []byte, index int64, part jsontree.Value) []byte {
	switch string(part.Name()) {
	case "text":
		dst = s.in(dst, index, "thinking")
		return s.part(dst, index, "thinking_delta", "thinking", part)
	case "signature":
		dst = s.in(dst, index, "thinking")
		return s.part(dst, index, "signature_delta", "signature", part)
	case "redactedContent":
		block := append([]byte(`{"type":"redacted_thinking","data":`), part.Quoted()...)
		dst = s.start(dst, index, "redacted_thinking", append(block, '}'))
	}
	return dst
}

func (s *stream) part(dst []byte, index int64, kind, member string, v jsontree.Value) []byte {
	data := strconv.AppendInt([]byte(`{"type":"content_block_delta","index":`), int64(s.open[index].index), 10)
	data = append(append(append(data, `,"delta":{"type":"`...), kind...), `","`...)
	data = append(append(append(data, member...), `":`...), v.Quoted()...)
	return appendEvent(dst, "content_block_delta", append(data, `}}`...))
}

// close ends a block that is open.
func (s *stream) close(dst []byte, index int64) []byte {
	b := s.open[index]
	if b == nil {
		return dst
	}
	delete(s.open, index)
	data := strconv.AppendInt([]byte(`{"type":"content_block_stop","index":`), int64(b.index), 10)
	return appendEvent(dst, "content_block_stop", append(data, '}'))
}

// finish ends the message. The counts are those of the whole message.
func (s *stream) finish(dst []byte, c *converse.Counts) []byte {
	for _, index := range slices.Sorted(maps.Keys(s.open)) { // some models do not end their blocks
		dst = s.close(dst, index)
	}
	stop, _ := stopOf(s.Stop)
	data := append([]byte(`{"type":"message_delta","delta":{"stop_reason":"`), stop...)
	data = append(data, `","stop_sequence":null}`...)
	data = appendUsage(append(data, `,"usage":`...), c)
	dst = appendEvent(dst, "message_delta", append(data, '}'))
	s.Ended = true
	return appendEvent(dst, "message_stop", []byte(`{"type":"message_stop"}`))
}

// Fail says what has broken the stream.
func (s *stream) Fail(dst []byte, f *caller.Failure) []byte {
	if s.Ended {
		return dst
	}
	s.Ended = true
	return appendFailure(dst, f)
}

// End ends a stream whose last frame has come. One without a stop reason has broken, whatever it
// has brought.
func (s *stream) End(dst []byte) []byte {
	if s.Ended {
		return dst
	}
	if s.Stop == "" {
		f := converse.Unfinished()
		f.ID = s.id
		return s.Fail(dst, f)
	}
	return s.finish(dst, &converse.Counts{Thinking: -1})
}
