package wire

import (
	"fmt"
	"strings"
)

// This file stands in for what the wire package gives, and goes at the merge.

var operationNames = [...]string{
	"", "converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens",
	"apply-guardrail", "invoke-guardrail-checks", "start-async-invoke", "get-async-invoke",
	"list-async-invokes", "invoke-with-bidirectional-stream",
}

func (o Operation) String() string { return operationNames[o] }

// ModelID is a model identifier, taken apart.
type ModelID struct{ ID, Foundation, Scope, Region, Account, Kind string }

// ParseModelID takes id apart.
func ParseModelID(id string) ModelID {
	m := ModelID{ID: id, Foundation: id}
	if strings.HasPrefix(id, "arn:") {
		parts := strings.SplitN(id, ":", 6)
		if len(parts) < 6 {
			return m
		}
		kind, name, _ := strings.Cut(parts[5], "/")
		m.Region, m.Account, m.Kind, m.Foundation = parts[3], parts[4], kind, ""
		if kind == "foundation-model" || kind == "inference-profile" {
			m.Foundation = name
		}
	}
	for _, prefix := range []string{"us.", "eu.", "global."} {
		if rest, ok := strings.CutPrefix(m.Foundation, prefix); ok {
			m.Foundation, m.Scope = rest, "geo"
		}
	}
	return m
}

var dialects = []*Dialect{{Name: "anthropic-messages"}, {Name: "nova"}, {Name: "llama"}}

// DialectNamed returns the dialect called name.
func DialectNamed(name string) *Dialect {
	for _, d := range dialects {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// DialectOf returns the dialect of a foundation id.
func DialectOf(foundation string) *Dialect {
	switch {
	case strings.HasPrefix(foundation, "anthropic."):
		return dialects[0]
	case strings.HasPrefix(foundation, "amazon.nova"):
		return dialects[1]
	case strings.HasPrefix(foundation, "meta."):
		return dialects[2]
	}
	return nil
}

// SniffDialect guesses the dialect by the shape of a body. A shape that several
// dialects share is taken for the first of among that has it.
func SniffDialect(body []byte, among ...*Dialect) *Dialect {
	switch {
	case strings.Contains(string(body), "anthropic_version"):
		return dialects[0]
	case strings.Contains(string(body), "max_gen_len"):
		return dialects[2]
	}
	for _, d := range among {
		if d != nil && d != dialects[0] && strings.Contains(string(body), "messages") {
			return d
		}
	}
	return nil
}

// Fits reports whether the body could be sent to dialect d.
func (f *Facts) Fits(d *Dialect) bool { return f.Dialect == d }

// AppendText appends the text values of body.
func (f *Facts) AppendText(dst, body []byte) []byte { return append(dst, body...) }

// Errorf makes an error.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}
