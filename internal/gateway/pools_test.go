package gateway

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const pooled = `    mode: rules
upstreams: {west: {region: us-west-2}, eu: {region: eu-west-1}}
pools: {all: {order: listed, members: [{upstream: default}, {upstream: west}, {upstream: eu}]}}
model_upstreams: {"*": all}
`

// direct is a request of a model, past the cascade.
func (b *bench) direct(t *testing.T, op wire.Operation, body string) *Request {
	t.Helper()
	req := b.ask(t.Context(), op, body)
	req.Target = (&wire.Target{Op: op, Model: escalationModel}).String()
	return req
}

// calls shows each attempt on a line, in their order: region, number, reason, outcome.
func (m *fakeMeter) calls() (rows []string) {
	for _, s := range m.starts {
		row := fmt.Sprintf("%s %d %s %s", s.SKU.Region, s.Attempt, s.Reason, describe(m.ends[s.ID]))
		rows = append(rows, strings.Join(strings.Fields(row), " "))
	}
	return rows
}

// TestPoolFailsOver asks the members of a pool: by what each does, which were asked, what the caller gets, and what is
// in the books. Whatever may have been billed is not sent to another one.
func TestPoolFailsOver(t *testing.T) {
	s := compiledFor(t, flexible, pooled)
	ok := reply{text: "hello"}
	f := func(op wire.Operation, replies map[string]reply, status int, regions string, rows ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			sleepUntilPriced()
			b := newBench(s, func(r *engine.Request) reply { return replies[r.Upstream] })
			res := b.line.Serve(b.direct(t, op, hello))
			if res.Status != status || res.Header.Get("x-sluice-region") != regions {
				t.Errorf("%d, region %q; want %d, %q", res.Status, res.Header.Get("x-sluice-region"), status, regions)
			}
			b.end(t, res)
			if diff := cmp.Diff(rows, b.books.calls()); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
		f(op, map[string]reply{"": ok}, 200, "us-east-1", "us-east-1 1 completed served")
		f(op, map[string]reply{"": {status: 429}, "west": ok}, 200, "us-east-1 throttled, us-west-2",
			"us-east-1 1 failed", "us-west-2 2 pool_throttled completed served")
		f(op, map[string]reply{"": {status: 503}, "west": {fail: engine.NotSent}, "eu": ok}, 200,
			"us-east-1 unavailable, us-west-2 not_sent, eu-west-1",
			"us-east-1 1 failed", "us-west-2 2 pool_unavailable failed", "eu-west-1 3 pool_not_sent completed served")
		none := map[string]reply{
			"": {fail: engine.CircuitOpen}, "west": {fail: engine.NoCredentials}, "eu": {status: 500},
		}
		f(op, none, 500,
			"us-east-1 breaker_open, us-west-2 no_credentials, eu-west-1",
			"us-east-1 1 failed", "us-west-2 2 pool_breaker_open failed", "eu-west-1 3 pool_no_credentials failed",
			"eu-west-1 4 pool_no_credentials failed served") // the last one is asked again, as without a pool
		// what somebody else would say, too, is the answer
		f(op, map[string]reply{"": {status: 400}, "west": ok}, 400, "us-east-1", "us-east-1 1 failed served")
		// what may be billed is not sent again
		f(op, map[string]reply{"": {fail: engine.TimedOut}, "west": ok}, 424, "us-east-1", "us-east-1 1 unknown served")
		f(op, map[string]reply{"": {fail: engine.LostInAnswer}, "west": ok}, 424, "us-east-1", "us-east-1 1 unknown served")
		f(op, map[string]reply{"": {status: 429}, "west": {fail: engine.LostInAnswer}, "eu": ok}, 424,
			"us-east-1 throttled, us-west-2", "us-east-1 1 failed", "us-west-2 2 pool_throttled unknown served")
	}
	stream := wire.OpConverseStream
	f(stream, map[string]reply{"": {text: "hello", cut: 2}, "west": ok}, 200, "us-east-1", "us-east-1 1 unknown served")
	f(stream, map[string]reply{"": {text: "hello", fault: 1}, "west": ok}, 200, "us-east-1", "us-east-1 1 unknown served")
}

