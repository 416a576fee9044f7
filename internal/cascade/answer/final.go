package answer

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/value"
)

// finalAnswer finds the answer that a text marks as such. A member called
// answer wins, because it is what a program reads; then \boxed{}; then a
// phrase. Of each the last one counts: models correct themselves. An answer that
// is taken back behind it is none.
func finalAnswer(text string, offered value.Choices) (value.Value, bool) {
	if raw, ok := lastMember(text); ok {
		return value.Of(raw, offered), true
	}
	if raw, rest, ok := lastBoxed(text); ok {
		return value.Of(raw, offered), !takesBack(rest)
	}
	if line, rest, ok := lastPhrase(text); ok && !takesBack(rest) {
		return phraseValue(line, offered)
	}
	return value.Value{}, false
}

// phraseValue is what a line says after "the answer is". Where its first sentence
// is a value that is no text, the rest explains it. A text is compared whole,
// because a full stop may be one of a name.
func phraseValue(line string, offered value.Choices) (value.Value, bool) {
	whole := value.Of(line, offered)
	sentence := firstSentence(line)
	if sentence == line || !whole.IsText() {
		return whole, true
	}
	first := value.Of(sentence, offered)
	if first.IsText() || takesBack(line[len(sentence):]) {
		return whole, true
	}
	return first, true
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
			return raw, ok && len(raw) <= longestFinal && !saysMore(text[colon+1:], raw)
		}
		end = colon
	}
}

// saysMore reports whether another member follows the answer in a document that is
// not strict JSON. Then the answer is not all that it says.
func saysMore(rest, raw string) bool {
	i := strings.Index(rest, raw)
	if i < 0 {
		return false
	}
	rest = strings.TrimLeft(rest[i+len(raw):], " \t\r\n\"")
	if after, closed := strings.CutPrefix(rest, "}"); closed {
		after = strings.TrimLeft(after, " \t\r\n")
		return after != "" && strings.IndexByte("}],", after[0]) >= 0 // the answer is inside another value
	}
	name, found := strings.CutPrefix(rest, ",")
	if !found {
		return false
	}
	name = strings.TrimLeft(name, " \t\r\n")
	if !strings.HasPrefix(name, `"`) {
		return false
	}
	name, after, closed := strings.Cut(name[1:], `"`)
	return closed && strings.HasPrefix(strings.TrimLeft(after, " "), ":") && !value.Explains(name)
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
			return value.Unescape(rest[:i]), true
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

// lastBoxed returns the contents of the last \boxed{}, or of all of its line, and
// the text behind it.
func lastBoxed(text string) (contents, rest string, ok bool) {
	i := strings.LastIndex(text, `boxed{`)
	if i < 0 {
		return "", "", false
	}
	rest = text[i+len("boxed"):]
	contents, _, ok = value.Group(rest[:min(len(rest), longestFinal)])
	if !ok {
		return "", "", false
	}
	rest = rest[len(contents)+2:]
	for line := text[strings.LastIndexByte(text[:i], '\n')+1 : i]; ; {
		at := strings.LastIndex(line, `boxed{`)
		if at < 0 || len(contents) > longestFinal {
			return contents, rest, true
		}
		if before, _, closed := value.Group(line[at+len("boxed"):]); closed && before != contents {
			contents = before + "; " + contents
		}
		line = line[:at]
	}
}

// afterAnswer are the words that make "answer" introduce one, and leads are
// the other introductions. They are looked for in lower case.
var (
	afterAnswer = []string{" is", ":", " should be", " would be", " must be", " ="}
	leads       = []string{"####", "result is:", "output is:", "output will be:"}
)

// phraseTail is how much of the end of a text is looked at for phrases.
const phraseTail = 1536 // bytes

// lastPhrase returns the rest of the line after the last phrase of the tail, and
// what follows the line.
func lastPhrase(text string) (line, rest string, ok bool) {
	tail := text[max(0, len(text)-phraseTail):]
	lower := asciiLower(tail)
	at := afterLastAnswer(lower)
	for _, lead := range leads {
		if i := strings.LastIndex(lower, lead); i >= 0 {
			at = max(at, i+len(lead))
		}
	}
	if at < 0 {
		return "", "", false
	}
	after := strings.TrimLeft(tail[at:], " \t\r\n:")
	for _, mark := range [...]string{"**", "__", "*", "_"} { // **Answer:** B
		if behind, ok := strings.CutPrefix(after, mark); ok && strings.TrimLeft(behind, " \r\n") != behind {
			after = strings.TrimLeft(behind, " \t\r\n:")
		}
	}
	line, rest, _ = strings.Cut(after, "\n")
	line = unpaired(strings.TrimSpace(line))
	return line, rest, line != "" && len(firstSentence(line)) <= longestFinal
}

// unpaired drops a mark of emphasis at the end of a line whose beginning is before
// it: **Answer: B**.
func unpaired(line string) string {
	for _, mark := range [...]string{"**", "__", "`"} {
		if strings.Count(line, mark)%2 == 1 {
			line = strings.TrimSuffix(line, mark)
		}
	}
	return line
}

// takesBack reports whether a text that follows an answer corrects it.
func takesBack(rest string) bool {
	if len(rest) < 4 {
		return false
	}
	lower := strings.ToLower(rest[:min(len(rest), phraseTail)])
	return slices.ContainsFunc(corrections, func(word string) bool { return strings.Contains(lower, word) })
}

// corrections are words by which an answer is taken back.
var corrections = []string{
	"correction", "wait", "actually", "mistake", "scratch that", "on second thought", "i meant", "should be",
	"make that", "not correct", "incorrect", "i was wrong", "that is wrong", "that's wrong", "my error", "instead",
	"apologi", "let me re", "sorry", "korrektur", "moment", "stattdessen", "richtig wäre", "erreur", "en fait",
	"plutôt", "corrección", "en realidad", "perdón", "errata", "correção", "na verdade", "correzione", "in realtà",
	"исправ", "更正", "应该是", "訂正", "정정",
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
