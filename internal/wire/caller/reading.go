package caller

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
	"github.com/sluice-gateway/sluice/internal/wire/jsontree"
)

// Kinds are kinds of JSON values.
type Kinds uint8

// The kinds. A whole number is of Number and of Integer.
const (
	Text Kinds = 1 << iota
	Number
	Integer
	Boolean
	Object
	Array
)

// KindsOf is what a value is, 0 for null and for an absent one.
func KindsOf(v jsontree.Value) Kinds {
	switch v.Kind() {
	case jsonscan.String:
		return Text
	case jsonscan.Number:
		if _, ok := v.Int(); ok {
			return Number | Integer
		}
		return Number
	case jsonscan.True, jsonscan.False:
		return Boolean
	case jsonscan.BeginObject:
		return Object
	case jsonscan.BeginArray:
		return Array
	}
	return 0
}

// Words are how a dialect says what is wrong with a request. Paths are those of jsontree.
type Words struct {
	Missing func(path string) *Failure
	Unknown func(path string) *Failure
	// Unsupported is about what the model cannot be given; why may be "".
	Unsupported func(path, why string) *Failure
	// Kind is about a value of another kind than the ones that are wanted.
	Kind func(path string, got, want Kinds) *Failure
}

// Reading is a request that is being read: what is wrong with it, and what of it cannot be carried.
type Reading struct {
	Words   *Words
	Policy  Policy
	Failure *Failure // the first
	Dropped []string // what could not be carried, by its path, each once
}

// Fail says that the request cannot be served.
func (in *Reading) Fail(f *Failure) {
	if in.Failure == nil {
		in.Failure = f
	}
}

// Refuse is for what would change the answer if it were left out. why may be "".
func (in *Reading) Refuse(v jsontree.Value, why string) {
	if in.Policy == PolicyDrop {
		in.name(v.Path())
		return
	}
	in.Fail(in.Words.Unsupported(v.Path(), why))
}

// unknown is for members that nobody here has heard of.
func (in *Reading) unknown(m jsontree.Value) {
	if in.Policy == PolicyDrop {
		in.name(m.Path())
		return
	}
	in.Fail(in.Words.Unknown(m.Path()))
}

// Drop is for what does not change what the answer means.
func (in *Reading) Drop(v jsontree.Value) { in.DropAt(v.Path()) }

// DropAt is Drop by a path.
func (in *Reading) DropAt(path string) {
	if in.Policy == PolicyRefuse {
		in.Fail(in.Words.Unsupported(path, ""))
		return
	}
	in.name(path)
}

// maxDropped is how many paths are named: they have to fit into a header.
const maxDropped = 100

func (in *Reading) name(path string) {
	short := withoutNumbers(path)
	switch {
	case slices.Contains(in.Dropped, short):
	case len(in.Dropped) == maxDropped:
		in.Fail(in.Words.Unsupported(path, "There is too much of the kind."))
	default:
		in.Dropped = append(in.Dropped, short)
	}
}

// withoutNumbers makes messages[].name of messages[3].name, so that a header names a field once.
func withoutNumbers(path string) string {
	if !strings.Contains(path, "[") {
		return path
	}
	out := make([]byte, 0, len(path))
	inside := false
	for i := range len(path) {
		inside = inside && path[i] != ']'
		if !inside {
			out = append(out, path[i])
		}
		inside = inside || path[i] == '['
	}
	return string(out)
}

// Only refuses members of an object that are not named.
func (in *Reading) Only(v jsontree.Value, names ...string) {
	for m := range v.All() {
		if in.Failure != nil {
			return
		}
		if m.Present() && !slices.Contains(names, string(m.Name())) {
			in.unknown(m)
		}
	}
}

// Is refuses a value that is of none of these kinds, and reports whether it is of one.
func (in *Reading) Is(v jsontree.Value, want Kinds) bool {
	got := KindsOf(v)
	if got&want != 0 {
		return true
	}
	in.Fail(in.Words.Kind(v.Path(), got, want))
	return false
}

// Need is a member that has to be there, of one of these kinds.
func (in *Reading) Need(v jsontree.Value, name string, want Kinds) (jsontree.Value, bool) {
	m := v.Get(name)
	if !m.Present() {
		in.Fail(in.Words.Missing(strings.TrimPrefix(v.Path()+"."+name, ".")))
		return m, false
	}
	return m, in.Is(m, want)
}
