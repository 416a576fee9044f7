package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	lightModel      = "amazon.nova-lite-v1:0"
	partnerModel    = "us.meta.llama3-1-8b-instruct-v1:0"
	escalationModel = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
)

// bench is a line with a scripted upstream and books in memory.
type bench struct {
	line     *Line
	upstream *scripted
	books    *fakeMeter
	bearer   string
	ended    ended
}

// credentials are made once: deriving them is slow and the same for all tests.
var credentials = sync.OnceValues(func() (*tenant.Secrets, tenant.Credentials) {
	env := func(name string) string {
		return map[string]string{"SLUICE_ROOT_SECRET": "a secret for tests only, long enough"}[name]
	}
	secrets, err := tenant.LoadSecrets("", env, rand.Reader)
	if err != nil {
		panic(err)
	}
	id, err := secrets.NewKeyID(rand.Reader)
	if err != nil {
		panic(err)
	}
	c, err := secrets.Credentials(id)
	if err != nil {
		panic(err)
	}
	return secrets, c
})

// loaded is the first configuration of the tests: others share its price books, which take most of the time to read.
var loaded atomic.Pointer[config.Config]

// compiled is a snapshot whose cascade has these further settings.
func compiled(t testing.TB, cascade string) *snapshot.Snapshot {
	t.Helper()
	return compiledFor(t, mixed, cascade)
}

// compiledFor is one whose cascade has the light and the escalation model of a
// family.
func compiledFor(t testing.TB, models family, cascade string) *snapshot.Snapshot {
	t.Helper()
	secrets, key := credentials()
	file := harness.File(t, "test.yaml", fmt.Sprintf(`
listen: 127.0.0.1:0
data_dir: %s
upstream: {region: us-east-1, endpoint: "http://127.0.0.1:1"}
aliases: {auto: %q}
timeouts: {drain: 10s, request: 60s}
tenants:
  - {id: acme/support, keys: [%s]}
  - {id: platform/shadow}
cascades:
  - name: support
    match: request.model == "auto"
    light: %q
    escalation: %q
%s`, t.TempDir(), escalationModel, key.KeyID, models.light, models.escalation, cascade))
	cfg, err := config.Reload(loaded.Load(), file, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	loaded.CompareAndSwap(nil, cfg)
	for i := range cfg.Cascades {
		cfg.Cascades[i].CheckTimeout = time.Minute // a busy machine needs more than the preset
	}
	s, problems := snapshot.Compile(cfg, secrets, time.Now())
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	return s
}

func newBench(s *snapshot.Snapshot, script func(*engine.Request) reply) *bench {
	_, key := credentials()
	b := &bench{upstream: &scripted{script: script}, books: &fakeMeter{}, bearer: key.Bearer}
	served := *s
	served.Upstream = b.upstream
	var ids atomic.Int64
	b.line = New(Options{Options: leg.Options{
		Meter: b.books, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		NewID: func() string { return fmt.Sprintf("%026d", ids.Add(1)) }, Ended: b.ended.attempt,
	}})
	b.ended.keep(b.line)
	b.line.Use(&served)
	return b
}

// ask makes a request for op of the alias.
func (b *bench) ask(caller context.Context, op wire.Operation, body string, more ...wire.Field) *Request {
	target := wire.Target{Op: op, Model: "auto"}
	return &Request{
		ID: "01", Method: "POST", Target: target.String(), Authority: "gateway", Caller: caller, Received: time.Now(),
		Header: append(wire.Header{{Name: "Authorization", Value: "Bearer " + b.bearer},
			{Name: "Content-Type", Value: "application/json"}}, more...),
		ContentLength: int64(len(body)), Body: text(body),
	}
}

// sleepUntilPriced sets a bubble's clock to a day for which there are prices.
func sleepUntilPriced() { time.Sleep(time.Until(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))) }

// end reads an answer to its end and ends the line, which must leave no call open.
func (b *bench) end(t *testing.T, res *Response) {
	t.Helper()
	if res.Stream != nil {
		io.Copy(io.Discard, res.Stream)
		res.Stream.Close()
	}
	b.line.Close(t.Context())
	if n := b.upstream.active.Load(); n != 0 {
		t.Errorf("%d calls are open", n)
	}
}

type text string

func (s text) ReadAll() ([]byte, *wire.Error) { return []byte(s), nil }
func (s text) Release()                       {}

