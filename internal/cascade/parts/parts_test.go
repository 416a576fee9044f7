package parts_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/engine/sandbox"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const said = "The first line.\nSo the answer is 42."

// TestEveryDialect asks the stand-in in each family's words and reads the same
// answer from the whole body and from the stream.
func TestEveryDialect(t *testing.T) {
	f := func(model, body, stop string, tool bool) {
		t.Helper()
		script := &sandbox.Script{Rules: []sandbox.Rule{{Answer: sandbox.Answer{Text: said}}}}
		want := &answer.Answer{Text: said, StopReason: stop}
		if tool {
			script.Rules[0].Answer.Tool = &sandbox.Tool{Name: "look", Input: map[string]any{"at": "door"}}
			script.Rules[0].Answer.StopReason = "tool_use"
			want.ToolCalls = []answer.ToolCall{{Name: "look", Input: json.RawMessage(`{"at":"door"}`)}}
		}
		plain, stream := wire.OpInvoke, wire.OpInvokeStream
		if body == converse {
			plain, stream = wire.OpConverse, wire.OpConverseStream
		}
		got := parts.Answer(plain, post(t, script, model, plain, body))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: whole: %s", model, diff)
		}
		if strings.HasPrefix(model, "ai21.j2") {
			return // no streams
		}
		got = parts.Stream(stream, split(t, post(t, script, model, stream, body)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: stream: %s", model, diff)
		}
	}
	const (
		claude = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":500,"messages":[{"role":"user","content":"hi"}]}`
		chat   = `{"messages":[{"role":"user","content":"hi"}],"max_tokens":500}`
		prompt = `{"prompt":"hi"}`
	)
	f("amazon.nova-lite-v1:0", converse, "end_turn", false)
	f("amazon.nova-lite-v1:0", converse, "tool_use", true)
	f("anthropic.claude-3-5-haiku-20241022-v1:0", claude, "end_turn", false)
	f("anthropic.claude-3-5-haiku-20241022-v1:0", claude, "tool_use", true)
	f("anthropic.claude-v2:1",
		`{"prompt":"\n\nHuman: hi\n\nAssistant:","max_tokens_to_sample":500}`, "stop_sequence", false)
	f("amazon.nova-pro-v1:0", converse+" ", "end_turn", false)
	f("amazon.nova-pro-v1:0", converse+" ", "tool_use", true)
	f("amazon.titan-text-express-v1", `{"inputText":"hi"}`, "FINISH", false)
	f("meta.llama3-1-8b-instruct-v1:0", prompt, "stop", false)
	f("mistral.mistral-7b-instruct-v0:2", prompt, "stop", false)
	f("mistral.mistral-large-2407-v1:0", chat, "stop", false)
	f("mistral.mistral-large-2407-v1:0", chat, "tool_calls", true)
	f("cohere.command-text-v14", prompt, "COMPLETE", false)
	f("cohere.command-r-v1:0", `{"message":"hi"}`, "COMPLETE", false)
	f("ai21.j2-ultra-v1", prompt, "endoftext", false)
	f("deepseek.r1-v1:0", prompt, "stop", false)
	f("openai.gpt-oss-20b-1:0", chat, "stop", false)
	f("qwen.qwen3-32b-v1:0", chat, "tool_calls", true)
	f("ai21.jamba-1-5-mini-v1:0", chat, "stop", false)
}

const converse = `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`

func post(t *testing.T, script *sandbox.Script, model string, op wire.Operation, body string) []byte {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	target := wire.Target{Op: op, Model: model}
	r := httptest.NewRequest("POST", target.String(), strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+sandbox.DefaultBearerToken)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", model, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func split(t *testing.T, stream []byte) (frames [][]byte) {
	t.Helper()
	r := wire.NewFrameReader(bytes.NewReader(stream))
	for {
		raw, err := r.Next()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, bytes.Clone(raw))
	}
}

