package answer

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Limits on schemas, which are callers' input.
const (
	maxSchemas     = 512       // schemas of which something is kept
	maxSchemaBytes = 128 << 10 // a longer one is not compiled
)

// Schemas compiles the JSON Schemas of requests and keeps a bounded number of
// them. The zero value is ready. It is safe for concurrent use. Methods on a
// nil *Schemas check nothing.
type Schemas struct {
	compiled bounded[*jsonschema.Schema] // nil: does not compile
	hashes   bounded[string]
}

// check validates tool arguments and structured output against their schemas.
func (s *Schemas) check(v Finding, r *Request, a *Answer, text string) Finding {
	if s == nil {
		return v
	}
	for i := range a.ToolCalls {
		if v = s.checkCall(v, r, &a.ToolCalls[i]); v.Veto != "" {
			return v
		}
	}
	if r.Schema == nil || len(a.ToolCalls) > 0 {
		return v
	}
	return s.validate(v, r.Schema, []byte(unfenced(text)), Schema)
}

func (s *Schemas) checkCall(v Finding, r *Request, call *ToolCall) Finding {
	if i := slices.IndexFunc(r.Tools, func(t Tool) bool { return t.Name == call.Name }); i >= 0 {
		return s.validate(v, r.Tools[i].Schema, call.Input, ToolArgs)
	}
	if len(r.Tools) > 0 {
		v.Veto = ToolArgs
	}
	return v
}

// validate sets the veto when a document does not satisfy schema.
// Without a usable schema the document still has to be JSON.
func (s *Schemas) validate(v Finding, schema, doc []byte, veto Veto) Finding {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		v.Veto = veto
		return v
	}
	if len(schema) == 0 {
		return v
	}
	compiled := s.compiled.of(schema, maxSchemas, compile)
	if compiled == nil {
		v.Unchecked = true
		return v
	}
	if compiled.Validate(value) != nil {
		v.Veto = veto
	}
	return v
}

// nowhere refuses every reference that leaves the document: a caller's schema must
// not make the gateway read files or the network.
type nowhere struct{}

var errNowhere = errors.New("references outside the schema are not followed")

func (nowhere) Load(string) (any, error) { return nil, errNowhere }

func compile(schema []byte) *jsonschema.Schema {
	if len(schema) > maxSchemaBytes {
		return nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil
	}
	const name = "mem:///schema.json"
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	if c.AddResource(name, doc) != nil {
		return nil
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return nil
	}
	return compiled
}

// unfenced returns the JSON document of a text: all of it, or the contents of the
// code fence around it.
func unfenced(text string) string {
	body := unfence(text)
	return strings.TrimSpace(strings.TrimSuffix(body, "```"))
}
