package traits

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// readLines counts what Markdown makes of lines.
func (t *text) readLines(s string) {
	for len(s) > 0 {
		line := s
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			line, s = s[:i], s[i+1:]
		} else {
			s = ""
		}
		t.lines++
		line = strings.TrimLeft(line, " \t")
		switch {
		case line == "" || line == "\r":
			t.blank++
		case strings.HasPrefix(line, "```") || strings.HasPrefix(line, "~~~"):
			t.fences++
			t.inFence = !t.inFence
		case t.inFence:
		case line[0] == '#':
			t.headings++
		case line[0] == '|':
			t.rows++
		case bullet(line):
			t.bullets++
		case numbered(line):
			t.items++
		case strings.HasPrefix(line, "**") && strings.HasSuffix(strings.TrimRight(line, " :\r"), "**"):
			t.headings++
		}
	}
}

// bullet reports whether a line is an item of a list without numbers.
func bullet(line string) bool {
	marked := len(line) > 1 && (line[0] == '-' || line[0] == '*' || line[0] == '+') && line[1] == ' '
	return marked || strings.HasPrefix(line, "•")
}

// numbered reports whether a line is an item of a numbered list.
func numbered(line string) bool {
	n := 0
	for n < len(line) && n < 3 && line[n] >= '0' && line[n] <= '9' {
		n++
	}
	return n > 0 && n+1 < len(line) && (line[n] == '.' || line[n] == ')') && (line[n+1] == ' ' || line[n+1] == '*')
}

// startsJSON reports whether a text is a JSON document, or has a fence of one.
func startsJSON(s string) bool {
	s = strings.TrimSpace(s)
	return strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") || strings.Contains(s, "```json")
}

// How a text ends.
const (
	endOther = iota
	endStop  // of a sentence
	endAsk   // a question
	endOpen  // a letter, digit, comma or colon: perhaps it was cut
	endFence // of code
)

func endOf(s string) byte {
	s = strings.TrimRightFunc(s, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`*"”)`, r) })
	if strings.HasSuffix(s, "```") {
		return endFence
	}
	r, _ := utf8.DecodeLastRuneInString(s)
	switch {
	case r == '.' || r == '!' || r == '。' || r == '！' || r == '।':
		return endStop
	case r == '?' || r == '？' || r == '؟':
		return endAsk
	case unicode.IsLetter(r) || unicode.IsDigit(r) || r == ',' || r == ':' || r == ';' || r == '-':
		return endOpen
	}
	return endOther
}
