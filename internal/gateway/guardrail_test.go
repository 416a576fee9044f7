package gateway

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// guarding are the ways to have a guardrail work on a call: where it is asked for.
var guarding = map[string]struct {
	op     wire.Operation
	body   string
	header wire.Header
}{
	"converse": {wire.OpConverse, `{"messages":[{"role":"user","content":[{"text":"hi"}]}],` +
		`"inferenceConfig":{"maxTokens":100},"guardrailConfig":{"guardrailIdentifier":"g","guardrailVersion":"1"}}`, nil},
	"invoke": {wire.OpInvoke, `{"max_tokens":100,"messages":[{"role":"user","content":"hi"}]}`,
		wire.Header{{Name: "x-amzn-bedrock-guardrailIDENTIFIER", Value: "g"}}},
}

// guardrailReports are what such an answer may say of the units: 4 of the content
// policy, at 750,000 nano-dollars each, or nothing.
var guardrailReports = map[string]string{
	"converse": `,"trace":{"guardrail":{"inputAssessment":{"g":{"invocationMetrics":{"usage":{"contentPolicyUnits":4}}}}}}`,
	"invoke": `,"amazon-bedrock-trace":{"guardrail":{"input":{"g":{"invocationMetrics":{"usage":` +
		`{"contentPolicyUnits":4}}}}}}`,
}

// TestGuardrailIsHeld (M29, M30): what a guardrail can cost beside the model is held,
// booked as it is reported, and in suspense when it is not.
func TestGuardrailIsHeld(t *testing.T) {
	const usage = `{"usage":{"inputTokens":10,"outputTokens":20,"input_tokens":10,"output_tokens":20}`
	const model = 10*5_500 + 20*27_500 // nano-dollars, in the region
	for name, g := range guarding {
		for report, units := range map[string]int64{guardrailReports[name]: 4, "": 0, strings.ReplaceAll(
			guardrailReports[name], "4", `"4"`): -1} {
			f := capsFixture(t, hardCents)
			f.reply = func(*engine.Request) (*engine.Response, error) {
				return &engine.Response{Status: 200, Body: []byte(usage + report + "}")}, nil
			}
			w := &watch{fixture: f, t: t}
			f.line.asker.Meter = w
			if res := f.post(t, g.op, opus, g.body, g.header...); res.Status != 200 {
				t.Fatalf("%s: %d %s", name, res.Status, res.Body)
			}
			held := w.start.Charges[0].Amount
			got := f.end(t)["acme/app dollars"]
			if want := model + units*750_000; units > 0 && (got.Posted != want || got.Suspense != 0) {
				t.Errorf("%s: %+v, want %d posted", name, got, want)
			}
			if units <= 0 && (got.Posted < model || got.Suspense < 750_000) {
				t.Errorf("%s without units: %+v", name, got)
			}
			if got.Posted+got.Suspense > held || got.Held != 0 || w.start.Hold == 0 {
				t.Errorf("%s: %+v of %d held", name, got, held)
			}
		}
		// A budget that has room for the model and none for the guardrail.
		f := capsFixture(t, "budgets: [{period: month, usd: 0.006, on_exceed: reject}]")
		f.reply = func(*engine.Request) (*engine.Response, error) { return invoked(1, 1), nil }
		if res := f.post(t, g.op, opus, g.body, g.header...); res.Status != 400 || f.calls.Load() > 0 {
			t.Errorf("%s: %d %s", name, res.Status, res.Body)
		}
		f.end(t)
	}
}
