package wire_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func read(t testing.TB, op wire.Operation, dialect, body string) *wire.Facts {
	t.Helper()
	var f wire.Facts
	if err := f.Read(op, wire.DialectNamed(dialect), []byte(body)); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return &f
}

const converseBody = `{"inferenceConfig": {"maxTokens": 300, "topP": 1},
 "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
 "messages": [
  {"role": "user", "content": [{"text": "grüße\n"}, {"image": {"format": "png", "source": {"bytes": "aGVsbG8="}}},
    {"document": {"name": "d", "format": "txt", "source": {"bytes": "aGVsbG8gaGVsbG8="}}}]},
  {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "x"}}},
{"toolUse": {"toolUseId": "1", "name": "t", "input": {"city": "Oslo", "n": [1, "two"]}}}]},
  {"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": "rain"},
{"json": {"a": "wet"}}, {"image": {"format": "png", "source": {}}}]}}]}],
 "toolConfig": {"tools": [{"toolSpec": {"name": "t", "description": "weather",
"inputSchema": {"json": {"type": "object"}}}}, {"cachePoint": {"type": "default"}}]},
 "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
 "requestMetadata": {"team": "a\"b", "x": "y"}, "serviceTier": {"type": "flex"},
"performanceConfig": {"latency": "optimized"},
 "guardrailConfig": {"guardrailIdentifier": "g"},
 "outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": "{}"}}}}}`

func TestConverseFacts(t *testing.T) {
	f := read(t, wire.OpConverseStream, "nova", converseBody)
	at := func(s wire.Span) string { return converseBody[s.Start:s.End] }
	f2 := *f
	for name, ok := range map[string]bool{
		"stream": f.Stream, "bytes": f.BodyBytes == len(converseBody), "turns": f.Turns == 3, "images": f.Images == 2,
		"documents": f.Documents == 1, "tools": f.Tools == 1, "cache points": f.CachePoints == 2, "system": f.System,
		"system hash": f.SystemHash != 0, "user hash": f.FirstUserHash != 0, "reasoning": f.ReasoningHistory,
		"max tokens": f.MaxTokens == wire.Known(300), "span": at(f.MaxTokensSpan) == "300",
		"thinking": f.ThinkingTokens == wire.Known(2048), "thinking span": at(f.ThinkingSpan) == "2048",
		"multiplier": f.Multiplier == 1, "tier": f.ServiceTier == "flex", "latency": f.Latency == "optimized",
		"schema": at(f.Schema) == `"{}"`, "metadata": strings.HasPrefix(at(f.Metadata), `{"team"`) &&
			strings.HasSuffix(at(f.Metadata), `"y"}`),
		"guardrail": at(f.Guardrail) == `{"guardrailIdentifier": "g"}`, "cap allowed": !f.NoMaxTokens,
		"input tokens": f.InputTokens > 2*1600+3000,
	} {
		if !ok {
			t.Errorf("%s is wrong: %+v", name, f2)
		}
	}
	const text = "Be brief.\ngrüße\n\nhm\nOslo\ntwo\nrain\nwet\nt\nweather\nobject\n"
	if got := string(f.AppendText(nil, []byte(converseBody))); got != text {
		t.Errorf("text %q, want %q", got, text)
	}
	if want := len(text) - strings.Count(text, "\n") + 1; f.TextBytes != want {
		t.Errorf("text bytes %d, want %d", f.TextBytes, want)
	}
	var pairs []string
	f.Metadatas([]byte(converseBody), func(k, v string) { pairs = append(pairs, k+"="+v) })
	if !slices.Equal(pairs, []string{`team=a"b`, "x=y"}) {
		t.Errorf("metadata %q", pairs)
	}
}

