package anthropic

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

const (
	png   = `"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"`
	image = `{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":` + png + `}}`
	tool  = `{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{"type":"string"}}}}`
	calls = `[{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":"b"}}]`
)

// TestTranslate: each member and block of Messages, as Converse gets it.
func TestTranslate(t *testing.T) {
	hello := `{"role":"user","content":[{"text":"hi"}]}`
	spec := `{"toolSpec":{"name":"f","description":"d","inputSchema":{"json":{"type":"object",` +
		`"properties":{"a":{"type":"string"}}}}}}`
	cases := []struct {
		name, body, want, dropped string
	}{
		{"plain", ask("nova", ``, hi), `{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100}}`, ""},
		{"system", ask("nova", `"system":"be kind"`, hi),
			`{"messages":[` + hello + `],"system":[{"text":"be kind"}],"inferenceConfig":{"maxTokens":100}}`, ""},
		{"system blocks stay apart (42), cache points follow them (40)",
			ask("nova", `"system":[{"type":"text","text":"a"},{"type":"text","text":"b",`+
				`"cache_control":{"type":"ephemeral"}}]`, hi),
			`{"messages":[` + hello + `],"system":[{"text":"a"},{"text":"b"},{"cachePoint":{"type":"default"}}],
			"inferenceConfig":{"maxTokens":100}}`, ""},
		{"a cache point that the model does not take", ask("llama",
			`"system":[{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]`, hi),
			`{"messages":[` + hello + `],"system":[{"text":"b"}],` +
				`"inferenceConfig":{"maxTokens":100}}`, "system[].cache_control"},
		{"sampling", ask("nova", `"temperature":0.5,"top_p":0.9,"top_k":5,"stop_sequences":["x"]`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100,"temperature":0.5,"topP":0.9,` +
				`"stopSequences":["x"]},
			"additionalModelRequestFields":{"inferenceConfig":{"topK":5}}}`, ""},
		{"top_k without a place", ask("llama", `"top_k":5`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100}}`, "top_k"},
		{"tools", ask("nova", `"tools":[`+tool+`],"tool_choice":{"type":"any"}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100},"toolConfig":{"tools":[` + spec + `],` +
				`"toolChoice":{"any":{}}}}`, ""},
		{"a chosen tool (14)", ask("nova", `"tools":[`+tool+`],"tool_choice":{"type":"tool","name":"f",`+
			`"disable_parallel_tool_use":true}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100},
			"toolConfig":{"tools":[` + spec + `],` +
				`"toolChoice":{"tool":{"name":"f"}}}}`, "tool_choice.disable_parallel_tool_use"},
		{"no tool in this turn", ask("nova", `"tools":[`+tool+`],"tool_choice":{"type":"none"}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100}}`, ""},
		{"hints about tools (7)", ask("nova", `"tools":[{"name":"f","input_schema":{},"defer_loading":true}]`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100},
			"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object",` +
				`"properties":{}}}}}]}}`, "tools[].defer_loading"},
		{"calls and results (16, 53)", ask("nova", `"tools":[`+tool+`]`, hi, assistant(calls),
			user(`[{"type":"tool_result","tool_use_id":"toolu_1","content":"out","is_error":true}]`)),
			`{"messages":[` + hello + `,{"role":"assistant","content":[{"toolUse":{"toolUseId":"toolu_1",` +
				`"name":"f","input":{"a":"b"}}}]},
			{"role":"user","content":[{"toolResult":{"toolUseId":"toolu_1","content":[{"text":"out"}],"status":"error"}}]}],
			"inferenceConfig":{"maxTokens":100},"toolConfig":{"tools":[` + spec + `]}}`, ""},
		{"calls whose tools are no longer declared (27), input that is empty", ask("nova", ``, hi,
			assistant(`[{"type":"tool_use","id":"toolu_1","name":"g","input":{}}]`),
			user(`[{"type":"tool_result","tool_use_id":"toolu_1"}]`)),
			`{"messages":[` + hello + `,{"role":"assistant","content":[{"toolUse":{"toolUseId":"toolu_1",` +
				`"name":"g","input":{}}}]},
			{"role":"user","content":[{"toolResult":{"toolUseId":"toolu_1","content":[{"text":"(no output)"}],` +
				`"status":"success"}}]}],
			"inferenceConfig":{"maxTokens":100},
			"toolConfig":{"tools":[{"toolSpec":{"name":"g","inputSchema":{"json":{"type":"object",` +
				`"properties":{}}}}}]}}`, ""},
		{"two results of two messages", ask("nova", `"tools":[`+tool+`]`, hi,
			assistant(`[{"type":"tool_use","id":"1","name":"f","input":{}},{"type":"tool_use","id":"2","name":"f",`+
				`"input":{}}]`),
			user(`[{"type":"tool_result","tool_use_id":"1","content":"a"}]`), user(`[{"type":"tool_result",`+
				`"tool_use_id":"2","content":"b"},{"type":"text","text":"go"}]`)),
			`{"messages":[` + hello + `,{"role":"assistant","content":[{"toolUse":{"toolUseId":"1","name":"f","input":{}}},
			{"toolUse":{"toolUseId":"2","name":"f","input":{}}}]},
			{"role":"user","content":[{"toolResult":{"toolUseId":"1","content":[{"text":"a"}],"status":"success"}},
			{"toolResult":{"toolUseId":"2","content":[{"text":"b"}],"status":"success"}},{"text":"go"}]}],
			"inferenceConfig":{"maxTokens":100},"toolConfig":{"tools":[` + spec + `]}}`, ""},
		{"images by their bytes", ask("nova", ``, user(`[`+image+`,{"type":"text","text":"what?"}]`)),
			`{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":` + png + `}}},` +
				`{"text":"what?"}]}],
			"inferenceConfig":{"maxTokens":100}}`, ""},
		{"an image in a result", ask("nova", `"tools":[`+tool+`]`, hi, assistant(calls),
			user(`[{"type":"tool_result","tool_use_id":"toolu_1","content":[`+image+`]}]`)),
			`{"messages":[` + hello + `,{"role":"assistant","content":[{"toolUse":{"toolUseId":"toolu_1",` +
				`"name":"f","input":{"a":"b"}}}]},
			{"role":"user","content":[{"toolResult":{"toolUseId":"toolu_1","content":[{"text":"See below."}],` +
				`"status":"success"}},
			{"image":{"format":"png","source":{"bytes":` + png + `}}}]}],"inferenceConfig":{"maxTokens":100},` +
				`"toolConfig":{"tools":[` + spec + `]}}`, ""},
		{"a document of text", ask("nova", ``, user(`[{"type":"document","title":"a b.txt",`+
			`"source":{"type":"text","media_type":"text/plain","data":"hi"}}]`)),
			`{"messages":[{"role":"user","content":[{"document":{"format":"txt","name":"a b","source":{"bytes":"aGk="}}},
			{"text":"See the document."}]}],"inferenceConfig":{"maxTokens":100}}`, ""},
		{"thinking of others and empty blocks (18, 22, 52)", ask("nova", ``, hi, assistant(
			`[{"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"d"},`+
				`{"type":"text","text":""},{"type":"text","text":"a"}]`), user(`"b"`)),
			`{"messages":[` + hello + `,{"role":"assistant","content":[{"text":"a"}]},{"role":"user",` +
				`"content":[{"text":"b"}]}],
			"inferenceConfig":{"maxTokens":100}}`, "messages[].content[]"},
		{"thinking for Claude (33)", ask("opus", ``, hi, assistant(
			`[{"type":"thinking","thinking":"","signature":"s"},{"type":"redacted_thinking","data":"d"},`+
				`{"type":"text","text":"a"}]`), user(`"b"`)),
			`{"messages":[` + hello + `,{"role":"assistant",` +
				`"content":[{"reasoningContent":{"reasoningText":{"text":"","signature":"s"}}},
			{"reasoningContent":{"redactedContent":"d"}},{"text":"a"}]},{"role":"user","content":[{"text":"b"}]}],
			"inferenceConfig":{"maxTokens":100}}`, ""},
		{"thinking in Nova 2's way", ask("nova2", `"thinking":{"type":"enabled","budget_tokens":50}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100},
			"additionalModelRequestFields":{"reasoningConfig":{"type":"enabled","maxReasoningEffort":"low"}},
			"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]}`, ""},
		{"thinking by effort", ask("oss", `"thinking":{"type":"adaptive"}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100},` +
				`"additionalModelRequestFields":{"reasoning_effort":"medium"},
			"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]}`, ""},
		{"thinking of a model that does not", ask("nova", `"thinking":{"type":"adaptive"},`+
			`"output_config":{"effort":"high"}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100}}`, "thinking output_config.effort"},
		{"no thinking", ask("nova", `"thinking":{"type":"disabled"}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100}}`, ""},
		{"a schema", ask("oss", `"output_config":{"format":{"type":"json_schema","schema":{"a":1}}}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100},
			"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"name":"answer",` +
				`"schema":"{\"a\":1}"}}}}}`, ""},
		{"a user", ask("nova", `"metadata":{"user_id":"a\"b"}`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100},"requestMetadata":{"user_id":"a_b"}}`, ""},
		{"what only Claude has (4)", ask("nova", `"context_management":{"edits":[]},"service_tier":"auto"`, hi),
			`{"messages":[` + hello + `],"inferenceConfig":{"maxTokens":100}}`, "context_management"},
		{"a prefill", ask("nova", ``, hi, assistant(`"so "`)),
			`{"messages":[` + hello + `,{"role":"assistant","content":[{"text":"so"}]}],` +
				`"inferenceConfig":{"maxTokens":100}}`, ""},
		{"an instruction on the way", ask("nova", ``, hi, `{"role":"system","content":"now"}`),
			`{"messages":[{"role":"user","content":[{"text":"hi"},{"text":"now"}]}],` +
				`"inferenceConfig":{"maxTokens":100}}`, ""},
		{"a search result", ask("nova", ``, user(`[{"type":"search_result","source":"s","title":"t",`+
			`"content":[{"type":"text","text":"x"}]}]`)),
			`{"messages":[{"role":"user","content":[{"text":"t\ns"},{"text":"x"}]}],` +
				`"inferenceConfig":{"maxTokens":100}}`, ""},
		{"search results and documents of a result", ask("nova", `"tools":[`+tool+`]`, hi, assistant(calls),
			user(`[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"search_result","source":"s",`+
				`"title":"t","content":[{"type":"text","text":"x"}]},{"type":"document","title":"d","source":`+
				`{"type":"content","content":[{"type":"text","text":"y"},{"type":"search_result","source":"v",`+
				`"title":"u","content":[{"type":"text","text":"z"}]}]}}]},{"type":"text","text":"go"}]`)),
			`{"messages":[` + hello + `,{"role":"assistant","content":[{"toolUse":{"toolUseId":"toolu_1",` +
				`"name":"f","input":{"a":"b"}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"toolu_1",` +
				`"content":[{"text":"See below."}],"status":"success"}},{"text":"go"},{"text":"t\ns"},{"text":"x"},` +
				`{"text":"d"},{"text":"y"},{"text":"u\nv"},{"text":"z"}]}],"inferenceConfig":{"maxTokens":100},` +
				`"toolConfig":{"tools":[` + spec + `]}}`, ""},
		{"nobody knows the model", ask("opaque", ``, hi), `{"messages":[` + hello + `],` +
			`"inferenceConfig":{"maxTokens":100}}`, ""},
	}
	for _, c := range cases {
		n := native(t, request(c.body, ""))
		if n.Op != wire.OpConverse || !sameJSON(t, string(n.Body), c.want) || strings.Join(n.Dropped, " ") != c.dropped {
			t.Errorf("%s:\n%s\n%s\n%s", c.name, n.Body, c.want, n.Dropped)
		}
	}
}

// TestTranslateRefused: what would change the answer is refused with 400 that says where it is.
func TestTranslateRefused(t *testing.T) {
	f := func(body, param, text string) {
		t.Helper()
		n, failure := Open("POST", "/v1/messages").Native(request(body, ""))
		if failure == nil || failure.Class != caller.ClassInvalid || failure.Param != param ||
			!strings.Contains(message(failure), text) {
			t.Errorf("%s: %+v %+v", body, n, failure)
		}
	}
	f(`{"model":"nova","messages":[`+hi+`]}`, "max_tokens", "Field required")
	f(`{"model":"nova","max_tokens":1}`, "messages", "Field required")
	f(ask("nova", `"max_tokens":0`, hi), "max_tokens", "greater than")
	f(ask("nova", `"max_tokens":"5"`, hi), "max_tokens", "integer")
	f(ask("nova", ``), "messages", "at least one")
	f(ask("nova", ``, user(`""`)), "messages", "content")
	f(ask("nova", ``, user(`5`)), "messages.0.content", "list")
	f(ask("nova", ``, `{"role":"tool","content":""}`), "messages.0.role", "'user' or 'assistant'")
	f(ask("nova", ``, `{"role":"user"}`), "messages.0.content", "Field required")
	f(ask("nova", ``, user(`[{"text":"x"}]`)), "messages.0.content.0.type", "Field required")
	f(ask("nova", ``, user(`[{"type":"nonesuch"}]`)), "messages.0.content.0", "nonesuch")
	f(ask("nova", ``, user(`[{"type":"image","source":{"type":"url",`+
		`"url":"http://x"}}]`)), "messages.0.content.0.source", "base64")
	f(ask("nova", ``, user(`[{"type":"document","source":{"type":"file",`+
		`"file_id":"x"}}]`)), "messages.0.content.0.source", "base64")
	f(ask("nova", ``, user(`[{"type":"image","source":{"type":"base64",`+
		`"data":"aaaa"}}]`)), "messages.0.content.0", "process image")
	f(ask("nova", ``, user(`[{"type":"image","source":{"type":"base64",`+
		`"data":"a"}}]`)), "messages.0.content.0.source.data", "base64")
	f(ask("llama", ``, user(`[`+image+`]`)), "messages.0.content.0", "no images")
	f(ask("nova", ``, user(`[`+strings.Repeat(image+",", 20)+image+`]`)), "messages.0.content.20", "20 images")
	f(ask("nova", ``, user(`[{"type":"tool_result","tool_use_id":"x",`+
		`"content":"y"}]`)), "messages.0.content.0", "tool_use_id")
	f(ask("nova", ``, user(`[{"type":"tool_use","id":"x","name":"y","input":{}}]`)), "messages.0.content.0", "role")
	f(ask("nova", ``, hi, assistant(`[{"type":"tool_use","id":"x","name":"y",`+
		`"input":"z"}]`)), "messages.1.content.0.input", "dictionary")
	f(ask("nova", `"tools":[{"type":"web_search_20250305","name":"web_search"}]`, hi), "tools.0", "Anthropic only")
	f(ask("nova", `"tools":[{"type":"bash_20250124","name":"bash"}]`, hi), "tools.0", "Claude only")
	f(ask("nova", `"tools":[{"name":"f"}]`, hi), "tools.0.input_schema", "Field required")
	f(ask("nova", `"tools":[`+tool+`,`+tool+`]`, hi), "tools.1", "unique")
	f(ask("nova", `"tool_choice":{"type":"any"}`, hi), "tool_choice", "tools")
	f(ask("nova", `"tools":[`+tool+`],"tool_choice":{"type":"tool","name":"g"}`, hi), "tool_choice", "not found")
	f(ask("llama", `"tools":[`+tool+`],"tool_choice":{"type":"any"}`, hi), "tool_choice", "cannot be made")
	f(ask("nova", `"temperature":1.5`, hi), "temperature", "range")
	f(ask("nova", `"stop_sequences":[" "]`, hi), "stop_sequences.0", "non-whitespace")
	// Symptom 29: a budget of thinking above the cap.
	f(ask("nova2", `"thinking":{"type":"enabled",`+
		`"budget_tokens":100}`, hi), "thinking.budget_tokens", "must be greater")
	f(ask("nova", `"output_config":{"format":{"type":"json_schema",`+
		`"schema":{}}}`, hi), "output_config.format", "schema")
	f(ask("nova", `"container":"x"`, hi), "container", "")
	f(ask("nova", `"nonesuch":1`, hi), "nonesuch", "Extra inputs")
	f(ask("opus", ``, hi, assistant(`"so"`)), "messages", "prefill")
	f(ask("opus", ``, hi, assistant(`[{"type":"thinking","thinking":"x"}]`), hi), "messages.1.content.0", "signature")
}

// TestPolicies: a tenant may want everything refused, or served as far as it can be.
func TestPolicies(t *testing.T) {
	f := func(body, dropped string) {
		t.Helper()
		if _, failure := Open("POST", "/v1/messages").Native(request(body, caller.PolicyRefuse)); failure == nil {
			t.Error(body)
		}
		n := native(t, request(body, caller.PolicyDrop))
		if strings.Join(n.Dropped, " ") != dropped {
			t.Errorf("%s: %q", body, n.Dropped)
		}
	}
	f(ask("nova", `"container":"x","nonesuch":1`, hi), "nonesuch container")
	f(ask("nova", `"tools":[{"type":"web_search_20250305","name":"web_search"},`+tool+`]`, hi), "tools[]")
	f(ask("llama", `"top_k":1`, hi), "top_k")
	f(ask("llama", ``, user(`[`+image+`,{"type":"text","text":"x"}]`)), "messages[].content[]")
	f(ask("nova", ``, hi, assistant(`[{"type":"server_tool_use","id":"x","name":"y","input":{}},{"type":"text",`+
		`"text":"x"}]`), hi),
		"messages[].content[]")
}

// TestServiceTiers: the tiers of Messages are Bedrock's default, and others are refused.
func TestServiceTiers(t *testing.T) {
	for tier, fine := range map[string]bool{
		`"auto"`: true, `"standard_only"`: true, `null`: true, `"flex"`: false, `1`: false, `[]`: false,
	} {
		for _, model := range []string{"nova", "claude"} {
			_, failure := Open("POST", "/v1/messages").Native(request(ask(model, `"service_tier":`+tier, hi), ""))
			if (failure == nil) != fine || !fine && failure.Param != "service_tier" {
				t.Errorf("%s, %s: %+v", model, tier, failure)
			}
		}
	}
}
