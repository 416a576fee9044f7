package wire_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
)

var k = wire.Known

func TestResponseUsage(t *testing.T) {
	f := func(op wire.Operation, dialect string, h wire.Header, body string, want wire.Usage) {
		t.Helper()
		got := wire.ResponseUsage(op, wire.DialectNamed(dialect), h, []byte(body))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	f(wire.OpConverse, "", nil, `{"usage":{"inputTokens":11,"outputTokens":236,"totalTokens":1275,`+
		`"cacheReadInputTokens":28,"cacheReadInputTokenCount":28,"cacheWriteInputTokens":1000,`+
		`"cacheWriteInputTokenCount":1000,"cacheDetails":[{"ttl":"1h","inputTokens":600},{"inputTokens":400,"ttl":"5m"}],`+
		`"new":{"inputTokens":1}},"stopReason":"end_turn","serviceTier":{"type":"flex"},`+
		`"trace":{"promptRouter":{"invokedModelId":"arn:x"}}}`,
		wire.Usage{Input: k(11), Output: k(236), CacheRead: k(28), CacheWrite5m: k(400), CacheWrite1h: k(600),
			StopReason: "end_turn", ServiceTier: "flex", InvokedModel: "arn:x"})
	f(wire.OpConverse, "", nil, `{"usage":{"inputTokens":5.0,"outputTokens":7.00,"cacheWriteInputTokens":3}}`,
		wire.Usage{Input: k(5), Output: k(7), CacheWrite5m: k(3)})
	f(wire.OpConverse, "", nil, `{"output":{}}`, wire.Usage{})
	f(wire.OpConverse, "", nil, `{"usage":{"inputTokens":5.5,"outputTokens":-7}}`, wire.Usage{})
	f(wire.OpConverse, "", nil, ``, wire.Usage{})

	headers := wire.Header{{Name: "x-amzn-bedrock-input-token-count", Value: "30"},
		{Name: "X-Amzn-Bedrock-Output-Token-Count", Value: "51"},
		{Name: "X-Amzn-Bedrock-Cache-Write-Input-Token-Count", Value: "100"},
		{Name: "X-Amzn-Bedrock-Service-Tier", Value: "priority"}}
	f(wire.OpInvoke, "anthropic", headers, `{"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":4,`+
		`"cache_creation_input_tokens":90,"cache_creation":{"ephemeral_5m_input_tokens":30,`+
		`"ephemeral_1h_input_tokens":60}},"stop_reason":"max_tokens"}`,
		wire.Usage{Input: k(30), Output: k(51), CacheRead: k(4), CacheWrite5m: k(40), CacheWrite1h: k(60),
			StopReason: "max_tokens", ServiceTier: "priority"})
	f(wire.OpInvoke, "titan-text", nil, `{"inputTextTokenCount":28.0,"results":[{"tokenCount":7.0,`+
		`"completionReason":"FINISH"},{"tokenCount":3}]}`,
		wire.Usage{Input: k(28), Output: k(10), StopReason: "FINISH"})
	f(wire.OpInvoke, "llama", nil, `{"prompt_token_count":8,"generation_token_count":35,"stop_reason":"stop"}`,
		wire.Usage{Input: k(8), Output: k(35), StopReason: "stop"})
	f(wire.OpInvoke, "openai", nil, `{"usage":{"prompt_tokens":100,"completion_tokens":5,`+
		`"prompt_tokens_details":{"cached_tokens":40}},"choices":[{"finish_reason":"stop"}]}`,
		wire.Usage{Input: k(60), Output: k(5), CacheRead: k(40), StopReason: "stop"})
	f(wire.OpInvoke, "titan-embed", nil, `{"embedding":[0.1,2e-3],"inputTextTokenCount":6}`,
		wire.Usage{Input: k(6), Output: k(0)})
	f(wire.OpInvoke, "nova-embed", nil, `{"inputTokenCount":6}`, wire.Usage{Input: k(6), Output: k(0)})
	f(wire.OpInvoke, "cohere-embed", headers[:1], `{"embeddings":[]}`, wire.Usage{Input: k(30), Output: k(0)})
	f(wire.OpInvoke, "cohere-embed", nil, `{"embeddings":[]}`, wire.Usage{Output: k(0)})
	f(wire.OpInvoke, "rerank", nil, `{"results":[]}`, wire.Usage{Input: k(0), Output: k(0)})
	f(wire.OpInvoke, "", nil, `not json`, wire.Usage{})
	f(wire.OpInvoke, "mistral", nil, `{"outputs":[{"text":"x","stop_reason":"length"}]}`, wire.Usage{StopReason: "length"})

	var units wire.Usage
	units.Input, units.Output = k(0), k(0)
	units.UnitsKnown = true
	units.GuardrailUnits[wire.GuardrailTopic], units.GuardrailUnits[wire.GuardrailContentImage] = 2, 3
	f(wire.OpApplyGuardrail, "", nil, `{"usage":{"topicPolicyUnits":2,"contentPolicyUnits":0,`+
		`"contentPolicyImageUnits":3,"automatedReasoningPolicies":1},"action":"NONE"}`, units)
	checks := wire.Usage{Input: k(0), Output: k(0), UnitsKnown: true}
	checks.GuardrailUnits[wire.GuardrailContent], checks.GuardrailUnits[wire.GuardrailSensitive] = 4+2, 1
	f(wire.OpInvokeGuardrailChecks, "", nil,
		`{"results":{},"usage":{"contentFilter":{"textUnits":4},"promptAttack":{"textUnits":2},`+
			`"sensitiveInformation":{"textUnits":1}}}`, checks)
	f(wire.OpCountTokens, "", nil, `{"inputTokens":55}`, wire.Usage{Input: k(0), Output: k(0)})
	f(wire.OpStartAsyncInvoke, "", nil, `{"invocationArn":"x"}`, wire.Usage{})
}

func chunk(text string) []byte {
	return wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: "chunk"},
		{Name: ":message-type", Value: "event"}},
		[]byte(`{"p":"abc","bytes":"`+base64.StdEncoding.EncodeToString([]byte(text))+`"}`))
}

