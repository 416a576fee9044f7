package value

import (
	"slices"
	"strings"
)

// literalValue reads a Python or JSON literal. A string in quotes that is a number
// means the digits in it: models quote at random.
func literalValue(s string) (Value, bool) {
	text, quoted, ok := literal(s)
	if !ok || !quoted {
		return Value{text: text}, ok
	}
	if n, numeric := plainNumber(text); numeric {
		return n, true
	}
	return Value{text: text, quoted: true}, true
}

// literal reads s as one Python or JSON literal and returns it in a canonical
// form: strings in double quotes, True/true alike, members of dicts and sets
// sorted, because their order carries no meaning. A string that is the whole
// literal comes back without quotes, and quoted is set.
func literal(s string) (text string, quoted, ok bool) {
	if s == "" || strings.IndexByte(`[({'"TFNtfn-0123456789b`, s[0]) < 0 {
		return "", false, false
	}
	p := literalReader{rest: s}
	text, ok = p.value(0)
	if !ok || strings.TrimSpace(p.rest) != "" {
		return "", false, false
	}
	if text[0] == '"' {
		return text[1 : len(text)-1], true, true
	}
	return text, false, true
}

const maxDepth = 32 // of nested literals

type literalReader struct{ rest string }

func (p *literalReader) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take consumes c after spaces.
func (p *literalReader) take(c byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

var constants = []struct{ word, canonical string }{
	{"True", "true"}, {"true", "true"}, {"False", "false"}, {"false", "false"},
	{"None", "null"}, {"null", "null"}, {"set()", "{}"},
}

func (p *literalReader) value(depth int) (string, bool) {
	p.space()
	if p.rest == "" || depth > maxDepth {
		return "", false
	}
	switch p.rest[0] {
	case '\'', '"':
		return p.quoted()
	case '[':
		return p.list('[', ']', depth)
	case '(':
		return p.list('(', ')', depth)
	case '{':
		return p.members(depth)
	}
	for _, c := range constants {
		if rest, ok := strings.CutPrefix(p.rest, c.word); ok {
			p.rest = rest
			return c.canonical, true
		}
	}
	return p.number()
}

func (p *literalReader) number() (string, bool) {
	end := strings.IndexAny(p.rest, ",]}): \t\r\n")
	if end < 0 {
		end = len(p.rest)
	}
	n, ok := measured(p.rest[:end])
	p.rest = p.rest[end:]
	return n.text, ok
}

// quoted reads a string in either kind of quotes.
func (p *literalReader) quoted() (string, bool) {
	quote := p.rest[0]
	for i := 1; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case quote:
			body := p.rest[1:i]
			p.rest = p.rest[i+1:]
			return `"` + strings.ReplaceAll(Unescape(body), `\'`, `'`) + `"`, true
		}
	}
	return "", false
}

// list reads a list or a tuple. One value in parentheses is that value.
func (p *literalReader) list(open, shut byte, depth int) (string, bool) {
	items, comma, ok := p.items(open, shut, depth, p.value)
	if open == '(' && len(items) == 1 && !comma {
		return items[0], ok
	}
	return string(open) + strings.Join(items, ",") + string(shut), ok
}

// members reads a dict or a set.
func (p *literalReader) members(depth int) (string, bool) {
	items, _, ok := p.items('{', '}', depth, p.member)
	slices.Sort(items)
	return "{" + strings.Join(items, ",") + "}", ok
}

// member reads a member of a dict or of a set.
func (p *literalReader) member(depth int) (string, bool) {
	item, ok := p.value(depth)
	if !ok || !p.take(':') {
		return item, ok
	}
	val, ok := p.value(depth)
	return item + ":" + val, ok
}

// items reads what is between brackets, separated by commas. comma is whether one
// follows the last item.
func (p *literalReader) items(
	open, shut byte, depth int, read func(int) (string, bool),
) (all []string, comma, ok bool) {
	p.take(open)
	comma = true
	for !p.take(shut) {
		if !comma {
			return nil, false, false
		}
		item, ok := read(depth + 1)
		if !ok {
			return nil, false, false
		}
		all = append(all, item)
		comma = p.take(',')
	}
	return all, comma, true
}