// got is a whole answer.
type got struct {
	status              int
	path, reason, model string
	body                []byte
}

// do serves a request and reads the answer to its end.
func (b *bench) do(req *Request) got {
	res := b.line.Serve(req)
	out := got{status: res.Status, path: res.Header.Get("x-sluice-path"), reason: res.Header.Get("x-sluice-reason"),
		model: res.Header.Get("x-sluice-model"), body: res.Body}
	if res.Stream != nil {
		out.body, _ = io.ReadAll(res.Stream)
		res.Stream.Close()
	}
	return out
}

// reply is what the scripted upstream does with one attempt.
type reply struct {
	text     string
	stop     string // "" is end_turn
	tool     string // the name of a tool to call
	input    string // its arguments
	status   int    // 0 is 200
	fail     engine.Failure
	after    time.Duration // before the head of the answer
	hang     bool          // never answers; of a stream, after its first frame
	pause    time.Duration // before each frame
	together bool          // all frames come at once
	cut      int           // the stream breaks after so many frames, 0 never
	fault    int           // an exception comes as this frame, counted from 1
	read     int64         // tokens read from a cache
	pad      int           // bytes more in every frame
	output   int64         // tokens, 0 is 5
	raw      *string       // what comes in place of an answer: a body, or the payload of the only frame
}

// scripted is an upstream that does what script says.
type scripted struct {
	script func(*engine.Request) reply
	active atomic.Int64 // attempts and streams that are open

	mu     sync.Mutex // guards closed
	closed []string   // models whose calls were cut off from our side
}

func (u *scripted) Retries(_ string, deadline time.Time) engine.Retries {
	return engine.NewRetryPolicy(engine.RetryOptions{
		MaxAttempts: 2, BudgetPercent: 100, BaseDelay: time.Millisecond, MaxDelay: time.Millisecond,
		Draw: func(n int64) int64 { return n / 2 }, Now: time.Now,
	}).Begin(deadline)
}

func (u *scripted) Attempt(ctx context.Context, r *engine.Request) (*engine.Response, error) {
	u.active.Add(1)
	kept := *r // the frames are read when r is no more
	r = &kept
	p := u.script(r)
	if p.fail != 0 {
		u.active.Add(-1)
		return nil, &engine.Error{Failure: p.fail, Sent: true, Err: errors.New("scripted")}
	}
	streaming := r.Op == wire.OpConverseStream || r.Op == wire.OpInvokeStream
	if err := u.wait(ctx, r, p.after, p.hang && !streaming); err != nil {
		u.active.Add(-1)
		return nil, err
	}
	res := &engine.Response{Status: max(p.status, 200), Header: wire.Header{{Name: "x-amzn-requestid", Value: "up"}}}
	if res.Status >= 300 {
		u.active.Add(-1)
		res.Header = append(res.Header, wire.Field{Name: "content-type", Value: "application/json"})
		res.Body = []byte(`{"message":"scripted"}`)
		return res, nil
	}
	if streaming {
		res.Frames = u.stream(ctx, r, p)
		return res, nil
	}
	u.active.Add(-1)
	res.Body = p.body(r)
	return res, nil
}