func TestInvokeFacts(t *testing.T) {
	f := func(dialect, body string, maxTokens int64, turns, images, tools, multiplier int, text string) {
		t.Helper()
		got := read(t, wire.OpInvoke, dialect, body)
		if got.MaxTokens.N != maxTokens || got.Turns != turns || got.Images != images || got.Tools != tools ||
			got.Multiplier != multiplier {
			t.Errorf("%s: %+v", dialect, got)
		}
		if have := strings.ReplaceAll(string(got.AppendText(nil, []byte(body))), "\n", "|"); have != text {
			t.Errorf("%s: text %q, want %q", dialect, have, text)
		}
	}
	f("anthropic", `{"anthropic_version":"v","max_tokens":9,"system":"be","messages":[{"role":"user","content":"hi"},`+
		`{"role":"user","content":[{"type":"text","text":"yo"},{"type":"image","source":{"type":"base64",`+
		`"media_type":"image/png","data":"AAAA"}},{"type":"tool_result","tool_use_id":"1","content":[{"type":"text",`+
		`"text":"res"}]},{"type":"tool_result","content":"str"}]}],"tools":[{"name":"n","input_schema":{"type":"object"}}]}`,
		9, 2, 1, 1, 1, "be|hi|yo|res|str|n|object|")
	f("anthropic", `{"prompt":"Human: hi","max_tokens_to_sample":7}`, 7, 0, 0, 0, 1, "Human: hi|")
	f("nova", `{"messages":[{"role":"user","content":[{"text":"hi"},{"image":{"format":"png"}}]}],`+
		`"inferenceConfig":{"max_new_tokens":3}}`, 3, 1, 1, 0, 1, "hi|")
	f("titan-text", `{"inputText":"hi","textGenerationConfig":{"maxTokenCount":4}}`, 4, 0, 0, 0, 1, "hi|")
	f("llama", `{"prompt":"hi","max_gen_len":5,"max_tokens":1}`, 5, 0, 0, 0, 1, "hi|")
	f("mistral", `{"messages":[{"role":"user","content":"hi"}],"max_tokens":6}`, 6, 1, 0, 0, 1, "hi|")
	f("cohere-text", `{"prompt":"hi","max_tokens":6,"num_generations":3}`, 6, 0, 0, 0, 3, "hi|")
	f("cohere-chat", `{"message":"hi","chat_history":[{"role":"USER","message":"a"}],"preamble":"p","max_tokens":6,`+
		`"documents":[{"t":"d"}]}`, 6, 1, 0, 0, 1, "hi|a|p|d|")
	f("cohere-embed", `{"texts":["a","b"],"input_type":"search_query"}`, 0, 0, 0, 0, 1, "a|b|")
	f("rerank", `{"query":"q","documents":["a",{"text":"b"}]}`, 0, 0, 0, 0, 1, "q|a|b|")
	f("jamba", `{"messages":[{"role":"user","content":"hi"}],"n":2,"max_tokens":6}`, 6, 1, 0, 0, 2, "hi|")
	f("j2", `{"prompt":"hi","maxTokens":8,"numResults":4}`, 8, 0, 0, 0, 4, "hi|")
	f("openai", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url",`+
		`"image_url":{"url":"x"}}]}],"max_tokens":6,"max_completion_tokens":8}`, 8, 1, 1, 0, 1, "hi|")
	f("", `{"weird":{"prompt":"hi"},"parameters":{"max_new_tokens":2}}`, 2, 0, 0, 0, 1, "hi|")
}

func TestOtherOperations(t *testing.T) {
	async := read(t, wire.OpStartAsyncInvoke, "",
		`{"modelId":"amazon.nova-reel-v1:\u0030","modelInput":{"x":{"text":"hi"}}}`)
	if async.BodyModelID != "amazon.nova-reel-v1:0" || async.TextBytes != 2 {
		t.Errorf("%+v", async)
	}
	if f := read(t, wire.OpApplyGuardrail, "",
		`{"source":"INPUT","content":[{"text":{"text":"hello"}},{"image":{}}]}`); f.TextBytes != 5 || f.Images != 1 {
		t.Errorf("%+v", f)
	}
	if f := read(t, wire.OpCountTokens, "",
		`{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"hello"}]}]}}}`); f.TextBytes != 5 ||
		f.Turns != 1 {
		t.Errorf("%+v", f)
	}
	if f := read(t, wire.OpCountTokens, "", `{"input":{"invokeModel":{"body":"`+strings.Repeat("AAAA",
		100)+`"}}}`); f.InputTokens != 75 {
		t.Errorf("%+v", f)
	}
	if f := read(t, wire.OpInvoke, "nova", ``); f.InputTokens != 0 || f.BodyBytes != 0 {
		t.Errorf("%+v", f)
	}
	if f := read(t, wire.OpListAsyncInvokes, "", ``); f.Op != wire.OpListAsyncInvokes {
		t.Errorf("%+v", f)
	}
}

