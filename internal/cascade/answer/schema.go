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
	compiled bounded[compiled]
	hashes   bounded[string]
}

// compiled is what a schema was made to. The zero value could not be read at all.
type compiled struct {
	*jsonschema.Schema
	partial bool // a part of it could not be read
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

// validate sets the veto when a document does not satisfy schema, or when nothing
// of the schema can be read. Without one the document still has to be JSON.
func (s *Schemas) validate(v Finding, schema, doc []byte, veto Veto) Finding {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		v.Veto = veto
		return v
	}
	if len(schema) == 0 {
		return v
	}
	c := s.compiled.of(schema, maxSchemas, compile)
	v.Unchecked = v.Unchecked || c.partial
	if c.Schema == nil || c.Validate(value) != nil {
		v.Veto = veto
	}
	return v
}

// nowhere refuses every reference that leaves the document: a caller's schema must
// not make the gateway read files or the network.
type nowhere struct{}

var errNowhere = errors.New("references outside the schema are not followed")

func (nowhere) Load(string) (any, error) { return nil, errNowhere }

// compile compiles a schema, or as much of it as can be read.
func compile(schema []byte) compiled {
	if len(schema) > maxSchemaBytes {
		return compiled{partial: true}
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return compiled{partial: true}
	}
	c := compileDocument(doc)
	for _, refs := range []bool{true, false} {
		if c.Schema == nil {
			c = compileDocument(relaxed(doc, refs))
			c.partial = true
		}
	}
	return c
}

func compileDocument(doc any) compiled {
	const name = "mem:///schema.json"
	unread := false
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	c.UseRegexpEngine(readPattern(&unread))
	if c.AddResource(name, doc) != nil {
		return compiled{}
	}
	schema, err := c.Compile(name)
	if err != nil {
		return compiled{}
	}
	return compiled{schema, unread}
}

// unfenced returns the JSON document of a text: all of it, or the contents of the
// code fence around it.
func unfenced(text string) string {
	body := unfence(text)
	return strings.TrimSpace(strings.TrimSuffix(body, "```"))
}
