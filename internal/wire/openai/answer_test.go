package openai

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// event is one frame of a stream.
type event struct{ kind, payload string }

func encoded(e event) []byte {
	return wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: e.kind}, {Name: ":message-type",
		Value: "event"},
		{Name: ":content-type", Value: "application/json"}}, []byte(e.payload))
}

func frames(t *testing.T, s caller.Stream, events ...event) string {
	t.Helper()
	var out []byte
	for _, e := range events {
		f := wire.SplitFrame(encoded(e))
		if failure := caller.ExceptionOf(f); failure != nil {
			return string(s.Fail(out, failure))
		}
		var failure *caller.Failure
		if out, failure = s.Frame(out, f); failure != nil {
			return string(s.Fail(out, failure))
		}
	}
	return string(s.End(out))
}

func told(body string) *caller.Answer {
	return &caller.Answer{ID: "01ID", Model: sonnet45, Received: time.Unix(1_790_000_000, 0), Body: []byte(body)}
}

const chatHead = `{"id":"chatcmpl-01ID","object":"chat.completion","created":1790000000,"model":"auto",`

func TestChatAnswers(t *testing.T) {
	usage := `"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":115,"cacheReadInputTokens":80,` +
		`"cacheWriteInputTokens":20}`
	used := `"usage":{"prompt_tokens":110,"completion_tokens":5,"total_tokens":115,"prompt_tokens_details":` +
		`{"cached_tokens":80,"cache_write_tokens":20}}`
	for _, c := range []struct{ name, body, want string }{
		{"21, 22: words and caches", `{"output":{"message":{"role":"assistant","content":[{"text":"a\u00e9"},{"text":"` +
			`b"}]}},` +
			`"stopReason":"end_turn",` + usage + `}`, `"choices":[{"index":0,"message":{"role":"assistant","content":"aéb",` +
			`"refusal":null},"logprobs":null,"finish_reason":"stop"}],` + used},
		{"13: nothing", `{"output":{"message":{"role":"assistant","content":[]}},"stopReason":"max_tokens",` + usage + `}`,
			`"choices":[{"index":0,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,` +
				`"finish_reason":"length"}],` + used},
		{"15, 30: calls", `{"output":{"message":{"role":"assistant","content":[{"toolUse":{"toolUseId":"t1","name":"a",` +
			`"input":{"x": {"y":"}"}}}},{"toolUse":{"toolUseId":"t2","name":"b_1","input":{}}}]}},"stopReason":"tool_use"` +
			`,` + usage +
			`}`, `"choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"t1",` +
			`"type":"function","function":{"name":"a","arguments":"{\"x\":{\"y\":\"}\"}}"}},{"id":"t2","type":"function",` +
			`"function":{"name":"b.1","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],` + used},
		{"33, 47: reasoning", `{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText` +
			`":{"text":` +
			`"hm","signature":"sig"}}},{"reasoningContent":{"redactedContent":"AAAA"}},{"text":"a"}]}},"stopReason":"end_` +
			`turn",` +
			`"additionalModelResponseFields":{"usage":{"output_tokens_details":{"thinking_tokens":3}}},` + usage + `}`,
			`"choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null,"reasoning_content":"hm",` +
				`"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig","format":` +
				`"anthropic.claude-sonnet-4-5-20250929-v1:0"},{"type":"reasoning.encrypted","data":"AAAA","format":` +
				`"anthropic.claude-sonnet-4-5-20250929-v1:0"}]},"logprobs":null,"finish_reason":"stop"}],` +
				strings.TrimSuffix(used, "}") + `,"completion_tokens_details":{"reasoning_tokens":3}}`},
		{"44: an odd answer", `{"output":null,"stopReason":"novel"}`, `"choices":[{"index":0,"message":{"role":"assistant",` +
			`"content":"","refusal":null},"logprobs":null,"finish_reason":"stop"}]`},
		{"a guardrail", `{"output":{"message":{"content":[{"text":"no"}]}},"stopReason":"guardrail_intervened"}`,
			`"choices":[{"index":0,"message":{"role":"assistant","content":"no","refusal":null},"logprobs":null,` +
				`"finish_reason":"content_filter"}]`},
		{"a schema by a tool", `{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"answer_in_json","` +
			`input":` +
			`{"a":"\"q\""}}}]}},"stopReason":"tool_use"}`, `"choices":[{"index":0,"message":{"role":"assistant","content":` +
			`"{\"a\":\"\\\"q\\\"\"}","refusal":null},"logprobs":null,"finish_reason":"stop"}]`},
	} {
		k := &known{model: "auto", names: map[string]string{"b_1": "b.1"}, jsonTool: jsonTool}
		got, f := k.chatAnswer(told(c.body))
		if f != nil {
			t.Errorf("%s: %+v", c.name, f)
			continue
		}
		same(t, c.name, got, chatHead+c.want+"}")
	}
	for _, body := range []string{`{`, `{"stopReason":"malformed_tool_use"}`, `{"stopReason":"malformed_model_output"}`} {
		if _, f := (&known{}).chatAnswer(told(body)); f == nil || f.Class != caller.ClassModel {
			t.Errorf("%s: %+v", body, f)
		}
	}
}

