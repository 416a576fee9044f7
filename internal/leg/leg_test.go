package leg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/lifetime"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	model    = "amazon.nova-lite-v1:0"
	question = `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	reply    = `{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn",` +
		`"usage":{"inputTokens":10,"outputTokens":5}}`
)

// world is an asker with an upstream and books that a test scripts.
type world struct {
	asker   *Asker
	request *Request
	answers []scripted                     // of the attempts, in order; the last one repeats
	answer  func(*engine.Request) scripted // goes before answers, when it is set
	calls   int
	beside  sync.WaitGroup

	mu    sync.Mutex // guards the following
	rows  []string   // of the books
	fails bool       // the journal takes no record
}

// TestLargeBodyIsSentInParts, of which none is a copy, and says the same as a small one that is.
func TestLargeBodyIsSentInParts(t *testing.T) {
	for _, size := range []int{10, maxCopied - 100, maxCopied + 1, 1 << 20} {
		r := newWorld(t, wire.OpConverse).request
		r.Body = []byte(`{"inferenceConfig":{"maxTokens":5000},"messages":[{"content":[{"text":"` +
			strings.Repeat("a", size) + `"}]}]}`)
		at := strings.Index(string(r.Body), "5000")
		splices := []wire.Splice{{Start: at, End: at + 4, Text: []byte("200")}}
		var o outgoing
		for range 2 { // the second in the memory of the first
			o.shape(r, &Plan{Leg: router.Leg{Model: model}}, splices)
			got := string(o.shaped.Body)
			for _, part := range o.shaped.Parts {
				got += string(part)
			}
			if want := strings.Replace(string(r.Body), "5000", "200", 1); got != want {
				t.Errorf("%d: %.80s", size, got)
			}
			n := len(o.shaped.Parts)
			if n > 0 && &o.shaped.Parts[2][0] != &r.Body[at+4] || (n > 0) != (len(r.Body) > maxCopied) {
				t.Errorf("%d: %d parts", size, n)
			}
		}
		o.shape(r, &Plan{Leg: router.Leg{Model: model}}, nil)
		if len(o.shaped.Parts) > 0 || len(o.shaped.Body) != len(r.Body) {
			t.Errorf("%d: parts of what nothing is put into", size)
		}
	}
}

// scripted is what one attempt brings.
type scripted struct {
	status int
	header wire.Header
	body   string // "" for reply
	frames [][]byte
	err    *engine.Error
}

func (w *world) Attempt(_ context.Context, r *engine.Request) (*engine.Response, error) {
	var a scripted
	if w.answer != nil {
		a = w.answer(r)
	} else {
		a = w.answers[min(w.calls, len(w.answers)-1)]
	}
	w.calls++
	if a.err != nil {
		return nil, a.err
	}
	res := &engine.Response{Status: a.status, Header: a.header, Body: []byte(cmp.Or(a.body, reply))}
	if a.frames != nil {
		left := a.frames
		res.Body = nil
		res.Frames = engine.NewFrameSource(func() ([]byte, error) {
			if len(left) == 0 {
				return nil, io.EOF
			}
			frame := left[0]
			left = left[1:]
			return frame, nil
		}, nil, func() error { return nil })
	}
	return res, nil
}

func (w *world) Retries(_ string, deadline time.Time) engine.Retries {
	return engine.NewRetryPolicy(engine.RetryOptions{
		MaxAttempts: 3, BudgetPercent: 100, Draw: func(int64) int64 { return 0 }, Now: time.Now,
	}).Begin(deadline)
}

func (w *world) Begin(s *record.Start) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fails {
		return errors.New("no disk")
	}
	w.rows = append(w.rows, fmt.Sprintf("START %d %s %s", s.Attempt, s.Path, s.Reason))
	return nil
}

