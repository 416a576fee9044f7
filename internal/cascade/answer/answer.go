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

import (
	"encoding/json"
	"slices"

	"github.com/sluice-gateway/sluice/internal/cascade/value"
)

// Answer is what one leg answered, in plain parts.
type Answer struct {
	Text       string     // all text parts in order, joined by newlines
	StopReason string     // as the upstream spells it, "" when it gave none
	ToolCalls  []ToolCall // in the order of the answer
	// Unread is whether there are parts that nobody reads here, such as images,
	// documents, citations, or kinds that are new: the answer is not empty then, and
	// is the same as no other.
	Unread bool
	// Broken is whether what came is no answer at all, such as a page of a proxy.
	Broken bool
}

// ToolCall is one call of a tool that an answer asks for.
type ToolCall struct {
	Name  string
	Input json.RawMessage // the arguments, a JSON value; as received, perhaps broken
}

// Request is what the checks need to know about the request.
// The zero value is a request for free text.
type Request struct {
	Schema     json.RawMessage // JSON Schema that the text has to satisfy, nil for none
	Tools      []Tool          // the tools that the model may call
	ToolChoice ToolChoice
	Choices    value.Choices // what the request offers to choose from
}

// Tool is a tool that a request offers.
type Tool struct {
	Name   string
	Schema json.RawMessage // JSON Schema of its arguments, nil for none
	Other  json.RawMessage // a description of its arguments that is no JSON Schema, nil for none
}

// ToolChoice is what a request asks of the tools. The zero value leaves it to the
// model.
type ToolChoice struct {
	Must  bool     // a tool has to be called
	Never bool     // none may be called
	Names []string // the only ones that may be called; nil for all
	One   bool     // at most one call
}

// callsTools are the stop reasons that announce a call.
var callsTools = map[string]bool{
	"tool_use": true, "tool_calls": true, "tool_call": true, "TOOL_CALL": true, "function_call": true,
}

// allows reports whether an answer calls tools as it was asked to, and as it says.
func (c *ToolChoice) allows(a *Answer) bool {
	n := len(a.ToolCalls)
	switch {
	case n == 0:
		return !c.Must && !callsTools[a.StopReason]
	case c.Never, c.One && n > 1:
		return false
	}
	for i := range a.ToolCalls {
		if c.Names != nil && !slices.Contains(c.Names, a.ToolCalls[i].Name) {
			return false
		}
	}
	return true
}

// structured reports whether a cut answer is of no use to the caller.
func (r *Request) structured(a *Answer) bool {
	return r.Schema != nil || len(a.ToolCalls) > 0
}
