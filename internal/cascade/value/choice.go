package value

import "strings"

// Choices are the letters under which a request offers answers to choose from, one
// bit a letter from A on. The zero value offers none.
type Choices uint32

// Offered finds the choices in the text of a request: lines that begin with A and
// B as a list does, such as "A. …", "(A) …", "A) …", "A: …", or the same within a line.
func Offered(prompt string) (c Choices) {
	for rest := prompt; rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		line = strings.TrimLeft(line, " \t*-(")
		if len(line) > 2 && line[0] >= 'A' && line[0] <= 'Z' && strings.IndexByte(".):", line[1]) >= 0 &&
			strings.IndexByte(" *\t", line[2]) >= 0 {
			c |= 1 << (line[0] - 'A')
		}
	}
	const aAndB = 3
	if c&aAndB != aAndB {
		c = inLine(prompt)
	}
	if c&aAndB != aAndB {
		return 0
	}
	return c
}

// inLine finds choices that are written one after the other: (A) … (B) …, A) … B) ….
func inLine(s string) (c Choices) {
	for i := strings.IndexByte(s, ')'); i >= 0 && s != ""; i = strings.IndexByte(s, ')') {
		if i > 0 && s[i-1] >= 'A' && s[i-1] <= 'Z' && (i == 1 || strings.IndexByte(" (\n\t*", s[i-2]) >= 0) {
			c |= 1 << (s[i-1] - 'A')
		}
		s = s[i+1:]
	}
	return c
}

func (c Choices) has(letter byte) bool {
	return letter >= 'A' && letter <= 'Z' && c&(1<<(letter-'A')) != 0
}

// pick reads a letter that stands for a choice: B and (B) always; "B. text", "B)
// text", "(B) text", "option B" where B was offered. Elsewhere a letter with a full
// stop begins a name.
func (c Choices) pick(s string) (Value, bool) {
	bare := strings.TrimSuffix(strings.TrimPrefix(s, "("), ")")
	if len(bare) == 1 && bare[0] >= 'A' && bare[0] <= 'Z' {
		return Value{text: bare, offered: c.has(bare[0])}, true
	}
	for _, lead := range [...]string{"option ", "Option ", "choice ", "Choice "} {
		s = strings.TrimPrefix(s, lead)
	}
	open := strings.HasPrefix(s, "(")
	s = strings.TrimPrefix(s, "(")
	if s == "" || !c.has(s[0]) || inLine(s[1:])&^(1<<(s[0]-'A')) != 0 { // A) … B) … is an answer of parts
		return Value{}, false
	}
	rest := s[1:]
	switch {
	case rest == "" || rest == ")", open && rest[0] == ')', strings.HasPrefix(rest, ") "):
		return Value{text: s[:1], offered: true}, true
	case !open && len(rest) > 1 && (rest[0] == '.' || rest[0] == ':') && rest[1] == ' ':
		return Value{text: s[:1], offered: true}, true
	}
	return Value{}, false
}
