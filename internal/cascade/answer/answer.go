// Package answer judges the contents of answers: whether one may be served at all
// (the vetoes of Check) and whether two are the same (KeyOf and Agree).
//
// It works on plain values, never on a wire format, and it never guesses: an answer
// without a key is unknown, not different. The vetoes are hygiene. They fire on
// what is broken, not on what looks uncertain, because hedging words and valid JSON
// are no evidence about being right.
//
// All functions are pure, except for the bounded cache of compiled schemas in
// Schemas.
package answer

import "encoding/json"

// Answer is what one leg answered, in plain parts.
type Answer struct {
	Text       string     // all text parts in order, joined by newlines
	StopReason string     // as the upstream spells it, "" when it gave none
	ToolCalls  []ToolCall // in the order of the answer
}

// ToolCall is one call of a tool that an answer asks for.
type ToolCall struct {
	Name  string
	Input json.RawMessage // the arguments, a JSON value; as received, perhaps broken
}

// Request is what the checks need to know about the request.
// The zero value is a request for free text.
type Request struct {
	Schema json.RawMessage // JSON Schema that the text has to satisfy, nil for none
	Tools  []Tool          // the tools that the model may call
}

// Tool is a tool that a request offers.
type Tool struct {
	Name   string
	Schema json.RawMessage // JSON Schema of its arguments, nil for none
	Other  json.RawMessage // a description of its arguments that is no JSON Schema, nil for none
}

// structured reports whether a cut answer is of no use to the caller.
func (r *Request) structured(a *Answer) bool {
	return r.Schema != nil || len(a.ToolCalls) > 0
}