func TestEscapedWordsCount(t *testing.T) {
	f := read(t, wire.OpConverse, "", `{"serviceTier":{"type":"fl\u0065x"},"performanceConfig":{"latency":"new\n"},`+
		`"additionalModelRequestFields":{"reasoningConfig":{"maxReasoningEffort":"h\u0069gh"}}}`)
	if f.ServiceTier != "flex" || f.Latency != "new\n" || !f.NoMaxTokens {
		t.Errorf("%+v", f)
	}
}

// TestEveryCapIsLowered fills a body of an unknown family with all caps at once.
func TestEveryCapIsLowered(t *testing.T) {
	body := `{"max_tokens":9,"max_tokens_to_sample":9,"max_completion_tokens":9,"max_new_tokens":9,"max_gen_len":9,` +
		`"maxTokens":9,` +
		`"inferenceConfig":{"maxTokens":9,"max_new_tokens":9},"textGenerationConfig":{"maxTokenCount":9},` +
		`"parameters":{"max_new_tokens":9}}`
	l, err := read(t, wire.OpInvoke, "", body).LimitOf(wire.Cap{Max: 5})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(wire.ApplySplices(nil, []byte(body), l.Splices)),
		strings.ReplaceAll(body, "9", "5"); got != want {
		t.Errorf("%s", got)
	}
}

func TestReadRefuses(t *testing.T) {
	f := func(op wire.Operation, dialect, body, want string) {
		t.Helper()
		var facts wire.Facts
		err := facts.Read(op, wire.DialectNamed(dialect), []byte(body))
		if err == nil || err.Kind != wire.KindValidation || !strings.Contains(err.Message, want) {
			t.Errorf("%.60s: %v, want %q", body, err, want)
		}
	}
	f(wire.OpConverse, "", ``, "ends early")
	f(wire.OpConverse, "", `[]`, "not a JSON object")
	f(wire.OpInvoke, "nova", `null`, "not a JSON object")
	f(wire.OpInvoke, "nova", ` 7`, "not a JSON object")
	f(wire.OpInvoke, "nova", ` `, "ends early")
	f(wire.OpConverse, "", `{"messages":[}`, "invalid JSON")
	f(wire.OpConverse, "", "{\"a\":\"\xff\"}", "UTF-8")
	f(wire.OpConverse, "", `{"x":`+strings.Repeat("[", 600), "nested")
	f(wire.OpConverse, "", `{"messages":[],"messages":[]}`, `duplicate member "messages"`)
	f(wire.OpConverse, "", `{"inferenceConfig":{"maxTokens":1,"max\u0054okens":9}}`, `duplicate member "maxTokens"`)
	f(wire.OpConverse, "", `{"inferenceConfig":{},"inferenceConfig":{"maxTokens":9}}`, `duplicate member`)
	f(wire.OpConverse, "", `{"guardrailConfig":{},"guardrailConfig":{}}`, `duplicate member`)
	f(wire.OpConverse, "", `{"additionalModelRequestFields":{"thinking":{"budget_tokens":1,"budget_tokens":2}}}`,
		`duplicate member`)
	f(wire.OpInvoke, "anthropic", `{"max_tokens":1,"max_tokens":2}`, `duplicate member "max_tokens"`)
	f(wire.OpInvoke, "openai", `{"model":"a","model":"b"}`, `duplicate member "model"`)
	f(wire.OpInvoke, "", `{"max_tokens":1,"max_tokens":2}`, `duplicate member "max_tokens"`)
	f(wire.OpStartAsyncInvoke, "", `{"modelId":"a","modelId":"b"}`, `duplicate member "modelId"`)
}

