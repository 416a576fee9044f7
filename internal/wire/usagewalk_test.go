package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// place is one place where an answer reports a count. body has %s for the number;
// in its other places it is whole.
type place struct {
	dialect string // "converse" for Converse
	header  string // the field with the number, "" for the body
	body    string
	class   string // what the number is: input, output, read, write, 5m, 1h, query, unit
	want    wire.Usage
}

// full is a usage of the classes, each of which counts seven.
func full(classes string) wire.Usage {
	u := wire.Usage{}
	for class := range strings.FieldsSeq(classes) {
		switch class {
		case "input":
			u.Input = k(7)
		case "output":
			u.Output = k(7)
		case "read":
			u.CacheRead = k(7)
		case "5m":
			u.CacheWrite5m = k(7)
		case "no5m":
			u.CacheWrite5m = k(0)
		case "1h":
			u.CacheWrite1h = k(7)
		case "query":
			u.Queries = k(7)
		case "unit":
			u.GuardrailUnits[wire.GuardrailContent], u.UnitsKnown = 7, true
		}
	}
	return u
}

// places are all places where the families that Bedrock serves report usage.
// Sources: AWS's service model, recorded traffic, the makers' API references.
var places = []place{
	{"converse", "", `{"usage":{"inputTokens":%s,"outputTokens":7}}`, "input", full("input output")},
	{"converse", "", `{"usage":{"inputTokens":7,"outputTokens":%s}}`, "output", full("input output")},
	{"converse", "", `{"usage":{"inputTokens":7,"outputTokens":7,"cacheReadInputTokens":%s}}`, "read",
		full("input output read")},
	{"converse", "", `{"usage":{"inputTokens":7,"outputTokens":7,"cacheReadInputTokenCount":%s}}`, "read",
		full("input output read")},
	{"converse", "", `{"usage":{"inputTokens":7,"outputTokens":7,"cacheWriteInputTokens":%s}}`, "write",
		full("input output 5m")},
	{"converse", "", `{"usage":{"inputTokens":7,"outputTokens":7,"cacheWriteInputTokenCount":%s}}`, "write",
		full("input output 5m")},
	{"converse", "", `{"usage":{"inputTokens":7,"outputTokens":7,"cacheWriteInputTokens":7,` +
		`"cacheDetails":[{"ttl":"1h","inputTokens":%s}]}}`, "1h", full("input output 1h no5m")},
	{"converse", "", `{"usage":{"inputTokens":7,"outputTokens":7},"trace":{"guardrail":{"inputAssessment":{"g":` +
		`{"invocationMetrics":{"usage":{"contentPolicyUnits":%s}}}}}}}`, "unit", full("input output unit")},
	{"converse", "", `{"usage":{"inputTokens":7,"outputTokens":7},"trace":{"guardrail":{"outputAssessments":{"g":` +
		`[{"invocationMetrics":{"usage":{"contentPolicyUnits":%s}}}]}}}}`, "unit", full("input output unit")},

	{"anthropic", "X-Amzn-Bedrock-Input-Token-Count", `{"usage":{"output_tokens":7}}`, "input", full("input output")},
	{"anthropic", "X-Amzn-Bedrock-Output-Token-Count", `{"usage":{"input_tokens":7}}`, "output", full("input output")},
	{"anthropic", "X-Amzn-Bedrock-Cache-Read-Input-Token-Count", `{"usage":{"input_tokens":7,"output_tokens":7}}`,
		"read", full("input output read")},
	{"anthropic", "X-Amzn-Bedrock-Cache-Write-Input-Token-Count", `{"usage":{"input_tokens":7,"output_tokens":7}}`,
		"write", full("input output 5m")},
	{"anthropic", "", `{"usage":{"input_tokens":%s,"output_tokens":7}}`, "input", full("input output")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":%s}}`, "output", full("input output")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":7,"cache_read_input_tokens":%s}}`, "read",
		full("input output read")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":7,"cache_creation_input_tokens":%s}}`, "write",
		full("input output 5m")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":7,` +
		`"cache_creation":{"ephemeral_5m_input_tokens":%s}}}`, "5m", full("input output 5m")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":7,"cache_creation_input_tokens":7,` +
		`"cache_creation":{"ephemeral_1h_input_tokens":%s}}}`, "1h", full("input output 1h no5m")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":7,` +
		`"server_tool_use":{"web_search_requests":%s}}}`, "query", full("input output query")},
	{"anthropic", "", `{"usage":{"input_tokens":0,"output_tokens":7,"iterations":[{"input_tokens":%s}]}}`, "part",
		full("input output")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":0,"iterations":[{"output_tokens":%s}]}}`, "part",
		full("input output")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":7,` +
		`"iterations":[{"cache_read_input_tokens":%s}]}}`, "part", full("input output read")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":7,` +
		`"iterations":[{"cache_creation_input_tokens":%s}]}}`, "part", full("input output 5m")},
	{"anthropic", "", `{"usage":{"input_tokens":7,"output_tokens":7},"amazon-bedrock-trace":{"guardrail":{"input":{"g":` +
		`{"invocationMetrics":{"usage":{"contentPolicyUnits":%s}}}}}}}`, "unit", full("input output unit")},

	{"nova", "", `{"usage":{"inputTokens":%s,"outputTokens":7}}`, "input", full("input output")},
	{"nova", "", `{"usage":{"inputTokens":7,"outputTokens":%s}}`, "output", full("input output")},
	{"nova", "", `{"usage":{"inputTokens":7,"outputTokens":7,"cacheReadInputTokenCount":%s}}`, "read",
		full("input output read")},
	{"nova", "", `{"usage":{"inputTokens":7,"outputTokens":7,"cacheWriteInputTokenCount":%s}}`, "write",
		full("input output 5m")},
	{"titan-text", "", `{"inputTextTokenCount":%s,"results":[{"tokenCount":7}]}`, "input", full("input output")},
	{"titan-text", "", `{"inputTextTokenCount":7,"results":[{"tokenCount":%s}]}`, "output", full("input output")},
	{"llama", "", `{"prompt_token_count":%s,"generation_token_count":7}`, "input", full("input output")},
	{"llama", "", `{"prompt_token_count":7,"generation_token_count":%s}`, "output", full("input output")},
	{"cohere-chat", "", `{"meta":{"billed_units":{"input_tokens":%s,"output_tokens":7}}}`, "input",
		full("input output")},
	{"cohere-chat", "", `{"meta":{"billed_units":{"input_tokens":7,"output_tokens":%s}}}`, "output",
		full("input output")},
	{"rerank", "", `{"meta":{"billed_units":{"input_tokens":7,"output_tokens":7,"search_units":%s}}}`, "query",
		full("input output query")},
	{"titan-embed", "", `{"inputTextTokenCount":%s,"o":[]}`, "input", full("input")},
	{"nova-embed", "", `{"inputTokenCount":%s}`, "input", full("input")},
	{"openai", "", `{"usage":{"prompt_tokens":7,"completion_tokens":7,` +
		`"prompt_tokens_details":{"cached_tokens":%s}}}`, "share", wire.Usage{Input: k(0), Output: k(7), CacheRead: k(7)}},
	{"openai-compatible", "", `{"usage":{"prompt_tokens":7,"completion_tokens":7,` +
		`"prompt_tokens_details":{"cache_creation_input_tokens":%s}}}`, "share",
		wire.Usage{Input: k(0), Output: k(7), CacheWrite5m: k(7)}}, // Qwen
	{"openai-compatible", "", `{"usage":{"prompt_tokens":7,"completion_tokens":7,"prompt_cache_hit_tokens":%s}}`,
		"share", wire.Usage{Input: k(0), Output: k(7), CacheRead: k(7)}}, // DeepSeek
	{"openai-compatible", "", `{"usage":{"prompt_tokens":7,"completion_tokens":7,"cached_tokens":%s}}`, "share",
		wire.Usage{Input: k(0), Output: k(7), CacheRead: k(7)}}, // Kimi
}

