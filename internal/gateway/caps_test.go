package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	opus      = "anthropic.claude-opus-4-6-v1"
	profiles  = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/"
	capped    = "output_tokens: {max: 1000}"
	hardCents = "budgets: [{period: month, usd: 5, on_exceed: reject}]"
)

// capsText has models of known families, and ARNs that hide them.
const capsText = `
upstream: {endpoint: "http://127.0.0.1:1", region: us-east-1, bearer_token: x}
prices: [books.yaml]
aliases: {oss: openai.gpt-oss-120b-1:0, best: us.anthropic.claude-opus-4-6-v1}
model_map:
  "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/oss": openai.gpt-oss-120b-1:0
  "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/best": us.anthropic.claude-opus-4-6-v1
  "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/embed": amazon.titan-embed-text-v2:0
tenants:
  - id: acme
  - id: acme/app
    keys: [KEY]
    operations: [converse, converse-stream, invoke, invoke-with-response-stream, count-tokens, apply-guardrail]
`

// everyKind lets endpoints be named, which the default does not.
const everyKind = `
allowed_kinds: [foundation-model, inference-profile, application-inference-profile, provisioned-model, imported-model,
  custom-model-deployment, endpoint]
`

// capsFixture is a gateway whose tenant has these settings, one a line.
func capsFixture(t testing.TB, own ...string) *fixture {
	t.Helper()
	return newFixtureFrom(t, everyKind+capsText+"    "+strings.Join(own, "\n    ")+"\n")
}

// post sends a request for op of a model.
func (f *fixture) post(t testing.TB, op wire.Operation, model, text string, header ...wire.Field) *Response {
	t.Helper()
	target := wire.Target{Op: op, Model: model}
	return f.line.Serve(&Request{
		ID: "01REQUEST", Method: "POST", Target: target.String(), Authority: "gateway",
		Header: append(wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer}}, header...),
		Body:   body{text}, Caller: t.Context(), Received: time.Now(),
	})
}

// invoked answers a plain InvokeModel with these counts, and further head fields.
func invoked(in, out int64, header ...wire.Field) *engine.Response {
	return &engine.Response{Status: 200, Body: []byte(`{"output":{}}`), Header: append(wire.Header{
		{Name: "X-Amzn-Bedrock-Input-Token-Count", Value: fmt.Sprint(in)},
		{Name: "X-Amzn-Bedrock-Output-Token-Count", Value: fmt.Sprint(out)},
	}, header...)}
}

// streamed answers with chunks.
func streamed(header wire.Header, chunks ...string) *engine.Response {
	frames := make([][]byte, len(chunks))
	for i, text := range chunks {
		payload, _ := json.Marshal(map[string][]byte{"bytes": []byte(text)})
		frames[i] = wire.AppendFrame(nil, []wire.Field{{Name: ":message-type", Value: "event"},
			{Name: ":event-type", Value: "chunk"}}, payload)
	}
	return framed(header, frames...)
}

// framed answers with frames.
func framed(header wire.Header, frames ...[]byte) *engine.Response {
	n := 0
	next := func() ([]byte, error) {
		if n == len(frames) {
			return nil, io.EOF
		}
		n++
		return frames[n-1], nil
	}
	return &engine.Response{Status: 200, Header: header, Frames: engine.NewFrameSource(next,
		func() bool { return n < len(frames) }, func() error { return nil })}
}

// readAll reads a stream to its end.
func readAll(res *Response) string {
	if res.Stream == nil {
		return string(res.Body)
	}
	out, _ := io.ReadAll(res.Stream)
	res.Stream.Close()
	return string(out)
}

// TestTiersWithoutPrice (M1): the tier of a header or body that has no price is
// refused under a hard budget, whatever its word and case.
func TestTiersWithoutPrice(t *testing.T) {
	f := capsFixture(t, hardCents, capped)
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(10, 5), nil }
	for _, tier := range []string{"priority", "flex", "PRIORITY", "Flex", "any word"} {
		for _, op := range []wire.Operation{wire.OpInvoke, wire.OpInvokeStream} {
			res := f.post(t, op, opus, `{"max_tokens":10,"messages":[]}`,
				wire.Field{Name: "x-amzn-bedrock-SERVICE-tier", Value: tier})
			if res.Status != 403 || !strings.Contains(string(res.Body), "has no price, and a budget applies") {
				t.Errorf("M1: %s %s: %d %s", op, tier, res.Status, res.Body)
			}
		}
	}
	for _, text := range []string{`{"serviceTier":{"type":"flex"}}`, `{"serviceTier":{"type":"FLEX"}}`} {
		if res := f.post(t, wire.OpConverse, opus, text); res.Status != 403 {
			t.Errorf("M1: %s: %d %s", text, res.Status, res.Body)
		}
	}
	res := f.post(t, wire.OpInvoke, opus, `{"max_tokens":10,"messages":[]}`,
		wire.Field{Name: "X-Amzn-Bedrock-Service-Tier", Value: "Default"})
	if res.Status != 200 {
		t.Errorf("the default tier: %d %s", res.Status, res.Body)
	}
	f.end(t)
}