// TestUnreadable has what must not pass for an answer: of a form that is not known,
// or no answer at all (C7).
func TestUnreadable(t *testing.T) {
	f := func(op wire.Operation, body string, broken bool) {
		t.Helper()
		got := parts.Answer(op, []byte(body))
		if isBroken := got != nil && got.Broken; got != nil && !isBroken || isBroken != broken {
			t.Errorf("%s: read %+v, want broken %v", body, got, broken)
		}
		stream := map[wire.Operation]wire.Operation{
			wire.OpConverse: wire.OpConverseStream, wire.OpInvoke: wire.OpInvokeStream,
		}[op]
		name, payload := "contentBlockDelta", []byte(body)
		if stream == wire.OpInvokeStream {
			name, payload = "chunk", fmt.Appendf(nil, `{"bytes":%q}`, base64.StdEncoding.EncodeToString(payload))
		}
		frame := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: name}}, payload)
		got = parts.Stream(stream, [][]byte{frame})
		if broken && !strings.Contains(body, "stopReason") && (got == nil || !got.Broken) {
			t.Errorf("%s: the stream was read as %+v", body, got)
		}
	}
	html := "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
	for _, body := range []string{``, `{}`, html, `{"output":{"message":{"content":[{"text":"hal`, `null`, `[]`, `"ok"`, `7`} {
		f(wire.OpConverse, body, true)
		f(wire.OpInvoke, body, true)
	}
	f(wire.OpConverse, `{"message":"Too many requests"}`, true)
	f(wire.OpConverse, `{"output":{},"stopReason":"end_turn"}`, true)
	f(wire.OpInvoke, `{"error":{"message":"overloaded"}}`, true)
	f(wire.OpInvoke, `{"message":"Internal server error"}`, true)
	f(wire.OpInvoke, `{"embedding":[0.1]}`, false)
	f(wire.OpInvoke, `[1]`, false)
	f(wire.OpInvoke, `{"generation":7}`, false)
	f(wire.OpCountTokens, `{"inputTokens":3}`, false)
	if got := parts.Stream(wire.OpConverseStream, nil); !got.Broken {
		t.Error("no frames were read as an answer")
	}
}

func TestRequest(t *testing.T) {
	f := func(op wire.Operation, dialect, body string, want answer.Request) {
		t.Helper()
		var facts wire.Facts
		if err := facts.Read(op, wire.DialectNamed(dialect), []byte(body)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, parts.Request(&facts, []byte(body))); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	object := json.RawMessage(`{"type":"object"}`)
	look := []answer.Tool{{Name: "look", Schema: object}}
	f(wire.OpConverse, "", `{"messages":[]}`, answer.Request{})
	f(wire.OpConverse, "",
		`{"messages":[],"toolConfig":{"tools":[{"toolSpec":{"name":"look","inputSchema":{"json":{"type":"object"}}}},`+
			`{"cachePoint":{"type":"default"}}]}}`, answer.Request{Tools: look})
	f(wire.OpConverse, "",
		`{"messages":[],"outputConfig":{"textFormat":{"type":"json_schema",`+
			`"structure":{"jsonSchema":{"schema":"{\"type\":\"object\"}"}}}}}`, answer.Request{Schema: object})
	f(wire.OpInvoke, "anthropic",
		`{"anthropic_version":"x","max_tokens":9,"messages":[],"tools":[{"name":"look","input_schema":{"type":"object"}}],`+
			`"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}}`,
		answer.Request{Schema: object, Tools: look})
	f(wire.OpInvoke, "openai",
		`{"messages":[],"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object"}}}],`+
			`"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object"}}}}`,
		answer.Request{Schema: object, Tools: look})
	f(wire.OpInvoke, "cohere-chat",
		`{"message":"hi","tools":[{"name":"look","parameter_definitions":{}}]}`,
		answer.Request{Tools: []answer.Tool{{Name: "look", Other: json.RawMessage(`{}`)}}})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"output":{"message":{"content":[{"text":"a"},{"toolUse":{"name":"t","input":{}}}]}},` +
		`"stopReason":"end_turn"}`))
	f.Add([]byte(
		`{"choices":[{"message":{"content":[{"text":"a"}],"tool_calls":[{"function":{"name":"t","arguments":"{}"}}]}}]}`))
	f.Add([]byte(`{"type":"content_block_delta","index":3,"delta":{"partial_json":"{"}}`))
	f.Fuzz(func(_ *testing.T, body []byte) {
		parts.Answer(wire.OpConverse, body)
		parts.Answer(wire.OpInvoke, body)
		frame := wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "contentBlockDelta"}}, body)
		parts.Stream(wire.OpConverseStream, [][]byte{frame, frame})
	})
}
