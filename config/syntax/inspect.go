package syntax

import (
	"fmt"
	"regexp"
	"strings"
)

// inspect looks through a text that is no YAML for what its writer most probably did
// wrong: tabs, quotes and brackets that do not match, escapes that are none. It
// returns nil when it sees nothing.
func inspect(lines []string) *Mistake {
	var s inspection
	for s.line = 0; s.line < len(lines); s.line++ {
		text := strings.TrimSuffix(lines[s.line], "\r")
		if found := s.foreign(text); found != nil {
			return found
		}
		if s.quote == 0 && s.inBlock(text) {
			continue
		}
		if found := s.look([]rune(text)); found != nil {
			return found
		}
	}
	switch {
	case s.quote != 0:
		return s.quoteOpen()
	case len(s.open) > 0:
		return s.notClosed()
	}
	return nil
}

// inspection is where inspect is in a text.
type inspection struct {
	line   int
	open   []bracket // of flow style, the innermost last
	quote  rune      // of the scalar that is read, 0 for none
	quoted bracket   // where it began
	block  int       // indentation of the key of a block scalar, plus 1; 0 for none
	closed bool      // in this line, the last bracket was closed
}

// bracket is a bracket, or a quote, and where it is.
type bracket struct {
	sign         rune
	line, column int // from 0
}

var blockHead = regexp.MustCompile(`(^|[-:?] )[|>][-+0-9]*( +#.*)?$`)

var escape = regexp.MustCompile(
	`^\\([0abt\tnvfre "/\\N_LP]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})`)

// inBlock reports whether a line is text of a block scalar, and notes when one begins.
func (s *inspection) inBlock(text string) bool {
	if s.block > 0 {
		if strings.TrimSpace(text) == "" || indent(text) >= s.block {
			return true
		}
		s.block = 0
	}
	if len(s.open) == 0 && blockHead.MatchString(strings.TrimRight(text, " ")) && !blank(text) {
		s.block = indent(text) + 1
	}
	return false
}

// foreign finds what other programs leave in a file of YAML.
func (s *inspection) foreign(text string) *Mistake {
	for _, mark := range []string{"<<<<<<<", "=======", ">>>>>>>"} {
		if rest, ok := strings.CutPrefix(text, mark); ok && (rest == "" || rest[0] == ' ') {
			return s.mistake(0, "two versions of this file are half merged: keep one of them, without the lines of signs")
		}
	}
	if begin, _, ok := strings.Cut(text, "{{"); ok && s.block == 0 && strings.Contains(text[len(begin):], "}}") &&
		!strings.ContainsAny(begin, `"'#`) {
		return s.mistake(len([]rune(begin)), `"{{" begins a variable of a template: this file has to be rendered first`)
	}
	return nil
}

// look goes through one line.
func (s *inspection) look(text []rune) *Mistake {
	s.closed = false
	start := true // a value or a key can begin here
	for i := 0; i < len(text); i++ {
		r := text[i]
		switch {
		case s.quote != 0:
			skip, found := s.inQuote(text, i)
			if found != nil {
				return found
			}
			i, start = i+skip, false
		case r == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t'):
			return nil
		case r == '\t' && len(s.open) == 0 && strings.TrimSpace(string(text[:i])) == "" &&
			!blank(strings.TrimSpace(string(text[i:]))):
			return s.mistake(i, "a tab cannot indent: YAML takes spaces only")
		case r == ' ' || r == '\t':
		case r == '/' && (i == 0 || text[i-1] == ' ') && i+1 < len(text) && text[i+1] == '/':
			return s.mistake(i, `a comment begins with "#"`)
		case start && r == '*' && (i+1 == len(text) || strings.ContainsRune(" ,]}", text[i+1])):
			return s.mistake(i, `"*" begins an alias: a text that begins with it needs quotes`)
		case (r == '"' || r == '\'') && start:
			s.quote, s.quoted = r, bracket{r, s.line, i}
		case strings.ContainsRune("[{", r) && (start || len(s.open) > 0):
			s.open, start = append(s.open, bracket{r, s.line, i}), true
		case strings.ContainsRune("]}", r) && (start || len(s.open) > 0 || s.closed):
			if found := s.close(r, i); found != nil {
				return found
			}
			start = false
		default:
			start = s.begins(text, i)
		}
	}
	return nil
}

// begins reports whether a value can begin after the sign at i.
func (s *inspection) begins(text []rune, i int) bool {
	last := i+1 == len(text)
	switch text[i] {
	case ',':
		return len(s.open) > 0
	case ':':
		return last || text[i+1] == ' ' || len(s.open) > 0 && i > 0 && text[i-1] == '"'
	case '-', '?':
		return (last || text[i+1] == ' ') && strings.Trim(string(text[:i]), " -?") == ""
	}
	return false
}

// inQuote goes on in a quoted text. skip is how many more signs belong to the one at i.
func (s *inspection) inQuote(text []rune, i int) (skip int, found *Mistake) {
	next := rune(0)
	if i+1 < len(text) {
		next = text[i+1]
	}
	switch {
	case s.quote == '"' && text[i] == '\\':
		if next != 0 && !escape.MatchString(string(text[i:])) {
			return 0, s.mistake(i, fmt.Sprintf(`\%c is no escape in double quotes: write \\%c, or use single quotes`, next, next))
		}
		return 1, nil
	case s.quote == '\'' && text[i] == '\'' && next == '\'':
		return 1, nil
	case text[i] != s.quote:
		return 0, nil
	}
	if s.quoted.line != s.line && strings.Contains(string(text[:i]), ": ") {
		return 0, s.quoteOpen() // what was read on the way are other keys
	}
	s.quote = 0
	rest := strings.TrimSpace(string(text[i+1:]))
	if rest != "" && len(s.open) == 0 && !strings.ContainsRune(":#,]}", []rune(rest)[0]) {
		return 0, s.mistake(i+1+strings.Index(string(text[i+1:]), rest),
			"more follows the closing quote: put the whole value in quotes, of the other kind")
	}
	return 0, nil
}

// close takes the innermost bracket, which must be of the same kind.
func (s *inspection) close(r rune, i int) *Mistake {
	if len(s.open) == 0 {
		return s.mistake(i, fmt.Sprintf(`"%c" closes nothing`, r))
	}
	last := s.open[len(s.open)-1]
	if last.sign == '{' && r != '}' || last.sign == '[' && r != ']' {
		return s.mistake(i, fmt.Sprintf(`"%c" does not close the "%c" of line %d, column %d`, r, last.sign, last.line+1,
			last.column+1))
	}
	s.open = s.open[:len(s.open)-1]
	s.closed = len(s.open) == 0
	return nil
}

func (s *inspection) mistake(column int, message string) *Mistake {
	return &Mistake{s.line + 1, column + 1, message}
}

func (s *inspection) quoteOpen() *Mistake {
	return &Mistake{s.quoted.line + 1, s.quoted.column + 1, "this quote is not closed"}
}

// notClosed names the innermost bracket that is open at the end.
func (s *inspection) notClosed() *Mistake {
	last := s.open[len(s.open)-1]
	with := map[rune]rune{'{': '}', '[': ']'}[last.sign]
	return &Mistake{last.line + 1, last.column + 1, fmt.Sprintf(`this "%c" is not closed: "%c" is missing`, last.sign, with)}
}
