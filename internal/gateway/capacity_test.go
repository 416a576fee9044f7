package gateway

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	floorARN    = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/floor"
	importedARN = "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama"
	bought      = `
capacity:
  - {name: floor, kind: provisioned, arn: "` + floorARN + `", models: [amazon.nova-pro-v1:0],
     units: 2, input_tokens_per_minute: 1000, output_tokens_per_minute: 600, usd_per_hour: 39.60, term: 1-month,
     from: 2026-01-01, first_byte: 20s}
  - {name: entitled, kind: reserved, models: ["` + escalationModel + `"], tenants: [acme], usd_per_month: 9000,
     term: 1-month, from: 2026-01-01}
`
)

// TestSpill sends calls to capacity first, and on demand when that turns them away: with what the capacity does, what
// the caller gets, and what is in the books. One attempt has one START and one END, and none counts nothing.
func TestSpill(t *testing.T) {
	s := compiledFor(t, flexible, "    mode: rules\n"+bought)
	f := func(op wire.Operation, floor reply, took time.Duration, header string, rows ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			sleepUntilPriced()
			b := newBench(s, func(r *engine.Request) reply {
				if r.Model == floorARN && strings.Contains(r.Target, "provisioned-model") {
					return floor
				}
				return reply{text: "on demand", after: time.Second}
			})
			began := time.Now()
			res := b.line.Serve(b.ask(t.Context(), op, hello))
			if got := res.Header.Get("x-sluice-capacity"); res.Status != 200 || time.Since(began) != took || got != header {
				t.Errorf("%d after %s, capacity %q; want %s, %q", res.Status, time.Since(began), got, took, header)
			}
			b.end(t, res)
			if diff := cmp.Diff(rows, b.books.rows()); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
		f(op, reply{text: "here", after: 5 * time.Second}, 5*time.Second, "floor", "light provisioned completed served")
		f(op, reply{status: 429}, time.Second, "floor throttled, on demand",
			"light provisioned failed", "light spilled_throttled completed served")
		f(op, reply{status: 503}, time.Second, "floor throttled, on demand",
			"light provisioned failed", "light spilled_throttled completed served")
		f(op, reply{status: 500}, time.Second, "floor failed, on demand",
			"light provisioned failed", "light spilled_failed completed served")
		f(op, reply{status: 404}, time.Second, "floor not_found, on demand",
			"light provisioned failed", "light spilled_not_found completed served")
		f(op, reply{fail: engine.LostInAnswer}, time.Second, "floor failed, on demand",
			"light provisioned unknown", "light spilled_failed completed served")
		f(op, reply{text: "late", after: 25 * time.Second}, 21*time.Second, "floor late, on demand",
			"light provisioned completed wasted", "light spilled_late completed served")
		f(op, reply{hang: true, after: time.Hour}, 21*time.Second, "floor late, on demand",
			"light provisioned unknown wasted", "light spilled_late completed served")
	}
	// after its first byte an answer is not asked for again
	f(wire.OpConverseStream, reply{text: "a b c", cut: 2}, 0, "floor", "light provisioned unknown served")
}

// TestSpillFull sends on demand what the gateway's own estimate has no room for, and goes back as time passes.
func TestSpillFull(t *testing.T) {
	s := compiledFor(t, flexible, "    mode: rules\n"+bought)
	synctest.Test(t, func(t *testing.T) {
		sleepUntilPriced()
		b := newBench(s, func(*engine.Request) reply { return reply{text: "yes", output: 500} })
		ask := func() string {
			res := b.line.Serve(b.ask(t.Context(), wire.OpConverse, hello))
			return res.Header.Get("x-sluice-capacity")
		}
		var got []string
		for range 4 { // 1,200 tokens of output a minute
			got = append(got, ask())
		}
		time.Sleep(30 * time.Second)
		got = append(got, ask(), ask())
		const spilled = "floor full, on demand"
		want := []string{"floor", "floor", spilled, spilled, "floor", spilled}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		b.line.Close(t.Context())
	})
}

