package anthropic

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// reframed is a stream of InvokeModelWithResponseStream: each frame has one event of Messages,
// whose bytes go on as they are. Two things are changed: what Bedrock adds to the last event is left
// out, and what it says of the input in the first event alone is said in message_delta too, as
// Anthropic does: its clients read it there.
type reframed struct {
	event  []byte                     // memory of one that nobody has decoded yet
	begun  [len(inputCounts)][]byte   // what message_start said, as numbers in JSON
	digits [len(inputCounts)][20]byte // memory of these
}

// metricsMember is what Bedrock adds to the last event, and metricsMark a part of it that is found fast: text hardly
// has its first byte.
const (
	metricsMember = "amazon" + metricsMark
	metricsMark   = "-bedrock-"
)

// Frame takes the event out of its frame.
func (s *reframed) Frame(dst []byte, f wire.Frame) ([]byte, *caller.Failure) {
	if !f.Is(":event-type", "chunk") {
		return dst, nil
	}
	event := f.Data
	if event == nil {
		s.event = wire.AppendChunk(s.event[:0], f)
		event = s.event
	}
	if len(event) == 0 {
		return dst, caller.Broken("the upstream sent an event that cannot be read")
	}
	if bytes.Contains(event, []byte(metricsMark)) {
		event = withoutMetrics(event)
	}
	kind := typeOf(event)
	switch string(kind) {
	case "message_start":
		s.begin(event)
	case "message_delta":
		event = s.complete(event)
	}
	return appendEvent(dst, kind, event), nil
}

// inputCounts are the members of a usage that Bedrock's message_delta lacks.
var inputCounts = [...]string{"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"}

// The role of a usage; those of its counts are their places in inputCounts, from 1.
const roleUsage = uint8(len(inputCounts)) + 1

var beginUsage, deltaUsage = usageAt("message.usage"), usageAt("usage")

func usageAt(path string) *jsonscan.Tree {
	rules := []jsonscan.Rule{{Path: path, Role: roleUsage}}
	for i, name := range inputCounts {
		rules = append(rules, jsonscan.Rule{Path: path + "." + name, Role: uint8(i + 1)})
	}
	return jsonscan.NewTree(rules)
}

// begin keeps what message_start says of the input.
func (s *reframed) begin(event []byte) {
	w := jsonscan.Walker{AllowDuplicates: true}
	w.Reset(beginUsage, event)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		if m.Role != roleUsage && m.Kind == jsonscan.Number {
			s.begun[m.Role-1] = append(s.digits[m.Role-1][:0], event[m.Start:m.End]...)
		}
	}
}

// complete puts what message_start said into the usage of a message_delta that does not say it.
func (s *reframed) complete(event []byte) []byte {
	var start, end int
	var said [len(inputCounts)]bool
	w := jsonscan.Walker{AllowDuplicates: true}
	w.Reset(deltaUsage, event)
	for m := w.Next(); m.Role != 0; m = w.Next() {
		switch {
		case m.Role != roleUsage:
			said[m.Role-1] = true
		case m.Kind == jsonscan.EndObject:
			start, end = m.Start+1, m.End-1
		}
	}
	if start == 0 || w.Err() != nil {
		return event
	}
	out := append(make([]byte, 0, len(event)+96), event[:start]...)
	for i, n := range s.begun {
		if !said[i] && len(n) > 0 {
			out = append(append(append(out, '"'), inputCounts[i]...), `":`...)
			out = append(append(out, n...), ',')
		}
	}
	if len(bytes.TrimSpace(event[start:end])) == 0 {
		out = bytes.TrimSuffix(out, []byte(","))
	}
	return append(out, event[start:]...)
}

// typeOf is the type of an event, nil when it has none.
func typeOf(event []byte) []byte {
	var scan jsonscan.Scanner
	scan.Reset(event)
	for t := scan.Next(); t.Kind != jsonscan.End && t.Kind != jsonscan.Invalid; t = scan.Next() {
		if t.Kind == jsonscan.Key && scan.Depth() == 1 && string(event[t.Start:t.End]) == `"type"` {
			switch v := scan.Next(); {
			case v.Kind == jsonscan.String && v.Shrink == 0:
				return jsonscan.Text(event, v) // without escapes it has nothing to drop
			case v.Kind == jsonscan.String:
				return bytes.Map(printable, jsonscan.Text(event, v))
			}
		}
	}
	return nil
}

// printable drops what would end the line of an event's name.
func printable(r rune) rune {
	if r < ' ' {
		return -1
	}
	return r
}

// withoutMetrics takes Bedrock's own members out of an event. One that only speaks of them stays as it is.
func withoutMetrics(event []byte) []byte {
	b, failure := caller.ReadBody(event, nil, nil)
	own := func(m caller.Member) bool { return strings.HasPrefix(m.Name, metricsMember) }
	if failure != nil || !slices.ContainsFunc(b.Members, own) {
		return event
	}
	out := make([]byte, 0, len(event))
	for i := range b.Members {
		if m := &b.Members[i]; !own(*m) {
			out = append(append(out, [...]string{"{", ","}[min(len(out), 1)]...), event[m.Start:m.End]...)
		}
	}
	if len(out) == 0 {
		out = append(out, '{')
	}
	return append(out, '}')
}

// appendEvent appends a server-sent event. Line feeds in JSON are white space between its parts.
func appendEvent[K string | []byte](dst []byte, kind K, data []byte) []byte {
	dst = append(append(append(dst, "event: "...), kind...), "\ndata: "...)
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		return append(append(dst, data...), "\n\n"...)
	}
	for _, c := range data {
		if c == '\n' || c == '\r' {
			c = ' '
		}
		dst = append(dst, c)
	}
	return append(dst, "\n\n"...)
}

// Fail says what has broken the stream.
func (s *reframed) Fail(dst []byte, f *caller.Failure) []byte { return appendFailure(dst, f) }

func appendFailure(dst []byte, f *caller.Failure) []byte {
	return appendEvent(dst, "error", appendError(nil, f))
}

// End has nothing to say: message_stop has passed.
func (s *reframed) End(dst []byte) []byte { return dst }
