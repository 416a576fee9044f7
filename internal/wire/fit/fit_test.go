package fit_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/fit"
)

// TestBody: what a generation refuses is left out or said in its words, and nothing else is touched.
func TestBody(t *testing.T) {
	const (
		claude45 = "anthropic.claude-haiku-4-5-20251001-v1:0"
		claude46 = "anthropic.claude-sonnet-4-6"
		claude47 = "anthropic.claude-opus-4-7"
		claude35 = "anthropic.claude-3-5-haiku-20241022-v1:0"
		nova     = "amazon.nova-lite-v1:0"
	)
	f := func(op wire.Operation, model, body, want, names string) {
		t.Helper()
		var facts wire.Facts
		if err := facts.Read(op, nil, []byte(body)); err != nil {
			t.Fatal(body, err)
		}
		got, changed := fit.Body(&facts, []byte(body), capability.Of(model))
		if got == nil {
			got = []byte(body)
		}
		if diff := cmp.Diff(tree(t, want), tree(t, string(got))); diff != "" || strings.Join(changed, ",") != names {
			t.Errorf("%s %s: %s, %q", model, body, diff, changed)
		}
	}
	same := func(op wire.Operation, model, body string) { t.Helper(); f(op, model, body, body, "") }
	const invoke, converse = wire.OpInvoke, wire.OpConverseStream

	adaptive := `{"max_tokens":4000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},"messages":[]}`
	same(invoke, claude47, adaptive)
	same(invoke, claude46, adaptive)
	f(invoke, claude45, adaptive, `{"max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2000},"messages":[]}`,
		"thinking,output_config.effort")
	f(invoke, claude45, `{"max_tokens":1500,"thinking":{"type":"adaptive"},"temperature":0.2}`,
		`{"max_tokens":1500,"temperature":0.2}`, "thinking") // no room for the least budget
	f(invoke, claude35, adaptive, `{"max_tokens":4000,"messages":[]}`, "thinking,output_config.effort")
	budget := `{"max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2000}}`
	same(invoke, claude45, budget)
	f(invoke, claude47, budget, `{"max_tokens":4000,"thinking":{"type":"adaptive"}}`, "thinking")
	f(invoke, claude47, `{"thinking":{"type":"disabled"},"a":1}`, `{"a":1}`, "thinking")
	sampled := `{"temperature":0.2,"top_p":0.5,"top_k":5,"a":1e400}`
	same(invoke, claude35, sampled)
	f(invoke, claude45, sampled, `{"temperature":0.2,"top_k":5,"a":1e400}`, "top_p")
	f(invoke, claude47, sampled, `{"a":1e400}`, "temperature,top_p,top_k")
	f(invoke, claude45, `{"max_tokens":4000,"thinking":{"type":"adaptive"},"temperature":1}`,
		`{"max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2000}}`, "thinking,temperature")

	chat := `{"messages":[],"inferenceConfig":{"maxTokens":4000,"temperature":0.2,"topP":0.5},` +
		`"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":2000},"top_k":5}}`
	same(converse, claude35, `{"inferenceConfig":{"temperature":0.2,"topP":0.5}}`)
	f(converse, nova, chat, `{"messages":[],"inferenceConfig":{"maxTokens":4000,"temperature":0.2,"topP":0.5}}`,
		"thinking,top_k")
	f(converse, claude47, chat, `{"messages":[],"inferenceConfig":{"maxTokens":4000},`+
		`"additionalModelRequestFields":{"thinking":{"type":"adaptive"}}}`, "thinking,top_k,temperature,topP")
	f(converse, claude47, `{"inferenceConfig":{"temperature":0.2}}`, `{}`, "temperature")
	f(converse, claude45, `{"additionalModelRequestFields":{"inferenceConfig":{"topK":3},"mine":1}}`,
		`{"additionalModelRequestFields":{"mine":1}}`, "inferenceConfig")
	f(converse, nova, `{"additional\u004dodelRequestFields":{"thinking":{"type":"adaptive"},"mine":1}}`,
		`{"additionalModelRequestFields":{"mine":1}}`, "thinking")
	same(converse, "unheard.of-model", chat)
	same(converse, nova, `{"inferenceConfig":7,"additionalModelRequestFields":null}`)
	same(wire.OpInvoke, nova, `{"thinking":{"type":"adaptive"}}`)
	same(wire.OpChat, claude47, sampled)
}

func tree(t *testing.T, text string) any {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(text, err)
	}
	return v
}
