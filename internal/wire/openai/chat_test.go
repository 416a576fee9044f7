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

const (
	sonnet45 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
	sonnet4  = "us.anthropic.claude-sonnet-4-20250514-v1:0"
	opus47   = "us.anthropic.claude-opus-4-7"
	novaLite = "amazon.nova-lite-v1:0"
	llama    = "us.meta.llama3-1-8b-instruct-v1:0"
)

func asked(body string) *caller.Request {
	return &caller.Request{
		ID: "01ID", Body: []byte(body), Received: time.Unix(1_790_000_000, 0),
		Model: func(name string) caller.Model {
			return caller.Model{ID: name, Foundation: wire.ParseModelID(name).Foundation}
		},
	}
}

// same compares JSON by its meaning.
func same(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%s: %v in %s", what, err, got)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatalf("%s: %v in %s", what, err, want)
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	if !bytes.Equal(x, y) {
		t.Errorf("%s:\n got %s\nwant %s", what, x, y)
	}
}

// becomes checks what a translation makes of a request, and what it drops.
func becomes(t *testing.T, translate func(*caller.Request) (*known, *caller.Native, *caller.Failure),
	name, body, want, dropped string,
) {
	t.Helper()
	_, n, f := translate(asked(body))
	if f != nil {
		t.Errorf("%s: %+v", name, f)
		return
	}
	same(t, name, n.Body, want)
	if got := strings.Join(n.Dropped, ","); got != dropped {
		t.Errorf("%s: dropped %s, want %s", name, got, dropped)
	}
}