func TestDialectOf(t *testing.T) {
	f := func(id, want string) {
		t.Helper()
		got := wire.DialectOf(id)
		if got == nil && want != "" || got != nil && got.Name != want {
			t.Errorf("%s: %v, want %q", id, got, want)
		}
	}
	f("anthropic.claude-v2:1", "anthropic")
	f("anthropic.claude-opus-4-7", "anthropic")
	f("amazon.nova-2-lite-v1:0", "nova")
	f("amazon.nova-2-multimodal-embeddings-v1:0", "nova-embed")
	f("amazon.nova-canvas-v1:0", "picture")
	f("amazon.nova-2-sonic-v1:0", "")
	f("twelvelabs.pegasus-1-2-v1:0", "pegasus")
	f("amazon.titan-text-premier-v1:0", "titan-text")
	f("amazon.titan-embed-text-v2:0", "titan-embed")
	f("amazon.titan-image-generator-v2:0", "picture")
	f("meta.llama3-3-70b-instruct-v1:0", "llama")
	f("mistral.mistral-large-2407-v1:0", "mistral")
	f("cohere.command-r-plus-v1:0", "cohere-chat")
	f("cohere.command-text-v14", "cohere-text")
	f("cohere.embed-english-v3", "cohere-embed")
	f("cohere.rerank-v3-5:0", "rerank")
	f("ai21.jamba-1-5-large-v1:0", "jamba")
	f("ai21.j2-mid-v1", "j2")
	f("deepseek.r1-v1:0", "deepseek-r1")
	f("deepseek.v3.2", "openai-compatible")
	f("openai.gpt-oss-120b-1:0", "openai")
	f("qwen.qwen3-32b-v1:0", "openai-compatible")
	f("stability.sd3-large-v1:0", "picture")
	f("liquid.lfm2-8b", "")
	f("", "")
	for _, name := range wire.DialectNames() {
		if wire.DialectNamed(name) == nil {
			t.Errorf("%s has no dialect", name)
		}
	}
}

func TestSniffDialect(t *testing.T) {
	var all []*wire.Dialect
	for _, name := range wire.DialectNames() {
		all = append(all, wire.DialectNamed(name))
	}
	f := func(body, want string) {
		t.Helper()
		got := wire.SniffDialect([]byte(body), all...)
		if got == nil && want != "" || got != nil && got.Name != want {
			t.Errorf("%s: %v, want %q", body, got, want)
		}
	}
	if got := wire.SniffDialect([]byte(`{"query":"x","documents":[],"messages":[]}`), wire.DialectNamed("openai")); got != nil {
		t.Errorf("M4: %s is none of the families asked about", got.Name)
	}
	f(`{"messages":[],"anthropic_version":"x"}`, "anthropic")
	f(`{"schemaVersion":"messages-v1","messages":[]}`, "nova")
	f(`{"inputText":"x","textGenerationConfig":{}}`, "titan-text")
	f(`{"inputText":"x","dimensions":5}`, "titan-embed")
	f(`{"prompt":"x","max_gen_len":5}`, "llama")
	f(`{"prompt":"x","maxTokens":5}`, "j2")
	f(`{"texts":["x"],"input_type":"y"}`, "cohere-embed")
	f(`{"query":"x","documents":[]}`, "rerank")
	f(`{"message":"x"}`, "cohere-chat")
	f(`{"messages":[]}`, "nova")
	f(`{"unheard":1}`, "")
	f(`{"messages":`, "")
	f(``, "")
}

