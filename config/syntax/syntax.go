// Package syntax reads the text of a YAML file into its syntax tree. What is wrong
// with a text that is no YAML it says once, where the writer went wrong, and in the
// words of somebody who writes such files.
package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Mistake is what is wrong with a text, and where. Line and Column count from 1, in
// characters.
type Mistake struct {
	Line, Column int
	Message      string
}

// ByteOrderMark is what some editors put before a file. It is not part of it.
const ByteOrderMark = "\ufeff"

// Parse returns the one document of a text, nil for an empty one, or what is wrong
// with it. A key that is there twice is no mistake here.
func Parse(data []byte) (ast.Node, *Mistake) {
	text := string(bytes.TrimPrefix(data, []byte(ByteOrderMark)))
	if found := badBytes(text); found != nil {
		return nil, found
	}
	tree, err := parseGuarded(text)
	if err != nil {
		return nil, explain(text, err)
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		if _, comments := doc.Body.(*ast.CommentGroupNode); doc.Body == nil || comments {
			continue
		}
		if body != nil {
			at := begin(doc.Body)
			return nil, &Mistake{at.Line, at.Column, `a second document begins before this; a file is one, without "---" inside`}
		}
		body = doc.Body
	}
	return body, nil
}

// parseGuarded turns a panic of the YAML library into an error: it has had
// several on odd input, and a reload must not end the process.
func parseGuarded(text string) (tree *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s", unclear)
		}
	}()
	return parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
}

func begin(n ast.Node) *token.Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return begin(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return begin(n.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position
	}
	return &token.Position{Line: 1, Column: 1}
}

// badBytes finds what no text has: bytes that are not UTF-8, and control characters.
func badBytes(text string) *Mistake {
	line, column := 1, 0
	for i, r := range text {
		column++
		switch {
		case r == '\n':
			line, column = line+1, 0
		case r == '\ufffd' && !strings.HasPrefix(text[i:], "\ufffd"):
			return &Mistake{line, column, fmt.Sprintf("the byte %#x is not UTF-8: save the file in that encoding", text[i])}
		case r < ' ' && r != '\t' && r != '\r' || r == '\u007f':
			return &Mistake{line, column, fmt.Sprintf("the control character %#x is not allowed in YAML", r)}
		}
	}
	return nil
}

// explain says what an error of the library is about: what the text itself shows
// first, because the library often stumbles lines later.
func explain(text string, err error) *Mistake {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if found := inspect(lines); found != nil {
		return found
	}
	var located interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &located) {
		return &Mistake{1, 1, err.Error()}
	}
	at := Mistake{1, 1, plain(located.GetMessage())}
	if t := located.GetToken(); t != nil && t.Position != nil {
		at.Line, at.Column = t.Position.Line, t.Position.Column
	}
	if strings.HasPrefix(located.GetMessage(), notHere) {
		return misplaced(lines, at)
	}
	return &at
}

// notHere is the library's message for a colon in a value, and for a line that is
// indented below a value.
const notHere = "mapping value is not allowed"

// misplaced tells the two apart.
func misplaced(lines []string, at Mistake) *Mistake {
	for n := at.Line; n < len(lines); n++ { // n counts from 0: the line after
		deep := indent(lines[n])
		if blank(lines[n]) {
			continue
		}
		if deep > indent(lines[at.Line-1]) && strings.Contains(lines[n], ":") {
			return &Mistake{n + 1, deep + 1, "this is indented below a key that has a value already"}
		}
		break
	}
	at.Message = `": " inside a value: put the whole value in quotes`
	return &at
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func blank(line string) bool {
	rest := strings.TrimSpace(line)
	return rest == "" || rest[0] == '#'
}

// plain is what a message of the library means.
func plain(message string) string {
	for _, known := range [...]struct{ part, means string }{
		{"must be specified", "a comma, or the closing bracket, is missing before this"},
		{"is a reserved character", `a value cannot begin with "@" or a backquote: put it in quotes`},
		{"map key-value is pre-defined", "this is neither a key nor an entry of a list: look at its indentation"},
		{"value is not allowed in this context", "this belongs to nothing above it: look at its indentation"},
		{"sequence entries are not allowed in this context", "a list begins in a line of its own, below its key"},
		{"non-map value", `"key: value" is wanted here: the colon, or the space after it, is missing`},
		{"unexpected key name", `"key: value" is wanted here: the colon, or the space after it, is missing`},
		{"implicit line break", `"key: value" is wanted here: the colon, or the space after it, is missing`},
		{"anchor", `"&" begins an anchor: a text that begins with it needs quotes`},
		{"alias", `"*" begins an alias: a text that begins with it needs quotes`},
		{"tag", `"!" begins a tag: a text that begins with it needs quotes`},
		{"directive", `"%" begins a directive: a text that begins with it needs quotes`},
		{"tab character", "a tab cannot indent: YAML takes spaces only"},
		{"multi-line content", `the text that "|" or ">" announces is missing: it is in the lines below, indented`},
		{"map value", "a value is missing"},
		{"but found ','", "a value is missing before this comma"},
		{"unexpected scalar value type", "a value is missing before this comma"},
		{"invalid header option", `"|" and ">" announce a text in the lines below: a text that begins with them needs quotes`},
		{"cannot start any token", "a tab cannot indent: YAML takes spaces only"},
		{"end character of", "this quote is not closed"},
		{"character corresponding to", "this bracket closes nothing"},
		{"end token", "this bracket is not closed"},
		{"flow map content", `"key: value" is wanted here, between "{" and "}"`},
		{"invalid key for this map", "this cannot be a key: a key is plain or quoted text"},
		{"undefined map key", `"?" begins a key: a text that begins with it needs quotes`},
		{"unexpected map key", "this is neither a key nor an entry of a list: look at its indentation"},
		{"unexpected end content", "the text ends here, before its last value"},
		{"document separator", `"---" is alone in its line`},
		{"unknown escape", `this is no escape in double quotes: write "\\" twice, or use single quotes`},
	} {
		if strings.Contains(message, known.part) {
			return known.means
		}
	}
	return unclear
}

// unclear is for what neither the text nor the library explains.
const unclear = "this is no YAML: look at the quotes, the brackets and the indentation here"
