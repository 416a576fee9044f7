package router

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/similar"
)

// problemsOf are the mistakes of a condition in the words of who writes conditions. Of
// what cannot be parsed it is the first alone: the others follow from it.
func problemsOf(path, source string, found []*cel.Error) []config.Problem {
	var problems []config.Problem
	for _, e := range found {
		at := offset(source, e.Location)
		if strings.Contains(e.Message, "applied to '") && strings.Contains(e.Message, "!error!") {
			continue // of a part that is a mistake itself
		}
		message, isSyntax := strings.CutPrefix(e.Message, "Syntax error: ")
		if isSyntax || strings.HasPrefix(message, "reserved identifier") {
			return []config.Problem{{Path: path, Offset: at, Message: unparsed(source, at, message)}}
		}
		at, message = mistyped(source, at, message)
		problems = append(problems, config.Problem{Path: path, Offset: at, Message: message})
	}
	return problems
}

// spellings are what people write who know other languages.
var spellings = []struct{ written, right string }{
	{"===", "=="}, {"=~", ".matches(…)"}, {"=>", ">="}, {"=<", "<="}, {"<>", "!="}, {"=", "=="}, {"&", "&&"}, {"|", "||"},
	{"and", "&&"}, {"or", "||"}, {"not", "!"}, {"is", "=="}, {"if", "the condition alone"},
	{"True", "true"}, {"False", "false"},
}

// unparsed says why source cannot be parsed at a place, and returns where that is.
func unparsed(source string, at int, message string) string {
	rest, before := source[min(at, len(source)):], source[:min(at, len(source))]
	if strings.HasSuffix(before, "==") && strings.HasPrefix(rest, "=") {
		return `"===" is no operator here: write ==`
	}
	for _, s := range spellings {
		if isWord(s.written, rest) {
			return fmt.Sprintf("%q is no operator here: write %s", s.written, s.right)
		}
	}
	for _, word := range strings.Fields(before)[max(0, len(strings.Fields(before))-1):] {
		for _, s := range spellings {
			if word == s.written && word != "=" {
				return fmt.Sprintf("%q is no operator: write %s", s.written, s.right)
			}
		}
	}
	first, _ := utf8.DecodeRuneInString(rest)
	switch {
	case strings.ContainsRune("“”„‘’«»", first):
		return fmt.Sprintf(`%c is no quote: write " or '`, first)
	case first == '"' || first == '\'':
		if strings.Contains(message, "token recognition") {
			return "this quote is not closed"
		}
		return "an operator is missing before this"
	case strings.HasPrefix(message, "missing ')'"):
		return `a ")" is missing`
	case rest == "":
		return "the condition ends too early: a value is missing"
	case first == ')' || first == ']' || first == '}':
		return fmt.Sprintf(`"%c" closes nothing`, first)
	case strings.Contains(message, "expecting <EOF>"):
		return fmt.Sprintf("%q does not belong here: an operator is missing before it", nextWord(rest))
	}
	return fmt.Sprintf("%q does not belong here", nextWord(rest))
}

// isWord reports whether text begins with a word or an operator, and not with a longer one.
func isWord(word, text string) bool {
	rest, ok := strings.CutPrefix(text, word)
	if !ok {
		return false
	}
	letters := regexp.MustCompile(`^[A-Za-z_]`)
	return !letters.MatchString(word) || !letters.MatchString(rest)
}

var oneWord = regexp.MustCompile(`^([A-Za-z0-9_.]+|.)`)

func nextWord(text string) string { return oneWord.FindString(text) }

// overload is CEL's message for an operator or a function that does not take what it gets.
var overload = regexp.MustCompile(`^found no matching overload for '(.*)' applied to '\((.*)\)'$`)

// mistyped says what is wrong with a name or a type, and where.
func mistyped(source string, at int, message string) (int, string) {
	if field, ok := strings.CutPrefix(message, "undefined field '"); ok {
		field = strings.TrimSuffix(field, "'")
		return at, fmt.Sprintf("there is no field %q%s", field, similar.Hint(field, words()))
	}
	if name, ok := strings.CutPrefix(message, "undeclared reference to '"); ok {
		name, _, _ = strings.Cut(name, "'")
		if strings.HasPrefix(source[min(at, len(source)):], "(") {
			return wordBefore(source, at), unknownFunction(name)
		}
		hint := similar.Hint(name, []string{"request", "tenant", "key", "now", "true", "false"})
		if hint == "" {
			hint = "; a text needs quotes"
		}
		return at, fmt.Sprintf("there is no name %q%s", name, hint)
	}
	if m := overload.FindStringSubmatch(message); m != nil {
		sign := strings.Trim(strings.TrimPrefix(m[1], "@"), "_")
		types := strings.ReplaceAll(m[2], "sluice.", "")
		if sign == "[_]" {
			sign = "[]"
		}
		return at, fmt.Sprintf("%s cannot be applied to (%s)", sign, types)
	}
	return at, message
}

func unknownFunction(name string) string {
	functions := map[string]string{
		"len": "size", "length": "size", "includes": "contains", "like": "matches", "match": "matches",
	}
	if right := functions[name]; right != "" {
		return fmt.Sprintf("there is no function %q; did you mean %q?", name, right)
	}
	return fmt.Sprintf("there is no function %q%s", name, similar.Hint(name, []string{
		"contains", "startsWith", "endsWith", "matches", "size", "has", "exists", "all", "timestamp", "duration",
		"getHours", "getDayOfWeek", "int", "double", "string",
	}))
}

// words are the names of all fields.
func words() []string {
	var all []string
	for _, of := range fields {
		all = append(all, slices.Collect(maps.Keys(of))...)
	}
	slices.Sort(all)
	return all
}

// wordBefore goes from the bracket after a function's name to the name.
func wordBefore(source string, at int) int {
	name := regexp.MustCompile(`[A-Za-z0-9_]*$`)
	return at - len(name.FindString(source[:min(at, len(source))]))
}

// offset turns CEL's place, a line from 1 and a column of code points from 0,
// into bytes. A place outside of source is its end.
func offset(source string, at common.Location) int {
	start := 0
	for range at.Line() - 1 {
		newline := strings.IndexByte(source[start:], '\n')
		if newline < 0 {
			return len(source)
		}
		start += newline + 1
	}
	for range at.Column() {
		_, size := utf8.DecodeRuneInString(source[start:])
		start += size
	}
	return start
}
