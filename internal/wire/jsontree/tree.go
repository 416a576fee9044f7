// Package jsontree reads a JSON text once into a tree of places, for who must know all of it and not only what a
// jsonscan.Tree names. Values are copied only when they are asked for, so a text, a schema or a picture passes from a
// body into another as the bytes that it is. It is as strict as jsonscan, and refuses duplicate members too.
package jsontree

import (
	"bytes"
	"iter"
	"math"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// Doc is one JSON text. The zero value is ready for Parse, and may be used again for the next text.
type Doc struct {
	// AllowDuplicates takes members that an object has twice, as models write them.
	AllowDuplicates bool

	data  []byte
	nodes []node
	scan  jsonscan.Scanner
	fault *jsonscan.Error
}

// node is one value. Its children follow it, and end where next points to.
type node struct {
	kind             jsonscan.Kind
	coded            bool // the value is a string with an escape
	nameCoded        bool
	start, end       int32
	name, nameEnd    int32 // of the member, with its quotes; 0 for none
	parent, next     int32 // next is the index behind the last of what it has
	siblings, number int32 // number is the place among them
}

// Value is a value of a Doc. The zero value is absent, and so is all that is asked of it.
type Value struct {
	doc *Doc
	at  int32
}

// NodeBytes is how much memory a Doc takes for each value of its text.
const NodeBytes = 40

// Count is how many values are in a text, or in what of it can be read.
func Count(data []byte) int {
	var s jsonscan.Scanner
	s.Reset(data)
	for n := 0; ; {
		switch t := s.Next(); t.Kind {
		case jsonscan.End, jsonscan.Invalid:
			return n
		case jsonscan.Key, jsonscan.EndObject, jsonscan.EndArray:
		default:
			n++
		}
	}
}

// Reserve makes room for so many values, which Parse then need not look for.
func (d *Doc) Reserve(values int) { d.nodes = make([]node, 0, values) }

// Parse reads a text, which must stay as it is while values of it are in use. It forgets the text before.
func (d *Doc) Parse(data []byte) (Value, *jsonscan.Error) {
	d.data, d.fault = data, nil
	if d.nodes == nil {
		d.nodes = make([]node, 0, min(16+len(data)/24, 1<<12))
	}
	d.nodes = d.nodes[:0]
	if len(data) > math.MaxInt32 {
		return Value{}, &jsonscan.Error{Fault: jsonscan.BadSyntax}
	}
	d.scan.Reset(data)
	d.value(d.scan.Next(), -1, jsonscan.Token{}, 0)
	if d.fault == nil && d.scan.Next().Kind == jsonscan.Invalid {
		d.fault = d.scan.Err()
	}
	if d.fault != nil {
		return Value{}, d.fault
	}
	return Value{d, 0}, nil
}

// value adds the value that begins with t, and what is in it. Its depth is bound by jsonscan.MaxDepth.
func (d *Doc) value(t jsonscan.Token, parent int32, name jsonscan.Token, number int32) {
	at := place(len(d.nodes))
	d.nodes = append(d.nodes, node{
		kind: t.Kind, coded: t.Shrink > 0, nameCoded: name.Shrink > 0, start: place(t.Start), end: place(t.End),
		name: place(name.Start), nameEnd: place(name.End), parent: parent, number: number,
	})
	switch t.Kind {
	case jsonscan.BeginObject, jsonscan.BeginArray:
		d.children(at)
	case jsonscan.String, jsonscan.Number, jsonscan.True, jsonscan.False, jsonscan.Null:
	default:
		if d.fault == nil {
			d.fault = d.scan.Err()
		}
	}
	d.nodes[at].next = place(len(d.nodes))
}

// place is an index into a text, which Parse has found to fit.
func place(n int) int32 { return int32(n) }

func (d *Doc) children(at int32) {
	for n := int32(0); d.fault == nil; n++ {
		t := d.scan.Next()
		if t.Kind == jsonscan.EndObject || t.Kind == jsonscan.EndArray {
			d.nodes[at].end, d.nodes[at].siblings = place(t.End), n
			return
		}
		name := jsonscan.Token{}
		if t.Kind == jsonscan.Key {
			name, t = t, d.scan.Next()
			if !d.AllowDuplicates {
				d.once(at, name)
			}
		}
		d.value(t, at, name, n)
	}
}

// few is up to how many members an object's names are compared with each other, and many is how many it may have
// that anybody asks for. Objects of more members are data that passes as it is.
const few = 48

// once refuses a member that the object has already.
func (d *Doc) once(at int32, name jsonscan.Token) {
	text := unquoted(d.data[name.Start:name.End], name.Shrink > 0)
	for i, n := at+1, 0; int(i) < len(d.nodes) && n < few; i, n = d.nodes[i].next, n+1 {
		if bytes.Equal(Value{d, i}.Name(), text) {
			d.fault = &jsonscan.Error{Fault: jsonscan.DuplicateKey, Offset: name.Start, Name: string(text)}
			return
		}
	}
}

// Present reports whether there is a value, and it is not null.
func (v Value) Present() bool { return v.doc != nil && v.node().kind != jsonscan.Null }

func (v Value) node() *node { return &v.doc.nodes[v.at] }

// Kind is the kind of the value's first token, jsonscan.Invalid when it is absent.
func (v Value) Kind() jsonscan.Kind {
	if v.doc == nil {
		return jsonscan.Invalid
	}
	return v.node().kind
}

// Raw is the value as it is in the text, nil when it is absent.
func (v Value) Raw() []byte {
	if v.doc == nil {
		return nil
	}
	n := v.node()
	return v.doc.data[n.start:n.end:n.end]
}

// IsText reports whether the value is a string.
func (v Value) IsText() bool { return v.Kind() == jsonscan.String }

// IsObject reports whether the value is an object.
func (v Value) IsObject() bool { return v.Kind() == jsonscan.BeginObject }

// IsArray reports whether the value is an array.
func (v Value) IsArray() bool { return v.Kind() == jsonscan.BeginArray }

// IsTrue reports whether the value is true.
func (v Value) IsTrue() bool { return v.Kind() == jsonscan.True }

// Bytes is what a string means. It shares memory with the text unless the string has escapes; nil when the value is
// no string.
func (v Value) Bytes() []byte {
	if !v.IsText() {
		return nil
	}
	return unquoted(v.Raw(), v.node().coded)
}

// Quoted is a string as it is in the text, with its quotes; an empty one for any other value.
func (v Value) Quoted() []byte {
	if !v.IsText() {
		return []byte(`""`)
	}
	return v.Raw()
}

// Text is Bytes as a string of its own.
func (v Value) Text() string { return string(v.Bytes()) }

// Is reports whether the value is that string.
func (v Value) Is(text string) bool { return v.IsText() && string(v.Bytes()) == text }

// Name is the name of the member that the value is of, nil for an element of an array.
func (v Value) Name() []byte {
	if v.doc == nil || v.node().nameEnd == 0 {
		return nil
	}
	n := v.node()
	return unquoted(v.doc.data[n.name:n.nameEnd], n.nameCoded)
}

func unquoted(quoted []byte, coded bool) []byte {
	if coded {
		return jsonscan.AppendString(nil, quoted)
	}
	return quoted[1 : len(quoted)-1 : len(quoted)-1]
}

// Int is the value as a whole number; false when it is none, or does not fit.
func (v Value) Int() (int64, bool) {
	if v.Kind() != jsonscan.Number {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v.Raw()), 10, 64)
	if err == nil {
		return n, true
	}
	f, ok := v.Float() // 64.0 is a whole number too
	return int64(f), ok && f == math.Trunc(f) && math.Abs(f) < 1<<53
}

