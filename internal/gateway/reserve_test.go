package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// settings have one model at a dollar per thousand tokens in and out, so that an
// answer of 10 + 5 tokens costs 0.015 dollars.
const settings = `
upstream: {endpoint: "http://127.0.0.1:1", region: us-east-1, bearer_token: x}
prices: [books.yaml]
tenants:
  - id: acme
    budgets: [{period: month, usd: %s, on_exceed: reject}]
  - id: acme/app
    keys: [KEY]
    output_tokens: {max: 10}
    %s
`

const ruled = `
cascades:
  - {name: c, match: 'request.model == "auto"', mode: rules, light: dear.light-v1:0, escalation: dear.heavy-v1:0}
`

const priceBook = `
per: thousand
effective: 2026-01-01
source: test
prices:
  - {models: ["dear.light-v1:0", "dear.second-v1:0", "dear.heavy-v1:0"], input: 1, output: 1, tiers: {flex: 0.5}}
  - {models: ["amazon.nova-canvas-v1:0"], image: 0.04}
  - {models: ["amazon.nova-reel-v1:1"], second: 0.08}
`

// flexing is a catalogue in which one of them has the tier flex.
const flexing = `source: test
models:
  - {ids: ["dear.second-v1:0"], tiers: [flex]}
`

// fixture is a gateway without its edge: a real meter, journal and ledger, and
// an upstream that answers as the test says.
type fixture struct {
	line    *Line
	ledger  *embedded.State
	limiter *budget.Limiter
	meter   *meter.Meter
	bearer  string
	answer  func(model string, n int64) (*engine.Response, error)
	reply   func(*engine.Request) (*engine.Response, error) // goes before answer, when it is set
	calls   atomic.Int64
	ids     atomic.Int64
	now     func() time.Time
}

// earlyInMinute is a running clock that begins a second after a full minute, so
// that no slow test crosses into the next window of a rate.
func earlyInMinute() func() time.Time {
	begun := time.Now()
	ahead := begun.Truncate(time.Minute).Add(time.Minute + time.Second).Sub(begun)
	return func() time.Time { return time.Now().Add(ahead) }
}

func (f *fixture) Attempt(_ context.Context, r *engine.Request) (*engine.Response, error) {
	n := f.calls.Add(1)
	if f.reply != nil {
		return f.reply(r)
	}
	return f.answer(r.Model, n)
}

func (f *fixture) Retries(string, time.Time) engine.Retries {
	return engine.NewRetryPolicy(engine.RetryOptions{
		MaxAttempts: 3, BudgetPercent: 100, OnTimeout: true, Draw: func(int64) int64 { return 0 }, Now: time.Now,
	}).Begin(time.Time{})
}

func completed(string, int64) (*engine.Response, error) {
	return &engine.Response{Status: 200, Header: wire.Header{{Name: "content-type", Value: "application/json"}},
			Body: []byte(`{"output":{},"stopReason":"end_turn","usage":{"inputTokens":10,"outputTokens":5,"totalTokens":15}}`)},
		nil
}

func newFixture(t testing.TB, parentUSD, own string) *fixture {
	t.Helper()
	return newFixtureOf(t, parentUSD, own, ruled)
}

// newFixtureOf has rest behind the settings: further tenants and cascades.
func newFixtureOf(t testing.TB, parentUSD, own, rest string) *fixture {
	t.Helper()
	return newFixtureFrom(t, fmt.Sprintf(settings, parentUSD, own)+rest)
}