// likeOpenAI are the families whose plain answers have OpenAI's usage.
var likeOpenAI = []string{"openai", "openai-compatible", "jamba", "mistral", "deepseek-r1"}

func allPlaces() []place {
	all := places
	for _, d := range likeOpenAI {
		all = append(all,
			place{d, "", `{"usage":{"prompt_tokens":%s,"completion_tokens":7,"total_tokens":14}}`, "input",
				full("input output")},
			place{d, "", `{"usage":{"prompt_tokens":7,"completion_tokens":%s,` +
				`"completion_tokens_details":{"reasoning_tokens":3}}}`, "output", full("input output")})
	}
	return all
}

// answer is what is known of an answer that has number in the place.
func (p place) answer(number string) wire.Usage {
	op, body := wire.OpInvoke, p.body
	if p.dialect == "converse" {
		op = wire.OpConverse
	}
	var h wire.Header
	if p.header == "" {
		body = fmt.Sprintf(p.body, number)
	} else {
		h = wire.Header{{Name: strings.ToUpper(p.header), Value: number}}
	}
	return wire.ResponseUsage(op, wire.DialectNamed(p.dialect), h, []byte(body))
}

// TestEveryPlaceOfUsage (M8, M28): a count is read wherever a dialect reports it;
// where it is no count it is unknown, which is not zero, and all the rest stays.
func TestEveryPlaceOfUsage(t *testing.T) {
	odd := []string{"-7", "7.5", `"7"`, "70000000000000000", "7e2", "[7]", `{"a":7}`, "true"}
	for _, p := range allPlaces() {
		for _, whole := range []string{"7", "7.0", "7.00"} {
			if got := p.answer(whole); got.Input != p.want.Input && p.want.Input.Known || got.Output != p.want.Output &&
				p.want.Output.Known || got.CacheRead != p.want.CacheRead || got.CacheWrite5m != p.want.CacheWrite5m ||
				got.CacheWrite1h != p.want.CacheWrite1h || got.Queries != p.want.Queries ||
				got.GuardrailUnits != p.want.GuardrailUnits || got.Odd {
				t.Errorf("%s %s%s with %s: %+v, want %+v", p.dialect, p.header, p.body, whole, got, p.want)
			}
		}
		for _, number := range odd {
			got := p.answer(number)
			if got.Complete() {
				t.Errorf("%s %s%s with %s counts as complete: %+v", p.dialect, p.header, p.body, number, got)
			}
			if lost := p.lost(got); lost != "" {
				t.Errorf("%s %s%s with %s loses %s: %+v", p.dialect, p.header, p.body, number, lost, got)
			}
		}
	}
}