// TestServedWithoutPrice (M2, M3, M29): what served, or a class of what was used,
// has no price. The hold stays, and the budget holds.
func TestServedWithoutPrice(t *testing.T) {
	tier := wire.Field{Name: "X-Amzn-Bedrock-Service-Tier", Value: "flex"}
	answers := map[string]func() *engine.Response{
		"M2 served tier": func() *engine.Response { return invoked(1_000_000, 5, tier) },
		"M3 stream": func() *engine.Response {
			return streamed(wire.Header{tier}, `{"amazon-bedrock-invocationMetrics":{"inputTokenCount":1000000,"outputTokenCount":5}}`)
		},
		"M29 unpriced class": func() *engine.Response {
			return &engine.Response{Status: 200, Body: []byte(`{"usage":{"input_tokens":0,"output_tokens":0,` +
				`"cache_creation_input_tokens":1000000,"cache_creation":{"ephemeral_1h_input_tokens":1000000}}}`)}
		},
	}
	for name, answer := range answers {
		f := capsFixture(t, "budgets: [{period: month, usd: 0.5, on_exceed: reject}]", capped)
		f.reply = func(*engine.Request) (*engine.Response, error) { return answer(), nil }
		op := wire.OpInvoke
		if name == "M3 stream" {
			op = wire.OpInvokeStream
		}
		served := 0
		for range 30 {
			res := f.post(t, op, "anthropic.claude-opus-4-1-20250805-v1:0", `{"max_tokens":1000,"messages":[]}`)
			if res.Status != 200 {
				break
			}
			readAll(res)
			served++
		}
		got := f.end(t)["acme/app dollars"]
		if served == 0 || served == 30 || got.Suspense == 0 || got.Posted+got.Suspense > 500_000_000 || got.Held != 0 {
			t.Errorf("%s: %d served, %+v", name, served, got)
		}
	}
}

// TestAliasesReadAsTheirModel (M4): a body that looks like another family's is
// capped, held and booked as one of the model behind the name.
func TestAliasesReadAsTheirModel(t *testing.T) {
	disguises := []string{
		`"query":"x","documents":[]`, `"input_type":"y"`, `"inputImage":"z"`, `"singleEmbeddingParams":{}`,
		`"inputText":"x","normalize":true`, `"textGenerationConfig":{"maxTokenCount":10},"max_tokens":4096`,
		`"schemaVersion":"messages-v1","inferenceConfig":{"maxTokens":10}`, `"prompt":"x","max_gen_len":5`,
		`"anthropic_version":"x"`, `"message":"hi"`, `"texts":[]`,
	}
	for _, model := range []string{"oss", profiles + "oss"} {
		f := capsFixture(t, "budgets: [{period: month, usd: 100, on_exceed: reject}]", capped)
		var sent string
		f.reply = func(r *engine.Request) (*engine.Response, error) {
			sent = string(r.Body)
			return invoked(20_000, 50_000), nil
		}
		for _, d := range disguises {
			res := f.post(t, wire.OpInvoke, model, `{"messages":[],"max_completion_tokens":50000,`+d+`}`)
			if res.Status != 200 || !strings.Contains(sent, `"max_completion_tokens":1000`) || strings.Contains(sent, "4096") {
				t.Errorf("M4: %s, %s: %d %s: %s", model, d, res.Status, res.Body, sent)
			}
		}
		if got := f.end(t)["acme/app dollars"]; got.Suspense != 0 || got.Posted < int64(len(disguises))*1000 {
			t.Errorf("M4: %s: what was reported is not booked: %+v", model, got)
		}
	}
}

// unknownIDs are models of which nobody knows how their bodies spell a cap.
var unknownIDs = []string{
	profiles + "unmapped", "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl",
	"arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl",
	"arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abcdefghijkl",
	"arn:aws:sagemaker:us-east-1:123456789012:endpoint/market", "liquid.lfm2-8b", "ibm.granite-4", "us.arcee-ai.trinity",
}

