package value

import (
	"slices"
	"strings"
)

// latexAfter are the rests of LaTeX commands whose first letters a strict JSON
// reader would read as a control character: \text, \frac, \boxed, \right …
var latexAfter = map[byte][]string{
	'b': {"oxed", "eta", "inom", "ar", "egin"},
	'f': {"rac", "orall", "loor"},
	'n': {"eq", "abla", "mid"},
	'r': {"ight", "ho", "angle", "floor"},
	't': {"ext", "imes", "heta", "frac", "an", "au"},
}

var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'n': '\n', 't': '\t', 'r': '\r'}

// Unescape undoes JSON escapes and keeps LaTeX that was not escaped.
func Unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) || opensLatex(s[i+1:]) {
			out = append(out, s[i])
			continue
		}
		c, known := escapes[s[i+1]]
		if !known {
			out = append(out, s[i])
			continue
		}
		out = append(out, c)
		i++
	}
	return string(out)
}

func opensLatex(s string) bool {
	return slices.ContainsFunc(latexAfter[s[0]], func(rest string) bool { return strings.HasPrefix(s[1:], rest) })
}