// Float is the value as a number; false when it is none, or does not fit.
func (v Value) Float() (float64, bool) {
	if v.Kind() != jsonscan.Number {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v.Raw()), 64)
	return f, err == nil
}

// Len is how many members or elements the value has.
func (v Value) Len() int {
	if v.doc == nil {
		return 0
	}
	return int(v.node().siblings)
}

// Last reports whether the value is the last of its object or array.
func (v Value) Last() bool {
	if v.doc == nil || v.node().parent < 0 {
		return true
	}
	return v.node().next == v.doc.nodes[v.node().parent].next
}

// All are the members or elements of the value, in their order.
func (v Value) All() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Len() == 0 {
			return
		}
		for i, end := v.at+1, v.node().next; i < end; i = v.doc.nodes[i].next {
			if !yield(Value{v.doc, i}) {
				return
			}
		}
	}
}

// Get is the member called name, absent when there is none or it is null.
func (v Value) Get(name string) Value {
	if !v.IsObject() {
		return Value{}
	}
	for m := range v.All() {
		if string(m.Name()) == name {
			if !m.Present() {
				return Value{}
			}
			return m
		}
	}
	return Value{}
}

// Path is where the value is in the text, like messages[0].content, "" for the whole of it.
func (v Value) Path() string {
	if v.doc == nil {
		return ""
	}
	n := v.node()
	if n.parent < 0 {
		return ""
	}
	up := Value{v.doc, n.parent}.Path()
	if n.nameEnd == 0 {
		return up + "[" + strconv.Itoa(int(n.number)) + "]"
	}
	if up == "" {
		return string(v.Name())
	}
	return up + "." + string(v.Name())
}
