package anthropic

import (
	"github.com/sluice-gateway/sluice/internal/wire/caller"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// member is a member of the request's body, as places in it.
type member struct {
	name       string
	start      int // of the name's quote
	value, end int // of the value
	kind       jsonscan.Kind
}

// body is what is read of a request before anybody decides what to make of it.
type body struct {
	raw     []byte
	members []member
	model   string
	stream  bool
}

// readBody finds the members of a body. It refuses what is no JSON object, and a name that
// occurs twice: two readers could take different ones.
func readBody(raw []byte) (*body, *caller.Failure) {
	b := &body{raw: raw, members: make([]member, 0, 16)}
	var s jsonscan.Scanner
	s.Reset(raw)
	if t := s.Next(); t.Kind != jsonscan.BeginObject {
		return nil, caller.Invalid("", "the request's body is not a JSON object")
	}
	for t := s.Next(); t.Kind != jsonscan.End; t = s.Next() {
		switch {
		case t.Kind == jsonscan.Invalid:
			return nil, caller.Invalid("", "the request's body is not valid JSON")
		case t.Kind == jsonscan.Key && s.Depth() == 1:
			name := fields.Name(text(raw, t))
			if b.find(name) != nil {
				return nil, caller.Invalid(name, name+": the member occurs twice")
			}
			b.members = append(b.members, member{name: name, start: t.Start, end: -1})
		case len(b.members) > 0:
			b.value(&s, t)
		}
	}
	return b, b.head()
}

// text is what a key or a string says, without a copy where it has no escapes.
func text(raw []byte, t jsonscan.Token) []byte {
	if t.Shrink == 0 {
		return raw[t.Start+1 : t.End-1]
	}
	return jsonscan.AppendString(nil, raw[t.Start:t.End])
}

// value notes a token of the last member's value.
func (b *body) value(s *jsonscan.Scanner, t jsonscan.Token) {
	m := &b.members[len(b.members)-1]
	if m.kind == jsonscan.Invalid {
		m.kind, m.value = t.Kind, t.Start
	}
	if s.Depth() == 1 {
		m.end = t.End
	}
}

// head reads the members that decide where the request goes.
func (b *body) head() *caller.Failure {
	if m := b.find("model"); m != nil {
		if m.kind != jsonscan.String {
			return caller.Invalid("model", "model: Input should be a valid string")
		}
		b.model = string(jsonscan.AppendString(nil, b.raw[m.value:m.end]))
	}
	if m := b.find("stream"); m != nil {
		switch m.kind {
		case jsonscan.True:
			b.stream = true
		case jsonscan.False, jsonscan.Null:
		default:
			return caller.Invalid("stream", "stream: Input should be a valid boolean")
		}
	}
	return nil
}

// find is the member of a name, nil when there is none.
func (b *body) find(name string) *member {
	for i := range b.members {
		if b.members[i].name == name {
			return &b.members[i]
		}
	}
	return nil
}

func (b *body) text(m *member) []byte { return b.raw[m.value:m.end] }
