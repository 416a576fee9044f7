package anthropic

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// reframed is a stream of InvokeModelWithResponseStream: each frame has one event of Messages,
// whose bytes go on as they are.
type reframed struct {
	event []byte // memory
}

// metricsMember is what Bedrock adds to the last event.
const metricsMember = "amazon-bedrock-"

// Frame takes the event out of its frame.
func (s *reframed) Frame(dst []byte, f wire.Frame) ([]byte, *caller.Failure) {
	if kind, _ := f.Header(":event-type"); kind != "chunk" {
		return dst, nil
	}
	event, ok := s.decode(f.Payload)
	if !ok {
		return dst, caller.Broken("the upstream sent an event that cannot be read")
	}
	if bytes.Contains(event, []byte(metricsMember)) {
		event = withoutMetrics(event)
	}
	return appendEvent(dst, typeOf(event), event), nil
}

// decode returns the event in a payload {"bytes":"…","p":"…"}.
func (s *reframed) decode(payload []byte) ([]byte, bool) {
	var scan jsonscan.Scanner
	scan.Reset(payload)
	for t := scan.Next(); t.Kind != jsonscan.End && t.Kind != jsonscan.Invalid; t = scan.Next() {
		if t.Kind != jsonscan.Key || scan.Depth() != 1 || string(payload[t.Start:t.End]) != `"bytes"` {
			continue
		}
		v := scan.Next()
		if v.Kind != jsonscan.String || v.Shrink != 0 {
			return nil, false
		}
		coded := payload[v.Start+1 : v.End-1]
		s.event = append(s.event[:0], make([]byte, base64.StdEncoding.DecodedLen(len(coded)))...)
		n, err := base64.StdEncoding.Decode(s.event, coded)
		return s.event[:n], err == nil
	}
	return nil, false
}

// typeOf is the type of an event, "" when it has none.
func typeOf(event []byte) string {
	var scan jsonscan.Scanner
	scan.Reset(event)
	for t := scan.Next(); t.Kind != jsonscan.End && t.Kind != jsonscan.Invalid; t = scan.Next() {
		if t.Kind == jsonscan.Key && scan.Depth() == 1 && string(event[t.Start:t.End]) == `"type"` {
			if v := scan.Next(); v.Kind == jsonscan.String {
				return strings.Map(printable, string(jsonscan.AppendString(nil, event[v.Start:v.End])))
			}
		}
	}
	return ""
}

// printable drops what would end the line of an event's name.
func printable(r rune) rune {
	if r < ' ' {
		return -1
	}
	return r
}

// withoutMetrics takes Bedrock's own members out of an event.
func withoutMetrics(event []byte) []byte {
	b, failure := readBody(event)
	if failure != nil {
		return event
	}
	out := make([]byte, 0, len(event))
	for i := range b.members {
		if m := &b.members[i]; !bytes.HasPrefix([]byte(m.name), []byte(metricsMember)) {
			out = append(append(out, [...]string{"{", ","}[min(len(out), 1)]...), event[m.start:m.end]...)
		}
	}
	if len(out) == 0 {
		out = append(out, '{')
	}
	return append(out, '}')
}

// appendEvent appends a server-sent event. Line feeds in JSON are white space between its parts.
func appendEvent(dst []byte, kind string, data []byte) []byte {
	dst = append(append(append(dst, "event: "...), kind...), "\ndata: "...)
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