// TestUnknownFamilyIsRefused (M5): the default, with the line that helps.
func TestUnknownFamilyIsRefused(t *testing.T) {
	f := capsFixture(t, capped)
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
	for _, id := range unknownIDs {
		want := "model_map: {"
		if !strings.HasPrefix(id, "arn:") {
			want = "dialect: NAME"
		}
		for _, op := range []wire.Operation{wire.OpInvoke, wire.OpInvokeStream} {
			res := f.post(t, op, id, `{"max_tokens":9000}`)
			if res.Status != 403 || !strings.Contains(string(res.Body), want) || !strings.Contains(string(res.Body), id) {
				t.Errorf("M5: %s %s: %d %s", op, id, res.Status, res.Body)
			}
		}
		if res := f.post(t, wire.OpConverse, id, `{"inferenceConfig":{"maxTokens":9000}}`); res.Status != 200 ||
			res.Header.Get("x-sluice-capped") != "1000" {
			t.Errorf("M5: Converse has one spelling for all: %s: %d %s", id, res.Status, res.Body)
		}
	}
	for _, id := range []string{"us.twelvelabs.pegasus-1-2-v1:0", "twelvelabs.pegasus-1-2-v1:0"} {
		res := f.post(t, wire.OpInvoke, id, `{"inputPrompt":"x","maxOutputTokens":4096}`)
		if res.Status != 200 || res.Header.Get("x-sluice-capped") != "1000" {
			t.Errorf("M5: %s: %d %s", id, res.Status, res.Body)
		}
	}
	for _, id := range []string{"amazon.nova-canvas-v1:0", "stability.sd3-large-v1:0", "amazon.titan-embed-text-v2:0",
		"cohere.rerank-v3-5:0", profiles + "embed"} {
		if res := f.post(t, wire.OpInvoke, id, `{"inputText":"x"}`); res.Status != 200 {
			t.Errorf("M5: %s writes no text: %d %s", id, res.Status, res.Body)
		}
	}
	f.end(t)
	if res := capsFixture(t).post(t, wire.OpInvoke, unknownIDs[0], `{}`); res.Status == 403 {
		t.Errorf("without a cap: %s", res.Body)
	}
}

// TestUnknownFamilyIsCut (M5): the stream ends at the cap, and the books still get
// what the upstream reports; a plain call is refused.
func TestUnknownFamilyIsCut(t *testing.T) {
	f := capsFixture(t, "output_tokens: {max: 10, unknown_family: cut}")
	chunks := []string{`{"generation":"123456"}`, `{"generation":"789a"}`, `{"generation":"SECRET"}`,
		`{"generation":"SECRET","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":4}}`}
	f.reply = func(*engine.Request) (*engine.Response, error) { return streamed(nil, chunks...), nil }
	res := f.post(t, wire.OpInvokeStream, unknownIDs[0], `{"prompt":"x"}`)
	if got := res.Header.Get("x-sluice-cut-at"); got != "10" {
		t.Errorf("M5: x-sluice-cut-at: %q", got)
	}
	got := visible([]byte(readAll(res)))
	if !holds(got, "789a") || holds(got, "SECRET") || !holds(got, "cut off at the limit of 10 output tokens") {
		t.Errorf("M5: %q", got)
	}
	if res := f.post(t, wire.OpInvoke, unknownIDs[0], `{}`); res.Status != 403 ||
		!strings.Contains(string(res.Body), "ask for a stream") {
		t.Errorf("M5: a plain call: %d %s", res.Status, res.Body)
	}
	f.end(t)
	f = capsFixture(t, "output_tokens: {max: 10, unknown_family: allow}")
	f.reply = func(*engine.Request) (*engine.Response, error) { return streamed(nil, chunks...), nil }
	res = f.post(t, wire.OpInvokeStream, unknownIDs[0], `{"prompt":"x"}`)
	if got := visible([]byte(readAll(res))); !holds(got, "SECRET") {
		t.Errorf("M5: allow: %q", got)
	}
	f.end(t)
}

