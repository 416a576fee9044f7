package anthropic

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// TestInvoke: what Claude gets by InvokeModel is what the caller sent, with the same bytes, but for
// what the path says and what Bedrock does not take.
func TestInvoke(t *testing.T) {
	f := func(members, want string, dropped ...string) {
		t.Helper()
		n := native(t, request(ask("claude", members, hi), ""))
		want = `{"anthropic_version":"bedrock-2023-05-31","messages":[` + hi + `]` + want + `}`
		if !strings.Contains(members, "max_tokens") {
			want = strings.Replace(want, hi+"]", hi+`],"max_tokens":100`, 1)
		}
		if n.Op != wire.OpInvoke || string(n.Body) != want || !slices.Equal(n.Dropped, dropped) {
			t.Errorf("%s\n%s\n%s\n%q", members, n.Body, want, n.Dropped)
		}
	}
	f(``, ``)
	f(`"stream":false`, ``)
	f(`"temperature":0.10`, `,"temperature":0.10`)
	f(`"max_tokens":5,"anthropic_version":"x"`, `,"max_tokens":5`)
	f(`"not_yet_known":{"a":[1,{}]}`, `,"not_yet_known":{"a":[1,{}]}`)
	// Symptoms 4 and 5 (context_management and effort answered with 400): both pass as they are.
	f(`"context_management":{"edits":[{"type":"clear_tool_uses_20250919","keep":{"type":"tool_uses","value":3}}]}`,
		`,"context_management":{"edits":[{"type":"clear_tool_uses_20250919","keep":{"type":"tool_uses","value":3}}]}`)
	f(`"context_management":{"edits":[{"type":"clear_thinking_20251015"}]}`, ``,
		"context_management:clear_thinking_20251015")
	f(`"context_management":{"edits":[{"type":"clear_thinking_20251015"},{"type":"clear_tool_uses_20250919"}]}`,
		`,"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}`,
		"context_management:clear_thinking_20251015")
	f(`"output_config":{"effort":"max"}`, `,"output_config":{"effort":"max"}`)
	// Symptom 6 (output_format refused): it is carried under the name that Bedrock has.
	f(`"output_format":{"type":"json_schema","schema":{}}`, `,"output_config":{"format":{"type":"json_schema",`+
		`"schema":{}}}`)
	f(`"output_config":{"format":{"type":"json_schema",`+
		`"schema":{}}}`, `,"output_config":{"format":{"type":"json_schema","schema":{}}}`)
	// Symptoms 7, 9 and 10 (defer_loading, reasoning, guardrails as extra inputs): nothing is added, nothing renamed.
	f(`"tools":[{"name":"a","input_schema":{},"defer_loading":true}]`, `,"tools":[{"name":"a",`+
		`"input_schema":{},"defer_loading":true}]`)
	f(`"service_tier":"auto"`, ``)
	f(`"cache_control":{"type":"ephemeral"}`, ``, "cache_control")
	// Scopes of cache points are the caller's own API's.
	f(`"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","scope":"global"}}]`,
		`,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]`, "cache_control.scope")
	f(`"system":[{"type":"text","text":"s","cache_control":{ "scope" : "global" , "type":"ephemeral","ttl":"1h"}}]`,
		`,"system":[{"type":"text","text":"s","cache_control":{  "type":"ephemeral","ttl":"1h"}}]`, "cache_control.scope")
	f(`"tools":[{"name":"scope","input_schema":{"properties":{"cache_control":{"scope":"x"}}}}]`,
		`,"tools":[{"name":"scope","input_schema":{"properties":{"cache_control":{"scope":"x"}}}}]`)
}

// TestInvokeStream: a stream is asked for by the path.
func TestInvokeStream(t *testing.T) {
	n := native(t, request(ask("claude", `"stream":true`, hi), ""))
	if n.Op != wire.OpInvokeStream || strings.Contains(string(n.Body), "stream") {
		t.Errorf("%s %s", n.Op, n.Body)
	}
}

