package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestCapHits counts the answers that the cap ended, whatever the family calls that, and no others.
func TestCapHits(t *testing.T) {
	f := capsFixture(t, "output_tokens: {max: 1000}")
	const (
		asks  = `{"inferenceConfig":{"maxTokens":9000}}` // more than the cap
		fits  = `{"inferenceConfig":{"maxTokens":900}}`
		nova  = "amazon.nova-lite-v1:0"
		claud = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
	)
	hits := int64(0)
	for _, c := range []struct {
		body, stop string
		hit        bool
	}{
		{asks, "max_tokens", true}, {`{}`, "max_tokens", true}, {asks, "length", true},
		{asks, "MAX_TOKENS", true}, {asks, "LENGTH", true},
		{fits, "max_tokens", false}, // the caller's own
		{asks, "end_turn", false}, {asks, "model_context_window_exceeded", false}, {asks, "", false},
	} {
		f.reply = func(*engine.Request) (*engine.Response, error) {
			return &engine.Response{Status: 200, Body: fmt.Appendf(nil, `{"output":{"message":{"role":"assistant",`+
				`"content":[{"text":"x"}]}},"stopReason":%q,"usage":{"inputTokens":1,"outputTokens":2}}`, c.stop)}, nil
		}
		if res := f.post(t, wire.OpConverse, nova, c.body); res.Status != 200 {
			t.Fatalf("%+v: %d %s", c, res.Status, res.Body)
		}
		if c.hit {
			hits++
		}
	}
	f.reply = func(*engine.Request) (*engine.Response, error) {
		return streamed(nil, `{"type":"message_delta","delta":{"stop_reason":"max_tokens"}}`,
			`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":4}}`), nil
	}
	_ = readAll(f.post(t, wire.OpInvokeStream, claud, `{"anthropic_version":"bedrock-2023-05-31","max_tokens":9000}`))
	hits++
	f.end(t)
	got := int64(0)
	err := f.ledger.Rows(t.Context(), time.Time{}, f.now().Add(time.Hour), func(_ record.RowKey, c record.Counters) error {
		got += c.CapHits
		return nil
	})
	if got != hits || err != nil {
		t.Errorf("%d cap hits, want %d, %v", got, hits, err)
	}
}