func event(name, text string) []byte {
	return wire.AppendFrame(nil, []wire.Field{{Name: ":message-type", Value: "event"}, {Name: ":event-type", Value: name}},
		[]byte(text))
}

// TestStreamData: what a frame says is there until the next one is observed, decoded.
func TestStreamData(t *testing.T) {
	u := wire.StreamUsage{Op: wire.OpInvokeStream}
	f := func(raw []byte, want string) {
		t.Helper()
		if u.Observe(wire.SplitFrame(raw)); string(u.Data()) != want || want == "" && u.Data() != nil {
			t.Errorf("%q, want %q", u.Data(), want)
		}
	}
	f(chunk("one"), "one")
	f(wire.ExceptionFrame(wire.Errorf(wire.KindThrottling, "slow")).Raw, "")
	f(event(wire.EventSSE, "event: a\ndata: {}\n\n"), "{}")
	f(event("metadata", `{"usage":{}}`), "")
	f(chunk("another"), "another")
	f(event("chunk", `{"bytes":"!"}`), "")
}

func TestStreamUsage(t *testing.T) {
	f := func(op wire.Operation, want wire.Usage, exception string, finalAt int, frames ...[]byte) {
		t.Helper()
		u := wire.StreamUsage{Op: op}
		final := -1
		for i, raw := range frames {
			frame, err := wire.ParseFrame(raw)
			if err != nil {
				t.Fatal(err)
			}
			if u.Observe(frame) && final < 0 {
				final = i
			}
		}
		if diff := cmp.Diff(want, u.Usage()); diff != "" || u.Exception() != exception || final != finalAt {
			t.Errorf("exception %q, final %d: %s", u.Exception(), final, diff)
		}
	}
	start := chunk(`{"type":"message_start","message":{"usage":{"input_tokens":16,"output_tokens":1,` +
		`"cache_creation_input_tokens":10,"cache_creation":{"ephemeral_1h_input_tokens":10}}}}`)
	text := chunk(`{"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}`)
	delta := chunk(`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":21}}`)
	stop := chunk(`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":16,` +
		`"outputTokenCount":22.0,"cacheWriteInputTokenCount":10,"cacheReadInputTokenCount":0}}`)
	broken := wire.ExceptionFrame(wire.Errorf(wire.KindThrottling, "slow")).Raw

	f(wire.OpInvokeStream, wire.Usage{Input: k(16), Output: k(22), CacheRead: k(0), CacheWrite5m: k(0),
		CacheWrite1h: k(10), StopReason: "end_turn"}, "", 3, start, text, delta, stop)
	f(wire.OpInvokeStream, wire.Usage{Input: k(16), Output: k(21), CacheWrite5m: k(0), CacheWrite1h: k(10),
		StopReason: "end_turn"}, "", -1, start, text, delta)
	f(wire.OpInvokeStream, wire.Usage{Input: k(16), CacheWrite5m: k(0), CacheWrite1h: k(10)}, "", -1, start, text)
	f(wire.OpInvokeStream, wire.Usage{Input: k(16), CacheWrite5m: k(0), CacheWrite1h: k(10)}, "throttlingException", 2,
		start, text, broken)
	llama := `{"generation":"a","prompt_token_count":5,"generation_token_count":3,"stop_reason":`
	f(wire.OpInvokeStream, wire.Usage{Input: k(5)}, "", -1, chunk(llama+`null}`))
	f(wire.OpInvokeStream, wire.Usage{Input: k(5), Output: k(3), StopReason: "length"}, "", -1, chunk(llama+`"length"}`))
	titan := `{"outputText":"hi","index":0.0,"totalOutputTextTokenCount":3.0,"inputTextTokenCount":6.0,"completionReason":`
	f(wire.OpInvokeStream, wire.Usage{Input: k(6)}, "", -1, chunk(titan+`null}`)) // M31: it was cut here
	f(wire.OpInvokeStream, wire.Usage{Input: k(6), Output: k(3), StopReason: "FINISH"}, "", -1, chunk(titan+`"FINISH"}`))
	running := `{"usage":{"prompt_tokens":5,"completion_tokens":2},"choices":[{"finish_reason":`
	f(wire.OpInvokeStream, wire.Usage{Input: k(5)}, "", -1, chunk(running+`null}]}`)) // M31: a running count
	f(wire.OpInvokeStream, wire.Usage{Input: k(16), CacheWrite5m: k(0), CacheWrite1h: k(10)}, "", -1, start, text,
		chunk(`{"type":"message_delta","delta":{},"usage":{"output_tokens":9}}`)) // M31: no stop reason
	f(wire.OpInvokeStream, wire.Usage{}, "", -1, event("chunk", `{"bytes":"!"}`), event("chunk", `{}`),
		event("new", `{"usage":{"inputTokens":1}}`))

	meta := event("metadata", `{"usage":{"inputTokens":54,"outputTokens":18,"totalTokens":72},`+
		`"metrics":{"latencyMs":8},"p":"abcd"}`)
	f(wire.OpConverseStream, wire.Usage{Input: k(54), Output: k(18), StopReason: "tool_use"}, "", 2,
		event("contentBlockDelta", `{"delta":{"text":"{\"usage\":{\"inputTokens\":1}}"}}`),
		event("messageStop", `{"stopReason":"tool_use"}`), meta)
	f(wire.OpConverseStream, wire.Usage{StopReason: "tool_use"}, "", -1, event("messageStop", `{"stopReason":"tool_use"}`))
	f(wire.OpConverseStream, wire.Usage{}, "E", 0,
		wire.AppendFrame(nil, []wire.Field{{Name: ":message-type", Value: "error"}, {Name: ":error-code", Value: "E"}}, nil))
}