// TestPoolIsOut: who could not take a call is asked no more for a while, and then once.
func TestPoolIsOut(t *testing.T) {
	s := compiledFor(t, flexible, pooled)
	synctest.Test(t, func(t *testing.T) {
		sleepUntilPriced()
		throttled, asked := true, []string{}
		b := newBench(s, func(r *engine.Request) reply {
			asked = append(asked, r.Upstream)
			if r.Upstream == "" && throttled {
				return reply{status: 429}
			}
			return reply{text: "hello"}
		})
		f := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			asked = asked[:0]
			b.line.Serve(b.direct(t, wire.OpConverse, hello))
			if !slices.Equal(asked, want) {
				t.Errorf("asked %q, want %q", asked, want)
			}
		}
		f(0, "", "west")
		f(0, "west")
		f(time.Second, "", "west")
		f(time.Second, "west") // for two seconds now
		throttled = false
		f(time.Second, "")
		f(0, "")
		b.line.Close(t.Context())
	})
}

// TestPoolResidency: a tenant that stays in its geography, or its region, is never sent beyond it, whoever is out.
func TestPoolResidency(t *testing.T) {
	for residency, want := range map[string][]string{
		"geo": {"", "west", "west"}, "region": {"", ""}, "any": {"", "west", "eu", "eu"},
	} {
		s := within(t, compiledFor(t, flexible, pooled), residency)
		synctest.Test(t, func(t *testing.T) {
			var asked []string
			b := newBench(s, func(r *engine.Request) reply {
				asked = append(asked, r.Upstream)
				return reply{status: 429}
			})
			req := b.direct(t, wire.OpConverse, hello)
			req.Target = (&wire.Target{Op: wire.OpConverse, Model: flexible.light}).String()
			b.line.Serve(req)
			b.line.Close(t.Context())
			if !slices.Equal(asked, want) {
				t.Errorf("%s: asked %q, want %q", residency, asked, want)
			}
		})
	}
}

// within is a snapshot whose tenants have a residency.
func within(t *testing.T, s *snapshot.Snapshot, residency string) *snapshot.Snapshot {
	t.Helper()
	cfg := *s.Config
	cfg.Tenants = slices.Clone(cfg.Tenants)
	for i := range cfg.Tenants {
		cfg.Tenants[i].Residency = residency
	}
	secrets, _ := credentials()
	next, problems := snapshot.Compile(&cfg, secrets, time.Now())
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	return next
}

// TestPoolKeepsWarm: a prompt goes where the model has it in its cache, and not where its turn is.
func TestPoolKeepsWarm(t *testing.T) {
	const byTurns = `    mode: rules
upstreams: {west: {region: us-west-2}}
pools: {all: {members: [{upstream: default}, {upstream: west}]}}
model_upstreams: {"*": all}
`
	s := compiledFor(t, flexible, byTurns)
	body := fmt.Sprintf(`{"system":[{"text":"%s"},{"cachePoint":{"type":"default"}}],"messages":[{"role":"user",`+
		`"content":[{"text":"hello"}]}]}`, strings.Repeat("a long system prompt ", 800))
	synctest.Test(t, func(t *testing.T) {
		sleepUntilPriced()
		var asked []string
		b := newBench(s, func(r *engine.Request) reply {
			asked = append(asked, r.Upstream)
			return reply{text: "hello", read: 4000}
		})
		for _, text := range []string{hello, body, body, body, hello, hello, body} {
			b.line.Serve(b.direct(t, wire.OpConverse, text))
		}
		time.Sleep(10 * time.Minute) // the cache has forgotten it
		b.line.Serve(b.direct(t, wire.OpConverse, body))
		b.line.Close(t.Context())
		warm := asked[1]
		want := []string{asked[0], warm, warm, warm, asked[4], asked[5], warm}
		if asked[0] == warm || !slices.Equal(asked[:7], want) {
			t.Errorf("asked %q, want %q", asked, want)
		}
	})
}