func (w *world) End(s *record.Start, e *record.End, prices *record.PriceBook, b *record.Booked) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows = append(w.rows, fmt.Sprintf("END %d outcome %d served %v wasted %v", s.Attempt, e.Outcome, e.Served, e.Wasted))
	b.Derive(s, e, prices)
	return nil
}

func (w *world) Go(f func()) { w.beside.Go(f) }

func (*world) Ended(*Attempt) {}

func newWorld(t *testing.T, op wire.Operation, answers ...scripted) *world {
	t.Helper()
	return newWorldOf(t, "{id: acme}", wire.Target{Op: op, Model: model}, answers...)
}

// newWorldOf has a request of the tenant acme.
func newWorldOf(t *testing.T, acme string, target wire.Target, answers ...scripted) *world {
	t.Helper()
	cfg, err := config.Load(harness.File(t, "leg.yaml", `
upstream: {region: us-east-1, endpoint: "http://127.0.0.1:1"}
tenants: [`+acme+`]
`), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s, problems := snapshot.Compile(cfg, nil, time.Now())
	if err := cfg.Report(problems); err != nil {
		t.Fatal(err)
	}
	w := &world{answers: answers}
	s.Upstream = w
	w.asker = NewAsker(Options{
		Meter: w, Log: slog.New(slog.DiscardHandler), Now: time.Now, NewID: func() string { return "01" },
	})
	w.request = &Request{
		ID: "01", Snapshot: s, Caller: &tenant.Identity{Tenant: s.Tenants.Lookup("acme")}, Method: "POST",
		Target: target, Body: []byte(question), Received: time.Now(), Gone: t.Context(),
		Host: w,
	}
	if err := w.request.ReadFacts(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) plan(t *testing.T) *Plan {
	t.Helper()
	p, err := NewPlan(w.request, router.Leg{Model: model}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p.As(router.Direct, "because")
}

// routed is the plan of the only leg, by the tenant's policy.
func (w *world) routed(t *testing.T) *Plan {
	t.Helper()
	find, in := w.request.Snapshot.Router, w.request.RouterInput()
	route, err := find.Legs(in, find.Match(in))
	if err != nil {
		t.Fatal(err)
	}
	plans, err := NewPlans(w.request, route, false)
	if err != nil {
		t.Fatal(err)
	}
	return plans[0]
}

func (w *world) want(t *testing.T, rows ...string) {
	t.Helper()
	if diff := gocmp.Diff(rows, w.rows); diff != "" {
		t.Error(diff)
	}
}

// TestEveryAttemptIsInTheBooks has an upstream that answers on the third attempt.
// Closing the last one again changes nothing.
func TestEveryAttemptIsInTheBooks(t *testing.T) {
	lost := &engine.Error{Failure: engine.NotSent, Err: errors.New("refused")}
	w := newWorld(t, wire.OpConverse, scripted{status: 503}, scripted{err: lost}, scripted{status: 200})
	a, err := w.asker.Ask(t.Context(), w.request, w.plan(t), nil)
	if err != nil || a.Err != nil || a.Closed() || string(a.Response.Body) != reply {
		t.Fatalf("%v %+v", err, a)
	}
	a.Close(Served)
	a.Close(LeftBehind)
	w.want(t,
		"START 1 direct because", "END 1 outcome 2 served false wasted false",
		"START 2 direct because", "END 2 outcome 2 served false wasted false",
		"START 3 direct because", "END 3 outcome 1 served true wasted false")
	if a.Costs.Total() == 0 || a.CostState() != CostKnown {
		t.Errorf("it cost %s, %s", a.Costs.Total(), a.CostState())
	}
}

// TestNoCallWithoutRecord has a journal that takes nothing.
func TestNoCallWithoutRecord(t *testing.T) {
	w := newWorld(t, wire.OpConverse, scripted{status: 200})
	w.fails = true
	if _, err := w.asker.Ask(t.Context(), w.request, w.plan(t), nil); err == nil || err.Status() != 503 || w.calls != 0 {
		t.Errorf("%v after %d calls", err, w.calls)
	}
	side := w.asker.Beside(t.Context(), w.request, w.plan(t), nil, ToEnd)
	side.Wait()
	if side.Refused == nil || side.Streams() || side.Reply() != nil {
		t.Errorf("%+v", side.Refused)
	}
	side.Discard(LeftBehind, 0)
	w.beside.Wait()
	w.want(t)
}

// TestCountTokensIsNotRecorded asks what is free of charge.
func TestCountTokensIsNotRecorded(t *testing.T) {
	w := newWorld(t, wire.OpConverse, scripted{status: 200})
	w.request.Target.Op = wire.OpCountTokens
	a, err := w.asker.Ask(t.Context(), w.request, w.plan(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Close(Served)
	w.want(t)
}

func frame(event, payload string) []byte {
	return wire.AppendFrame(nil, []wire.Field{{Name: ":event-type", Value: event},
		{Name: ":message-type", Value: "event"}},
		[]byte(payload))
}

func stream(text string) [][]byte {
	return [][]byte{
		frame("messageStart", `{"role":"assistant"}`),
		frame("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"`+text+`"}}`),
		frame("messageStop", `{"stopReason":"end_turn"}`),
		frame("metadata", `{"usage":{"inputTokens":10,"outputTokens":5}}`),
	}
}

// TestSide holds a stream back, and lets go of it when it was accepted or
// discarded. One that is too large to be held back is read for its usage alone.
func TestSide(t *testing.T) {
	f := func(text string, held bool, fate func(*Side), rows ...string) {
		t.Helper()
		w := newWorld(t, wire.OpConverseStream, scripted{status: 200, frames: stream(text)})
		side := w.asker.Beside(t.Context(), w.request, w.plan(t), nil, ToEnd)
		side.Wait()
		if answer := side.Reply().Answer(); (answer != nil) != held || held && answer.Text != text || side.Overflow == held {
			t.Errorf("%d bytes: %v, overflow %v", len(text), answer, side.Overflow)
		}
		if (w.asker.Held() > 0) != held {
			t.Errorf("%d bytes are held", w.asker.Held())
		}
		fate(side)
		w.beside.Wait()
		if w.asker.Held() != 0 {
			t.Errorf("%d bytes are still held", w.asker.Held())
		}
		w.want(t, append([]string{"START 1 direct because"}, rows...)...)
	}
	accept := func(s *Side) {
		s.Accept()
		s.Close(Served)
		s.Release()
	}
	discard := func(s *Side) { s.Discard(LeftBehind, time.Minute) }
	f("hi", true, accept, "END 1 outcome 1 served true wasted false")
	f("hi", true, discard, "END 1 outcome 1 served false wasted true")
	f(strings.Repeat("x", MaxHeld+1), false, discard, "END 1 outcome 1 served false wasted true")
}

// TestOthersPayOn: what somebody else than the caller pays for runs beside the request,
// mostly after it, so that the caller's leaving does not keep it from asking again.
func TestOthersPayOn(t *testing.T) {
	stale := &engine.Error{Failure: engine.StaleConn, Sent: true, Err: io.ErrUnexpectedEOF}
	var gone lifetime.Context
	gone.End(context.Canceled)
	ask := func() {
		w := newWorld(t, wire.OpConverse, scripted{err: stale}, scripted{status: 200})
		w.request.Gone = &gone
		p, err := w.plan(t).PaidBy(w.request, w.request.Caller.Tenant)
		if err != nil {
			t.Fatal(err)
		}
		a, err := w.asker.Ask(t.Context(), w.request, p, nil)
		if err != nil || a.Err != nil {
			t.Fatalf("%v, %v", err, a.Err)
		}
		a.Close(Consulted)
	}
	for range 20 { // the pause is 0, so that either end of it may be seen first
		ask()
	}
}