// newFixtureFrom takes the whole configuration, in which KEY is the caller's key.
func newFixtureFrom(t testing.TB, text string) *fixture {
	t.Helper()
	dir := t.TempDir()
	secrets, err := tenant.LoadSecrets(dir, func(string) string { return "" }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyID, err := secrets.NewKeyID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := secrets.Credentials(keyID)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{bearer: creds.Bearer, answer: completed, now: earlyInMinute()}
	f.ledger = &embedded.State{Now: f.now}
	cfg := load(t, strings.ReplaceAll(text, "KEY", keyID))
	f.open(t, journal.Dir(dir))
	f.use(t, cfg, secrets)
	return f
}

func (f *fixture) open(t testing.TB, disk journal.Disk) {
	t.Helper()
	var err error
	f.meter, err = meter.Open(t.Context(), meter.Options{Disk: disk, Ledger: f.ledger, Flush: time.Millisecond,
		Now: f.now})
	if err != nil {
		t.Fatal(err)
	}
	_, id := f.meter.Journal()
	f.limiter = budget.New(budget.Options{Leaser: f.ledger, Writer: id.Writer, Epoch: id.Epoch, Numbers: f.meter.Numbers,
		Now: f.now})
	f.line = New(Options{Options: leg.Options{
		Meter: f.meter, Limiter: f.limiter, Log: slog.New(slog.DiscardHandler), Now: f.now,
		NewID: func() string { return fmt.Sprintf("%026d", f.ids.Add(1)) },
	}})
}

func (f *fixture) use(t testing.TB, cfg *config.Config, secrets *tenant.Secrets) {
	t.Helper()
	s, problems := snapshot.Compile(cfg, secrets, f.now())
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	s.Upstream = f
	f.line.Use(s)
}

// end closes everything and returns what the ledger has of each window of acme
// and the other roots.
func (f *fixture) end(t testing.TB, others ...string) map[string]ledger.WindowState {
	t.Helper()
	ctx := context.Background()
	f.line.Close(ctx)
	for deadline := time.Now().Add(10 * time.Second); f.meter.Status().Backlog > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if err := f.limiter.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := f.meter.Close(ctx); err != nil {
		t.Error(err)
	}
	var books []ledger.WindowBook
	for _, root := range append([]string{"acme"}, others...) {
		of, err := f.ledger.Windows(ctx, root)
		if err != nil {
			t.Fatal(err)
		}
		books = append(books, of...)
	}
	units := [...]string{
		record.UnitUSD: "dollars", record.UnitTokens: "tokens", record.UnitRequests: "requests",
		record.UnitConcurrent: "concurrent requests",
	}
	sums := map[string]ledger.WindowState{}
	for _, b := range books {
		name := fmt.Sprint(b.Tenant, " ", units[b.Unit])
		sum := sums[name]
		sum.Posted, sum.Held, sum.Suspense = sum.Posted+b.Posted, sum.Held+b.Held, sum.Suspense+b.Suspense
		sums[name] = sum
	}
	return sums
}

type body struct{ text string }

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b body) ReadAll() ([]byte, *wire.Error) { return []byte(b.text), nil }
func (b body) Release()                       {}

// ask sends one Converse request and returns its status and body.
func (f *fixture) ask(t *testing.T, model string) (int, string, wire.Header) {
	t.Helper()
	res := f.line.Serve(&Request{
		ID: "01REQUEST", Method: "POST", Target: "/model/" + model + "/converse", Authority: "gateway",
		Header: wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer}},
		Body:   body{`{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`},
		Caller: t.Context(), Received: time.Now(),
	})
	return res.Status, string(res.Body), res.Header
}

func TestBudgetHolds(t *testing.T) {
	f := newFixture(t, "20",
		"limits: {requests_per_minute: 100000, tokens_per_minute: 100000000, concurrent_requests: 200}")
	var all sync.WaitGroup
	var served, refused atomic.Int64
	ask := func() {
		switch status, text, _ := f.ask(t, "dear.light-v1:0"); status {
		case 200:
			served.Add(1)
		case 400:
			refused.Add(1)
			if !strings.Contains(text, "a parent budget is used up. Resets ") || strings.Contains(text, "$") {
				t.Error(text)
			}
		default:
			t.Errorf("status %d: %s", status, text)
		}
	}
	for range 40 {
		all.Go(func() {
			for range 60 {
				ask()
			}
		})
	}
	all.Wait()
	// How many the forty were refused while others held the rest is the machine's; what they left is there for one.
	for end := time.Now().Add(time.Minute); served.Load() < 1000 && time.Now().Before(end); {
		ask()
	}
	sums := f.end(t)
	usd := sums["acme dollars"]
	if want := served.Load() * 15_000_000; usd != (ledger.WindowState{Posted: want}) || want > 20_000_000_000 {
		t.Errorf("%+v for %d served, want %d posted", usd, served.Load(), want)
	}
	if got := sums["acme/app tokens"]; got != (ledger.WindowState{Posted: served.Load() * 15}) {
		t.Errorf("tokens: %+v", got)
	}
	if got := sums["acme/app requests"]; got != (ledger.WindowState{Posted: served.Load()}) {
		t.Errorf("requests: %+v", got)
	}
	if f.calls.Load() != served.Load() || served.Load() < 1000 {
		t.Errorf("%d calls upstream, %d served, %d refused", f.calls.Load(), served.Load(), refused.Load())
	}
	t.Logf("%d served, %d refused, %+v", served.Load(), refused.Load(), f.limiter.Stats())
}