// TestQuota: a call holds the most that it can take of the quota of its upstream, and what it took in the end; one
// without room waits in line, goes to another member that has room, or is refused with 429.
func TestQuota(t *testing.T) {
	const (
		quotas = `    mode: rules
upstreams:
  west: {region: us-west-2, quotas: [{models: ["*"], tokens_per_minute: 6000, wait: %s, burndown: 5}]}
  eu: {region: eu-west-1, quotas: [{models: ["*"], tokens_per_minute: 6000, wait: 0s, burndown: 5}]}
pools: {all: {order: listed, members: [%s]}}
model_upstreams: {"*": all}
`
		thousand = `{"inferenceConfig":{"maxTokens":1000},"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	)
	f := func(wait, members, asked, statuses string, took time.Duration) {
		t.Helper()
		s := compiledFor(t, flexible, fmt.Sprintf(quotas, wait, members))
		synctest.Test(t, func(t *testing.T) {
			t.Helper()
			sleepUntilPriced()
			var mu sync.Mutex
			var order, got []string
			b := newBench(s, func(r *engine.Request) reply {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, r.Upstream)
				return reply{text: "hello", after: 5 * time.Second}
			})
			began := time.Now()
			var calls sync.WaitGroup
			for range 2 {
				calls.Go(func() {
					res := b.line.Serve(b.direct(t, wire.OpConverse, thousand))
					mu.Lock()
					defer mu.Unlock()
					got = append(got, fmt.Sprint(res.Status))
				})
				synctest.Wait()
			}
			calls.Wait()
			if a, g := strings.Join(order, ","), strings.Join(got, ","); a != asked || g != statuses ||
				time.Since(began) != took {
				t.Errorf("asked %q with %q after %s, want %q with %q after %s", a, g, time.Since(began), asked, statuses, took)
			}
			b.line.Close(t.Context())
			for _, row := range b.books.rows() {
				if !strings.Contains(row, "completed served") {
					t.Error(row)
				}
			}
		})
	}
	alone := "{upstream: west}"
	f("30s", alone, "west,west", "200,200", 10*time.Second) // the first one has settled by then
	f("2s", alone, "west", "429,200", 5*time.Second)
	f("0s", alone, "west", "429,200", 5*time.Second)
	f("30s", alone+", {upstream: eu}", "west,eu", "200,200", 5*time.Second) // it spills
}

// TestQuotaOfAnotherMember: a call that waits takes room that becomes free at another member of its pool, and its
// attempt says how long it waited and in which lines.
func TestQuotaOfAnotherMember(t *testing.T) {
	s := compiledFor(t, flexible, `    mode: rules
upstreams:
  west: {region: us-west-2, quotas: [{models: ["*"], tokens_per_minute: 6000, wait: 30s, burndown: 5}]}
  east: {region: us-east-2, quotas: [{models: ["*"], tokens_per_minute: 6000, wait: 0s, burndown: 5}]}
pools: {all: {order: listed, members: [{upstream: west}, {upstream: east}]}}
model_upstreams: {"*": all}
`)
	const thousand = `{"inferenceConfig":{"maxTokens":1000},"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	lasts := map[string]time.Duration{"west": 50 * time.Second, "east": 5 * time.Second}
	synctest.Test(t, func(t *testing.T) {
		sleepUntilPriced()
		var mu sync.Mutex
		var asked []string
		b := newBench(s, func(r *engine.Request) reply {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.Upstream)
			return reply{text: "hello", after: lasts[r.Upstream]}
		})
		told := &waits{}
		b.line.decisions = told
		began := time.Now()
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				if res := b.line.Serve(b.direct(t, wire.OpConverse, thousand)); res.Status != 200 {
					t.Errorf("%d %s", res.Status, res.Body)
				}
			})
			synctest.Wait()
		}
		calls.Wait()
		b.line.Close(t.Context())
		if a := strings.Join(asked, ","); a != "west,east,east" || time.Since(began) != 50*time.Second {
			t.Errorf("asked %q in %s", a, time.Since(began))
		}
		if want := []string{"5s in west, east"}; !slices.Equal(told.of, want) {
			t.Errorf("waited %q, want %q", told.of, want)
		}
	})
}

// waits are the waits in line that decisions tell of.
type waits struct{ of []string }

func (w *waits) Ended(_ *telemetry.RequestEnd, r *leg.Request) {
	for _, a := range r.Attempts() {
		if l := leg.LeversOf(a); l.Lines != "" {
			w.of = append(w.of, fmt.Sprintf("%s in %s", l.Waited, l.Lines))
		}
	}
}