// lost names a half of the usage that an odd number in another place has taken away.
func (p place) lost(got wire.Usage) string {
	switch {
	case p.want.Input.Known && !got.Input.Known && p.class != "input":
		return "input"
	case p.want.Output.Known && !got.Output.Known && p.class != "output":
		return "output"
	}
	return ""
}

// TestHeadersGoBeforeBodies: what the head of an answer says is the bill; what its
// body says beside it is not lost.
func TestHeadersGoBeforeBodies(t *testing.T) {
	head := wire.Header{{Name: "x-amzn-bedrock-input-token-count", Value: "60"},
		{Name: "x-amzn-bedrock-output-token-count", Value: "9"}}
	got := wire.ResponseUsage(wire.OpInvoke, wire.DialectNamed("openai"), head,
		[]byte(`{"usage":{"prompt_tokens":100,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":40}}}`))
	if want := (wire.Usage{Input: k(60), Output: k(9), CacheRead: k(40)}); got != want {
		t.Errorf("%+v", got)
	}
}

// TestServedTierIsTheDearer (M2, M3): a default in one place does not hide what the
// other says, and what a maker calls its own default says nothing.
func TestServedTierIsTheDearer(t *testing.T) {
	f := func(want, header, body string) {
		t.Helper()
		var h wire.Header
		if header != "" {
			h = wire.Header{{Name: "X-Amzn-Bedrock-Service-Tier", Value: header}}
		}
		if got := wire.ResponseUsage(wire.OpInvoke, nil, h, []byte(body)).ServiceTier; got != want {
			t.Errorf("%s %s: %q, want %q", header, body, got, want)
		}
		s := wire.StreamUsage{Op: wire.OpInvokeStream}
		s.ReadHeader(h)
		frame, err := wire.ParseFrame(chunk(body))
		if err != nil {
			t.Fatal(err)
		}
		s.Observe(frame)
		if got := s.Usage().ServiceTier; got != want {
			t.Errorf("streamed %s %s: %q, want %q", header, body, got, want)
		}
	}
	f("priority", "priority", `{"service_tier":"default"}`)
	f("flex", "default", `{"service_tier":"flex"}`)
	f("default", "Default", `{}`)
	f("flex", "flex", `{"usage":{"service_tier":"standard"}}`)
	f("", "", `{"usage":{"service_tier":"standard","speed":"standard"}}`)
	f("fast", "", `{"usage":{"speed":"fast"}}`)
	f("priority", "", `{"usage":{"service_tier":"priority"}}`)
}

