package gateway

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestImagesAndSeconds (M8, M29): what is billed by image and by second is held, and
// booked as the answer tells; what no answer tells keeps its hold.
func TestImagesAndSeconds(t *testing.T) {
	const cent = 10_000_000 // nano-dollars
	f := func(op wire.Operation, model, body, answer string, held, posted, suspense int64) {
		t.Helper()
		b := newFixtureFrom(t, strings.Replace(capsText, "apply-guardrail]", "start-async-invoke]", 1)+
			"    budgets: [{period: month, usd: 900, on_exceed: reject}]\n")
		b.line.asker.Jobs = someJobs{}
		b.reply = func(*engine.Request) (*engine.Response, error) {
			return &engine.Response{Status: 200, Body: []byte(answer)}, nil
		}
		w := &watch{fixture: b, t: t}
		b.line.asker.Meter = w
		target := wire.Target{Op: op}
		if op.IsInvoke() {
			target.Model = model
		}
		res := b.line.Serve(&Request{
			ID: "01REQUEST", Method: "POST", Target: target.String(), Authority: "gateway", Caller: t.Context(),
			Header: wire.Header{{Name: "authorization", Value: "Bearer " + b.bearer}}, Received: b.now(),
			Body: text(body),
		})
		got := b.end(t)["acme/app dollars"]
		if res.Status != 200 || w.start == nil {
			t.Fatalf("%s: %d %s", model, res.Status, res.Body)
		}
		h := dollarsHeld(w.start)
		if h/100_000 != held/100_000 || got.Posted != posted || got.Suspense != suspense || got.Held != 0 {
			t.Errorf("%s %s: held %d, then %+v", model, answer, h, got)
		}
	}
	const canvas = `{"taskType":"TEXT_IMAGE","imageGenerationConfig":{"numberOfImages":3}}`
	f(wire.OpInvoke, "amazon.nova-canvas-v1:0", canvas, `{"images":["a","b"]}`, 12*cent, 8*cent, 0)
	f(wire.OpInvoke, "amazon.nova-canvas-v1:0", canvas, `{"images":[]}`, 12*cent, 0, 0)
	f(wire.OpInvoke, "amazon.nova-canvas-v1:0", canvas, `{"error":"x"}`, 12*cent, 0, 12*cent)
	f(wire.OpStartAsyncInvoke, "", `{"modelId":"amazon.nova-reel-v1:1","modelInput":{"videoGenerationConfig":`+
		`{"durationSeconds":12}}}`, `{"invocationArn":"arn:x"}`, 96*cent, 0, 96*cent)
	f(wire.OpInvoke, "amazon.titan-embed-image-v1", `{"inputImage":"aGk="}`, `{"inputTextTokenCount":0}`,
		162_400, 60_000, 0)
}
