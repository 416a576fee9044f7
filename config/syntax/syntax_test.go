package syntax

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// TestMistakes: a text that is no YAML is told once, where its writer went wrong. U13
func TestMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		body, found := Parse([]byte(text))
		got := "right"
		if found != nil {
			got = fmt.Sprintf("%d:%d %s", found.Line, found.Column, found.Message)
			if body != nil {
				t.Errorf("%q: both a body and a mistake", text)
			}
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
	f("a: 1\n", "right")
	f("", "right")
	f("# nothing\n---\n# more\n", "right")
	f("\ufeffa: b\r\nc: d\r\n", "right")
	f("a: x[0] == \"y\"\nb: {c: 'it''s'}\nd: |\n  {[\"\n  \te\nf: 1\n", "right")

	f("a:\n\tb: 1\n", "2:1 a tab cannot indent: YAML takes spaces only")
	f("a:\n  b: 1\n \t c: 1\n", "3:2 a tab cannot indent: YAML takes spaces only")
	f("a: {b: c\nd: e\n", `1:4 this "{" is not closed: "}" is missing`)
	f("a: [{b: c}\nd: e\n", `1:4 this "[" is not closed: "]" is missing`)
	f("a: [b, c}\n", `1:9 "}" does not close the "[" of line 1, column 4`)
	f("a: {b: c}}\n", `1:10 "}" closes nothing`)
	f("a: [b]]\nc: d\n", `1:7 "]" closes nothing`)
	f("a: \"b\nc: d\n", "1:4 this quote is not closed")
	f("a: 'b\nc: d\ne: 'f'\n", "1:4 this quote is not closed")
	f("a: {b: \"c}\nd: e\n", "1:8 this quote is not closed")
	f("a: \"\\d+\"\n", `1:5 \d is no escape in double quotes: write \\d, or use single quotes`)
	f("a: \"b\" == c\n", "1:8 more follows the closing quote: put the whole value in quotes, of the other kind")
	f("a: b: c\n", `1:4 ": " inside a value: put the whole value in quotes`)
	f("a:\n  b: 1\n   c: 2\n", "3:4 this is indented below a key that has a value already")
	f("a: @b\n", `1:4 a value cannot begin with "@" or a backquote: put it in quotes`)
	f("a: `b`\n", `1:4 a value cannot begin with "@" or a backquote: put it in quotes`)
	f("a:\n  - b: 1\n  c: 2\n", "3:3 this belongs to nothing above it: look at its indentation")
	f("a: \"\\x4\"\n", `1:5 \x is no escape in double quotes: write \\x, or use single quotes`)
	f("a: [b, , c]\n", "1:8 a value is missing before this comma")
	f("a: {b: c,,}\n", "1:10 a value is missing before this comma")
	f("a: - b\n", "1:4 a list begins in a line of its own, below its key")
	f("a: 1\nb\nc: 2\n", `2:1 "key: value" is wanted here: the colon, or the space after it, is missing`)
	f("a: 1\n---\nb: 2\n", `3:1 a second document begins before this; a file is one, without "---" inside`)
	f("a: [*]\n", `1:5 "*" begins an alias: a text that begins with it needs quotes`)
	f("a: {b: *, c: d}\n", `1:8 "*" begins an alias: a text that begins with it needs quotes`)
	f("a: {\"b\": \"c\"} // d\n", `1:15 a comment begins with "#"`)
	f("{\"a\": {\"b\": \"c\"}, // d\n\"e\": \"f\"}\n", `1:19 a comment begins with "#"`)
	f("a: {b: {{ .Values.c }}}\n", `1:8 "{{" begins a variable of a template: this file has to be rendered first`)
	f("a: b\n<<<<<<< HEAD\nc: d\n=======\nc: e\n>>>>>>> x\n",
		"2:1 two versions of this file are half merged: keep one of them, without the lines of signs")
	f("a: >b\n", `1:4 "|" and ">" announce a text in the lines below: a text that begins with them needs quotes`)
	f("? [a, b]\n: 1\n", "2:1 this cannot be a key: a key is plain or quoted text")
	f("a: b '\n", "right")
	f("a: [b] '\n", "1:8 this quote is not closed")
	f("a: [b] ? c\n", "1:8 this belongs to nothing above it: look at its indentation")
	f("--- a: b\n", `1:5 "---" is alone in its line`)
	f("a: \"\xff\"\n", "1:5 the byte 0xff is not UTF-8: save the file in that encoding")
	f("a: b\x00\n", "1:5 the control character 0x0 is not allowed in YAML")
}

// TestMistakesAreInPlainWords: whatever is put into a file or cut out of it, no message is the
// YAML library's own, and few are unclear. U13
func TestMistakesAreInPlainWords(t *testing.T) {
	whole, err := os.ReadFile("../example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	signs := []string{
		"{", "}", "[", "]", ":", ",", "*", "&", "!", "|", ">", "%", "?", "- ", "\t", "'", "\"", "#", "\n", " ", "@", "`",
		"<<: ", "*x", "&x ", "!!x ", "---", "...", "//", "{{ x }}", "${X}", "=", ";", "\\", ": ", "~", "<<<<<<< H\n",
	}
	draw := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	wrong, vague := 0, 0
	for range 5000 {
		from := draw.IntN(len(lines))
		text := strings.Join(lines[from:min(len(lines), from+1+draw.IntN(12))], "")
		for range 1 + draw.IntN(2) {
			at := draw.IntN(len(text) + 1)
			if cut := draw.IntN(4) == 0 && at < len(text); cut {
				text = text[:at] + text[at+1:]
			} else {
				text = text[:at] + signs[draw.IntN(len(signs))] + text[at:]
			}
		}
		_, found := Parse([]byte(text))
		if found == nil {
			continue
		}
		if wrong++; found.Message == unclear {
			vague++
		}
		for _, raw := range []string{"token", "character '", "could not", "header", "YAML: ", "map", "sequence", "scalar"} {
			if strings.Contains(found.Message, raw) {
				t.Errorf("%q of the library in %q\n%s", raw, found.Message, text)
			}
		}
	}
	if wrong < 1000 || vague > wrong/100 {
		t.Errorf("of %d mistakes %d are unclear", wrong, vague)
	}
}

// FuzzParse: whatever a text is, there is an answer, and a mistake is inside of it.
func FuzzParse(f *testing.F) {
	f.Add("a: {b: [c, \"d\\x\"}\n\te: 'f")
	f.Fuzz(func(t *testing.T, text string) {
		_, found := Parse([]byte(text))
		if found != nil && (found.Line < 1 || found.Column < 1 || found.Message == "") {
			t.Errorf("%+v", found)
		}
	})
}
