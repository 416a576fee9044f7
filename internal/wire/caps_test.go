package wire_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// nested is the body that has value at a path of members.
func nested(path string, value any) map[string]any {
	name, rest, more := strings.Cut(path, ".")
	if more {
		return map[string]any{name: nested(rest, value)}
	}
	return map[string]any{name: value}
}

func at(body map[string]any, path string) (float64, bool) {
	name, rest, more := strings.Cut(path, ".")
	if !more {
		n, ok := body[name].(float64)
		return n, ok
	}
	inner, _ := body[name].(map[string]any)
	return at(inner, rest)
}

// TestEveryCapIsEnforced (M5, M32) walks every family and every member that any
// family obeys: whatever the body asks for, none is left above the cap, and the
// family's own is in the body.
func TestEveryCapIsEnforced(t *testing.T) {
	for _, dialect := range append(wire.DialectNames(), "") {
		for _, name := range wire.EveryCap() {
			body, _ := json.Marshal(nested(name, 50_000))
			f := read(t, wire.OpInvoke, dialect, string(body))
			l, err := f.LimitOf(wire.Cap{Max: 1000, ModelMax: 64_000})
			if err != nil {
				t.Errorf("%s %s: %v", dialect, name, err)
				continue
			}
			if l.Tokens == wire.Known(0) {
				continue // writes no text
			}
			var out map[string]any
			if err := json.Unmarshal(wire.ApplySplices(nil, body, l.Splices), &out); err != nil {
				t.Fatal(err)
			}
			own := false
			for _, other := range wire.EveryCap() {
				n, given := at(out, other)
				if n > 1000 {
					t.Errorf("%s %s: %v is left", dialect, name, out)
				}
				own = own || given
			}
			if dialect == "" {
				if l.CutAt != 1000 || l.Tokens.N < 64_000 {
					t.Errorf("unknown family, %s: %+v", name, l)
				}
			} else if !own || l.Tokens.N > 1000 || !l.Tokens.Known {
				t.Errorf("%s %s: %v, %+v", dialect, name, out, l)
			}
		}
	}
}

// TestOthersCapsCountForTheHold (M32): without a policy a body that names several
// caps may take the largest of them.
func TestOthersCapsCountForTheHold(t *testing.T) {
	for _, dialect := range []string{"mistral", "jamba", "deepseek-r1", "llama"} {
		own := map[string]string{"llama": "max_gen_len"}[dialect]
		if own == "" {
			own = "max_tokens"
		}
		f := read(t, wire.OpInvoke, dialect, `{"`+own+`":10,"max_completion_tokens":50000}`)
		if l, err := f.LimitOf(wire.Cap{}); err != nil || l.Tokens != wire.Known(50_000) {
			t.Errorf("%s: %+v, %v", dialect, l, err)
		}
		if l, err := f.LimitOf(wire.Cap{Max: 1000}); err != nil || l.Tokens != wire.Known(1000) || l.Cut != 49_000 {
			t.Errorf("%s under a cap: %+v, %v", dialect, l, err)
		}
		if _, err := f.LimitOf(wire.Cap{Max: 1000, Reject: true}); err == nil {
			t.Errorf("%s: not refused", dialect)
		}
	}
	many := map[string]any{}
	for i, name := range wire.EveryCap()[:13] {
		many[name] = 10 + i
	}
	body, _ := json.Marshal(many)
	if _, err := read(t, wire.OpInvoke, "mistral", string(body)).LimitOf(wire.Cap{Max: 9000}); err == nil {
		t.Error("more caps than are looked at were let through")
	}
}

// TestUnknownFamilies (M6): Claude behind an ARN that nobody has mapped.
func TestUnknownFamilies(t *testing.T) {
	body := `{"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":8000}}`
	f := read(t, wire.OpInvoke, "", body)
	if _, err := f.LimitOf(wire.Cap{Max: 1000}); err == nil || !strings.Contains(err.Message, "no room for thinking") {
		t.Errorf("M6: %v", err)
	}
	l, err := f.LimitOf(wire.Cap{Max: 4500})
	want := `{"max_tokens":4500,"thinking":{"type":"enabled","budget_tokens":4000}}`
	if got := string(wire.ApplySplices(nil, []byte(body), l.Splices)); err != nil || got != want {
		t.Errorf("M6: %s, %v", got, err)
	}
	if _, err := read(t, wire.OpInvoke, "", `{"reasoningConfig":{"maxReasoningEffort":"high"}}`).LimitOf(
		wire.Cap{Max: 1000}); err == nil {
		t.Error("a request that forbids a cap was let through")
	}
}

