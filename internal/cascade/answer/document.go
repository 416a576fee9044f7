package answer

import (
	"encoding/json"
	"strings"
)

// mostTries bounds how often a bracket that opens no document is followed to the
// end of the text.
const mostTries = 16

// mostDocuments bounds the documents of a text that are compared; of more, none is.
const mostDocuments = 512

// documents finds the JSON objects and arrays of a text, and what follows the last
// of them, without the fence around it. An array counts where a line begins with
// it: elsewhere brackets are citations.
func documents(text string) (docs []string, rest string) {
	rest = text
	tries := 0
	for i := 0; i < len(text) && tries < mostTries && len(docs) <= mostDocuments; i++ {
		bracket := strings.IndexAny(text[i:], "{[")
		if bracket < 0 {
			break
		}
		if i += bracket; !opensDocument(text, i) {
			continue
		}
		end := closing(text[i:])
		if end < 0 || !json.Valid([]byte(text[i:i+end])) {
			if tries++; strings.Trim(text[:i], " \t\r\n`jsonJSON") == "" {
				break // the whole text is one document, and broken
			}
			continue
		}
		docs = append(docs, text[i:i+end])
		i += end - 1
		rest = text[i+1:]
	}
	if len(docs) == 0 {
		return nil, text
	}
	return docs, strings.Trim(rest, " \t\r\n`*.")
}

// opensDocument reports whether the bracket at i does.
func opensDocument(text string, i int) bool {
	after := strings.TrimLeft(text[i+1:min(len(text), i+200)], " \t\r\n")
	if after == "" {
		return false
	}
	if text[i] == '{' && after[0] == '"' {
		return true
	}
	before := strings.TrimRight(text[:i], " \t")
	begins := before == "" || before[len(before)-1] == '\n'
	opens := "}"
	if text[i] == '[' {
		opens = `{["-0123456789]tfn`
	}
	return begins && strings.IndexByte(opens, after[0]) >= 0
}

// closing is where the bracket that s begins with is closed, -1 for nowhere.
func closing(s string) int {
	depth, inString := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// thoughts are the elements in which models think aloud before they answer.
var thoughts = []string{"thinking", "think", "thought", "reasoning", "reflection", "scratchpad", "analysis"}

// visible is a text without what a model thinks aloud before its answer. One that
// never ends its thoughts has no answer.
func visible(text string) string {
	text = strings.TrimSpace(text)
	for again := true; again && strings.HasPrefix(text, "<"); {
		again = false
		for _, name := range thoughts {
			inside, ok := strings.CutPrefix(text, "<"+name+">")
			if !ok {
				continue
			}
			_, after, closed := strings.Cut(inside, "</"+name+">")
			if !closed {
				return ""
			}
			text, again = strings.TrimSpace(after), true
		}
	}
	return text
}
