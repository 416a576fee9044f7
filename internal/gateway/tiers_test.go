package gateway

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// tierOf is the service tier that an outgoing call asks for, "" for none.
func tierOf(r *engine.Request) string {
	if word := r.Header.Get("X-Amzn-Bedrock-Service-Tier"); word != "" {
		return word
	}
	_, after, _ := strings.Cut(string(r.Body), `"serviceTier":{"type":"`)
	word, _, _ := strings.Cut(after, `"`)
	return word
}

var flexible = family{light: "amazon.nova-pro-v1:0", escalation: escalationModel}

const tiers = "    mode: rules\n    tier: {light: {try: flex, first_byte: 20s, then: default}}\n"

// TestTiers tries flex, and once more the default tier: with what the upstream does on flex, what the caller gets, and
// what is in the books. One attempt has one START and one END, and none that may be billed counts nothing.
func TestTiers(t *testing.T) {
	s := compiledFor(t, flexible, tiers)
	f := func(op wire.Operation, flex reply, took time.Duration, header string, rows ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			sleepUntilPriced()
			b := newBench(s, func(r *engine.Request) reply {
				if tierOf(r) == "flex" {
					return flex
				}
				return reply{text: "standard", after: time.Second}
			})
			began := time.Now()
			req := b.ask(t.Context(), op, hello)
			res := b.line.Serve(req)
			if res.Status != 200 || time.Since(began) != took || res.Header.Get("x-sluice-tier") != header {
				t.Errorf("%d after %s, tier %q; want %s, %q", res.Status, time.Since(began), res.Header.Get("x-sluice-tier"),
					took, header)
			}
			b.end(t, res)
			if diff := cmp.Diff(rows, b.books.rows()); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
		f(op, reply{text: "cheap", after: 5 * time.Second}, 5*time.Second, "flex", "light completed served")
		f(op, reply{status: 429}, time.Second, "flex throttled, default",
			"light failed", "light tier_throttled completed served")
		f(op, reply{status: 503}, time.Second, "flex throttled, default",
			"light failed", "light tier_throttled completed served")
		f(op, reply{text: "late", after: 25 * time.Second}, 21*time.Second, "flex late, default",
			"light completed wasted", "light tier_late completed served")
		f(op, reply{hang: true, after: time.Hour}, 21*time.Second, "flex late, default",
			"light unknown wasted", "light tier_late completed served")
	}
	// what was lost may be billed, and is not sent again on another tier: it is the cascade that goes on
	f(wire.OpConverse, reply{fail: engine.TimedOut}, time.Second, "",
		"light unknown wasted", "escalated light_error completed served escalated")
}

// TestTierIsAskedFor looks at what leaves: the tier where the caller named none and the model has it, else the caller's
// bytes. A call on the default tier is as it came.
func TestTierIsAskedFor(t *testing.T) {
	pro, lite := compiledFor(t, flexible, tiers), compiledFor(t, mixed, tiers)
	const named = `{"serviceTier":{"type":"default"},"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	f := func(s *snapshot.Snapshot, op wire.Operation, body, want string, more ...wire.Field) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			sleepUntilPriced()
			var asked []string
			b := newBench(s, func(r *engine.Request) reply {
				asked = append(asked, tierOf(r))
				if tierOf(r) == "" && string(r.Body) != body {
					t.Errorf("%s left as %s", body, r.Body)
				}
				if tierOf(r) == "flex" {
					return reply{status: 429}
				}
				return reply{text: "standard"}
			})
			b.do(b.ask(t.Context(), op, body, more...))
			b.line.Close(t.Context())
			if got := strings.Join(asked, ","); got != want {
				t.Errorf("%s %s %v: asked %q, want %q", op, body, more, got, want)
			}
		})
	}
	const invoked = `{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	f(pro, wire.OpConverse, hello, "flex,")
	f(pro, wire.OpConverseStream, hello, "flex,")
	f(pro, wire.OpInvoke, invoked, "flex,")
	f(pro, wire.OpConverse, named, "default")
	f(pro, wire.OpInvoke, invoked, "default", wire.Field{Name: "X-Amzn-Bedrock-Service-Tier", Value: "default"})
	f(lite, wire.OpConverse, hello, "")
}
