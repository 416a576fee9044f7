package leg

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestFittedBodiesCount (E4): a large body that is fitted to another model counts for as long as the request lasts, one
// that stays as it is does not, and without memory the leg is refused.
func TestFittedBodiesCount(t *testing.T) {
	const newer = "anthropic.claude-opus-4-7-20260115-v1:0"
	body := func(settings string) []byte {
		return []byte(`{"messages":[{"role":"user","content":[{"text":"` + strings.Repeat("a", 1<<20) + `"}]}]` + settings + `}`)
	}
	f := func(r *Request, model, settings string, room, want int64, refused bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) { // Grow waits
			p := pool.New(pool.Limits{Bytes: room, Body: 25 << 20}, nil)
			r.Account = new(pool.Account)
			p.Open(r.Account)
			r.Cascade, r.Body = "c", body(settings)
			r.Facts = wire.Facts{}
			if err := r.ReadFacts(); err != nil {
				t.Fatal(err)
			}
			plan := &Plan{Leg: router.Leg{Model: model}}
			err := plan.fit(r)
			if got := p.InUse(); (err != nil) != refused || got < want || got > want+want/8 {
				t.Errorf("%s %s: %d bytes, want %d, %v", model, settings, got, want, err)
			}
			if !refused && plan.body != nil != (want > 0) {
				t.Errorf("%s %s: %.80s", model, settings, plan.body)
			}
		})
	}
	r := newWorld(t, wire.OpConverse).request
	const hot = `,"inferenceConfig":{"temperature":0.2,"topP":0.9}`
	f(r, newer, hot, 64<<20, 1<<20, false)
	f(r, newer, "", 64<<20, 0, false)
	f(r, newer, hot, 1<<20, 0, true)
	f(r, model, hot, 64<<20, 0, false)
}
