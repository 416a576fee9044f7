package caller

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Member is a member of a request's body, as places in it.
type Member struct {
	Name       string
	Start      int // of the name's quote
	Value, End int // of the value
	Kind       jsonscan.Kind
}

// Body is what is read of a request before anybody decides what to make of it: its members, and not what is in them.
type Body struct {
	Raw     []byte
	Members []Member
	Model   string
	Stream  bool
	Met     uint8 // of which sets that were watched for a text begins any key or string

	few [16]Member // memory of Members
}

// maxMembers is how many members a body may have: no API has a quarter of them, and each is compared with all before.
const maxMembers = 256

// ReadBody finds the members of a body. It refuses what is no JSON object, and a name that
// occurs twice: two readers could take different ones. names makes strings of names; nil copies them. watch is what is
// looked for in all keys and strings; nil is nothing.
func ReadBody(raw []byte, names func([]byte) string, watch *jsonscan.Beginnings) (*Body, *Failure) {
	if names == nil {
		names = func(name []byte) string { return string(name) }
	}
	b := &Body{Raw: raw}
	b.Members = b.few[:0]
	var s jsonscan.Scanner
	s.Reset(raw)
	s.Watch(watch)
	if t := s.Next(); t.Kind != jsonscan.BeginObject {
		return nil, Invalid("", "the request's body is not a JSON object")
	}
	for t := s.Next(); t.Kind != jsonscan.End; t = s.Next() {
		switch {
		case t.Kind == jsonscan.Invalid:
			return nil, Invalid("", "the request's body is not valid JSON")
		case t.Kind == jsonscan.Key && s.Depth() == 1:
			name := names(jsonscan.Text(raw, t))
			if len(b.Members) == maxMembers {
				return nil, Invalid("", "the request's body has too many members")
			}
			if b.Find(name) != nil {
				return nil, Invalid(name, name+": the member occurs twice")
			}
			b.Members = append(b.Members, Member{Name: name, Start: t.Start, End: -1})
		case len(b.Members) > 0:
			b.value(&s, t)
		}
	}
	b.Met = s.Met()
	return b, b.head()
}

// value notes a token of the last member's value.
func (b *Body) value(s *jsonscan.Scanner, t jsonscan.Token) {
	m := &b.Members[len(b.Members)-1]
	if m.Kind == jsonscan.Invalid {
		m.Kind, m.Value = t.Kind, t.Start
	}
	if s.Depth() == 1 {
		m.End = t.End
	}
}

// head reads the members that decide where the request goes.
func (b *Body) head() *Failure {
	if m := b.Find("model"); m != nil {
		if m.Kind != jsonscan.String {
			return Invalid("model", "model: Input should be a valid string")
		}
		if b.Model = string(b.Raw[m.Value+1 : m.End-1]); strings.Contains(b.Model, `\`) {
			b.Model = string(jsonscan.AppendString(nil, b.Text(m)))
		}
	}
	if m := b.Find("stream"); m != nil {
		switch m.Kind {
		case jsonscan.True:
			b.Stream = true
		case jsonscan.False, jsonscan.Null:
		default:
			return Invalid("stream", "stream: Input should be a valid boolean")
		}
	}
	return nil
}

// Find is the member of a name, nil when there is none.
func (b *Body) Find(name string) *Member {
	for i := range b.Members {
		if b.Members[i].Name == name {
			return &b.Members[i]
		}
	}
	return nil
}

// Text is the value of a member.
func (b *Body) Text(m *Member) []byte { return b.Raw[m.Value:m.End] }

// With is the body with members that are others, each whole by its name and "" for one that is left out, and with more
// of them behind the rest, each with a comma before it.
func (b *Body) With(changed map[string]string, added string) []byte {
	out := append(make([]byte, 0, len(b.Raw)+len(added)+64), '{')
	for i := range b.Members {
		m := &b.Members[i]
		text := b.Raw[m.Start:m.End]
		if made, ok := changed[m.Name]; ok {
			text = []byte(made)
		}
		if len(text) > 0 {
			out = append(append(out, text...), ',')
		}
	}
	if len(out) > 1 {
		out = out[:len(out)-1]
	}
	return append(append(out, added...), '}')
}
