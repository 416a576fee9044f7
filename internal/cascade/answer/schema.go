package answer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Limits on schemas, which are callers' input.
const (
	maxSchemas     = 512       // compiled schemas that are kept
	maxSchemaBytes = 128 << 10 // a longer one is not compiled
)

// Schemas compiles the JSON Schemas of requests and keeps a bounded number of
// them. The zero value is ready. It is safe for concurrent use. Methods on a
// nil *Schemas check nothing.
type Schemas struct {
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*jsonschema.Schema // nil value: does not compile
	order [][sha256.Size]byte                      // oldest first
}

// check holds tool arguments and structured output against their schemas.
func (s *Schemas) check(v Verdict, r *Request, a *Answer, text string) Verdict {
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
	return s.hold(v, r.Schema, []byte(unfenced(text)), Schema)
}

func (s *Schemas) checkCall(v Verdict, r *Request, call *ToolCall) Verdict {
	for i := range r.Tools {
		if r.Tools[i].Name != call.Name {
			continue
		}
		return s.hold(v, r.Tools[i].Schema, call.Input, ToolArgs)
	}
	if len(r.Tools) > 0 {
		v.Veto = ToolArgs
	}
	return v
}

// hold validates a document and sets the veto when it does not satisfy schema.
// Without a usable schema the document still has to be JSON.
func (s *Schemas) hold(v Verdict, schema, doc []byte, veto Veto) Verdict {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		v.Veto = veto
		return v
	}
	if len(schema) == 0 {
		return v
	}
	compiled := s.compiled(schema)
	if compiled == nil {
		v.Unchecked = true
		return v
	}
	if compiled.Validate(value) != nil {
		v.Veto = veto
	}
	return v
}

// compiled returns the compiled schema, nil when it cannot be used. Compiling
// happens outside the lock: two callers may do it twice, none waits for it.
func (s *Schemas) compiled(schema []byte) *jsonschema.Schema {
	key := sha256.Sum256(schema)
	s.mu.Lock()
	c, known := s.byKey[key]
	s.mu.Unlock()
	if known {
		return c
	}
	c = compile(schema)
	s.keep(key, c)
	return c
}

func (s *Schemas) keep(key [sha256.Size]byte, c *jsonschema.Schema) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.byKey[key]; known {
		return
	}
	if s.byKey == nil {
		s.byKey = make(map[[sha256.Size]byte]*jsonschema.Schema)
	}
	if len(s.order) == maxSchemas {
		delete(s.byKey, s.order[0])
		s.order = s.order[1:]
	}
	s.byKey[key] = c
	s.order = append(s.order, key)
}

// nowhere refuses every reference that leaves the document: a caller's schema
// must make the gateway read neither files nor the network.
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

// unfenced returns the JSON document of a text: all of it, or what stands in
// the one code fence around it.
func unfenced(text string) string {
	body := unfence(text)
	return strings.TrimSpace(strings.TrimSuffix(body, "```"))
}
