package answer

import (
	"slices"
	"strings"
)

// finalAnswer finds the answer that a text marks as such. A member called
// answer wins, because it is what a program reads; then \boxed{}; then a
// phrase. Of each the last one counts: models correct themselves.
func finalAnswer(text string) (value, bool) {
	for _, find := range []func(string) (string, bool){lastMember, lastBoxed, lastPhrase} {
		if raw, ok := find(text); ok {
			return normal(raw), true
		}
	}
	return value{}, false
}

// answerNames are the member names under which answers are asked for.
var answerNames = map[string]bool{
	"answer": true, "Answer": true, "final_answer": true, "finalAnswer": true, "result": true, "output": true,
	"solution": true, "label": true, "choice": true, "verdict": true, "prediction": true, "category": true,
	"classification": true,
}

// longestFinal bounds a final answer in bytes; more is an explanation.
const longestFinal = 400

// lastMember finds the last member with a name of answerNames and returns its
// value as text. It does not need valid JSON: models leave quotes, newlines
// and backslashes unescaped in the reasoning before it.
func lastMember(text string) (string, bool) {
	for end := len(text); ; {
		colon := strings.LastIndexByte(text[:end], ':')
		if colon < 0 {
			return "", false
		}
		if answerNames[nameBefore(text[:colon])] {
			raw, ok := memberValue(text[colon+1:])
			return raw, ok && len(raw) <= longestFinal
		}
		end = colon
	}
}

// nameBefore returns the quoted name at the end of text, "" without one.
func nameBefore(text string) string {
	text = strings.TrimRight(text, " \t\r\n")
	if !strings.HasSuffix(text, `"`) {
		return ""
	}
	text = text[:len(text)-1]
	return text[strings.LastIndexByte(text, '"')+1:]
}

// memberValue reads the value at the start of rest, tolerantly.
func memberValue(rest string) (string, bool) {
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest == "" {
		return "", false
	}
	switch rest[0] {
	case '"':
		return looseString(rest[1:])
	case '{', '[', '(':
		return balanced(rest)
	}
	if end := strings.IndexAny(rest, ",}\n"); end >= 0 {
		rest = rest[:end]
	}
	rest = strings.TrimSpace(rest)
	return rest, rest != ""
}

// looseString reads a JSON string after its opening quote. A quote ends it
// only before what may follow a value, so unescaped quotes inside survive.
func looseString(rest string) (string, bool) {
	for i := 0; i < len(rest); i++ {
		if rest[i] == '\\' {
			i++
			continue
		}
		if rest[i] == '"' && endsMember(rest[i+1:]) {
			return unescape(rest[:i]), true
		}
	}
	return "", false
}

// endsMember reports whether rest can follow a member's value: the end of the
// object, of the text, or a comma and the name of the next member.
func endsMember(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest == "" || rest[0] == '}' || strings.HasPrefix(rest, "```") {
		return true
	}
	if rest[0] != ',' {
		return false
	}
	rest = strings.TrimLeft(rest[1:], " \t\r\n")
	if rest == "" || rest[0] == '}' {
		return true
	}
	if rest[0] != '"' {
		return false
	}
	end := strings.IndexByte(rest[1:], '"')
	return end >= 0 && strings.HasPrefix(strings.TrimLeft(rest[end+2:], " \t\r\n"), ":")
}

// balanced returns the bracketed value at the start of s.
func balanced(s string) (string, bool) {
	depth := 0
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{' || c == '[' || c == '(':
			depth++
		case c == '}' || c == ']' || c == ')':
			if depth--; depth == 0 {
				return s[:i+1], true
			}
		}
	}
	return "", false
}

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

// unescape undoes JSON escapes and keeps LaTeX that was not escaped.
func unescape(s string) string {
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

// lastBoxed returns the contents of the last \boxed{}.
func lastBoxed(text string) (string, bool) {
	i := strings.LastIndex(text, `boxed{`)
	if i < 0 {
		return "", false
	}
	rest := text[i+len("boxed"):]
	contents, _, ok := group(rest[:min(len(rest), longestFinal)])
	return contents, ok
}

// afterAnswer are the words that make "answer" introduce one, and leads are
// the other introductions. They are looked for in lower case.
var (
	afterAnswer = []string{" is", ":", " should be", " would be", " must be", " ="}
	leads       = []string{"####", "result is:", "output is:", "output will be:"}
)

// phraseTail is how much of the end of a text is looked at for phrases.
const phraseTail = 1536 // bytes

// lastPhrase returns what follows the last phrase of the tail.
func lastPhrase(text string) (string, bool) {
	tail := text[max(0, len(text)-phraseTail):]
	lower := asciiLower(tail)
	at := afterLastAnswer(lower)
	for _, lead := range leads {
		if i := strings.LastIndex(lower, lead); i >= 0 {
			at = max(at, i+len(lead))
		}
	}
	if at < 0 {
		return "", false
	}
	rest := strings.TrimLeft(tail[at:], " \t\r\n:*_`")
	line, _, _ := strings.Cut(rest, "\n")
	line = strings.TrimSpace(firstSentence(line))
	return line, line != "" && len(line) <= longestFinal
}

// afterLastAnswer returns where the last phrase with "answer" ends, or -1.
func afterLastAnswer(lower string) int {
	const word = "answer"
	for end := len(lower); ; {
		i := strings.LastIndex(lower[:end], word)
		if i < 0 {
			return -1
		}
		for _, after := range afterAnswer {
			if strings.HasPrefix(lower[i+len(word):], after) {
				return i + len(word) + len(after)
			}
		}
		end = i
	}
}

// firstSentence cuts at a full stop that is followed by a space and a capital.
func firstSentence(line string) string {
	for i := 0; i+2 < len(line); i++ {
		if line[i] == '.' && line[i+1] == ' ' && line[i+2] >= 'A' && line[i+2] <= 'Z' && i > 1 {
			return line[:i]
		}
	}
	return line
}

// asciiLower keeps every byte offset, which strings.ToLower does not.
func asciiLower(s string) string {
	out := []byte(s)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return string(out)
}

// lastNumber returns the last number of the last paragraph, leaving out the
// numbers that open list items.
func lastNumber(text string) (value, bool) {
	if i := strings.LastIndex(text, "\n"); i >= 0 {
		text = text[i+1:]
	}
	text = text[max(0, len(text)-300):]
	fields := strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune(" \t=()[]*:;`\"'", r)
	})
	for i := len(fields) - 1; i >= 0; i-- {
		if i == 0 && strings.HasSuffix(fields[0], ".") {
			break
		}
		if n, ok := plainNumber(strings.Trim(fields[i], ".,!?$€£%{}\\")); ok {
			return n, true
		}
	}
	return value{}, false
}
