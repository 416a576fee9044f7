package openai

import (
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/converse"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// responseStream translates a stream of Converse into one of Responses. An item is a block of Converse's.
type responseStream struct {
	converse.Stream
	state
	known *known
	from  *caller.Answer
	open  []openItem
	items int // begun so far
	seq   int64
	quiet bool // the events are left out: for a whole answer
}

// openItem is an item that has begun.
type openItem struct {
	*item
	block     int64 // Converse's
	at        int   // its place in the output
	part      bool  // the part that its words are in has begun
	signature []byte
	redacted  []byte
}

func (k *known) responseStream(from *caller.Answer) *responseStream {
	return &responseStream{known: k, from: from, state: state{status: "in_progress"}}
}

// event appends an event: its name, its number, and more members of it.
func (s *responseStream) event(dst []byte, name string, members func(dst []byte) []byte) []byte {
	if s.quiet {
		return dst
	}
	dst = append(append(append(dst, "event: "...), name...), "\ndata: {\"type\":\""...)
	dst = appendInt(append(append(dst, name...), `","sequence_number":`...), s.seq)
	s.seq++
	return append(members(append(dst, ',')), "}\n\n"...)
}

// whole appends an event with the response as it is.
func (s *responseStream) whole(dst []byte, name string) []byte {
	return s.event(dst, name, func(dst []byte) []byte {
		return s.known.appendResponse(append(dst, `"response":`...), s.from, &s.state)
	})
}

// about appends an event about an item, with where it is.
func (s *responseStream) about(dst []byte, name string, i *openItem, members func(dst []byte) []byte) []byte {
	return s.event(dst, name, func(dst []byte) []byte {
		dst = append(append(append(dst, `"item_id":"`...), i.id...), `","output_index":`...)
		dst = appendInt(dst, int64(i.at))
		switch i.kind {
		case messageItem:
			dst = append(dst, `,"content_index":0`...)
		case reasoningItem:
			dst = append(dst, `,"summary_index":0`...)
		case callItem:
		}
		return members(dst)
	})
}

// quoted are members of which the value is a string without its quotes.
func quoted(name string, text []byte) func(dst []byte) []byte {
	return func(dst []byte) []byte {
		return append(append(append(append(append(dst, `,"`...), name...), `":"`...), text...), '"')
	}
}

// Frame appends what the caller gets of a frame.
func (s *responseStream) Frame(dst []byte, f wire.Frame) ([]byte, *caller.Failure) {
	kind, index, v, failure := s.Read(f)
	if failure != nil {
		return dst, failure
	}
	switch kind {
	case "messageStart":
		dst = s.whole(s.whole(dst, "response.created"), "response.in_progress")
	case "contentBlockStart":
		dst = s.Lost(dst, v.Get("start"))
		if tool := v.Get("start").Get("toolUse"); tool.Present() {
			dst = s.startCall(dst, index, tool)
		}
	case "contentBlockDelta":
		dst = s.piece(s.Lost(dst, v.Get("delta")), index, v.Get("delta"))
	case "contentBlockStop":
		dst = s.close(dst, index)
	case "messageStop":
		return s.finish(dst, v)
	case "metadata":
		dst = s.complete(dst, v)
	}
	return dst, nil
}

// begin begins an item.
func (s *responseStream) begin(dst []byte, block int64, kind itemKind) ([]byte, *openItem) {
	s.open = append(s.open, openItem{block: block, at: s.items, item: newItem(kind, s.from.ID, s.items)})
	s.items++
	return dst, &s.open[len(s.open)-1]
}

// added tells of an item that has begun.
func (s *responseStream) added(dst []byte, i *openItem) []byte {
	return s.event(dst, "response.output_item.added", func(dst []byte) []byte {
		dst = appendInt(append(dst, `"output_index":`...), int64(i.at))
		return i.append(append(dst, `,"item":`...), false)
	})
}

func (s *responseStream) find(block int64) *openItem {
	for i := range s.open {
		if s.open[i].block == block {
			return &s.open[i]
		}
	}
	return nil
}

func (s *responseStream) startCall(dst []byte, block int64, tool jsontree.Value) []byte {
	name := tool.Get("name").Text()
	if s.known.jsonTool != "" && name == s.known.jsonTool {
		dst, i := s.begin(dst, block, messageItem)
		return s.part(s.added(dst, i), i)
	}
	dst, i := s.begin(dst, block, callItem)
	i.call = call{id: append([]byte(nil), tool.Get("toolUseId").Quoted()...), name: s.known.names.Original(name)}
	return s.added(dst, i)
}

// part tells of the part that an item's words are in, before the first of them.
func (s *responseStream) part(dst []byte, i *openItem) []byte {
	if i.part {
		return dst
	}
	i.part = true
	if i.kind == reasoningItem {
		return s.about(dst, "response.reasoning_summary_part.added", i, func(dst []byte) []byte {
			return append(dst, `,"part":{"type":"summary_text","text":""}`...)
		})
	}
	return s.about(dst, "response.content_part.added", i, func(dst []byte) []byte {
		return (&item{}).appendPart(append(dst, `,"part":`...))
	})
}

func (s *responseStream) piece(dst []byte, block int64, delta jsontree.Value) []byte {
	for m := range delta.All() {
		i := s.find(block)
		switch string(m.Name()) {
		case "text":
			if i == nil {
				dst, i = s.begin(dst, block, messageItem)
				dst = s.added(dst, i)
			}
			dst = s.words(dst, i, unquoted(m))
		case "citationsContent": // of a whole answer
			for said := range m.Get("content").All() {
				dst = s.piece(dst, block, said)
			}
		case "toolUse":
			if i != nil {
				dst = s.input(dst, i, m.Get("input"))
			}
		case "reasoningContent":
			if i == nil {
				dst, i = s.begin(dst, block, reasoningItem)
				dst = s.added(dst, i)
			}
			dst = s.reasoning(dst, i, m)
		}
	}
	return dst
}

func (s *responseStream) words(dst []byte, i *openItem, words []byte) []byte {
	dst = s.part(dst, i)
	i.words = append(i.words, words...)
	return s.about(dst, "response.output_text.delta", i, func(dst []byte) []byte {
		return append(quoted("delta", words)(dst), `,"logprobs":[]`...)
	})
}

func (s *responseStream) input(dst []byte, i *openItem, input jsontree.Value) []byte {
	if len(input.Bytes()) == 0 {
		return dst
	}
	if i.kind == messageItem { // the tool that stands for a schema
		return s.words(dst, i, unquoted(input))
	}
	i.call.input = append(i.call.input, input.Bytes()...)
	return s.about(dst, "response.function_call_arguments.delta", i, quoted("delta", unquoted(input)))
}

func (s *responseStream) reasoning(dst []byte, i *openItem, m jsontree.Value) []byte {
	for part := range m.All() {
		switch string(part.Name()) {
		case "text":
			dst = s.part(dst, i)
			i.words = append(i.words, unquoted(part)...)
			dst = s.about(dst, "response.reasoning_summary_text.delta", i, quoted("delta", unquoted(part)))
		case "reasoningText": // of a whole answer
			dst = s.reasoning(dst, i, part)
		case "signature":
			i.signature = append(i.signature, part.Bytes()...)
		case "redactedContent":
			i.redacted = append(i.redacted, part.Bytes()...)
		}
	}
	return dst
}

// close ends an item.
func (s *responseStream) close(dst []byte, block int64) []byte {
	i := s.find(block)
	if i == nil {
		return dst
	}
	switch i.kind {
	case callItem:
		dst = s.closeCall(dst, i)
	case messageItem:
		dst = s.part(dst, i)
		dst = s.about(dst, "response.output_text.done", i, func(dst []byte) []byte {
			return append(quoted("text", i.words)(dst), `,"logprobs":[]`...)
		})
		dst = s.about(dst, "response.content_part.done", i, func(dst []byte) []byte {
			return i.appendPart(append(dst, `,"part":`...))
		})
	case reasoningItem:
		dst = s.closeReasoning(dst, i)
	}
	dst = s.event(dst, "response.output_item.done", func(dst []byte) []byte {
		dst = appendInt(append(dst, `"output_index":`...), int64(i.at))
		return i.append(append(dst, `,"item":`...), true)
	})
	if len(s.output) > 0 {
		s.output = append(s.output, ',')
	}
	s.output = i.append(s.output, true)
	for at := range s.open {
		if s.open[at].block == block {
			s.open = append(s.open[:at], s.open[at+1:]...)
			break
		}
	}
	return dst
}

// closeCall ends a call. Clients read its arguments as JSON, be there none.
func (s *responseStream) closeCall(dst []byte, i *openItem) []byte {
	if len(i.call.input) == 0 {
		i.call.input = []byte("{}")
		dst = s.about(dst, "response.function_call_arguments.delta", i, quoted("delta", i.call.input))
	}
	return s.about(dst, "response.function_call_arguments.done", i, func(dst []byte) []byte {
		dst = wire.AppendJSONString(append(dst, `,"name":`...), i.call.name)
		return wire.AppendJSONString(append(dst, `,"arguments":`...), string(i.call.input))
	})
}

func (s *responseStream) closeReasoning(dst []byte, i *openItem) []byte {
	if s.known.encrypted {
		t := thought{Model: wire.ParseModelID(s.from.Model).Foundation, Signature: string(i.signature),
			Redacted: string(i.redacted)}
		t.Text = string(jsonscan.AppendString(nil, append(append([]byte{'"'}, i.words...), '"')))
		if t.Model != "" && (t.Signature != "" || t.Redacted != "") {
			i.seal = t.seal()
		}
	}
	if !i.part {
		return dst
	}
	dst = s.about(dst, "response.reasoning_summary_text.done", i, quoted("text", i.words))
	return s.about(dst, "response.reasoning_summary_part.done", i, func(dst []byte) []byte {
		return i.appendSummary(append(dst, `,"part":`...))
	})
}

func (s *responseStream) finish(dst []byte, v jsontree.Value) ([]byte, *caller.Failure) {
	s.Stopped(v)
	if stops[s.Stop].failed {
		return dst, converse.Malformed(s.Stop)
	}
	for len(s.open) > 0 { // some models do not end their blocks
		dst = s.close(dst, s.open[0].block)
	}
	return dst, nil
}

// complete ends the response with its counts. No frame comes after this.
func (s *responseStream) complete(dst []byte, v jsontree.Value) []byte {
	if s.Stop == "" || s.Ended {
		return dst
	}
	if c, ok := s.Counts(v); ok {
		s.usage = &counts{c}
	}
	s.Ended, s.tier = true, converse.Tier(v)
	s.status, s.reason = "completed", stops[s.Stop].reason
	if s.reason != "" {
		s.status = "incomplete"
	}
	return s.whole(dst, "response."+s.status)
}

// Fail ends a stream that has broken: by an error, which SDKs raise, and by a response that says so, which agents read.
func (s *responseStream) Fail(dst []byte, f *caller.Failure) []byte {
	if s.Ended {
		return dst
	}
	s.Ended = true
	s.status, s.failure = "failed", f
	dst = s.event(dst, "error", func(dst []byte) []byte { return appendErrorEvent(dst, f) })
	return s.whole(dst, "response.failed")
}

// End ends a stream whose last frame has come.
func (s *responseStream) End(dst []byte) []byte {
	switch {
	case s.Ended:
		return dst
	case s.Stop == "":
		return s.Fail(dst, converse.Unfinished())
	}
	return s.complete(dst, jsontree.Value{})
}

// replay takes a whole answer as the stream that it would have been.
func (s *responseStream) replay() *caller.Failure {
	s.quiet = true
	v, failure := s.from.Tree()
	if failure != nil {
		return failure
	}
	for block := range v.Get("output").Get("message").Get("content").All() {
		if lost := converse.LostIn(block); lost != "" {
			s.from.Lost = append(s.from.Lost, lost)
		}
		index := int64(s.items)
		if tool := block.Get("toolUse"); tool.Present() {
			s.startCall(nil, index, tool)
			i := s.find(index)
			input := compact(tool.Get("input"))
			if i.kind == messageItem {
				i.words = inner(wire.AppendJSONString(nil, string(input)))
			} else {
				i.call.input = append([]byte(nil), input...)
			}
		}
		s.piece(nil, index, block)
		s.close(nil, index)
	}
	if _, failure := s.finish(nil, v); failure != nil {
		return failure
	}
	s.complete(nil, v)
	return nil
}