// TestNoted parameters are what package fit reads a body for once more; of text, only
// how it begins counts.
func TestNoted(t *testing.T) {
	for body, want := range map[string][2]bool{
		`{"messages":[{"content":[{"text":"what is topP?"}]}],"inferenceConfig":{"maxTokens":5}}`: {},
		`{"inferenceConfig":{"temperature":0.5}}`:                                                 {true, false},
		`{"inferenceConfig":{"topP":0.5,"temperatures":1}}`:                                       {true, false},
		`{"additionalModelRequestFields":{"own":1}}`:                                              {false, true},
		`{"additionalModelRequestFields":{"thinking":{}}}`:                                        {true, true},
		`{"thinking":{},"top_k":5}`:                                                               {true, false},
		`{"additional\u004dodelRequestFields":null}`:                                              {true, true},
	} {
		var facts wire.Facts
		if err := facts.Read(wire.OpConverse, nil, []byte(body)); err != nil {
			t.Fatal(body, err)
		}
		if got := [2]bool{facts.MayTune, facts.MayExtend}; got != want {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(uint8(wire.OpConverse), uint8(0), []byte(converseBody))
	f.Add(uint8(wire.OpInvoke), uint8(0), []byte(`{"max_tokens":5,"messages":[{"role":"user",`+
		`"content":[{"type":"document","source":{"data":"AAAA"}}]}]}`))
	f.Add(uint8(wire.OpCountTokens), uint8(1), []byte(`{"input":{"invokeModel":{"body":"AAAA"}}}`))
	names := wire.DialectNames()
	f.Fuzz(func(t *testing.T, op, dialect uint8, body []byte) {
		o := wire.Operation(op % uint8(wire.OpInvokeBidirectional+1))
		var facts wire.Facts
		err := facts.Read(o, wire.DialectNamed(names[int(dialect)%len(names)]), body)
		if err != nil || len(body) == 0 {
			return
		}
		if o.Method() == "POST" && o != wire.OpInvokeBidirectional && !json.Valid(body) {
			t.Fatalf("%s accepted %q", o, body)
		}
		if facts.MayName != wire.MayName(body) {
			t.Fatalf("%q may name resources: %v", body, facts.MayName)
		}
		if facts.Multiplier < 1 || facts.InputTokens < 0 || facts.TextBytes > len(body) {
			t.Fatalf("%q: %+v", body, facts)
		}
		if text := facts.AppendText(nil, body); len(text) < facts.TextBytes {
			t.Fatalf("%q: %d bytes of text, facts say %d", body, len(text), facts.TextBytes)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []struct {
		name  string
		turns int
	}{{"2KB", 8}, {"40KB", 160}, {"1MB", 4096}} {
		turn := `{"role":"user","content":[{"text":"` + strings.Repeat("Tell me about the history of canals. ", 5) + `\n"}]},`
		body := []byte(`{"messages":[` + strings.TrimSuffix(strings.Repeat(turn, size.turns), ",") +
			`],"inferenceConfig":{"maxTokens":500}}`)
		b.Run(size.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var f wire.Facts
			for b.Loop() {
				if err := f.Read(wire.OpConverse, nil, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	body, d := []byte(converseBody), wire.DialectNamed("nova")
	var f wire.Facts
	if n := testing.AllocsPerRun(100, func() {
		if err := f.Read(wire.OpConverse, d, body); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMessageSpans: the first two messages are kept and the last eight, each once.
func TestMessageSpans(t *testing.T) {
	for _, c := range []struct {
		n    int
		want string
	}{{0, ""}, {1, "a"}, {3, "abc"}, {10, "abcdefghij"}, {11, "abdefghijk"}, {26, "abstuvwxyz"}} {
		body := `{"messages":[`
		for i := range c.n {
			if i > 0 {
				body += ","
			}
			body += `{"role":"user","content":"` + string(rune('a'+i)) + `"}`
		}
		body += `]}`
		var f wire.Facts
		if err := f.Read(wire.OpInvoke, wire.DialectNamed("anthropic"), []byte(body)); err != nil {
			t.Fatal(err)
		}
		got := ""
		for s := range f.Messages.All {
			got += body[s.End-3 : s.End-2]
		}
		if got != c.want {
			t.Errorf("%d messages: %q, want %q", c.n, got, c.want)
		}
	}
}
