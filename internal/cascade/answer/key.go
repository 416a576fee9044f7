package answer

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kind is where in an answer a key was found.
type Kind int

// The kinds, the most certain first; the zero value is no key.
const (
	NoKey     Kind = iota
	CallKey        // tool calls: names and canonical arguments
	SchemaKey      // structured output: all values but long strings
	ValuesKey      // JSON without a member that names the answer: all short values
	FinalKey       // a marked final answer: a member called answer, \boxed{}, "the answer is"
	NumberKey      // the last number of the last paragraph
	WholeKey       // a short answer as a whole
)

var kindNames = [...]string{"none", "tool_call", "json_schema", "json", "final_answer", "number", "whole"}

// String returns the name of the kind in records and metrics.
func (k Kind) String() string { return kindNames[k] }

// Key is the essence of an answer, for comparison. The zero value is unknown.
type Key struct {
	Kind  Kind
	value value
}

// String returns the canonical form, for logs and tests.
func (k Key) String() string { return k.value.text }

// Agreement is the result of comparing two answers.
type Agreement int

// The zero value is unknown: at least one of the answers has no key.
const (
	Unknown Agreement = iota
	Same
	Different
)

var agreementNames = [...]string{"unknown", "same", "different"}

// String returns the name in records and metrics.
func (a Agreement) String() string { return agreementNames[a] }

// Agree compares two keys. Tool calls and structured output agree only with keys
// of the same kind. A final answer, a number and a short answer are compared by
// value, wherever each of them was found.
func Agree(a, b Key) Agreement {
	if a.Kind == NoKey || b.Kind == NoKey {
		return Unknown
	}
	if a.Kind != b.Kind && (a.Kind < FinalKey || b.Kind < FinalKey) {
		return Different
	}
	if a.value.same(b.value) {
		return Same
	}
	return Different
}

// KeyOf finds the key of an answer, of the most certain kind that it has.
func KeyOf(r *Request, a *Answer) Key {
	if len(a.ToolCalls) > 0 {
		return callKey(a.ToolCalls)
	}
	text := strings.TrimSpace(a.Text)
	if r.Schema != nil {
		return documentKey(SchemaKey, unfenced(text))
	}
	doc, members := lastDocument(text)
	if members > 1 {
		return documentKey(ValuesKey, doc)
	}
	if final, ok := finalAnswer(text); ok {
		return Key{FinalKey, final}
	}
	if doc == "" {
		doc = unfenced(text)
	}
	if k := documentKey(ValuesKey, doc); k.Kind != NoKey && strings.ContainsAny(doc[:1], "{[") {
		return k
	}
	if len(text) <= maxWhole && !strings.Contains(text, "\n") && text != "" {
		return Key{WholeKey, normal(text)}
	}
	if number, ok := lastNumber(text); ok {
		return Key{NumberKey, number}
	}
	return Key{}
}

const (
	maxWhole = 64 // bytes of an answer that is compared as a whole
	longText = 60 // bytes from which a string in JSON is prose, which no two models write the same
)

// besides are members in which a model explains itself. They are not part of the
// answer proper.
var besides = map[string]bool{
	"reasoning": true, "reason": true, "reasons": true, "explanation": true, "rationale": true, "thought": true,
	"thoughts": true, "thinking": true, "analysis": true, "steps": true, "justification": true, "confidence": true,
	"certainty": true, "comment": true,
}

// lastDocument finds the JSON object that a text gives and returns it without
// explanations, with the number of members that are left. An object of several
// members is more than the one that is called answer. Text that is not strict JSON
// is not found here; finalAnswer reads it more tolerantly.
func lastDocument(text string) (doc string, members int) {
	start := strings.IndexByte(text, '{')
	if start < 0 || !strings.HasPrefix(strings.TrimLeft(text[start+1:], " \t\r\n"), `"`) {
		return "", 0
	}
	var object map[string]json.RawMessage
	if json.NewDecoder(strings.NewReader(text[start:])).Decode(&object) != nil {
		return "", 0
	}
	for name, raw := range object {
		prose := len(raw) >= longText && raw[0] == '"'
		if !prose && !besides[asciiLower(name)] {
			members++
			continue
		}
		delete(object, name)
	}
	if members == 0 {
		return "", 0
	}
	left, err := json.Marshal(object)
	if err != nil {
		panic("BUG: members that were read do not marshal: " + err.Error())
	}
	return string(left), members
}

// callKey joins the calls in an order of their own: models call tools that do
// not depend on each other in any order.
func callKey(calls []ToolCall) Key {
	parts := make([]string, 0, len(calls))
	for _, call := range calls {
		args, ok := canonical(call.Input, len(call.Input)+1)
		if !ok {
			return Key{}
		}
		parts = append(parts, call.Name+args)
	}
	slices.Sort(parts)
	return Key{CallKey, value{text: strings.Join(parts, "\n"), exact: true}}
}

// documentKey compares JSON by its values, leaving long strings out. A
// document with nothing but prose has no key.
func documentKey(kind Kind, doc string) Key {
	text, ok := canonical([]byte(doc), longText)
	if !ok || !strings.ContainsAny(strings.ReplaceAll(text, proseMark, ""), ":0123456789tfn\"") || onlyProse(text) {
		return Key{}
	}
	return Key{kind, value{text: text, exact: true}}
}

// proseMark replaces a long string in a canonical document.
const proseMark = "…"

// canonical writes a JSON document with sorted members, no spaces and numbers
// by value. Strings of prose bytes or more become proseMark.
func canonical(doc []byte, prose int) (string, bool) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil || dec.More() {
		return "", false
	}
	return string(appendCanonical(nil, v, prose)), true
}

func appendCanonical(dst []byte, v any, prose int) []byte {
	switch v := v.(type) {
	case map[string]any:
		dst = append(dst, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			dst = appendQuoted(dst, name)
			dst = append(dst, ':')
			dst = appendCanonical(dst, v[name], prose)
			dst = append(dst, ',')
		}
		return append(dst, '}')
	case []any:
		dst = append(dst, '[')
		for _, e := range v {
			dst = appendCanonical(dst, e, prose)
			dst = append(dst, ',')
		}
		return append(dst, ']')
	case string:
		if len(v) >= prose {
			return append(dst, proseMark...)
		}
		return appendQuoted(dst, strings.TrimSpace(v))
	case json.Number:
		if n, ok := plainNumber(v.String()); ok {
			return append(dst, n.text...)
		}
		return append(dst, v...)
	case bool:
		return strconv.AppendBool(dst, v)
	}
	return append(dst, "null"...)
}

func appendQuoted(dst []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string does not marshal: " + err.Error())
	}
	return append(dst, quoted...)
}

// onlyProse reports whether every value of a canonical document is prose, or
// there is no value. Member names alone are no answer.
func onlyProse(doc string) bool {
	quoted := strings.ReplaceAll(doc, proseMark, `"`+proseMark+`"`)
	var v any
	return json.NewDecoder(strings.NewReader(trailingCommas.Replace(quoted))).Decode(&v) != nil || !says(v)
}

var trailingCommas = strings.NewReplacer(",}", "}", ",]", "]")

func says(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), says)
	case []any:
		return slices.ContainsFunc(v, says)
	case string:
		return v != proseMark
	}
	return v != nil
}

// Number returns the value of a key that is a number.
func (k Key) Number() (float64, bool) { return k.value.number, k.value.numeric }