// TestReservedTier is asked for where the tenant is entitled to it and names no tier. Who is not gets a clear refusal,
// and so does who asks for a word of the books.
func TestReservedTier(t *testing.T) {
	s := compiledFor(t, flexible, "    mode: rules\n"+bought)
	f := func(model, body, tier string, status int, message string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			sleepUntilPriced()
			asked := ""
			b := newBench(s, func(r *engine.Request) reply {
				asked = tierOf(r)
				return reply{text: "yes"}
			})
			req := b.ask(t.Context(), wire.OpConverse, body)
			target := wire.Target{Op: wire.OpConverse, Model: model}
			req.Target = target.String()
			res := b.do(req)
			if res.status != status || asked != tier || !strings.Contains(string(res.body), message) {
				t.Errorf("%s %s: %d, tier %q: %s", model, body, res.status, asked, res.body)
			}
			b.line.Close(t.Context())
		})
	}
	const named = `{"serviceTier":{"type":"%"},"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	tiered := func(tier string) string { return strings.ReplaceAll(named, "%", tier) }
	f(escalationModel, hello, "reserved", 200, "")
	f(escalationModel, tiered("reserved"), "reserved", 200, "")
	f(escalationModel, tiered("default"), "default", 200, "")
	f("amazon.nova-lite-v1:0", hello, "", 200, "")
	f("amazon.nova-lite-v1:0", tiered("reserved"), "", 403, "no capacity of the configuration entitles this tenant to it")
	f("amazon.nova-lite-v1:0", tiered("provisioned"), "", 400, "There is no service tier provisioned")
}

// doubtful is an upstream whose capacity answers with these in turn, and on demand as ever: 0 is a time-out that may be
// billed.
func doubtful(f *fixture, statuses ...int) func(*engine.Request) (*engine.Response, error) {
	return func(r *engine.Request) (*engine.Response, error) {
		n := int(f.calls.Load())
		switch {
		case n > len(statuses):
			return completed("", 0)
		case statuses[n-1] == 0:
			return nil, &engine.Error{Failure: engine.TimedOut, Sent: true}
		}
		return &engine.Response{Status: statuses[n-1], Header: wire.Header{{Name: "x-amzn-errortype",
			Value: "ModelNotReadyException"}}}, nil
	}
}

// TestSpillAfterDoubt has an attempt in capacity, or on a tier, that may be billed, another one that is turned away,
// and then a spill. The first keeps what it holds, so the spill holds anew, of money and of tokens. Where there is no
// room for that, nothing is asked again.
func TestSpillAfterDoubt(t *testing.T) {
	f := func(usd, own, model string, calls int64, status int, header string) {
		t.Helper()
		f := newFixtureOf(t, usd, own, `
capacity:
  - {name: floor, kind: provisioned, arn: "`+floorARN+`", models: [dear.light-v1:0], usd_per_hour: 1,
     from: 2026-01-01}
  - {name: llama, kind: imported, arn: "`+importedARN+`", models: [dear.second-v1:0], usd_per_minute: 0.01,
     usd_per_month: 1, spill_to: dear.heavy-v1:0, from: 2026-01-01}
models: [models.yaml]
`)
		f.reply = doubtful(f, 0, 429, 429)
		got, text, head := f.ask(t, model)
		if capacity := head.Get("x-sluice-capacity"); got != status || f.calls.Load() != calls || capacity != header {
			t.Errorf("%s: %d %s after %d calls, capacity %q", model, got, text, f.calls.Load(), capacity)
		}
		over := f.limiter.Stats().Overshoots
		sums := f.end(t)
		dollars, tokens := sums["acme dollars"], sums["acme/app tokens"]
		if over != 0 || dollars.Held != 0 || tokens.Suspense == 0 {
			t.Errorf("%s: %d attempts took more than they held; %+v, %+v", model, over, dollars, tokens)
		}
		if status == 200 && (dollars.Posted != 15_000_000 || tokens.Posted != 15) {
			t.Errorf("%s: %+v, %+v, want what was answered on demand", model, dollars, tokens)
		}
	}
	const ample = "limits: {tokens_per_minute: 1000000}"
	imported := strings.ReplaceAll(strings.ReplaceAll(importedARN, ":", "%3A"), "/", "%2F")
	f("1000", ample, "dear.light-v1:0", 4, 200, "floor failed, on demand")
	f("1000", ample, imported, 4, 200, "llama not_ready, spilled")
	f("1000", ample+"\n    tier: {try: flex, then: default}", "dear.second-v1:0", 4, 200, "")
	const one = "limits: {tokens_per_minute: 2000}" // an attempt takes 1,122 at most
	f("1000", one, "dear.light-v1:0", 1, 424, "floor")
	f("1000", one, imported, 1, 424, "llama")
	f("1000", one+"\n    tier: {try: flex, then: default}", "dear.second-v1:0", 1, 424, "")
}

// TestGathered has calls that can wait wake an imported model together. Who leaves meanwhile wakes nothing.
func TestGathered(t *testing.T) {
	s := compiledFor(t, flexible, `    mode: rules
capacity:
  - {name: llama, kind: imported, arn: "`+importedARN+`", models: [amazon.nova-lite-v1:0], usd_per_minute: 0.01,
     gather: {wait: 40s}, from: 2026-01-01}
`)
	synctest.Test(t, func(t *testing.T) {
		sleepUntilPriced()
		var sent atomic.Int64
		b := newBench(s, func(*engine.Request) reply { sent.Add(1); return reply{text: "yes"} })
		ask := func(caller context.Context, want string) {
			req := b.ask(caller, wire.OpConverse, hello)
			target := wire.Target{Op: wire.OpConverse, Model: importedARN}
			req.Target = target.String()
			if got := b.line.Serve(req).Header.Get("x-sluice-capacity"); got != want {
				t.Errorf("%s after %d calls, want %s", got, sent.Load(), want)
			}
		}
		began := time.Now()
		var all sync.WaitGroup
		gone, leave := context.WithCancel(t.Context())
		all.Go(func() { ask(gone, "") })
		time.Sleep(time.Second)
		leave()
		all.Wait()
		for range 3 {
			all.Go(func() { ask(t.Context(), "llama gathered") })
			time.Sleep(10 * time.Second)
			if sent.Load() != 0 {
				t.Errorf("%d calls after %s", sent.Load(), time.Since(began))
			}
		}
		all.Wait()
		ask(t.Context(), "llama")
		if took := time.Since(began); sent.Load() != 4 || took != 40*time.Second {
			t.Errorf("%d calls after %s", sent.Load(), took)
		}
		b.line.Close(t.Context())
	})
}