// TestDeniedModels (M33): no spelling of a denied model gets through, nor an ARN
// of which nobody knows the model.
func TestDeniedModels(t *testing.T) {
	spellings := []string{opus, "best", profiles + "best", "arn:aws:bedrock:us-east-1::foundation-model/" + opus,
		profiles + "unmapped", "arn:aws:bedrock:us-east-1:1:provisioned-model/abcdefghijkl",
		"arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1", opus + ":0", opus + ":0:200k",
		strings.ToUpper(opus), "US." + opus, "arn:aws:bedrock:us-east-1:1:marketplace/model-endpoint/all-access",
		"arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:1", "arn:aws:sagemaker:us-east-1:1:endpoint/claude",
		"arn:aws:bedrock:us-east-1:1:custom-model/" + opus + "/abc", "arn:aws:bedrock:us-east-1:1:imported-model/abc",
		"arn:aws:bedrock:us-east-1:1:custom-model-deployment/abc", "our-provisioned-claude", "arn:short"}
	for _, geo := range []string{"us", "eu", "apac", "global", "jp", "au", "ca", "us-gov"} {
		spellings = append(spellings, geo+"."+opus, "arn:aws:bedrock:us-east-1:1:inference-profile/"+geo+"."+opus)
	}
	f := capsFixture(t, `deny_models: ["`+opus+`"]`)
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
	for _, id := range spellings {
		for _, op := range []wire.Operation{wire.OpInvoke, wire.OpConverse, wire.OpCountTokens} {
			if res := f.post(t, op, id, `{}`); res.Status != 403 || f.calls.Load() > 0 {
				t.Errorf("M33: %s %s: %d %s", op, id, res.Status, res.Body)
			}
		}
	}
	if res := f.post(t, wire.OpInvoke, "anthropic.claude-sonnet-4-6", `{}`); res.Status != 200 {
		t.Errorf("another model: %d %s", res.Status, res.Body)
	}
	f.end(t)
	f = capsFixture(t, `deny_models: ["us.*"]`) // of a region prefix, the others stay
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
	for id, want := range map[string]int{"us." + opus: 403, "best": 403, opus: 200, "eu." + opus: 200,
		"arn:aws:bedrock:us-east-1:1:inference-profile/us." + opus: 403} {
		if res := f.post(t, wire.OpInvoke, id, `{}`); res.Status != want {
			t.Errorf("M33: %s: %d %s", id, res.Status, res.Body)
		}
	}
	f.end(t)
}

// TestGuardrailsWithoutUsage (M30): what an answer does not tell stays held.
func TestGuardrailsWithoutUsage(t *testing.T) {
	for _, usage := range []string{`{}`, `{"usage":{}}`, `{"usage":{"contentPolicyUnits":"3"}}`,
		`{"usage":{"contentPolicyUnits":-3}}`, `{"usage":{"contentPolicyUnits":0.5}}`} {
		f := capsFixture(t, hardCents)
		f.reply = func(*engine.Request) (*engine.Response, error) {
			return &engine.Response{Status: 200, Body: []byte(usage)}, nil
		}
		target := wire.Target{Op: wire.OpApplyGuardrail, Resource: "g", Version: "1"}
		res := f.line.Serve(&Request{
			ID: "01REQUEST", Method: "POST", Target: target.String(), Authority: "gateway", Caller: t.Context(),
			Header: wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer}}, Body: body{`{"content":[]}`},
			Received: time.Now(),
		})
		if got := f.end(t)["acme/app dollars"]; res.Status != 200 || got.Suspense == 0 || got.Posted != 0 {
			t.Errorf("M30: %s: %d, %+v", usage, res.Status, got)
		}
	}
}

// TestCutStreams (M31): a stream without its dialect's end is unknown.
func TestCutStreams(t *testing.T) {
	for name, chunks := range map[string][]string{
		"anthropic.claude-sonnet-4-6": {`{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}`,
			`{"type":"message_delta","delta":{},"usage":{"output_tokens":3}}`},
		"openai.gpt-oss-120b-1:0":      {`{"usage":{"prompt_tokens":5,"completion_tokens":2},"choices":[{"finish_reason":null}]}`},
		"amazon.titan-text-express-v1": {`{"outputText":"x","inputTextTokenCount":5,"totalOutputTextTokenCount":3,"completionReason":null}`},
	} {
		f := capsFixture(t, hardCents, capped)
		f.reply = func(*engine.Request) (*engine.Response, error) { return streamed(nil, chunks...), nil }
		readAll(f.post(t, wire.OpInvokeStream, name, `{"max_tokens":100}`))
		if got := f.end(t)["acme/app dollars"]; got.Suspense < 100*got.Posted {
			t.Errorf("M31: %s: %+v", name, got)
		}
	}
}

// profiled is an upstream whose control plane knows profiles.
type profiled struct {
	*fixture
	models map[string]string
	asked  atomic.Int64
}

