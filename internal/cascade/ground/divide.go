package ground

import (
	"bytes"
	"strings"
)

// divide splits what somebody said into what is supplied in it and the rest.
func (s *Source) divide(r region) {
	at := r.start
	flush := func(end int, supplied bool) {
		if end > at {
			s.regions = append(s.regions, region{at, end, supplied, r.user})
		}
		at = end
	}
	section := false
	for i := r.start; i < r.end; {
		end := r.end
		if n := bytes.IndexByte(s.text[i:r.end], '\n'); n >= 0 {
			end = i + n + 1
		}
		line := s.text[i:end]
		switch label := labelOf(line); {
		case label == labelSupplied && !section:
			flush(i, false)
			section = true
		case label == labelQuestion && section:
			flush(i, true)
			section = false
		}
		if section {
			i = end
			continue
		}
		open, closing := tagged(s.text[i:end], s.text[i:r.end])
		if open < 0 {
			i = end
			continue
		}
		flush(i+open, false)
		flush(i+closing, true)
		i += closing
	}
	if section && at > r.start {
		at = s.trailing(at, r)
	}
	flush(r.end, section)
}

// trailing cuts a question off the end of a section that nothing ends: the last
// paragraph, when it asks and the section has others.
func (s *Source) trailing(at int, r region) int {
	text := bytes.TrimRight(s.text[at:r.end], "\n ")
	i := bytes.LastIndex(text, []byte("\n\n"))
	if i < 0 || !bytes.ContainsAny(text[i:], "?？؟") || len(text)-i > maxQuestion {
		return at
	}
	s.regions = append(s.regions, region{at, at + i, true, r.user})
	s.regions = append(s.regions, region{at + i, r.end, false, r.user})
	return r.end
}

// tagged finds the first element of a line that holds what to answer from. It
// returns where it begins and ends in text, whose beginning line is; open is -1
// without one.
func tagged(line, text []byte) (open, closing int) {
	for from := 0; ; {
		i := bytes.IndexByte(line[from:], '<')
		if i < 0 {
			return -1, 0
		}
		i += from
		name := tagName(line[i+1:])
		if name == "" || !lexicon.tags[name] {
			from = i + 1
			continue
		}
		end := bytes.LastIndex(text, []byte("</"+string(line[i+1:i+1+len(name)])))
		if end < i {
			from = i + 1
			continue
		}
		if j := bytes.IndexByte(text[end:], '>'); j >= 0 {
			return i, end + j + 1
		}
		return i, len(text)
	}
}

// named reports whether a byte can be in the name of an element.
func named(b byte) bool {
	return classes[b] == cLetter || classes[b] == cUpper || b == '_' || b == '-'
}

// tagName is the name of an element at the begin of text, in lower case; "" when
// there is none.
func tagName(text []byte) string {
	const longest = 24
	n := 0
	for n < len(text) && n <= longest && named(text[n]) {
		n++
	}
	if n == 0 || n > longest {
		return ""
	}
	if rest := text[n:]; len(rest) == 0 || rest[0] != '>' && rest[0] != ' ' && (rest[0] < '0' || rest[0] > '9') {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(string(text[:n])), "-", "_")
}

// label is what a line introduces.
type label uint8

const (
	labelNone label = iota
	labelSupplied
	labelQuestion
)

// labelNames are the labels as lexicon.txt names them.
var labelNames = map[string]label{"supplied": labelSupplied, "question": labelQuestion}

// labelOf is what a line introduces: "Context:", "## Sources", "[1] …",
// "Document 2: …".
func labelOf(line []byte) label {
	line = bytes.TrimSpace(line)
	heading := len(line) > 1 && (line[0] == '#' || line[0] == '*' && line[1] == '*' || line[0] == '=' && line[1] == '=')
	if bytes.HasPrefix(line, []byte("[")) && numbered(line) {
		return labelSupplied
	}
	line = bytes.Trim(line, "#*=-_ \t<>【】[]")
	name := line
	if i := bytes.IndexAny(line, ":："); i >= 0 {
		name = line[:i]
	} else if !heading {
		return labelNone
	}
	if len(name) > 48 {
		return labelNone
	}
	var room [64]byte
	key := appendFolded(room[:0], bytes.Trim(name, "#*=-_ \t【】[]"))
	if l := lexicon.labels[string(key)]; l != labelNone {
		return l
	}
	// Document 1, Source [2], Document 3 (Title), 文档1
	if i := bytes.IndexAny(key, "0123456789(["); i > 0 {
		if lexicon.labels[string(bytes.TrimRight(key[:i], " ([#"))] == labelSupplied {
			return labelSupplied
		}
	}
	return labelNone
}

// numbered reports whether a line begins with a number in brackets and has text
// behind it.
func numbered(line []byte) bool {
	i := 1
	for i < len(line) && line[i] >= '0' && line[i] <= '9' {
		i++
	}
	return i > 1 && i < 5 && i+1 < len(line) && line[i] == ']' && len(bytes.TrimSpace(line[i+1:])) > 8
}
