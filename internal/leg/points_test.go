package leg

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestRefusedPoints has a model that refuses a prompt because of the points that the gateway has put into it. The
// caller gets the answer to the prompt as it came. Both attempts are in the books, and the next prompts have no point
// there. A prompt that is refused without points, too, is refused as its caller would have it.
func TestRefusedPoints(t *testing.T) {
	w := newWorldOf(t, "{id: acme, prompt_cache: {inject: auto}}",
		wire.Target{Op: wire.OpConverse, Model: "us.anthropic.claude-haiku-5-5"})
	invalid := scripted{
		status: 400, body: `{"message":"no"}`,
		header: wire.Header{{Name: "x-amzn-errortype", Value: "ValidationException"}},
	}
	good := scripted{status: 200, body: strings.Replace(reply, `"inputTokens":10`, `"inputTokens":5000`, 1)}
	pointed, always := 0, false
	w.answer = func(r *engine.Request) scripted {
		body := bytes.Join(append(r.Parts, r.Body), nil)
		switch {
		case bytes.Contains(body, []byte("cachePoint")):
			pointed++
			return invalid
		case always:
			return invalid
		}
		return good
	}
	ask := func(n int) *Attempt {
		t.Helper()
		w.rows, w.calls = nil, 0
		const form = `{"system":[{"text":%q}],"messages":[{"role":"user","content":[{"text":"%d"}]}]}`
		w.request.Body = fmt.Appendf(nil, form, strings.Repeat("rule", 4900), n)
		if err := w.request.ReadFacts(); err != nil {
			t.Fatal(err)
		}
		a, err := w.asker.Ask(t.Context(), w.request, w.routed(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		a.Close(Served)
		return a
	}
	for n := 0; pointed == 0; n++ {
		if a := ask(n); a.Response.Status != 200 || n == 500 {
			t.Fatalf("prompt %d: %d", n, a.Response.Status)
		}
	}
	w.want(t,
		"START 1 passthrough ", "END 1 outcome 2 served false wasted false",
		"START 2 passthrough points_refused", "END 2 outcome 1 served true wasted false")
	for n := range 100 {
		if ask(1000 + n); w.calls != 1 || pointed != 1 {
			t.Fatalf("prompt %d behind it: %d calls, points in %d of all", n, w.calls, pointed)
		}
	}
	always = true
	if a := ask(2000); a.Response.Status != 400 || w.calls != 1 {
		t.Errorf("without points: %d after %d calls", a.Response.Status, w.calls)
	}
}
