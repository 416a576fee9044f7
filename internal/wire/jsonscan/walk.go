package jsonscan

import (
	"slices"
	"strings"
)

// maxPath is how many steps a path may have.
const maxPath = 20

// maxNames is how many members of one object a tree may name.
const maxNames = 64

// Rule gives the value at a path a role. A path is member names joined by
// dots; `[]` after a name means the elements of an array, `*` a
// member of any name, and a last step `**` for every string below that no
// other rule reaches. The empty path is the whole text.
type Rule struct {
	Path string
	Role uint8 // above 0
}

// Tree is a set of rules in the form that a Walker follows. It never changes
// and may be shared.
type Tree struct{ root node }

type node struct {
	role  uint8
	deep  uint8 // role of strings below that have no node
	names []string
	kids  []*node
	any   *node
	elem  *node
}

// NewTree compiles rules. A malformed or repeated path is a bug in a table.
func NewTree(rules []Rule) *Tree {
	t := &Tree{}
	for _, r := range rules {
		t.root.add(r)
	}
	return t
}

func (n *node) add(r Rule) {
	steps := strings.FieldsFunc(strings.ReplaceAll(r.Path, "[]", ".[]"), func(c rune) bool { return c == '.' })
	if len(steps) > maxPath {
		panic("BUG: path too long: " + r.Path)
	}
	for i, step := range steps {
		if step == "**" {
			if i != len(steps)-1 {
				panic("BUG: ** is not the last step: " + r.Path)
			}
			n.deep = r.Role
			return
		}
		n = n.child(step)
	}
	if n.role != 0 {
		panic("BUG: path has two roles: " + r.Path)
	}
	n.role = r.Role
}

// child returns the node of a step, made when it is new.
func (n *node) child(step string) *node {
	switch step {
	case "[]":
		if n.elem == nil {
			n.elem = &node{}
		}
		return n.elem
	case "*":
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	}
	if i := slices.Index(n.names, step); i >= 0 {
		return n.kids[i]
	}
	if len(n.names) == maxNames {
		panic("BUG: an object with too many names")
	}
	n.names, n.kids = append(n.names, step), append(n.kids, &node{})
	return n.kids[len(n.kids)-1]
}

// find returns the child for a key and its number, -1 without a name.
func (n *node) find(key []byte) (*node, int) {
	for i, name := range n.names {
		if name == string(key) {
			return n.kids[i], i
		}
	}
	return n.any, -1
}

// Match is a value that has a role. A container matches twice: at its begin,
// and at its end with Start at the begin and End after the end.
type Match struct {
	Role uint8 // 0 after the last match
	Token
}

// open is a container that the walker is in and the tree has a node for.
type open struct {
	*node
	seen  uint64 // names that occurred in this object
	start int
	deep  uint8
}

// Walker follows a Tree through a text. The zero value is not ready; Reset is.
type Walker struct {
	scan Scanner
	// path holds the open containers that have nodes; lost counts those
	// inside them that have none.
	path [maxPath + 2]open
	top  int
	lost int
	next *node // node of the value to come
	deep uint8 // deep role of the value to come
	// AllowDuplicates accepts named members that occur twice and matches each. It
	// is for answers, where refusing would help nobody.
	AllowDuplicates bool
}

// Reset makes w ready to follow t through data.
func (w *Walker) Reset(t *Tree, data []byte) {
	w.scan.Reset(data)
	w.top, w.lost, w.next, w.deep = 0, 0, &t.root, t.root.deep
}

// Coded reports whether any key or string so far has an escape by number, like
// \u00e9, which may stand for any character.
func (w *Walker) Coded() bool { return w.scan.Coded() }

// Watch makes w note which keys and strings begin with some texts, until Reset.
func (w *Walker) Watch(b *Beginnings) { w.scan.Watch(b) }

// Met is of which sets that Watch named any key or string so far begins with a text:
// see Scanner.Met.
func (w *Walker) Met() uint8 { return w.scan.Met() }

// Err is why the walk ended, nil when the text was well-formed.
func (w *Walker) Err() *Error { return w.scan.err }

// Next returns the next match in the order of the text, everything before it
// checked. Role 0 says that there is none: the text ended or Err is set.
func (w *Walker) Next() Match {
	for {
		t := w.scan.Next()
		switch t.Kind {
		case Invalid, End:
			return Match{Token: t}
		case Key:
			w.enterKey(t)
			continue
		case BeginObject, BeginArray:
			if role := w.enter(t); role != 0 {
				return Match{role, t}
			}
			continue
		case EndObject, EndArray:
			if w.lost > 0 {
				w.lost--
				w.prepare()
				continue
			}
			done := w.path[w.top]
			w.top--
			w.prepare()
			if done.role != 0 {
				t.Start = done.start
				return Match{done.role, t}
			}
			continue
		}
		role := w.roleOf(t.Kind)
		w.prepare()
		if role != 0 {
			return Match{role, t}
		}
	}
}

// roleOf is the role of a scalar at the walker's place.
func (w *Walker) roleOf(k Kind) uint8 {
	if w.next != nil && w.next.role != 0 {
		return w.next.role
	}
	if k == String {
		return w.deep
	}
	return 0
}

// enter opens a container and returns its role.
func (w *Walker) enter(t Token) uint8 {
	if w.next == nil {
		w.lost++
		return 0
	}
	w.top++
	o := &w.path[w.top]
	*o = open{node: w.next, start: t.Start, deep: w.deep}
	if o.node.deep != 0 {
		o.deep = o.node.deep
	}
	w.prepare()
	return o.role
}

// prepare sets what the next value is when no key says so: an element.
func (w *Walker) prepare() {
	if w.lost > 0 {
		return // next is nil and deep unchanged
	}
	o := &w.path[w.top]
	w.next, w.deep = nil, o.deep
	if o.node != nil && o.elem != nil {
		w.next = o.elem
		w.deepen()
	}
}

func (w *Walker) deepen() {
	if w.next != nil && w.next.deep != 0 {
		w.deep = w.next.deep
	}
}

// enterKey finds the node of the member's value and refuses a second member of
// a name that the tree reads.
func (w *Walker) enterKey(t Token) {
	if w.lost > 0 {
		return
	}
	o := &w.path[w.top]
	w.next, w.deep = nil, o.deep
	if len(o.names) == 0 && o.any == nil {
		return
	}
	var buf [64]byte
	raw := w.scan.data[t.Start+1 : t.End-1]
	if t.Shrink > 0 && t.TextLen() <= len(buf) {
		raw = AppendString(buf[:0], w.scan.data[t.Start:t.End])
	}
	child, i := o.find(raw)
	if i >= 0 {
		if o.seen>>i&1 == 1 && !w.AllowDuplicates {
			w.scan.err = &Error{Fault: DuplicateKey, Offset: t.Start, Name: o.names[i]}
			return
		}
		o.seen |= 1 << i
	}
	w.next = child
	w.deepen()
}
