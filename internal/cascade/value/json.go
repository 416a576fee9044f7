package value

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Document is a JSON document in its canonical form: members sorted, no spaces,
// numbers by value, strings in Unicode's normal form C. Every sign of a string
// counts.
type Document struct {
	// Full has everything but explanations, Short has ProseMark for each longer text.
	Full, Short string
	// Members is how many members the outermost object has, explanations left out; of
	// an array how many elements.
	Members int
	// Name and Raw are the only member of the outermost object, "" where there are more
	// or none.
	Name, Raw string
	// Says is whether there is a value at all beside explanations and longer texts.
	Says bool
}

// ProseMark is the place of a longer text in the short form.
const ProseMark = "…"

// A string is prose, which no two models write the same, from so many bytes and
// spaces on. Without spaces it is a code.
const (
	proseBytes  = 60
	proseSpaces = 5
)

// explanations are members in which a model explains itself, when their value is a
// text of five words or more: they are no part of the answer proper. A shorter one
// may be a code; it is left out beside a member that is the answer (answers). How
// sure a model says that it is (ratings) is another number each time that it is
// asked.
var (
	explanations = map[string]bool{
		"reasoning": true, "reason": true, "reasons": true, "explanation": true, "rationale": true, "thought": true,
		"thoughts": true, "thinking": true, "analysis": true, "justification": true, "why": true,
	}
	ratings = map[string]bool{"confidence": true, "certainty": true}
	answers = map[string]bool{
		"answer": true, "final_answer": true, "finalanswer": true, "result": true, "output": true, "solution": true,
	}
)

const explanationSpaces = 4

// Explains reports whether a member with this name explains the answer beside it.
func Explains(name string) bool {
	name = strings.ToLower(name)
	return explanations[name] || ratings[name]
}

// ReadJSON reads a document. It reports false for what is not JSON, for what stands
// behind it, and where two members of an object have the same name, because readers
// differ in which they take.
func ReadJSON(doc string) (Document, bool) {
	if !json.Valid([]byte(doc)) || deep(doc) {
		return Document{}, false
	}
	return read(doc, true)
}

// ExactJSON is the canonical form of a document with its explanations, false as
// for ReadJSON.
func ExactJSON(doc string) (string, bool) {
	if !json.Valid([]byte(doc)) || deep(doc) {
		return "", false
	}
	d, ok := read(doc, false)
	return d.Full, ok
}

// deep reports whether valid JSON is nested further than is compared.
func deep(doc string) bool {
	depth, inString := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

func read(doc string, besides bool) (Document, bool) {
	r := jsonReader{rest: doc, besides: besides}
	full, short := r.value(0)
	d := Document{Full: full, Short: short, Members: r.members, Name: r.only.name, Raw: r.only.raw, Says: r.says}
	return d, !r.doubled
}

// jsonReader reads valid JSON.
type jsonReader struct {
	rest    string
	besides bool // explanations are left out
	says    bool
	doubled bool
	members int   // of the outermost value
	only    named // of its members, where there is one
}

func (r *jsonReader) next() byte {
	r.rest = strings.TrimLeft(r.rest, " \t\r\n")
	return r.rest[0]
}

func (r *jsonReader) skip() { r.rest = r.rest[1:] }

func (r *jsonReader) value(depth int) (full, short string) {
	switch r.next() {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '"':
		return r.text(r.str())
	}
	end := strings.IndexAny(r.rest, ",]} \t\r\n")
	if end < 0 {
		end = len(r.rest)
	}
	word := r.rest[:end]
	r.rest = r.rest[end:]
	r.says = r.says || word != "null"
	if n, ok := measured(word); ok {
		return n.text, n.text
	}
	return word, word
}

// str reads a string and undoes its escapes.
func (r *jsonReader) str() string {
	end, escaped := 1, false
	for ; r.rest[end] != '"'; end++ {
		if r.rest[end] == '\\' {
			escaped = true
			end++
		}
	}
	s := r.rest[1:end]
	if escaped {
		_ = json.Unmarshal([]byte(r.rest[:end+1]), &s) // it is valid
	}
	r.rest = r.rest[end+1:]
	return norm.NFC.String(s)
}

func (r *jsonReader) text(s string) (full, short string) {
	full = strconv.Quote(s)
	if prose(s) {
		return full, ProseMark
	}
	r.says = true
	return full, full
}

func prose(s string) bool { return len(s) >= proseBytes && strings.Count(s, " ") >= proseSpaces }

// named is a member as it is written.
type named struct{ name, raw string }

// member is one of an object, or an element.
type member struct {
	named // of an object

	key, full, short string
	besides          bool // an explanation, unless it is the only thing that is said
	says             bool
}

func (r *jsonReader) object(depth int) (full, short string) {
	var all []member
	answered := false
	r.skip()
	for r.next() != '}' {
		if r.rest[0] == ',' {
			r.skip()
			r.next()
		}
		m, answer := r.member(depth)
		all, answered = append(all, m), answered || answer
	}
	r.skip()
	kept := all[:0]
	for _, m := range all {
		long := prose(m.full) || strings.Count(m.full, " ") >= explanationSpaces
		if !m.besides || !answered && !long {
			kept, r.says = append(kept, m), r.says || m.says
		}
	}
	slices.SortFunc(kept, func(a, b member) int { return strings.Compare(a.key, b.key) })
	for i := range kept {
		r.doubled = r.doubled || i > 0 && kept[i].key == kept[i-1].key
	}
	if depth == 0 && len(kept) == 1 {
		r.only = kept[0].named
	}
	return r.join('{', '}', kept, depth)
}

// member reads a name and its value. answer is whether it is called the answer.
func (r *jsonReader) member(depth int) (m member, answer bool) {
	name := r.str()
	r.next()
	r.skip() // the colon
	says, kind := r.says, r.next()
	r.says = false
	rest := r.rest
	full, short := r.value(depth + 1)
	m = member{key: strconv.Quote(name) + ":", full: full, short: short, says: r.says}
	m.named = named{name, rest[:len(rest)-len(r.rest)]}
	r.says = says
	name = strings.ToLower(name)
	m.besides = r.besides && (explanations[name] && kind == '"' || ratings[name])
	if ratings[name] {
		m.full = strings.Repeat(" ", explanationSpaces) // whatever its value
	}
	return m, answers[name]
}

func (r *jsonReader) array(depth int) (full, short string) {
	var all []member
	r.skip()
	for r.next() != ']' {
		if r.rest[0] == ',' {
			r.skip()
		}
		full, short := r.value(depth + 1)
		all = append(all, member{full: full, short: short})
	}
	r.skip()
	return r.join('[', ']', all, depth)
}

func (r *jsonReader) join(open, shut byte, all []member, depth int) (full, short string) {
	if depth == 0 {
		r.members = len(all)
	}
	f, s := []byte{open}, []byte{open}
	for i := range all {
		f = append(append(append(f, all[i].key...), all[i].full...), ',')
		s = append(append(append(s, all[i].key...), all[i].short...), ',')
	}
	return string(append(f, shut)), string(append(s, shut))
}
