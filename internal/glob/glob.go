// Package glob matches model ids against the patterns of the configuration.
package glob

import "strings"

// Pattern is a glob in which `*` matches any characters, `/` and `:` too, and
// every other character itself. The zero value matches the empty string.
type Pattern struct{ parts []string }

// Compile reads a pattern. Every string is one.
func Compile(s string) Pattern { return Pattern{strings.Split(s, "*")} }

// Match reports whether the whole of s matches.
func (p Pattern) Match(s string) bool {
	if len(p.parts) < 2 {
		return len(p.parts) == 0 && s == "" || len(p.parts) == 1 && s == p.parts[0]
	}
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return strings.Join(p.parts, "*") }

// List is a set of patterns.
type List []Pattern

// CompileList compiles each pattern.
func CompileList(patterns []string) List {
	l := make(List, len(patterns))
	for i, s := range patterns {
		l[i] = Compile(s)
	}
	return l
}

// Match reports whether any pattern matches.
func (l List) Match(s string) bool {
	for _, p := range l {
		if p.Match(s) {
			return true
		}
	}
	return false
}