// TestStreamEnds (M31): only the dialect's own end makes running counts final.
func TestStreamEnds(t *testing.T) {
	f := func(complete bool, chunks ...string) {
		t.Helper()
		s := wire.StreamUsage{Op: wire.OpInvokeStream}
		for _, text := range chunks {
			frame, err := wire.ParseFrame(chunk(text))
			if err != nil {
				t.Fatal(err)
			}
			s.Observe(frame)
		}
		if u := s.Usage(); u.Complete() != complete {
			t.Errorf("%q: %+v", chunks, u)
		}
	}
	const counts = `"usage":{"prompt_tokens":7,"completion_tokens":3}`
	f(false, `{"choices":[{"delta":{"content":"x"},"finish_reason":null}],`+counts+`}`)
	f(false, `{"choices":[{"delta":{"content":"x"},"finish_reason":""}],`+counts+`}`)
	f(true, `{"choices":[{"delta":{},"finish_reason":"stop"}]}`, `{"choices":[],`+counts+`}`)
	f(false, `{"outputText":"x","totalOutputTextTokenCount":3,"inputTextTokenCount":7,"completionReason":null}`)
	f(false, `{"outputText":"x","totalOutputTextTokenCount":3,"inputTextTokenCount":7,"completionReason":null}`,
		`{"amazon-bedrock-invocationMetrics":{}}`)
	f(false, `{"outputText":"x","totalOutputTextTokenCount":3,"inputTextTokenCount":7,"completionReason":null}`,
		`{"amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":-3}}`)
	f(true, `{"outputText":"x","totalOutputTextTokenCount":3,"inputTextTokenCount":7,"completionReason":"FINISH"}`)
	f(false, `{"generation":"x","prompt_token_count":7,"generation_token_count":3,"stop_reason":null}`)
	f(true, `{"generation":"x","prompt_token_count":7,"generation_token_count":3,"stop_reason":"stop"}`)
	f(true, `{"event_type":"stream-end","finish_reason":"COMPLETE",`+
		`"response":{"meta":{"billed_units":{"input_tokens":7,"output_tokens":3}}}}`)
	f(true, `{"amazon-bedrock-invocationMetrics":{"inputTokenCount":7.0,"outputTokenCount":3.0}}`)
	f(false, `{"amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":3,`+
		`"cacheReadInputTokenCount":"9"}}`)
}
