package ground_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/ground"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// retrieval is a hand-written case: what was supplied, what was asked and answered,
// and what the verdict should be.
type retrieval struct {
	Kind, Lang, Form          string
	Context, Question, Answer string
	Want                      string
	Known                     string // a verdict that is known to be wrong
}

func cases(t testing.TB, file string) (all []retrieval) {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var c retrieval
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// request is the body in which a case asks, in one of the forms that callers use.
func (c *retrieval) request(t testing.TB) (wire.Operation, *wire.Dialect, string) {
	t.Helper()
	q := func(s string) string {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	user := func(content string) string { return `{"messages":[{"role":"user","content":[` + content + `]}]}` }
	claude := func(content string) string {
		return `{"anthropic_version":"bedrock-2023-05-31","max_tokens":500,"messages":[{"role":"user","content":[` + content +
			`,{"type":"text","text":` + q(c.Question) + `}]}]}`
	}
	asks := `{"text":` + q(c.Question) + `}`
	switch c.Form {
	case "converse-document":
		return wire.OpConverse, nil, user(
			`{"document":{"name":"doc","format":"txt","source":{"text":` + q(c.Context) + `}}},` + asks)
	case "converse-search":
		return wire.OpConverse, nil, user(`{"searchResult":{"source":"https://kb.example/1","title":"Article",` +
			`"content":[{"text":` + q(c.Context) + `}]}},` + asks)
	case "converse-tool":
		return wire.OpConverse, nil, `{"messages":[{"role":"user","content":[` + asks +
			`]},{"role":"assistant","content":[{"toolUse":{"toolUseId":"a","name":"look","input":{}}}]},` +
			`{"role":"user","content":[{"toolResult":{"toolUseId":"a","content":[{"text":` + q(c.Context) + `}]}}]}]}`
	case "claude-document":
		return wire.OpInvoke, wire.DialectNamed("anthropic"),
			claude(`{"type":"document","source":{"type":"text","media_type":"text/plain","data":` + q(c.Context) + `}}`)
	case "claude-search":
		return wire.OpInvoke, wire.DialectNamed("anthropic"),
			claude(`{"type":"search_result","source":"https://kb.example","title":"Article",` +
				`"content":[{"type":"text","text":` + q(c.Context) + `}]}`)
	case "openai-tool":
		return wire.OpInvoke, wire.DialectNamed("openai"), `{"messages":[{"role":"user","content":` + q(c.Question) +
			`},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"look","arguments":"{}"}}]},` +
			`{"role":"tool","tool_call_id":"a","content":` + q(c.Context) + `}]}`
	case "cohere":
		return wire.OpInvoke, wire.DialectNamed("cohere-chat"),
			`{"message":` + q(c.Question) + `,"documents":[{"title":"Leaflet","snippet":` + q(c.Context) + `}]}`
	case "section":
		return wire.OpInvoke, wire.DialectNamed("llama"), `{"prompt":` + q("Answer from the context only."+
			"\n\nContext:\n"+c.Context+"\n\nQuestion: "+c.Question) + `}`
	case "numbered":
		return wire.OpConverse, nil, user(`{"text":` + q("Answer with citations.\n\n[1] "+c.Context+
			"\n[2] The cafeteria serves lunch.\n\nQuestion: "+c.Question) + `}`)
	case "tags":
		return wire.OpConverse, nil, `{"system":[{"text":` + q("Use these.\n<documents>\n<document>\n"+c.Context+
			"\n</document>\n</documents>\nDo not make anything up.") + `}],` + user(asks)[1:]
	}
	t.Fatalf("unknown form %q", c.Form)
	return 0, nil, ""
}

func (c *retrieval) look(t testing.TB) ground.Findings {
	t.Helper()
	op, dialect, body := c.request(t)
	var facts wire.Facts
	if err := facts.Read(op, dialect, []byte(body)); err != nil {
		t.Fatalf("%s: %v", c.Form, err)
	}
	return ground.Look(ground.Read(&facts, []byte(body)), c.Answer)
}

func verdict(f *ground.Findings) string {
	switch {
	case !f.Supplied:
		return "nothing supplied"
	case f.Verdict() == ground.Grounded:
		return "grounded"
	}
	return string(f.Verdict())
}

// TestRetrieval has the verdict on each case.
func TestRetrieval(t *testing.T) {
	for _, file := range []string{"cases.jsonl", "unseen.jsonl", "later.jsonl", "fourth.jsonl"} {
		right := map[string][2]int{}
		for i, c := range cases(t, file) {
			f := c.look(t)
			got := verdict(&f)
			n := right[c.Kind]
			n[1]++
			if got == c.Want {
				n[0]++
			}
			right[c.Kind] = n
			if got != c.Want && got != c.Known || c.Known != "" && got != c.Known {
				t.Errorf("%s %d: %s, %s %s: %s, want %s: %q\n%+v",
					file, i+1, c.Kind, c.Lang, c.Form, got, c.Want, c.Answer, f)
			}
		}
		t.Log(file, strings.TrimPrefix(fmt.Sprint(right), "map"))
	}
}