// TestSpillOfScopes: a model that throttles, or whose quota has no room, is asked as its global profile where the
// tenant says so, and as the id that was named where the global one was asked in its place. What residency bars is not
// asked, nor what may be billed twice.
func TestSpillOfScopes(t *testing.T) {
	const geo, global = escalationModel, "global.anthropic.claude-sonnet-4-5-20250929-v1:0"
	base := compiledFor(t, flexible, "    mode: rules\nupstreams: {west: {region: us-west-2}}\n"+
		"pools: {all: {order: listed, members: [{upstream: default}, {upstream: west}]}}\n")
	f := func(residency string, pooled, spill []string, replies map[string]reply, header string, rows ...string) {
		t.Helper()
		cfg := *base.Config
		cfg.Tenants = slices.Clone(cfg.Tenants)
		for i := range cfg.Tenants {
			cfg.Tenants[i].Residency, cfg.Tenants[i].Spill = residency, spill
			if pooled != nil {
				cfg.Tenants[i].Upstream = pooled[0]
			}
		}
		secrets, _ := credentials()
		s, problems := snapshot.Compile(&cfg, secrets, time.Now())
		if err := cfg.Report(problems); err != nil {
			t.Fatal(err)
		}
		for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
			synctest.Test(t, func(t *testing.T) {
				t.Helper()
				sleepUntilPriced()
				b := newBench(s, func(r *engine.Request) reply { return replies[r.Model+r.Upstream] })
				res := b.line.Serve(b.direct(t, op, hello))
				if got := res.Header.Get("x-sluice-scope"); got != header {
					t.Errorf("%s %v: scope %q, want %q", residency, spill, got, header)
				}
				b.end(t, res)
				var got []string
				for _, s := range b.books.starts {
					scope, _, _ := strings.Cut(s.Model, ".")
					row := []string{scope, s.SKU.Region, s.Reason, describe(b.books.ends[s.ID])}
					got = append(got, strings.Join(row, " "))
				}
				if diff := cmp.Diff(rows, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	busy, ok := reply{status: 429}, reply{text: "hello"}
	there := map[string]reply{geo: busy, geo + "west": busy, global: ok, global + "west": ok}
	back := map[string]reply{global: busy, geo: ok}
	all := []string{"named", "global"}
	f("", nil, all, there, "us throttled, global", "us us-east-1  failed",
		"global us-east-1 scope_throttled completed served")
	f("any", nil, all, back, "global throttled, us", "global us-east-1  failed",
		"us us-east-1 scope_throttled completed served")
	f("", []string{"all"}, all, there, "us throttled, global", "us us-east-1  failed",
		"us us-west-2 pool_throttled failed", "global us-east-1 scope_throttled completed served")
	again := []string{"us us-east-1  failed", "us us-east-1  failed served"}
	f("", nil, nil, there, "", again...)
	f("geo", nil, all, there, "", again...)
	f("", nil, []string{"named"}, there, "", again...)
	f("", nil, all, map[string]reply{geo: {fail: engine.LostInAnswer}, global: ok}, "", "us us-east-1  unknown served")
	f("", nil, all, map[string]reply{geo: {status: 400}, global: ok}, "", "us us-east-1  failed served")
	f("", nil, all, map[string]reply{geo: busy, global: busy}, "us throttled, global", "us us-east-1  failed",
		"global us-east-1 scope_throttled failed", "global us-east-1 scope_throttled failed served")
}

// TestQuotaSpillsScope: a call for which the quota of its id has no room does not wait where it may be asked as
// another.
func TestQuotaSpillsScope(t *testing.T) {
	s := compiledFor(t, flexible, `    mode: rules
upstreams: {west: {region: us-west-2, quotas: [{models: ["us.*"], requests_per_minute: 1, wait: 30s}]}}
model_upstreams: {"*": west}
`)
	cfg := *s.Config
	cfg.Tenants = slices.Clone(cfg.Tenants)
	cfg.Tenants[0].Spill = []string{"global"}
	secrets, _ := credentials()
	s, problems := snapshot.Compile(&cfg, secrets, time.Now())
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sleepUntilPriced()
		b := newBench(s, func(*engine.Request) reply { return reply{text: "hello"} })
		began, got := time.Now(), []string{}
		for range 2 {
			got = append(got, b.line.Serve(b.direct(t, wire.OpConverse, hello)).Header.Get("x-sluice-scope"))
		}
		if !slices.Equal(got, []string{"", "us quota, global"}) || time.Since(began) != 0 {
			t.Errorf("scopes %q after %s", got, time.Since(began))
		}
		b.line.Close(t.Context())
	})
}
