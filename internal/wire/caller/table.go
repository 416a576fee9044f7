package caller

import (
	"slices"

	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// Treatment is what becomes of a part of a request.
type Treatment uint8

// The treatments. The zero value is Carried.
const (
	Carried  Treatment = iota // as it is, or in the native request's words
	Consumed                  // said otherwise: in the path, or by a header
	Fitted                    // to what the model takes
	Dropped                   // left out, and named
	Refused                   // answered with 400; left out and named where the policy says so
)

// Field is a member of a request, and what becomes of it on its way to a native one. R is who reads it.
type Field[R any] struct {
	Name string
	Want Kinds // 0 for any, where Read looks by itself
	How  Treatment
	Must bool   // it has to be there
	Note string // for docs/dialects.md, and why it is refused
	// Same are values that mean the same as none.
	Same []string
	Read func(r R, v jsontree.Value) // of what is carried or fitted
}

// isNone reports whether a value means the same as none.
func (f *Field[R]) isNone(v jsontree.Value) bool {
	for _, same := range f.Same {
		if string(v.Raw()) == same {
			return true
		}
	}
	return false
}

// Table is the fields of one kind of request, in the order in which they are read. Make it with NewTable.
type Table[R any] struct {
	Fields []Field[R]
	index  map[string]int
}

// mostFields is how many fields a table may have.
const mostFields = 64

// NewTable makes a table of all the fields.
func NewTable[R any](fields ...[]Field[R]) *Table[R] {
	t := &Table[R]{Fields: slices.Concat(fields...)}
	t.index = make(map[string]int, len(t.Fields))
	for i := range t.Fields {
		t.index[t.Fields[i].Name] = i
	}
	return t
}

// Name is a field's name as a string; for the fields of the table it needs no memory.
func (t *Table[R]) Name(name []byte) string {
	if i, ok := t.index[string(name)]; ok {
		return t.Fields[i].Name
	}
	return string(name)
}

// Read reads the members of v into r, up to the first failure. Those that are optional may be absent, whatever the
// table says.
func (t *Table[R]) Read(in *Reading, r R, v jsontree.Value, optional ...string) {
	var values [mostFields]jsontree.Value
	for m := range v.All() {
		i, ok := t.index[string(m.Name())]
		switch {
		case !m.Present():
		case !ok:
			in.unknown(m)
		default:
			values[i] = m
			if want := t.Fields[i].Want; want != 0 {
				in.Is(m, want)
			}
		}
	}
	for i := range t.Fields {
		if in.Failure != nil {
			return
		}
		switch f, v := &t.Fields[i], values[i]; {
		case !v.Present():
			if f.Must && !slices.Contains(optional, f.Name) {
				in.Fail(in.Words.Missing(f.Name))
			}
		case f.isNone(v), f.How == Consumed:
		case f.How == Refused:
			in.Refuse(v, f.Note)
		case f.How == Dropped:
			in.Drop(v)
		default:
			f.Read(r, v)
		}
	}
}