// with is a request to a model with members beside a greeting.
func with(model, members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"model":"` + model + `","messages":[{"role":"user","content":"hi"}]` + members + `}`
}

const greeting = `"messages":[{"role":"user","content":[{"text":"hi"}]}]`

const weather = `"tools":[{"type":"function","function":{"name":"weather","description":"d",` +
	`"parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]`

const weatherTool = `{"toolSpec":{"name":"weather","description":"d",` +
	`"inputSchema":{"json":{"type":"object","properties":{"city":{"type":"string"}}}}}}`

// TestChatRequests walks what each field becomes, by model where that matters.
func TestChatRequests(t *testing.T) {
	for _, c := range []struct{ name, body, want, dropped string }{
		{"plain", with(novaLite, ""), `{` + greeting + `}`, ""},
		{"nulls are absent", with(novaLite, `"stop":null,"tools":null,"seed":null,"n":null,"user":null`),
			`{` + greeting + `}`, ""},
		{"defaults say nothing", with(novaLite, `"n":1,"logprobs":false,"frequency_penalty":0,"presence_penalty":0.0,`+
			`"logit_bias":{},"store":false,"modalities":["text"],"tool_choice":"auto","service_tier":"auto"`),
			`{` + greeting + `}`, ""},
		{"caps", with(novaLite, `"max_tokens":5,"max_completion_tokens":7`),
			`{` + greeting + `,"inferenceConfig":{"maxTokens":7}}`, ""},
		{"sampling", with(novaLite, `"temperature":0.5,"top_p":0.25`),
			`{` + greeting + `,"inferenceConfig":{"temperature":0.5,"topP":0.25}}`, ""},
		{"one of the two", with(sonnet45, `"temperature":0.5,"top_p":0.25`),
			`{` + greeting + `,"inferenceConfig":{"temperature":0.5}}`, "top_p"},
		{"none of them", with(opus47, `"temperature":0.5,"top_p":0.25,"top_k":3`), `{` + greeting + `}`,
			"temperature,top_p,top_k"},
		{"none of them, and they say nothing", with(opus47, `"temperature":1,"top_p":1`), `{` + greeting + `}`, ""},
		{"top_k of Nova", with(novaLite, `"top_k":3`),
			`{` + greeting + `,"additionalModelRequestFields":{"inferenceConfig":{"topK":3}}}`, ""},
		{"top_k of Llama", with(llama, `"top_k":3`), `{` + greeting + `}`, "top_k"},
		{"stop, a string", with(novaLite, `"stop":"END"`), `{` + greeting + `,"inferenceConfig":{"stopSequences":["END"]}}`,
			""},
		{"stop, a list", with(novaLite, `"stop":["a","b"]`),
			`{` + greeting + `,"inferenceConfig":{"stopSequences":["a","b"]}}`, ""},
		{"what only tunes", with(novaLite, `"seed":1,"frequency_penalty":0.5,"presence_penalty":1,"logit_bias":{"1":2},`+
			`"prediction":{"type":"content","content":"x"},"store":true,"prompt_cache_key":"k","verbosity":"low"`),
			`{` + greeting + `}`,
			"prompt_cache_key,seed,verbosity,frequency_penalty,presence_penalty,logit_bias,prediction,store"},
		{"tier", with(novaLite, `"service_tier":"flex"`), `{` + greeting + `,"serviceTier":{"type":"flex"}}`, ""},
		{"another tier", with(novaLite, `"service_tier":"scale"`), `{` + greeting + `}`, "service_tier"},
		{"who", with(novaLite, `"user":"auth0|7","metadata":{"team":"a"},"safety_identifier":"s"`),
			`{` + greeting + `,"requestMetadata":{"team":"a","user":"auth0_7","safety_identifier":"s"}}`, ""},
		{"tools", with(novaLite, weather), `{` + greeting + `,"toolConfig":{"tools":[` + weatherTool + `]}}`, ""},
		{"required", with(novaLite, weather+`,"tool_choice":"required"`),
			`{` + greeting + `,"toolConfig":{"tools":[` + weatherTool + `],"toolChoice":{"any":{}}}}`, ""},
		{"a named tool", with(novaLite, weather+`,"tool_choice":{"type":"function","function":{"name":"weather"}}`),
			`{` + greeting + `,"toolConfig":{"tools":[` + weatherTool + `],"toolChoice":{"tool":{"name":"weather"}}}}`, ""},
		{"no tool", with(novaLite, weather+`,"tool_choice":"none"`), `{` + greeting + `}`, ""},
		{"one tool at a time", with(sonnet45, weather+`,"parallel_tool_calls":false`),
			`{` + greeting + `,"toolConfig":{"tools":[` + weatherTool + `]},"additionalModelRequestFields":{"tool_choice":` +
				`{"type":"auto","disable_parallel_tool_use":true}}}`, ""},
		{"one tool at a time, and one has to be", with(sonnet45, weather+`,"parallel_tool_calls":false,"tool_choice":"`+
			`required"`),
			`{` + greeting + `,"toolConfig":{"tools":[` + weatherTool + `],"toolChoice":{"any":{}}},` +
				`"additionalModelRequestFields":{"tool_choice":{"disable_parallel_tool_use":true}}}`, ""},
		{"one tool at a time, of Nova", with(novaLite, weather+`,"parallel_tool_calls":false`),
			`{` + greeting + `,"toolConfig":{"tools":[` + weatherTool + `]}}`, "parallel_tool_calls"},
		{"effort by budget", with(sonnet45, `"reasoning_effort":"low","temperature":0.2`),
			`{` + greeting + `,"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":1024}},` +
				`"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]}`, "temperature"},
		{"29: a budget below the cap", with(sonnet45, `"reasoning_effort":"high","max_tokens":2000`),
			`{` + greeting + `,"inferenceConfig":{"maxTokens":2000},"additionalModelRequestFields":{"thinking":{"type":` +
				`"enabled","budget_tokens":1999}},"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]}`, ""},
		{"29: no room for a budget", with(sonnet45, `"reasoning_effort":"high","max_tokens":1000`),
			`{` + greeting + `,"inferenceConfig":{"maxTokens":1000}}`, "reasoning_effort"},
		{"effort, adaptive", with(opus47, `"reasoning_effort":"max"`),
			`{` + greeting + `,"additionalModelRequestFields":{"thinking":{"type":"adaptive"},"output_config":{"effort":"` +
				`xhigh"}},` +
				`"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]}`, ""},
		{"effort, and a tool that has to be called",
			with(opus47, weather+`,"tool_choice":"required","reasoning_effort":"low"`),
			`{` + greeting + `,"toolConfig":{"tools":[` + weatherTool + `],"toolChoice":{"any":{}}},` +
				`"additionalModelRequestFields":{"output_config":{"effort":"low"}}}`, ""},
		{"a choice for a model that nobody knows", with("acme.unheard-of", weather+`,"tool_choice":"required"`),
			`{` + greeting + `,"toolConfig":{"tools":[` + weatherTool + `],"toolChoice":{"any":{}}}}`, ""},
		{"effort of Nova 2", with("us.amazon.nova-2-lite-v1:0", `"reasoning_effort":"high","max_tokens":9`),
			`{` + greeting + `,"inferenceConfig":{"maxTokens":9},"additionalModelRequestFields":{"reasoningConfig":` +
				`{"type":"enabled","maxReasoningEffort":"medium"}}}`, ""},
		{"effort of gpt-oss", with("openai.gpt-oss-120b-1:0", `"reasoning_effort":"minimal"`),
			`{` + greeting + `,"additionalModelRequestFields":{"reasoning_effort":"low"}}`, ""},
		{"effort of who does not think", with(novaLite, `"reasoning_effort":"low"`), `{` + greeting + `}`,
			"reasoning_effort"},
		{"effort none", with(sonnet45, `"reasoning_effort":"none"`), `{` + greeting + `}`, ""},
		{"schema, native", with(sonnet45, `"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,`+
			`"schema":{"type":"object"}}}`), `{` + greeting + `,"outputConfig":{"textFormat":{"type":"json_schema","struc` +
			`ture":` +
			`{"jsonSchema":{"schema":"{\"type\":\"object\"}","name":"x"}}}}}`, ""},
		{"schema, by a tool", with(novaLite, `"response_format":{"type":"json_schema","json_schema":{"name":"x",`+
			`"schema":{"type":"object","properties":{"a":{}}}}}`), `{` + greeting + `,"toolConfig":{"tools":[{"toolSpec":` +
			`{"name":` +
			`"answer_in_json","description":"Gives your answer. Call it once, with all of the answer.","inputSchema":{"json":` +
			`{"type":"object","properties":{"a":{}}}}}}],"toolChoice":{"tool":{"name":"answer_in_json"}}}}`, ""},
		{"schema, in words", with(llama, `"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,`+
			`"schema":{"a":1}}}`), `{` + greeting + `,"system":[{"text":"Answer with one JSON value and nothing else: no ` +
			`words ` +
			`around it, no code fence. It has to be valid by this JSON schema:\n{\"a\":1}"}]}`,
			"response_format.json_schema.strict"},
		{"a developer speaks first", `{"model":"m.x","messages":[{"role":"developer","content":"a"},{"role":"system",` +
			`"content":[{"type":"text","text":"b"}]},{"role":"user","name":"joe","content":"hi"}]}`,
			`{` + greeting + `,"system":[{"text":"a"},{"text":"b"}]}`, "messages[].name"},
		{"an instruction in the middle", `{"model":"m.x","messages":[{"role":"user","content":"a"},{"role":"system",` +
			`"content":"b"},{"role":"user","content":"c"}]}`,
			`{"messages":[{"role":"user","content":[{"text":"a"},{"text":"b"},{"text":"c"}]}]}`, ""},
		{"only an instruction", `{"model":"m.x","messages":[{"role":"system","content":"hi"}]}`, `{` + greeting + `}`, ""},
		{"18: empty blocks", `{"model":"m.x","messages":[{"role":"system","content":""},{"role":"user","content":[{"type":` +
			`"text","text":" \n"},{"type":"text","text":"hi"}]},{"role":"assistant","content":""}]}`, `{` + greeting + `}`, ""},
		{"the words of an answer go on", `{"model":"m.x","messages":[{"role":"user","content":"a"},{"role":"assistant",` +
			`"content":"b \n"}]}`,
			`{"messages":[{"role":"user","content":[{"text":"a"}]},{"role":"assistant","content":[{"text":"b"}]}]}`, ""},
	} {
		becomes(t, chatAPI.request, c.name, c.body, c.want, c.dropped)
	}
}

// TestChatTools is a conversation with calls: parallel ones, a text between call and result, an id that is used twice.
func TestChatTools(t *testing.T) {
	body := `{"model":"` + sonnet45 + `",` + weather + `,"messages":[
		{"role":"user","content":"a"},
		{"role":"assistant","content":null,"tool_calls":[
			{"id":"call_0","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}},
			{"id":"call|1","type":"function","function":{"name":"old.tool","arguments":""}}]},
		{"role":"user","content":"be quick"},
		{"role":"tool","tool_call_id":"call|1","content":""},
		{"role":"tool","tool_call_id":"call_0","content":[{"type":"text","text":"sunny"}]},
		{"role":"assistant","content":"ok","tool_calls":[
			{"id":"call_0","type":"function","function":{"name":"weather","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"call_0","content":"{\"x\":1}"}]}`
	_, n, f := chatAPI.request(asked(body))
	if f != nil {
		t.Fatal(f)
	}
	same(t, "tools", n.Body, `{"messages":[
		{"role":"user","content":[{"text":"a"}]},
		{"role":"assistant","content":[
			{"toolUse":{"toolUseId":"call_0","name":"weather","input":{"city":"Rome"}}},
			{"toolUse":{"toolUseId":"call_1_be07475a","name":"old_tool_cb604bd2","input":{}}}]},
		{"role":"user","content":[
			{"toolResult":{"toolUseId":"call_1_be07475a","content":[{"text":"(no output)"}],"status":"success"}},
			{"toolResult":{"toolUseId":"call_0","content":[{"text":"sunny"}],"status":"success"}},
			{"text":"be quick"}]},
		{"role":"assistant","content":[{"text":"ok"},{"toolUse":{"toolUseId":"call_0.2","name":"weather","input":{}}}]},
		{"role":"user","content":[{"toolResult":{"toolUseId":"call_0.2","content":[{"text":"{\"x\":1}"}],
		"status":"success"}}]}
		],"toolConfig":{"tools":[`+weatherTool+`,{"toolSpec":{"name":"old_tool_cb604bd2",
		"inputSchema":{"json":{"type":"object",
		"properties":{}}}}}]}}`)
}

const (
	png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	pdf = "JVBERi0xLjQK"
)

func TestChatMedia(t *testing.T) {
	body := `{"model":"` + sonnet45 + `","messages":[{"role":"user","content":[
		{"type":"image_url","image_url":{"url":"data:image\/jpeg;base64,` + png + `","detail":"high"}},
		{"type":"file","file":{"filename":"Q3 report_final.v2.pdf","file_data":"data:application/pdf;base64,` + pdf + `"}},
		{"type":"file","file":{"filename":"Q3 report_final.v2.pdf","file_data":"` + pdf + `"}}]}]}`
	_, n, f := chatAPI.request(asked(body))
	if f != nil {
		t.Fatal(f)
	}
	same(t, "media", n.Body, `{"messages":[{"role":"user","content":[
		{"image":{"format":"png","source":{"bytes":"`+png+`"}}},
		{"document":{"format":"pdf","name":"Q3 report-final-v2","source":{"bytes":"`+pdf+`"}}},
		{"document":{"format":"pdf","name":"Q3 report-final-v2 (2)","source":{"bytes":"`+pdf+`"}}},
		{"text":"See the document."}]}]}`)
	if len(n.Dropped) != 1 || n.Dropped[0] != "messages[].content[].image_url.detail" {
		t.Error(n.Dropped)
	}
}

// TestChatRefused is bad input: each is an error that names the field.
func TestChatRefused(t *testing.T) {
	image := `{"type":"image_url","image_url":{"url":"data:image/png;base64,` + png + `"}}`
	user := func(content string) string {
		return `{"model":"m.x","messages":[{"role":"user","content":` + content + `}]}`
	}
	for _, c := range []struct{ name, body, param, code string }{
		{"no JSON", `{"model"`, "", ""},
		{"an array", `[]`, "", codeType},
		{"twice", `{"model":"a.b","model":"a.c"}`, "", ""},
		{"no model", `{"messages":[]}`, "model", codeMissing},
		{"a model of no kind", with("", ""), "model", codeModel},
		{"a model with spaces", with("a b", ""), "model", codeModel},
		{"a number for a model", `{"model":1}`, "model", codeType},
		{"no messages", `{"model":"m.x"}`, "messages", codeMissing},
		{"empty messages", `{"model":"m.x","messages":[]}`, "messages", codeValue},
		{"messages, a string", `{"model":"m.x","messages":"hi"}`, "messages", codeType},
		{"a message, a string", `{"model":"m.x","messages":["hi"]}`, "messages[0]", codeType},
		{"no role", `{"model":"m.x","messages":[{"content":"hi"}]}`, "messages[0].role", codeMissing},
		{"a role of no kind", `{"model":"m.x","messages":[{"role":"robot","content":"hi"}]}`, "messages[0].role", codeValue},
		{"no content", `{"model":"m.x","messages":[{"role":"user"}]}`, "messages[0].content", codeMissing},
		{"content, a number", user(`1`), "messages[0].content", codeType},
		{"content without words", user(`""`), "messages", codeValue},
		{"a part without type", user(`[{"text":"a"}]`), "messages[0].content[0].type", codeMissing},
		{"a part of no kind", user(`[{"type":"video","text":"a"}]`), "messages[0].content[0].type", codeValue},
		{"a part with more", user(`[{"type":"text","text":"a","mood":"bad"}]`), "messages[0].content[0].mood", codeUnknown},
		{"sound", user(`[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]`), "messages[0].content[0]",
			codeUnsupported},
		{"a remote image", user(`[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]`),
			"messages[0].content[0].image_url.url", codeValue},
		{"a file of the machine", user(`[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]`),
			"messages[0].content[0].image_url.url", codeValue},
		{"an image of no kind", user(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]`),
			"messages[0].content[0].image_url.url", "invalid_image_format"},
		{"an image, not base64", user(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,!!!!"}}]`),
			"messages[0].content[0].image_url.url", codeValue},
		{"21 images", user(`[` + strings.Repeat(image+",", 20) + image + `]`), "messages[0].content[20].image_url.url",
			codeValue},
		{"an uploaded file", user(`[{"type":"file","file":{"file_id":"f"}}]`), "messages[0].content[0].file.file_id",
			codeUnsupported},
		{"a program", user(`[{"type":"file","file":{"filename":"a.exe","file_data":"AAAA"}}]`),
			"messages[0].content[0].file.file_data", codeValue},
		{"a result without a call", `{"model":"m.x","messages":[{"role":"user","content":"a"},{"role":"tool",` +
			`"tool_call_id":"x","content":"b"}]}`, "messages[1].tool_call_id", codeValue},
		{"arguments, no JSON", `{"model":"m.x","messages":[{"role":"assistant","tool_calls":[{"id":"x","type":"function",` +
			`"function":{"name":"f","arguments":"{"}}]}]}`, "messages[0].tool_calls[0].function.arguments", codeValue},
		{"arguments, an array", `{"model":"m.x","messages":[{"role":"assistant","tool_calls":[{"id":"x","type":"function",` +
			`"function":{"name":"f","arguments":"[1]"}}]}]}`, "messages[0].tool_calls[0].function.arguments", codeValue},
		{"two answers", with("m.x", `"n":2`), "n", codeUnsupported},
		{"logprobs", with("m.x", `"logprobs":true`), "logprobs", codeUnsupported},
		{"top_logprobs", with("m.x", `"top_logprobs":3`), "top_logprobs", codeUnsupported},
		{"sound back", with("m.x", `"modalities":["text","audio"]`), "modalities", codeUnsupported},
		{"a search", with("m.x", `"web_search_options":{}`), "web_search_options", codeUnsupported},
		{"functions", with("m.x", `"functions":[{"name":"f"}]`), "functions", codeUnsupported},
		{"an earlier response", with("m.x", `"previous_response_id":"resp_1"`), "previous_response_id", codeUnsupported},
		{"an unknown field", with("m.x", `"mood":"bad"`), "mood", codeUnknown},
		{"9, 10: another gateway's", with("m.x", `"guardrails":["g"]`), "guardrails", codeUnknown},
		{"a field in capitals", with("m.x", `"Temperature":1`), "Temperature", codeUnknown},
		{"a wrong type of what is dropped", with("m.x", `"seed":"x"`), "seed", codeType},
		{"a fraction of a token", with("m.x", `"max_tokens":1.5`), "max_tokens", codeType},
		{"no tokens", with("m.x", `"max_tokens":0`), "max_tokens", codeValue},
		{"hot", with("m.x", `"temperature":2.5`), "temperature", codeValue},
		{"hot for Claude", with(sonnet45, `"temperature":1.5`), "temperature", codeValue},
		{"top_p above one", with("m.x", `"top_p":1.5`), "top_p", codeValue},
		{"an empty stop", with("m.x", `"stop":[""]`), "stop[0]", codeValue},
		{"a stop, a number", with("m.x", `"stop":[1]`), "stop[0]", codeType},
		{"a stop for who has none", with("xai.grok-4", `"stop":"x"`), "stop", codeUnsupported},
		{"a tool that is custom", with("m.x", `"tools":[{"type":"custom","custom":{"name":"x"}}]`), "tools[0]",
			codeUnsupported},
		{"a tool without name", with("m.x", `"tools":[{"type":"function","function":{}}]`), "tools[0].function.name",
			codeMissing},
		{"a tool twice", with("m.x", `"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":`+
			`{"name":"a"}}]`), "tools[1].function.name", codeValue},
		{"a choice of no tool", with(novaLite, `"tool_choice":"required"`), "tool_choice", codeValue},
		{"a choice of an unknown tool", with(novaLite, weather+`,"tool_choice":{"type":"function","function":{"name":"x"}}`),
			"tool_choice.function.name", codeValue},
		{"a choice for who cannot", with(llama, weather+`,"tool_choice":"required"`), "tool_choice", codeUnsupported},
		{"a choice of no kind", with(novaLite, weather+`,"tool_choice":"maybe"`), "tool_choice", codeValue},
		{"a format of no kind", with("m.x", `"response_format":{"type":"xml"}`), "response_format.type", codeValue},
		{"a schema without schema", with("m.x", `"response_format":{"type":"json_schema","json_schema":{"name":"x"}}`),
			"response_format.json_schema.schema", codeMissing},
		{"an effort of no kind", with("m.x", `"reasoning_effort":"huge"`), "reasoning_effort", codeValue},
		{"41: an effort, an object", with("m.x", `"reasoning_effort":{"effort":"low"}`), "reasoning_effort", codeType},
		{"words for who does not go on", `{"model":"` + opus47 + `","messages":[{"role":"user","content":"a"},{"role":` +
			`"assistant","content":"b"}]}`, "messages", codeUnsupported},
	} {
		_, _, f := chatAPI.request(asked(c.body))
		if f == nil || f.Param != c.param || f.Code != c.code || f.Message == "" {
			t.Errorf("%s: %+v, want %s at %s", c.name, f, c.code, c.param)
		}
	}
}

// TestChatPolicies is what a tenant's policy makes of what cannot be carried.
func TestChatPolicies(t *testing.T) {
	from := asked(with("m.x", `"seed":1`))
	from.Policy = caller.PolicyRefuse
	if _, _, f := chatAPI.request(from); f == nil || f.Param != "seed" || f.Code != codeUnsupported {
		t.Errorf("refuse: %+v", f)
	}
	from = asked(with("m.x", `"n":2,"mood":"bad","logprobs":true`))
	from.Policy = caller.PolicyDrop
	_, n, f := chatAPI.request(from)
	if f != nil {
		t.Fatal(f)
	}
	if got := strings.Join(n.Dropped, ","); got != "mood,n,logprobs" {
		t.Errorf("drop: %s", got)
	}
}