// TestEstimatesAreNotHeld teaches the gateway that inputs are tiny and then asks
// for 200 at once that all come to the most they can: together twice the budget.
func TestEstimatesAreNotHeld(t *testing.T) {
	f := newFixture(t, "100", "")
	for range 128 {
		f.ask(t, "dear.light-v1:0")
	}
	var under, refused, served atomic.Int64
	all := make(chan struct{})
	const asked = 200
	arrived := func(n int64) {
		if n == asked {
			close(all)
		}
	}
	f.answer = func(string, int64) (*engine.Response, error) {
		arrived(under.Add(1))
		<-all
		return &engine.Response{Status: 200, Body: []byte(`{"usage":{"inputTokens":1100,"outputTokens":5,"totalTokens":1105}}`)}, nil
	}
	var callers sync.WaitGroup
	for range asked {
		callers.Go(func() {
			status, _, _ := f.ask(t, "dear.light-v1:0")
			if status == 200 {
				served.Add(1)
				return
			}
			refused.Add(1)
			arrived(under.Add(1))
		})
	}
	callers.Wait()
	if posted := f.end(t)["acme dollars"].Posted; posted > 100_000_000_000 || served.Load() < 80 {
		t.Errorf("%d nano-dollars posted under a limit of 100 dollars, %d served, %d refused", posted, served.Load(),
			refused.Load())
	}
	if over := f.limiter.Stats().Overshoots; over != 0 {
		t.Errorf("%d attempts spent more than they held", over)
	}
}

func TestRefusals(t *testing.T) {
	check := func(own, model string, status int, texts ...string) {
		t.Helper()
		f := newFixture(t, "1000", own)
		for range 3 {
			f.ask(t, "dear.light-v1:0")
		}
		got, text, header := f.ask(t, model)
		for _, want := range texts {
			if got != status || !strings.Contains(text+header.Get("x-amzn-errortype"), want) {
				t.Errorf("%d %s %s, want %d %s", got, text, header.Get("x-amzn-errortype"), status, want)
			}
		}
		if status == 429 && header.Get("retry-after") == "" {
			t.Error("429 without retry-after")
		}
		f.end(t)
	}
	check(`budgets: [{period: day, usd: 1.15, on_exceed: reject}]`, "dear.light-v1:0", 400,
		"ServiceQuotaExceededException",
		`budget \"acme/app day\" is used up: $0.0`, "held of $1.15; this request could take $1.122.", "Request 01REQUEST", "Resets ")
	check(`limits: {requests_per_minute: 3}`, "dear.light-v1:0", 429, "ThrottlingException",
		`limit \"acme/app requests per minute\" is used up: `, " held of 3; this request could take 1.")
	check(`limits: {tokens_per_minute: 100}`, "dear.light-v1:0", 400, "is smaller than this request")
	check(``, "free.model-v1:0", 403, "model free.model-v1:0 has no price, and a budget applies")
}

func TestLightAlone(t *testing.T) {
	f := newFixture(t, "1000", `budgets: [{period: day, usd: 2.2, on_exceed: light_only, hard_usd: 100}]`)
	status, text, header := f.ask(t, "auto") // both legs together are above the budget
	if status != 200 || header.Get("x-sluice-model") != "dear.light-v1:0" ||
		header.Get("x-sluice-reason") != "light_only" {
		t.Errorf("%d %s %v", status, text, header)
	}
	for range 200 {
		if status, _, _ = f.ask(t, "dear.heavy-v1:0"); status != 200 {
			break
		}
	}
	if status != 400 {
		t.Errorf("a request without a cascade: %d", status)
	}
	if status, text, _ := f.ask(t, "auto"); status != 200 {
		t.Errorf("light after the budget: %d %s", status, text)
	}
	f.end(t)
}

func TestUnknownAttemptKeepsItsHold(t *testing.T) {
	f := newFixture(t, "1000", "")
	f.answer = func(string, int64) (*engine.Response, error) {
		if f.calls.Load() == 1 {
			return nil, &engine.Error{Failure: engine.TimedOut, Sent: true}
		}
		return completed("", 0)
	}
	if status, text, _ := f.ask(t, "dear.light-v1:0"); status != 200 || f.calls.Load() != 2 {
		t.Errorf("%d %s after %d calls", status, text, f.calls.Load())
	}
	sums := f.end(t)
	if got := sums["acme dollars"]; got.Posted != 15_000_000 || got.Suspense < 1_000_000_000 || got.Held != 0 {
		t.Errorf("%+v", got)
	}
}