func TestAppendChunk(t *testing.T) {
	f, err := wire.ParseFrame(event("chunk", `{"bytes":"aGk\/aGk\/","p":""}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(wire.AppendChunk([]byte("> "), f)); got != "> hi?hi?" {
		t.Errorf("%q", got)
	}
}

func FuzzResponseUsage(f *testing.F) {
	f.Add(uint8(wire.OpInvoke), []byte(`{"usage":{"input_tokens":1,"output_tokens":2.0,`+
		`"cache_creation":{"ephemeral_1h_input_tokens":9}}}`))
	f.Add(uint8(wire.OpConverse), []byte(`{"usage":{"inputTokens":1,"cacheDetails":[{"ttl":"1h","inputTokens":1}]}}`))
	f.Fuzz(func(t *testing.T, op uint8, body []byte) {
		u := wire.ResponseUsage(wire.Operation(op%uint8(wire.OpInvokeBidirectional+1)), nil, nil, body)
		for _, c := range []wire.Count{u.Input, u.Output, u.CacheRead, u.CacheWrite5m, u.CacheWrite1h} {
			if c.N < 0 || !c.Known && c.N != 0 {
				t.Fatalf("%q: %+v", body, u)
			}
		}
		frame, err := wire.ParseFrame(event("chunk", string(body)))
		if err != nil {
			t.Skip()
		}
		s := wire.StreamUsage{Op: wire.OpInvokeStream}
		s.Observe(frame)
		if got := s.Usage(); got.Input.N < 0 {
			t.Fatalf("%q: %+v", body, got)
		}
	})
}

func BenchmarkResponseUsage(b *testing.B) {
	body := []byte(`{"output":{"message":{"role":"assistant","content":[{"text":"` + strings.Repeat("canal ", 180) +
		`"}]}},"stopReason":"end_turn","usage":{"inputTokens":30,"outputTokens":200,"totalTokens":230},` +
		`"metrics":{"latencyMs":800}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if u := wire.ResponseUsage(wire.OpConverse, nil, nil, body); !u.Complete() {
			b.Fatal(u)
		}
	}
}

func BenchmarkStreamUsage(b *testing.B) {
	for _, row := range []struct {
		name string
		op   wire.Operation
		raw  []byte
	}{
		{"converse", wire.OpConverseStream, event("contentBlockDelta",
			`{"contentBlockIndex":0,"delta":{"text":" of the"},"p":"abcdefghijkl"}`)},
		{"invoke", wire.OpInvokeStream, chunk(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta",` +
			`"text":" of the"}}`)},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			u := wire.StreamUsage{Op: row.op}
			for b.Loop() {
				f, err := wire.ParseFrame(row.raw)
				if err != nil {
					b.Fatal(err)
				}
				u.Observe(f)
			}
		})
	}
}