// wait sleeps, or forever, unless ctx ends first. A select on a timer's channel
// would do, but in a bubble under the race detector it crashes Go 1.26 now and
// then.
func (u *scripted) wait(ctx context.Context, r *engine.Request, d time.Duration, forever bool) error {
	passed := ctx
	if !forever {
		var cancel context.CancelFunc
		passed, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	<-passed.Done()
	if ctx.Err() == nil {
		return nil
	}
	u.mu.Lock()
	u.closed = append(u.closed, r.Model)
	u.mu.Unlock()
	return &engine.Error{Failure: engine.Cancelled, Sent: true, Err: ctx.Err()}
}

func (u *scripted) stream(ctx context.Context, r *engine.Request, p reply) *engine.FrameSource {
	frames := p.frames(r)
	n, open := 0, true
	closing := make(chan struct{})
	end := sync.OnceFunc(func() { close(closing); u.active.Add(-1) })
	next := func() ([]byte, error) {
		if !open {
			return nil, io.EOF
		}
		if p.cut > 0 && n == p.cut {
			return nil, &engine.Error{Failure: engine.LostInAnswer, Sent: true, Answered: true, Err: errors.New("cut")}
		}
		if n == len(frames) {
			open = false
			return nil, io.EOF
		}
		if err := u.wait(ctx, r, p.pause, p.hang && n == 1); err != nil {
			return nil, err
		}
		n++
		return frames[n-1], nil
	}
	ready := func() bool { return p.together && open }
	return engine.NewFrameSource(next, ready, func() error { end(); return nil })
}

func (p *reply) stopReason() string {
	switch {
	case p.stop != "":
		return p.stop
	case p.tool != "":
		return "tool_use"
	}
	return "end_turn"
}

func (p *reply) usage() map[string]any {
	return map[string]any{"inputTokens": 10, "outputTokens": max(p.output, 5), "cacheReadInputTokens": p.read}
}

func (p *reply) converse() []byte {
	var content []any
	if p.text != "" {
		content = append(content, map[string]any{"text": p.text})
	}
	if p.tool != "" {
		content = append(content, map[string]any{"toolUse": map[string]any{"toolUseId": "t", "name": p.tool,
			"input": json.RawMessage(p.input)}})
	}
	body, _ := json.Marshal(map[string]any{
		"output":     map[string]any{"message": map[string]any{"role": "assistant", "content": content}},
		"stopReason": p.stopReason(), "usage": p.usage(),
	})
	return body
}

// frames are those of a stream in answer to r.
func (p *reply) frames(r *engine.Request) [][]byte {
	var out [][]byte
	if p.raw != nil {
		return p.rawFrames(r)
	}
	for _, e := range p.events(r) {
		if p.fault == len(out)+1 {
			return append(out, wire.ExceptionFrame(wire.Errorf(wire.KindInternal, "scripted")).Raw)
		}
		raw, _ := json.Marshal(e.payload)
		headers := []wire.Field{{Name: ":event-type", Value: e.name}, {Name: ":content-type", Value: "application/json"},
			{Name: ":message-type", Value: "event"}}
		if p.pad > 0 {
			headers = append(headers, wire.Field{Name: "pad", Value: strings.Repeat("x", p.pad)})
		}
		out = append(out, wire.AppendFrame(nil, headers, raw))
	}
	return out
}

// fakeMeter keeps the books of a test.
type fakeMeter struct {
	mu     sync.Mutex // guards the following
	starts []*record.Start
	ends   map[string][]*record.End
	fail   bool
	cost   money.Pico // of each leg
}

func (m *fakeMeter) Begin(s *record.Start) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return errors.New("no disk")
	}
	kept := *s
	kept.Charges = slices.Clone(s.Charges)
	m.starts = append(m.starts, &kept)
	return nil
}

func (m *fakeMeter) End(s *record.Start, e *record.End, prices *record.PriceBook, b *record.Booked) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ends == nil {
		m.ends = map[string][]*record.End{}
	}
	kept := *e
	m.ends[e.ID] = append(m.ends[e.ID], &kept)
	b.Derive(s, e, prices)
	b.Costs = record.Costs{Input: m.cost}
	return nil
}

// rows shows each attempt on a line: path, reason, outcome and what became of
// it, in the order of the legs.
func (m *fakeMeter) rows() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := make([]string, 0, len(m.starts))
	for leg := range 4 {
		for _, s := range m.starts {
			if s.Leg == leg {
				rows = append(rows, strings.Join(strings.Fields(s.Path+" "+s.Reason+" "+describe(m.ends[s.ID])), " "))
			}
		}
	}
	return rows
}

func describe(ends []*record.End) string {
	if len(ends) != 1 {
		return "ENDS=" + strconv.Itoa(len(ends))
	}
	e := ends[0]
	out := [...]string{record.Unknown: "unknown", record.Completed: "completed", record.Failed: "failed"}[e.Outcome]
	for _, f := range []struct {
		name string
		set  bool
	}{{"served", e.Served}, {"wasted", e.Wasted}, {"drained", e.Drained}, {"escalated", e.Escalated}} {
		if f.set {
			out += " " + f.name
		}
	}
	return out
}

const hello = `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`

// byModel scripts the three legs.
func byModel(light, partner, escalation reply) func(*engine.Request) reply {
	return func(r *engine.Request) reply {
		switch r.Model {
		case lightModel:
			return light
		case partnerModel:
			return partner
		default:
			return escalation
		}
	}
}

func holds(body []byte, s string) bool { return bytes.Contains(body, []byte(s)) }