// TestInvokeKeeps (symptoms 8, 18, 19, 20, 33, 40, 42, 52): signed thinking, cache points with their lifetime, system
// blocks, tool blocks and citations pass byte for byte.
func TestInvokeKeeps(t *testing.T) {
	turns := []string{
		user(`[{"type":"text","text":"q\u00e9","cache_control":{"type":"ephemeral","ttl":"1h"}}]`),
		assistant(`[{"type":"thinking","thinking":"","signature":"Eo\u002b/=="},{"type":"redacted_thinking",` +
			`"data":"x"},` +
			`{"type":"tool_use","id":"toolu_1","name":"f","input":{"b":1.0,"a":[ ]},` +
			`"cache_control":{"type":"ephemeral"}}]`),
		user(`[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":""}],` +
			`"cache_control":{"type":"ephemeral"}},` +
			`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},` +
			`"citations":{"enabled":true}}]`),
	}
	more := `"system":[{"type":"text","text":"x-anthropic-billing-header: a"},{"type":"text","text":"b",` +
		`"cache_control":{"type":"ephemeral"}}]` +
		`,"thinking":{"type":"enabled","budget_tokens":50}`
	n := native(t, request(ask("claude", more, turns...), ""))
	for _, part := range append(turns, more) {
		if !strings.Contains(string(n.Body), part) {
			t.Errorf("%s is not in %s", part, n.Body)
		}
	}
}

// TestBetas (symptoms 11 and 43): betas come as lists, in one field or several, and those that Bedrock
// does not relay are named.
func TestBetas(t *testing.T) {
	f := func(want, dropped string, body string, fields ...string) {
		t.Helper()
		var header []wire.Field
		for _, v := range fields {
			header = append(header, wire.Field{Name: "Anthropic-Beta", Value: v})
		}
		n := native(t, request(ask("claude", body, hi), "", header...))
		got := ""
		if _, rest, ok := strings.Cut(string(n.Body), `"anthropic_beta":[`); ok {
			got, _, _ = strings.Cut(rest, "]")
		}
		if got != want || strings.Join(n.Dropped, " ") != dropped {
			t.Errorf("%q %q", got, n.Dropped)
		}
	}
	f(``, ``, ``)
	f(`"context-1m-2025-08-07"`, ``, ``, "context-1m-2025-08-07")
	f(`"a-2027-01-01","b","c"`, ``, `"anthropic_beta":["b","c"]`, "a-2027-01-01, b")
	f(`"a","b"`, ``, ``, "a", "b,a")
	f(`"tool-search-tool-2025-10-19"`, ``, ``, "advanced-tool-use-2025-11-20")
	f(`"context-management-2025-06-27"`,
		`anthropic-beta:claude-code-20250219 anthropic-beta:interleaved-thinking-2025-05-14`, ``,
		"claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27")
}

// TestInvokeRefused: what Bedrock cannot do is answered with 400 that names it, or left out
// where the tenant wants that.
func TestInvokeRefused(t *testing.T) {
	f := func(policy caller.Policy, body, param string) {
		t.Helper()
		_, failure := Open("POST", "/v1/messages").Native(request(body, policy))
		if failure == nil || failure.Class != caller.ClassInvalid || failure.Param != param ||
			!strings.Contains(message(failure), param) {
			t.Errorf("%s: %+v", body, failure)
		}
	}
	f("", ask("claude", `"container":"c"`, hi), "container")
	f("", ask("claude", `"mcp_servers":[{}]`, hi), "mcp_servers")
	f("", ask("claude", `"inference_geo":"us"`, hi), "inference_geo")
	f(caller.PolicyRefuse, ask("claude", `"speed":"fast"`, hi), "speed")
	f(caller.PolicyRefuse, ask("claude", `"context_management":{"edits":[{"type":"clear_thinking_20251015"}]}`, hi),
		"context_management.edits")
	// Symptom 28: one server tool is an answer about that tool.
	f("", ask("claude", `"tools":[{"type":"web_search_20250305","name":"web_search"}]`, hi), "tools")
	f("", ask("claude", ``, user(`[{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]`)), "source")
	f("", ask("claude", ``, user(`[{"type":"document","source":{"type":"file","file_id":"f"}}]`)), "source")
	f("", `[]`, "")
	f("", `{"model":1}`, "model")
	f("", `{"model":"claude","model":"nova"}`, "model")
	f("", `{"model":"claude","stream":"yes"}`, "stream")
	f("", ask("claude", `"anthropic_beta":"x"`, hi), "anthropic_beta")
	n := native(t, request(ask("claude", `"container":"c","mcp_servers":[]`, hi), caller.PolicyDrop))
	if !slices.Equal(n.Dropped, []string{"container", "mcp_servers"}) {
		t.Errorf("%q", n.Dropped)
	}
}