// TestChatStream is a stream with reasoning, words, parallel calls of which one has no input, and counts: 2, 3, 15, 24,
// 25, 26, 27, 31.
func TestChatStream(t *testing.T) {
	k := &known{model: "auto", usage: true}
	got := frames(t, k.chatStream(told("")),
		event{"messageStart", `{"role":"assistant","p":"abc"}`},
		event{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}`},
		event{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"sig"}}}`},
		event{"contentBlockStop", `{"contentBlockIndex":0}`},
		event{"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"text":"a\n"},"p":"x"}`},
		event{"contentBlockStop", `{"contentBlockIndex":1}`},
		event{"contentBlockStart", `{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t1","name":"f"}}}`},
		event{"contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":""}}}`},
		event{"contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"x\":"}}}`},
		event{"contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":"1}"}}}`},
		event{"contentBlockStop", `{"contentBlockIndex":2}`},
		event{"contentBlockStart", `{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"t2","name":"g"}}}`},
		event{"contentBlockStop", `{"contentBlockIndex":3}`},
		event{"messageStop", `{"stopReason":"tool_use","additionalModelResponseFields":{"usage":{"output_tokens_details":` +
			`{"thinking_tokens":4}}}}`},
		event{"novelty", `{}`},
		event{"metadata", `{"usage":{"inputTokens":1,"outputTokens":7,"totalTokens":8}}`})
	head := `data: {"id":"chatcmpl-01ID","object":"chat.completion.chunk","created":1790000000,"model":"auto","choices":`
	var want strings.Builder
	for _, delta := range []string{
		`"role":"assistant","content":""`,
		`"reasoning_content":"hm"`,
		`"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig","format":` +
			`"anthropic.claude-sonnet-4-5-20250929-v1:0"}]`,
		`"content":"a\n"`,
		`"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":""}}]`,
		`"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]`,
		`"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]`,
		`"tool_calls":[{"index":1,"id":"t2","type":"function","function":{"name":"g","arguments":""}}]`,
		`"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]`,
	} {
		want.WriteString(head + `[{"index":0,"delta":{` + delta + `},"logprobs":null,"finish_reason":null}],"usage":nu` +
			`ll}` + "\n\n")
	}
	want.WriteString(head + `[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null}` + "\n\n")
	want.WriteString(head + `[],"usage":{"prompt_tokens":1,"completion_tokens":7,"total_tokens":8,"prompt_tokens_de` +
		`tails":` +
		`{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":4}}}` + "\n\ndata: [DONE]\n\n")
	if got != want.String() {
		t.Errorf("got:\n%s\nwant:\n%s", got, want.String())
	}
}

// TestChatStreamEnds is how a stream ends: 1, 35.
func TestChatStreamEnds(t *testing.T) {
	start := event{"messageStart", `{"role":"assistant"}`}
	words := event{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"a"}}`}
	stop := event{"messageStop", `{"stopReason":"end_turn"}`}
	for _, c := range []struct {
		name   string
		events []event
		done   bool
		says   string
	}{
		{"1: without messageStop", []event{start, words}, false, `"error"`},
		{"nothing at all", nil, false, `"error"`},
		{"without metadata", []event{start, words, stop}, true, `"finish_reason":"stop"`},
		{"malformed", []event{start, {"messageStop", `{"stopReason":"malformed_tool_use"}`}}, false, `"code":"malforme` +
			`d_tool_use"`},
		{"no JSON", []event{start, {"contentBlockDelta", `{`}}, false, `"error"`},
		{"a block that was not begun", []event{start, {"contentBlockDelta", `{"contentBlockIndex":5,"delta":{"toolUse":` +
			`{"input":"{}"}}}`}, stop}, true, `"finish_reason":"stop"`},
		{"a block that does not end", []event{start, {"contentBlockStart", `{"contentBlockIndex":0,"start":{"toolUse":` +
			`{"toolUseId":"t","name":"f"}}}`}, {"messageStop", `{"stopReason":"tool_use"}`}}, true, `"arguments":"{}"`},
	} {
		got := frames(t, (&known{model: "auto"}).chatStream(told("")), c.events...)
		if strings.HasSuffix(got, "data: [DONE]\n\n") != c.done || !strings.Contains(got, c.says) {
			t.Errorf("%s: %s", c.name, got)
		}
		if strings.Contains(got, `"usage"`) {
			t.Errorf("%s: nobody has asked for counts: %s", c.name, got)
		}
	}
}

func TestFailures(t *testing.T) {
	for class := range caller.Classes {
		f := &caller.Failure{Class: class, Message: `a "b"`, Param: "p"}
		status, header, body := Fail(f)
		var said struct {
			Error struct{ Message, Type, Param, Code string }
		}
		if err := json.Unmarshal(body, &said); err != nil || said.Error.Message != f.Message || said.Error.Param != "p" ||
			said.Error.Type == "" || status < 400 {
			t.Errorf("%d: %v in %s", class, err, body)
		}
		final := header.Get("x-should-retry") == "false"
		if class == caller.ClassBudget && (said.Error.Code != "insufficient_quota" || !final) {
			t.Errorf("a budget: %s %v", body, header)
		}
	}
	if !bytes.HasPrefix(AppendPing(nil), []byte(":")) {
		t.Error("a ping is no comment")
	}
}
