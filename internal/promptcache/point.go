package promptcache

import (
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/jsonscan"
)

// form is how a body spells a point.
type form uint8

const (
	noForm       form = iota
	converseForm      // a block of its own behind others
	claudeForm        // a member of the block that it is behind
)

// formOf is how the body of a request spells points, noForm where it cannot have any.
func formOf(f *wire.Facts) form {
	switch name := f.DialectName(); {
	case name == "converse":
		return converseForm
	case name == "messages", f.Op.IsInvoke() && name == "anthropic":
		return claudeForm
	}
	return noForm
}

// spelling is the text of a point in a form, by its lifetime.
func (f form) spelling(ttl time.Duration) string {
	switch {
	case f == converseForm && ttl == time.Hour:
		return `{"cachePoint":{"type":"default","ttl":"1h"}}`
	case f == converseForm:
		return `{"cachePoint":{"type":"default"}}`
	case ttl == time.Hour:
		return `"cache_control":{"type":"ephemeral","ttl":"1h"}`
	}
	return `"cache_control":{"type":"ephemeral"}`
}

// tail is how the list that a prefix ends with ends.
type tail struct {
	list  wire.Span // of blocks, with its brackets; absent for a text alone
	text  wire.Span // a text in place of a list
	last  wire.Span // the last block, with its braces
	bare  bool      // the last block has no members
	fixed bool      // the last block cannot have a point, or none behind it
}

// unpointed are members of a block that no point may stand at or behind: reasoning is kept
// with the turn that it is of (AWS, "Prompt caching"; Anthropic, "Prompt caching").
func unpointed(key string) bool {
	return key == "reasoningContent" || key == "thinking" || key == "redacted_thinking" || key == "cachePoint" ||
		key == "defer_loading"
}

// maxDepth is how deep what a point is behind may be nested.
const maxDepth = 64

// tailReader reads the end of what a prefix ends with.
type tailReader struct {
	tail
	body    []byte
	depth   int           // of the list of blocks
	content bool          // what is read is the list, or the text in its place
	key     string        // of the last block
	begun   [maxDepth]int // where the open containers begin, by their depth
}

// tailOf reads the end of what a prefix ends with: of a list, or of a message's content.
// It reads that one value alone. It reports false for what has no block that a point can
// be behind.
func tailOf(body []byte, e *end) (tail, bool) {
	r := tailReader{body: body, depth: 1, content: true}
	if e.part == inMessages {
		r.depth, r.content = 2, false
	}
	var s jsonscan.Scanner
	s.Reset(body[e.span.Start:e.span.End])
	for t := s.Next(); t.Kind != jsonscan.End; t = s.Next() {
		if t.Kind == jsonscan.Invalid || s.Depth() >= maxDepth {
			return r.tail, false
		}
		r.token(t.Kind, wire.Span{Start: e.span.Start + t.Start, End: e.span.Start + t.End}, s.Depth())
	}
	blocks := r.list.Present() && r.last.Present()
	return r.tail, !r.fixed && (blocks || r.text.End-r.text.Start > 2)
}

// token takes in a token. level is how many containers are open behind it.
func (r *tailReader) token(kind jsonscan.Kind, at wire.Span, level int) {
	if kind == jsonscan.Key && r.depth == 2 && level == 1 {
		r.content = string(r.body[at.Start+1:at.End-1]) == "content"
		return
	}
	if kind == jsonscan.BeginObject || kind == jsonscan.BeginArray {
		r.begun[level] = at.Start
	}
	if !r.content {
		return
	}
	block := level == r.depth+1
	switch {
	case block && kind == jsonscan.Key:
		r.key, r.bare = string(r.body[at.Start+1:at.End-1]), false
		r.fixed = r.fixed || unpointed(r.key)
	case block && (kind == jsonscan.BeginObject || kind == jsonscan.BeginArray):
		r.bare, r.fixed = true, kind == jsonscan.BeginArray
	case kind == jsonscan.EndObject && level == r.depth:
		r.last = wire.Span{Start: r.begun[level+1], End: at.End}
	case kind == jsonscan.EndArray && level == r.depth-1:
		r.list = wire.Span{Start: r.begun[level+1], End: at.End}
	case kind == jsonscan.String && level == r.depth-1:
		r.text = at
	case kind == jsonscan.String && block:
		text := string(r.body[at.Start+1 : at.End-1])
		r.fixed = r.fixed || r.key == "text" && text == "" || r.key == "type" && unpointed(text)
	}
}

// splice puts a point behind what a prefix ends with.
func (f form) splice(to []wire.Splice, t *tail, ttl time.Duration) []wire.Splice {
	spelt := f.spelling(ttl)
	switch {
	case f == converseForm:
		return append(to, insert(t.list.End-1, ","+spelt))
	case t.text.Present():
		return append(to, insert(t.text.Start, `[{"type":"text","text":`), insert(t.text.End, ","+spelt+"}]"))
	case t.bare:
		return append(to, insert(t.last.End-1, spelt))
	}
	return append(to, insert(t.last.End-1, ","+spelt))
}

func insert(at int, text string) wire.Splice {
	return wire.Splice{Start: at, End: at, Text: []byte(text)}
}

// takes reports whether a form has a place for a point behind this end.
func (f form) takes(t *tail) bool { return f == claudeForm || t.list.Present() }

// has reports whether a list of names has one.
func has(names []string, part int) bool { return slices.Contains(names, partNames[part]) }
