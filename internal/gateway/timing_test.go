package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestServerTiming tells a caller who took how long, where the configuration wants it: of answers, streams, and errors
// before and after a model was asked.
func TestServerTiming(t *testing.T) {
	s := compiled(t, "    mode: rules\n")
	off := *s.Config
	on := off
	on.Telemetry.ServerTiming = true
	for _, c := range []struct {
		name   string
		config *config.Config
		op     wire.Operation
		reply  reply
		bearer string // another than the key's
		want   string
	}{
		{name: "off", config: &off, op: wire.OpConverse, reply: reply{text: "hi", after: 250 * time.Millisecond}},
		{name: "answer", config: &on, op: wire.OpConverse, reply: reply{text: "hi", after: 250 * time.Millisecond},
			want: "gateway;dur=0.000, upstream;dur=250.000"},
		{name: "stream", config: &on, op: wire.OpConverseStream,
			reply: reply{text: "hi", after: 1500 * time.Microsecond, pause: time.Second},
			want:  "gateway;dur=0.000, upstream;dur=1001.500"},
		{name: "two models fail", config: &on, op: wire.OpConverse, reply: reply{status: 400, after: time.Second},
			want: "gateway;dur=0.000, upstream;dur=2000.000"},
		{name: "refused", config: &on, op: wire.OpConverse, bearer: "wrong", want: "gateway;dur=0.000, upstream;dur=0.000"},
	} {
		synctest.Test(t, func(t *testing.T) {
			served := *s
			served.Config = c.config
			b := newBench(&served, func(*engine.Request) reply { return c.reply })
			if c.bearer != "" {
				b.bearer = c.bearer
			}
			res := b.line.Serve(b.ask(t.Context(), c.op, `{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`))
			if got := res.Header.Get("server-timing"); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
			if res.Stream != nil {
				res.Stream.Close()
			}
			b.line.Close(t.Context())
		})
	}
}