// TestTiersOfBodyAndHeader (M1): any case, any word, and what they come to together.
func TestTiersOfBodyAndHeader(t *testing.T) {
	f := func(body, want string, header ...string) {
		t.Helper()
		facts := read(t, wire.OpInvoke, "openai", body)
		for _, value := range header {
			facts.ReadHeader(wire.Header{{Name: "X-AMZN-Bedrock-service-tier", Value: value}})
		}
		if facts.ServiceTier != want {
			t.Errorf("%s %v: %q, want %q", body, header, facts.ServiceTier, want)
		}
	}
	f(`{}`, "")
	f(`{}`, "priority", "PRIORITY")
	f(`{}`, "anything", "Anything")
	f(`{"service_tier":"auto"}`, "auto")
	f(`{"service_tier":"default"}`, "flex", "flex")
	f(`{"service_tier":"flex"}`, "flex", "default")
	f(`{"service_tier":"flex"}`, "flex", "flex")
	f(`{"service_tier":"flex"}`, "flex+priority", "priority")
	f(`{}`, "flex+priority", "flex", "priority")
	long := strings.Repeat("x", 40) // rows and records stay short
	f(`{}`, "(other)", long, long+"y")
	f(`{"service_tier":"`+strings.Repeat("x", 70<<10)+`"}`, "(other)")
}

// TestSpeedIsATier: Claude's fast mode has a price of its own, wherever it is asked
// for.
func TestSpeedIsATier(t *testing.T) {
	for speed, want := range map[string]string{"fast": "fast", "standard": "standard", "FAST": "fast"} {
		body := `{"speed":"` + speed + `"}`
		for _, f := range []*wire.Facts{read(t, wire.OpInvoke, "anthropic", body),
			read(t, wire.OpConverse, "", `{"additionalModelRequestFields":`+body+`}`)} {
			if f.ServiceTier != want {
				t.Errorf("%s: %q", body, f.ServiceTier)
			}
		}
	}
}

// TestServedTier (M1, M3): the head of an answer names the tier, streamed or not.
func TestServedTier(t *testing.T) {
	h := wire.Header{{Name: "x-amzn-bedrock-service-tier", Value: "FLEX"},
		{Name: "X-Amzn-Bedrock-PerformanceConfig-Latency", Value: "optimized"}}
	s := wire.StreamUsage{Op: wire.OpInvokeStream}
	s.ReadHeader(h)
	for _, u := range []wire.Usage{wire.ResponseUsage(wire.OpInvoke, nil, h, []byte(`{}`)), s.Usage()} {
		if u.ServiceTier != "flex" || u.Latency != "optimized" {
			t.Errorf("%+v", u)
		}
	}
	body := []byte(`{"usage":{"inputTokens":1,"outputTokens":1},"serviceTier":{"type":"priority"},` +
		`"performanceConfig":{"latency":"optimized"}}`)
	if u := wire.ResponseUsage(wire.OpConverse, nil, nil, body); u.ServiceTier != "priority" || u.Latency != "optimized" {
		t.Errorf("%+v", u)
	}
}

// TestIterations (M28): every run counts, also those that the sums leave out.
func TestIterations(t *testing.T) {
	const usage = `{"input_tokens":23000,"output_tokens":1000,"cache_read_input_tokens":5,"iterations":[` +
		`{"type":"compaction","input_tokens":180000,"output_tokens":3500,"cache_creation_input_tokens":40,` +
		`"cache_creation":{"ephemeral_1h_input_tokens":10}},` +
		`{"type":"message","input_tokens":23000,"output_tokens":1000,"cache_read_input_tokens":5}]}`
	want := wire.Usage{Input: wire.Known(203_000), Output: wire.Known(4500), CacheRead: wire.Known(5),
		CacheWrite5m: wire.Known(30), CacheWrite1h: wire.Known(10), StopReason: "end_turn"}
	head := wire.Header{{Name: "X-Amzn-Bedrock-Input-Token-Count", Value: "23000"}}
	body := []byte(`{"stop_reason":"end_turn","usage":` + usage + `}`)
	if got := wire.ResponseUsage(wire.OpInvoke, wire.DialectNamed("anthropic"), head, body); got != want {
		t.Errorf("plain: %+v", got)
	}
	s := wire.StreamUsage{Op: wire.OpInvokeStream}
	for _, text := range []string{
		`{"type":"message_start","message":{"usage":{"input_tokens":23000,"iterations":[{"input_tokens":180000}]}}}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":` + usage + `}`,
		`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":23000,"outputTokenCount":1000}}`,
	} {
		frame, err := wire.ParseFrame(chunk(text))
		if err != nil {
			t.Fatal(err)
		}
		s.Observe(frame)
	}
	if got := s.Usage(); got != want {
		t.Errorf("streamed: %+v", got)
	}
	f := read(t, wire.OpInvoke, "anthropic",
		`{"max_tokens":900,"context_management":{"edits":[{"type":"compact_20260112"}]}}`)
	if l, err := f.LimitOf(wire.Cap{Max: 1000, ModelMax: 64_000}); err != nil || l.Beside != 64_000 ||
		l.Tokens != wire.Known(900) {
		t.Errorf("what compaction can write beside the cap is not held: %+v, %v", l, err)
	}
}

