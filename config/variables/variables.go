// Package variables puts environment variables into texts.
package variables

import "strings"

// Gap is a place in a text that could not be expanded.
type Gap struct {
	Offset  int // bytes into the text
	Message string
}

// Expand replaces ${NAME} and ${NAME:-default} by their values in env and $$ by a
// dollar. A dollar before anything else is itself, so that patterns can end in
// one. As in the shell, :- also replaces a name that is set but empty. A name
// without value and without default is a gap. So is a text that is $NAME alone, when
// there is such a variable: it was meant.
func Expand(s string, env func(string) string) (string, []Gap) {
	if name, ok := strings.CutPrefix(s, "$"); ok && IsName(name) && env(name) != "" {
		return s, []Gap{{0, "a variable is written ${" + name + "}; write $$ for a dollar"}}
	}
	var out strings.Builder
	var gaps []Gap
	for i := 0; i < len(s); {
		switch {
		case strings.HasPrefix(s[i:], "$$"):
			out.WriteByte('$')
			i += 2
		case strings.HasPrefix(s[i:], "${"):
			inner, _, closed := strings.Cut(s[i+2:], "}")
			name, fallback, hasDefault := strings.Cut(inner, ":-")
			if !closed || !IsName(name) {
				gaps = append(gaps, Gap{i, "not a ${NAME} or ${NAME:-default}; write $$ for a dollar"})
				i += 2
				continue
			}
			text := env(name)
			if text == "" && !hasDefault {
				gaps = append(gaps, Gap{i, "environment variable " + name + " is not set, or is empty, and has no default"})
			}
			if text == "" {
				text = fallback
			}
			out.WriteString(text)
			i += len("${}") + len(inner)
		default:
			out.WriteByte(s[i])
			i++
		}
	}
	return out.String(), gaps
}

// IsName reports whether s can name an environment variable.
func IsName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