func TestNoRetryWithoutHold(t *testing.T) {
	f := newFixture(t, "2", "")
	f.answer = func(string, int64) (*engine.Response, error) {
		return nil, &engine.Error{Failure: engine.TimedOut, Sent: true}
	}
	if status, text, _ := f.ask(t, "dear.light-v1:0"); status != 424 || f.calls.Load() != 1 { // final: it may be billed
		t.Errorf("%d %s after %d calls", status, text, f.calls.Load())
	}
	if got := f.end(t)["acme dollars"]; got.Posted != 0 || got.Suspense == 0 || got.Held != 0 {
		t.Errorf("%+v", got)
	}
}

func TestFailedAttemptGivesBack(t *testing.T) {
	f := newFixture(t, "2", "")
	f.answer = func(_ string, n int64) (*engine.Response, error) {
		if n < 3 {
			return &engine.Response{Status: 503, Header: wire.Header{{Name: "x-amzn-errortype",
				Value: "ServiceUnavailableException"}}}, nil
		}
		return completed("", 0)
	}
	if status, text, _ := f.ask(t, "dear.light-v1:0"); status != 200 || f.calls.Load() != 3 {
		t.Errorf("%d %s after %d calls", status, text, f.calls.Load())
	}
	if got := f.end(t)["acme dollars"]; got != (ledger.WindowState{Posted: 15_000_000}) {
		t.Errorf("%+v", got)
	}
}

// TestFailedRequestsCount: a rate counts each request once, whatever its
// attempts come to.
func TestFailedRequestsCount(t *testing.T) {
	f := newFixture(t, "1000", "limits: {requests_per_minute: 3}")
	f.answer = func(string, int64) (*engine.Response, error) {
		return &engine.Response{Status: 503, Header: wire.Header{{Name: "x-amzn-errortype",
			Value: "ServiceUnavailableException"}}}, nil
	}
	// Seven are too many for two minutes too, should one end meanwhile.
	refused := 0
	for range 7 {
		if status, _, header := f.ask(t, "dear.light-v1:0"); status == 429 && header.Get("retry-after") != "" {
			refused++
		} else if status != 503 {
			t.Errorf("status %d", status)
		}
	}
	sums := f.end(t)
	if got := sums["acme/app requests"]; refused == 0 || got != (ledger.WindowState{Posted: int64(7 - refused)}) {
		t.Errorf("%d refused, %+v", refused, got)
	}
	if got := sums["acme dollars"]; got != (ledger.WindowState{}) {
		t.Errorf("%+v", got)
	}
}

// load reads settings and the price book beside them.
func load(t testing.TB, text string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/books.yaml", priceBook)
	write(t, dir+"/models.yaml", flexing)
	write(t, dir+"/sluice.yaml", text)
	cfg, err := config.Load(dir+"/sluice.yaml", func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestHoldWhileWaiting: a call that waits in line for a quota holds its part of the budget, and gives it back when its
// caller leaves, as its place in the line.
func TestHoldWhileWaiting(t *testing.T) {
	text := fmt.Sprintf(settings, "3", "") + ruled
	f := newFixtureFrom(t, strings.Replace(text, `region: us-east-1,`,
		`region: us-east-1, quotas: [{models: ["*"], requests_per_minute: 1, wait: 1h}],`, 1))
	if status, text, _ := f.ask(t, "dear.light-v1:0"); status != 200 {
		t.Fatal(status, text)
	}
	waiting := func() int { return f.line.asker.Quotas.States()[0].Waiting }
	caller, leave := context.WithCancel(t.Context())
	left := make(chan int)
	go func() {
		left <- f.line.Serve(&Request{
			ID: "02", Method: "POST", Target: "/model/dear.light-v1:0/converse", Authority: "gateway",
			Header: wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer}},
			Body:   body{`{"messages":[{"role":"user","content":[{"text":"hi"}]}]}`}, Caller: caller, Received: time.Now(),
		}).Status
	}()
	for waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	third := f.line.Serve(&Request{
		ID: "03", Method: "POST", Target: "/model/dear.light-v1:0/converse", Authority: "gateway",
		Header: wire.Header{{Name: "authorization", Value: "Bearer " + f.bearer}},
		Body:   body{`{"messages":[{"role":"user","content":[{"text":"` + strings.Repeat("long ", 400) + `"}]}]}`},
		Caller: t.Context(), Received: time.Now(),
	})
	if third.Status != 400 {
		t.Errorf("%d for a call that has no room beside the one that waits", third.Status)
	}
	leave()
	if status := <-left; status < 400 || waiting() != 0 {
		t.Errorf("%d, and %d wait still", status, waiting())
	}
	if got := f.end(t)["acme dollars"]; got != (ledger.WindowState{Posted: 15_000_000}) || f.calls.Load() != 1 {
		t.Errorf("%+v after %d calls", got, f.calls.Load())
	}
}
