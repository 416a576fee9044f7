package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

func TestResponsesRequests(t *testing.T) {
	seal := (&thought{Model: "anthropic.claude-sonnet-4-5-20250929-v1:0", Text: "hm", Signature: "sig"}).seal()
	foreign := (&thought{Model: "anthropic.claude-opus-4-7", Text: "hm", Signature: "sig"}).seal()
	for _, c := range []struct{ name, body, want, dropped string }{
		{"a string", `{"model":"m.x","input":"hi"}`, `{` + greeting + `}`, "store"},
		{"nothing to store", `{"model":"m.x","input":"hi","store":false,"instructions":"be kind","max_output_tokens":9}`,
			`{` + greeting + `,"system":[{"text":"be kind"}],"inferenceConfig":{"maxTokens":9}}`, ""},
		{"a conversation", `{"model":"` + sonnet45 + `","store":false,"input":[
			{"role":"developer","content":"a"},
			{"type":"message","role":"user","content":[{"type":"input_text","text":"b"}]},
			{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"` + seal + `"},
			{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"x\":1}","status":"completed"},
			{"type":"function_call","call_id":"c2","name":"f","arguments":"{}"},
			{"type":"function_call_output","call_id":"c1","output":"one"},
			{"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
			{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text",
				"text":"c","annotations":[]}]},
			{"role":"user","content":"d"}],"tools":[{"type":"function","name":"f","parameters":{},"strict":true}]}`,
			`{"messages":[{"role":"user","content":[{"text":"b"}]},
			{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm","signature":"sig"}}},
				{"toolUse":{"toolUseId":"c1","name":"f","input":{"x":1}}},{"toolUse":{"toolUseId":"c2","name":"f","input":{}}}]},
			{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"one"}],"status":"success"}},
				{"toolResult":{"toolUseId":"c2","content":[{"text":"two"}],"status":"success"}}]},
			{"role":"assistant","content":[{"text":"c"}]},{"role":"user","content":[{"text":"d"}]}],
			"system":[{"text":"a"}],"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object",
			"properties":{}}},"strict":true}}]}}`, ""},
		{"52: another model's reasoning", `{"model":"` + sonnet45 + `","store":false,"input":[{"role":"user","content":"hi"},
			{"type":"reasoning","summary":[],"encrypted_content":"` + foreign + `"}]}`, `{` + greeting + `}`, "input[]"},
		{"format, effort, verbosity", `{"model":"` + sonnet45 + `","input":"hi","store":false,"text":{"verbosity":"low` +
			`","format":
			{"type":"json_schema","name":"x","schema":{"type":"object"}}},"reasoning":{"effort":"low","summary":"auto"},
			"include":["reasoning.encrypted_content"],"tool_choice":"auto","max_tool_calls":3}`,
			`{` + greeting + `,"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":
			"{\"type\":\"object\"}","name":"x"}}}},"additionalModelRequestFields":{"thinking":{"type":"enabled",
			"budget_tokens":1024}},"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]}`,
			"text.verbosity,max_tool_calls"},
		{"a picture", `{"model":"m.x","store":false,"input":[{"role":"user","content":[{"type":"input_image","detail":"auto",
			"image_url":"data:image/png;base64,` + png + `"},{"type":"input_file","filename":"a.pdf","file_data":
			"data:application/pdf;base64,` + pdf + `"}]}]}`, `{"messages":[{"role":"user","content":[{"image":{"format":"png",
			"source":{"bytes":"` + png + `"}}},{"document":{"format":"pdf","name":"a","source":{"bytes":"` + pdf + `"}}},
			{"text":"See the document."}]}]}`, ""},
	} {
		becomes(t, responsesAPI.request, c.name, c.body, c.want, c.dropped)
	}
}

