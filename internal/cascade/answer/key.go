package answer

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/cascade/value"
)

// Kind is where in an answer a key was found.
type Kind int

// The kinds, the most certain first; the zero value is no key.
const (
	NoKey     Kind = iota
	CallKey        // tool calls: names and canonical arguments
	SchemaKey      // structured output: all values
	ValuesKey      // JSON without a member that names the answer: all documents, all values
	FinalKey       // a marked final answer: a member called answer, \boxed{}, "the answer is"
	WholeKey       // a short answer as a whole
)

var kindNames = [...]string{"none", "tool_call", "json_schema", "json", "final_answer", "whole"}

// String returns the name of the kind in records and metrics.
func (k Kind) String() string { return kindNames[k] }

// Key is the essence of an answer, for comparison. The zero value is unknown.
type Key struct {
	Kind  Kind
	value value.Value
	full  string // of a document: everything, with longer texts
	short string // and without them
}

// String returns the canonical form, for logs and tests. A document is without its
// longer texts.
func (k Key) String() string {
	if k.Kind == NoKey || k.Kind >= FinalKey {
		return k.value.Text()
	}
	return k.short
}

// Choice reports whether a key is a choice that the request offers.
func (k Key) Choice() bool { return k.Kind >= FinalKey && k.value.Offered() }

// Number returns the value of a key that is a number.
func (k Key) Number() (float64, bool) { return k.value.Number() }

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

// Agree compares two keys. Tool calls and structured output agree only with keys of
// the same kind. A final answer and a short answer are compared by value, wherever
// each of them was found. Documents that differ in longer texts alone may say the
// same: that is unknown.
func Agree(a, b Key) Agreement {
	switch {
	case a.Kind == NoKey || b.Kind == NoKey:
		return Unknown
	case a.Kind != b.Kind && (a.Kind < FinalKey || b.Kind < FinalKey):
		return Different
	case a.Kind >= FinalKey:
		if a.value.Same(b.value) {
			return Same
		}
		return Different
	case a.full == b.full:
		return Same
	case a.short == b.short:
		return Unknown
	}
	return Different
}

// KeyOf finds the key of an answer, of the most certain kind that it has. An answer
// with a part that is not read has none.
func KeyOf(r *Request, a *Answer) Key {
	if a.Unread || a.Broken {
		return Key{}
	}
	if len(a.ToolCalls) > 0 {
		return callKey(a.ToolCalls)
	}
	text := visible(a.Text)
	if r.Schema != nil {
		d, ok := value.ReadJSON(unfenced(text))
		return documentKey(SchemaKey, d, ok)
	}
	docs, rest := documents(text)
	if len(docs) > 0 && rest == "" {
		return documentsKey(docs, r.Choices)
	}
	// What follows a document has the last word.
	if final, ok := finalAnswer(rest, r.Choices); ok {
		return Key{Kind: FinalKey, value: final}
	}
	if len(docs) == 0 && len(text) <= maxWhole && !strings.Contains(text, "\n") && text != "" {
		return Key{Kind: WholeKey, value: value.Of(text, r.Choices)}
	}
	return Key{}
}

const maxWhole = 64 // bytes of an answer that is compared as a whole

// documentsKey compares all documents of a text, in their order. Where each is one
// member with the answer, the last one counts.
func documentsKey(docs []string, offered value.Choices) Key {
	if len(docs) > mostDocuments {
		return Key{}
	}
	var all, last value.Document
	var full, short strings.Builder
	answers := true
	for _, doc := range docs {
		var ok bool
		if last, ok = value.ReadJSON(doc); !ok {
			return Key{}
		}
		answers = answers && answerNames[last.Name] && len(last.Raw) <= longestFinal
		full.WriteString(last.Full)
		short.WriteString(last.Short)
		all.Says = all.Says || last.Says
	}
	all.Full, all.Short = full.String(), short.String()
	if raw, ok := memberValue(last.Raw + "}"); ok && answers {
		return Key{Kind: FinalKey, value: value.Of(raw, offered)}
	}
	return documentKey(ValuesKey, all, true)
}

// documentKey is the key of a document that says something.
func documentKey(kind Kind, d value.Document, ok bool) Key {
	if !ok || !d.Says {
		return Key{}
	}
	return Key{Kind: kind, full: d.Full, short: d.Short}
}

// callKey joins the calls in an order of their own: models call tools that do
// not depend on each other in any order.
func callKey(calls []ToolCall) Key {
	parts := make([]string, 0, len(calls))
	for _, call := range calls {
		args, ok := value.ExactJSON(string(call.Input))
		if !ok {
			return Key{}
		}
		parts = append(parts, call.Name+args)
	}
	slices.Sort(parts)
	all := strings.Join(parts, "\n")
	return Key{Kind: CallKey, full: all, short: all}
}