func (p *profiled) InferenceProfile(_ context.Context, _ string, _ role.Role, arn string) (string, error) {
	p.asked.Add(1)
	if model, ok := p.models[arn]; ok {
		return model, nil
	}
	return "", errors.New("no such profile")
}

// TestProfilesAreResolvedOnce (M5, M33): a profile that no model_map has is read,
// priced and denied as the model that the control plane names, and asked for once.
func TestProfilesAreResolvedOnce(t *testing.T) {
	f := capsFixture(t, capped, `deny_models: ["`+opus+`"]`)
	f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
	p := &profiled{fixture: f, models: map[string]string{profiles + "found": "us.amazon.nova-lite-v1:0",
		profiles + "denied": "us." + opus}}
	s := *f.line.snapshots.Load()
	s.Upstream = p
	f.line.Use(&s)
	for range 3 {
		for id, want := range map[string]int{profiles + "found": 200, profiles + "denied": 403, profiles + "lost": 403} {
			if res := f.post(t, wire.OpInvoke, id, `{"inferenceConfig":{"maxTokens":9000}}`); res.Status != want ||
				want == 200 && res.Header.Get("x-sluice-capped") != "1000" {
				t.Errorf("%s: %d %s", id, res.Status, res.Body)
			}
		}
	}
	if n := p.asked.Load(); n != 3 {
		t.Errorf("asked %d times for 3 profiles", n)
	}
	for i := range 1100 { // what is kept is bounded
		f.post(t, wire.OpInvoke, profiles+fmt.Sprint("made", "up", i), `{}`)
	}
	if res := f.post(t, wire.OpInvoke, profiles+"found", `{}`); res.Status != 200 {
		t.Errorf("after many others: %d %s", res.Status, res.Body)
	}
	f.end(t)
}

// TestPriceRemovedInMidStream (M29): a reload that takes the price away does not
// reach a request that has begun.
func TestPriceRemovedInMidStream(t *testing.T) {
	f := capsFixture(t, hardCents, capped)
	f.reply = func(*engine.Request) (*engine.Response, error) {
		return streamed(nil, `{"type":"message_start"}`,
			`{"amazon-bedrock-invocationMetrics":{"inputTokenCount":1000,"outputTokenCount":5}}`), nil
	}
	res := f.post(t, wire.OpInvokeStream, "anthropic.claude-sonnet-4-6", `{"max_tokens":1000,"messages":[]}`)
	without := *f.line.snapshots.Load()
	without.Prices = &record.PriceBook{}
	f.line.Use(&without)
	readAll(res)
	if got := f.end(t)["acme/app dollars"]; got.Posted == 0 || got.Suspense != 0 || got.Held != 0 {
		t.Errorf("M29: %+v", got)
	}
}

// TestCompactionIsHeld (M28): what the model may read and write beside the cap is
// held, and what it reports of it is booked.
func TestCompactionIsHeld(t *testing.T) {
	const usage = `{"usage":{"input_tokens":23000,"output_tokens":1000,"iterations":[` +
		`{"type":"compaction","input_tokens":180000,"output_tokens":3500},` +
		`{"type":"message","input_tokens":23000,"output_tokens":1000}]}}`
	held := map[string]int64{}
	for name, more := range map[string]string{"plain": "",
		"compacts": `,"context_management":{"edits":[{"type":"compact_20260112"}]}`} {
		f := capsFixture(t, "budgets: [{period: month, usd: 900, on_exceed: reject}]", capped)
		f.reply = func(*engine.Request) (*engine.Response, error) {
			return &engine.Response{Status: 200, Body: []byte(usage)}, nil
		}
		w := &watch{fixture: f, t: t}
		f.line.asker.Meter = w
		if res := f.post(t, wire.OpInvoke, opus, `{"max_tokens":1000,"messages":[]`+more+`}`); res.Status != 200 {
			t.Errorf("M28: %d %s", res.Status, res.Body)
		}
		held[name] = w.start.Charges[0].Amount
		// 5.50 dollars a million in and 27.50 out would be a profile's; in the region they are 5 and 25 or above.
		if got := f.end(t)["acme/app dollars"]; got.Posted < (203_000*5_000 + 4_500*25_000) {
			t.Errorf("M28: %s: iterations are not all booked: %+v", name, got)
		}
	}
	if held["compacts"] < held["plain"]+32_000*25_000 {
		t.Errorf("M28: held %v", held)
	}
}