func TestResponsesRefused(t *testing.T) {
	for _, c := range []struct{ members, param, code string }{
		{`"store":false`, "input", codeMissing},
		{`"input":"hi","previous_response_id":"resp_1"`, "previous_response_id", codeUnsupported},
		{`"input":"hi","conversation":"c"`, "conversation", codeUnsupported},
		{`"input":"hi","background":true`, "background", codeUnsupported},
		{`"input":"hi","prompt":{"id":"p"}`, "prompt", codeUnsupported},
		{`"input":"hi","truncation":"auto"`, "truncation", codeUnsupported},
		{`"input":"hi","top_logprobs":2`, "top_logprobs", codeUnsupported},
		{`"input":"hi","messages":[]`, "messages", codeUnknown},
		{`"input":"hi","tools":[{"type":"web_search"}]`, "tools[0]", codeUnsupported},
		{`"input":"hi","include":["message.output_text.logprobs"]`, "include[0]", codeUnsupported},
		{`"input":[{"type":"item_reference","id":"x"}]`, "input[0]", codeUnsupported},
		{`"input":[{"type":"local_shell_call","id":"x"}]`, "input[0]", codeUnsupported},
		{`"input":[{"type":"function_call_output","call_id":"x","output":"y"}]`, "input[0].call_id", codeValue},
		{`"input":[{"type":"function_call","name":"x","arguments":"{}"}]`, "input[0].call_id", codeMissing},
		{`"input":[{"role":"user","content":[{"type":"input_image","image_url":"http://169.254.169.254/"}]}]`,
			"input[0].content[0].image_url", codeValue},
		{`"input":[{"role":"user","content":[{"type":"input_file","file_url":"http://x/"}]}]`,
			"input[0].content[0].file_url", codeUnsupported},
		{`"input":[]`, "input", codeValue},
		{`"input":[1]`, "input[0]", codeType},
		{`"input":1`, "input", codeType},
	} {
		_, _, f := responsesAPI.request(asked(`{"model":"m.x",` + c.members + `}`))
		if f == nil || f.Param != c.param || f.Code != c.code {
			t.Errorf("%s: %+v, want %s at %s", c.members, f, c.code, c.param)
		}
	}
}

