package answer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSchemaHash(t *testing.T) {
	structured := func(schema string) Request { return Request{Schema: json.RawMessage(schema)} }
	tool := func(name, schema string) Tool { return Tool{Name: name, Schema: json.RawMessage(schema)} }
	tools := func(all ...Tool) Request { return Request{Tools: all} }
	var kept, none *Schemas = &Schemas{}, nil
	f := func(name string, a, b Request, same bool) {
		t.Helper()
		if got := kept.Hash(&a) == kept.Hash(&b); got != same {
			t.Errorf("%s: %q and %q", name, kept.Hash(&a), kept.Hash(&b))
		}
		if kept.Hash(&a) != none.Hash(&a) {
			t.Errorf("%s: what is remembered is %q, what is hashed %q", name, kept.Hash(&a), none.Hash(&a))
		}
	}
	plain := structured(`{"type":"object","required":["a"],"maxItems":10}`)
	f("spaces and order", plain, structured("{ \"maxItems\": 10.0,\n\"required\": [ \"a\" ], \"type\":\"object\" }"), true)
	f("another member", plain, structured(`{"type":"object","required":["b"],"maxItems":10}`), false)
	f("an order that counts", structured(`{"enum":[1,2]}`), structured(`{"enum":[2,1]}`), false)
	f("a long text", structured(`{"a":"`+strings.Repeat("x", 999)+`"}`),
		structured(`{"a":"`+strings.Repeat("x", 998)+`y"}`), false)
	f("not JSON", structured(`{`), structured(`[`), false)
	f("no schema", Request{}, plain, false)
	one, two := tool("a", `{"type":"object"}`), tool("b", `{}`)
	f("tools in another order", tools(one, two), tools(two, one), true)
	f("a tool more", tools(one), tools(one, two), false)
	f("another name", tools(one), tools(tool("c", `{"type":"object"}`)), false)
	f("schemas that swap", tools(one, two), tools(tool("b", `{"type":"object"}`), tool("a", `{}`)), false)
	f("a tool is no structured output", tools(tool("", `{}`)), structured(`{}`), false)
	f("what is no JSON Schema",
		tools(Tool{Name: "a", Other: json.RawMessage(`{"x":1}`)}),
		tools(Tool{Name: "a", Other: json.RawMessage(`{"x":2}`)}), false)
	free := Request{}
	if kept.Hash(&free) != "" || len(kept.Hash(&plain)) != 32 {
		t.Errorf("%q, %q", kept.Hash(&free), kept.Hash(&plain))
	}
}

// BenchmarkSchemaHash hashes five tools of ten arguments each.
func BenchmarkSchemaHash(b *testing.B) {
	var members []string
	for i := range 10 {
		members = append(members, fmt.Sprintf(
			`"argument%d": {"type": "string", "description": "what the tool is to do with this argument"}`, i))
	}
	schema := json.RawMessage(`{"type": "object", "properties": {` +
		strings.Join(members, ", ") + `}, "required": ["argument1"]}`)
	var r Request
	for i := range 5 {
		r.Tools = append(r.Tools, Tool{Name: fmt.Sprint("tool", i), Schema: schema})
	}
	var s Schemas
	for b.Loop() {
		s.Hash(&r)
	}
}