// TestGuardrailUnits (M30): units that are missing or odd are unknown, and no zero.
func TestGuardrailUnits(t *testing.T) {
	for usage, known := range map[string]bool{
		`{"contentPolicyUnits":2,"topicPolicyUnits":0}`: true, `{"contentPolicyUnits":0}`: true,
		`{"contentPolicyUnits":2,"contentPolicyImageUnits":null}`: true,
		`{}`: false, `null`: false, `{"contentPolicyUnits":"2"}`: false, `{"contentPolicyUnits":-2}`: false,
		`{"contentPolicyUnits":2,"topicPolicyUnits":1.5}`: false, `{"contentPolicyUnits":1e3}`: false, `[]`: false,
	} {
		u := wire.ResponseUsage(wire.OpApplyGuardrail, nil, nil, []byte(`{"action":"NONE","usage":`+usage+`}`))
		if u.Complete() != known {
			t.Errorf("%s: %+v", usage, u)
		}
	}
	if u := wire.ResponseUsage(wire.OpApplyGuardrail, nil, nil, []byte(`{"action":"NONE"}`)); u.Complete() {
		t.Errorf("without usage: %+v", u)
	}
}

// TestWhatIsReportedStays (M4): a family that reports no output by itself does not
// hide what an answer reports.
func TestWhatIsReportedStays(t *testing.T) {
	h := wire.Header{{Name: "X-Amzn-Bedrock-Input-Token-Count", Value: "20000"},
		{Name: "X-Amzn-Bedrock-Output-Token-Count", Value: "50000"}}
	for _, name := range wire.DialectNames() {
		u := wire.ResponseUsage(wire.OpInvoke, wire.DialectNamed(name), h, []byte(`{}`))
		if u.Input != wire.Known(20_000) || u.Output != wire.Known(50_000) {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

// TestSpoken: the bound of a stream's tokens counts text and no envelope, whatever
// the family.
func TestSpoken(t *testing.T) {
	for text, want := range map[string]int64{
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"four"}}`:                4,
		`{"choices":[{"delta":{"role":"assistant","content":"né","reasoning":"ab"},"finish_reason":"stop"}]}`: 5,
		`{"outputs":[{"text":"four"}],"id":"0123456789"}`:                                                     4, `{"generation":"a","x":["bc",{"type":"u"}]}`: 3,
		`not json`: 8,
	} {
		frame, err := wire.ParseFrame(chunk(text))
		if err != nil {
			t.Fatal(err)
		}
		s := wire.StreamUsage{Op: wire.OpInvokeStream, Measure: true}
		s.Observe(frame)
		if s.Spoken != want {
			t.Errorf("%s: %d, want %d", text, s.Spoken, want)
		}
	}
}

// TestModelNames (M33): every spelling of an id names the foundation model.
func TestModelNames(t *testing.T) {
	const opus = "anthropic.claude-opus-4-6-v1"
	spellings := []string{opus, opus + ":0", "arn:aws:bedrock:us-east-1::foundation-model/" + opus,
		opus + ":0:200k", opus + ":0:200K", opus + ":mm", opus + ":", strings.ToUpper(opus), "US.Anthropic." + opus[10:],
		"ARN:aws:bedrock:us-east-1::foundation-model/" + opus, "us.eu." + opus}
	for _, geo := range []string{"us", "eu", "apac", "jp", "au", "ca", "us-gov", "global", "latam"} {
		spellings = append(spellings, geo+"."+opus,
			fmt.Sprintf("arn:aws:bedrock:us-east-1:1:inference-profile/%s.%s", geo, opus))
	}
	for _, id := range spellings {
		if names := wire.ParseModelID(id).Names(); !slices.Contains(names, opus) || names[0] != id {
			t.Errorf("%s: %v", id, names)
		}
	}
	if names := wire.ParseModelID("us.amazon.nova-lite-v1").Names(); !slices.Contains(names, "amazon.nova-lite-v1:0") {
		t.Errorf("without a version: %v", names)
	}
	for _, id := range []string{"arn:aws:bedrock:us-east-1:1:marketplace/model-endpoint/all", "arn:aws:new:::thing/x",
		"arn:short", "arn:aws:sagemaker:us-east-1:1:endpoint/x", "arn:aws:bedrock:us-east-1:1:prompt/ABC:1",
		"arn:aws:bedrock:us-east-1:1:custom-model/" + opus + "/abc", "arn:aws:bedrock:us-east-1:1:imported-model/abc"} {
		if !wire.ParseModelID(id).Opaque() {
			t.Errorf("%s does not count as opaque", id)
		}
	}
}