// TestResponsesStream looks at the order of events, their numbers, and that they add up to the whole answer: 17.
func TestResponsesStream(t *testing.T) {
	k, _, f := responsesAPI.request(asked(`{"model":"` + sonnet45 + `","input":"hi","stream":true,"store":false,` +
		`"include":["reasoning.encrypted_content"],"metadata":{"a":"b"}}`))
	if f != nil {
		t.Fatal(f)
	}
	got := frames(t, k.responseStream(told("")),
		event{"messageStart", `{"role":"assistant"}`},
		event{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"h\n"}}}`},
		event{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"m"}}}`},
		event{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"sig"}}}`},
		event{"contentBlockStop", `{"contentBlockIndex":0}`},
		event{"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"text":"a"}}`},
		event{"contentBlockDelta", `{"contentBlockIndex":1,"delta":{"text":"\"b"}}`},
		event{"contentBlockStop", `{"contentBlockIndex":1}`},
		event{"contentBlockStart", `{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t1","name":"f"}}}`},
		event{"contentBlockDelta", `{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"x\":1}"}}}`},
		event{"contentBlockStop", `{"contentBlockIndex":2}`},
		event{"contentBlockStart", `{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"t2","name":"g"}}}`},
		event{"contentBlockStop", `{"contentBlockIndex":3}`},
		event{"messageStop", `{"stopReason":"tool_use"}`},
		event{"metadata", `{"usage":{"inputTokens":1,"outputTokens":7,"totalTokens":8,"cacheReadInputTokens":2}}`})
	wantOrder := `response.created response.in_progress response.output_item.added response.reasoning_summary_part.added
		response.reasoning_summary_text.delta response.reasoning_summary_text.delta response.reasoning_summary_text.done
		response.reasoning_summary_part.done response.output_item.done
		response.output_item.added response.content_part.added response.output_text.delta response.output_text.delta
		response.output_text.done response.content_part.done response.output_item.done
		response.output_item.added response.function_call_arguments.delta response.function_call_arguments.done
		response.output_item.done
		response.output_item.added response.function_call_arguments.delta response.function_call_arguments.done
		response.output_item.done response.completed`
	var order []string
	var last []byte
	for i, e := range strings.Split(strings.TrimSuffix(got, "\n\n"), "\n\n") {
		name, data, _ := strings.Cut(strings.TrimPrefix(e, "event: "), "\ndata: ")
		var head struct {
			Type           string
			SequenceNumber int `json:"sequence_number"`
			Response       json.RawMessage
		}
		if err := json.Unmarshal([]byte(data), &head); err != nil || head.Type != name || head.SequenceNumber != i {
			t.Fatalf("event %d: %v in %s", i, err, e)
		}
		order, last = append(order, name), head.Response
	}
	if want := strings.Join(strings.Fields(wantOrder), " "); strings.Join(order, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(order, " "), want)
	}
	whole, failure := k.responsesAnswer(told(`{"output":{"message":{"role":"assistant","content":[
		{"reasoningContent":{"reasoningText":{"text":"h\nm","signature":"sig"}}},{"text":"a\"b"},
		{"toolUse":{"toolUseId":"t1","name":"f","input":{"x":1}}},{"toolUse":{"toolUseId":"t2","name":"g","input":{}}}]}},
		"stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":7,"totalTokens":8,"cacheReadInputTokens":2}}`))
	if failure != nil {
		t.Fatal(failure)
	}
	same(t, "stream and whole", last, string(whole))
	var r struct {
		Status   string
		Store    bool
		Metadata map[string]string
		Output   []struct {
			Type      string
			Encrypted string `json:"encrypted_content"`
		}
		Usage struct {
			Input  int `json:"input_tokens"`
			Total  int `json:"total_tokens"`
			Detail struct {
				Cached int `json:"cached_tokens"`
			} `json:"input_tokens_details"`
		}
	}
	if err := json.Unmarshal(whole, &r); err != nil || r.Status != "completed" || r.Store || len(r.Output) != 4 ||
		r.Usage.Input != 3 || r.Usage.Total != 10 || r.Usage.Detail.Cached != 2 || r.Metadata["a"] != "b" {
		t.Errorf("%v in %s", err, whole)
	}
	if th, ok := unseal(r.Output[0].Encrypted); !ok || th.Text != "h\nm" || th.Signature != "sig" {
		t.Errorf("%+v", th)
	}
}

// TestResponsesEnds is how a response ends that is not complete: usage is there all the same.
func TestResponsesEnds(t *testing.T) {
	k := &known{model: "auto", echo: []byte(`"tools":[]`)}
	for stop, want := range map[string]string{
		"max_tokens": `"status":"incomplete","background":false,"error":null,"incomplete_details":{"reason":` +
			`"max_output_tokens"}`,
		"guardrail_intervened": `"status":"incomplete","background":false,"error":null,"incomplete_details":{"reason":` +
			`"content_filter"}`,
		"content_filtered":   `"incomplete_details":{"reason":"content_filter"}`,
		"end_turn":           `"status":"completed"`,
		"malformed_tool_use": `"status":"failed"`,
	} {
		got := frames(t, k.responseStream(told("")), event{"messageStart", `{}`},
			event{"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"a"}}`},
			event{"messageStop", `{"stopReason":"` + stop + `"}`}, event{"metadata", `{"usage":{"inputTokens":1,"outputTo` +
				`kens":2}}`})
		const caches = `"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0}`
		if !strings.Contains(got, want) || stop != "malformed_tool_use" && (!strings.Contains(got, caches) ||
			!strings.Contains(got, `"usage":{"input_tokens":1`)) {
			t.Errorf("%s: %s", stop, got)
		}
	}
	got := frames(t, k.responseStream(told("")), event{"messageStart", `{}`})
	if !strings.Contains(got, "event: response.failed") || strings.Contains(got, "[DONE]") {
		t.Error(got)
	}
	got = string(k.responseStream(told("")).Fail(nil, &caller.Failure{Class: caller.ClassRate, Message: "slow"}))
	if !strings.Contains(got, `"code":"rate_limit_exceeded"`) {
		t.Error(got)
	}
}
