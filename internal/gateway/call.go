package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// call is the state of one request, passed by hand from step to step.
type call struct {
	req     *Request
	snap    *snapshot.Snapshot
	ctx     context.Context //nolint:containedctx // lives exactly as long as the request: its deadline, or the drain bound
	cancel  context.CancelFunc
	unwatch func() bool // stops watching the caller
	span    *telemetry.RequestSpan

	target   wire.Target
	caller   *tenant.Identity
	bodyRead bool
	body     []byte
	facts    wire.Facts
	plan     *router.Plan
	path     router.Path // of the answer: the plan's, until a leg is left behind
	reason   string
	legs     []*leg
	claim    *budget.Claim // of the plan; nil when nothing limits the tenant

	asked  *answer.Request // what the checks need to know, nil until somebody asked
	sample *sample         // nil when no shadow will follow
	prior  score.Band      // of the light leg, when a pre-score told one

	risk   float64 // of the light answer that is served, by the certificate's order
	served *leg    // whose answer the caller gets; nil when the gateway answers itself

	waited   time.Duration // for upstreams, until the answer's head
	answered time.Time     // when the answer's head was there
	over     time.Time     // when the answer was complete, or its caller had left
	status   int           // of the answer

	users atomic.Int32 // the exchange and every leg that runs on the side

	mu        sync.Mutex // guards the following
	cost      money.Pico
	costState string
	refusal   string // AWS error type of the gateway's own answer, "" for the upstream's
	reserved  []*budget.Reservation
	attempts  []saving.Row // that have ended, of a cascade's request
}

// leg is one model of the plan and its latest attempt.
type leg struct {
	router.Leg
	index    int
	path     router.Path // of its records, with reason
	reason   string
	ctx      context.Context //nolint:containedctx // the request's, or one that ends earlier when nobody needs the leg
	upstream string
	sku      record.SKU
	price    *record.Price // nil: unpriced
	limit    wire.Limit
	input    int64          // tokens that the input will hardly exceed, 0 when nothing is held
	cost     budget.Amounts // of one attempt, at most
	out      *engine.Request
	splices  []wire.Splice // of the caller's body that out has

	payer    *tenant.Tenant      // nil: the caller's
	claim    *budget.Claim       // of a leg with a payer of its own; nil when nothing limits the payer
	reserved *budget.Reservation // for claim
	used     record.End          // how the last attempt ended, and at what cost
	costs    record.Costs

	start *record.Start // journalled, END outstanding; nil when settled or not metered
	hold  *budget.Hold
	again *budget.Reservation // held after an unknown attempt; nil before
	res   *engine.Response
	err   *engine.Error
	// unwanted is whether nobody waits for the leg any more: it is not tried again
	// and nothing of its answer is kept.
	unwanted atomic.Bool

	took  time.Duration // all attempts together, until the answer's head
	head  []byte        // the first frame of a stream, read before the leg is accepted
	fault string        // exception name when that frame is an exception
	span  *telemetry.LegSpan
}

// call makes attempts at a leg until one brings an answer that is final or the
// retry policy gives up. The last attempt's record stays open: check decides
// how it counts. It fails only when the journal takes no record.
func (l *Line) call(c *call, g *leg) *wire.Error {
	deadline, _ := g.ctx.Deadline()
	retries := c.snap.Upstream.Retries(g.upstream, deadline)
	for n := 1; ; n++ {
		if err := l.attempt(c, g, n); err != nil {
			return err
		}
		wait, again := retries.Next(g.res, g.failure())
		if !again || !g.repeats() || !g.pause(c, wait) || !l.holdAgain(c, g) {
			return nil
		}
		l.Telemetry.Metrics().Retry(g.upstream, g.outcomeName())
		l.record(c, g, lost)
	}
}

// repeats reports whether a further attempt is worth while: somebody waits for
// the answer, and it is no shadow, which must not take a throttled upstream's
// room from callers.
func (g *leg) repeats() bool {
	stale := g.err != nil && g.err.Failure == engine.StaleConn
	return !g.unwanted.Load() && (g.payer == nil || stale)
}

// attempt journals START, makes one call and reads the head of its answer.
func (l *Line) attempt(c *call, g *leg, n int) *wire.Error {
	g.res, g.err, g.head, g.fault = nil, nil, nil, ""
	if err := l.begin(c, g, n); err != nil {
		return &wire.Error{
			Kind: wire.KindServiceUnavailable, Cause: err,
			Message: "the gateway cannot write its journal and takes no new requests",
		}
	}
	g.span = c.span.Leg(telemetry.LegStart{
		Operation: c.target.Op.String(), Model: g.Model, Upstream: g.upstream, MaxTokens: g.limit.Tokens.N,
		Stream: c.facts.Stream, RecordID: g.recordID(), Leg: g.index, Attempt: n, Path: string(g.path), Reason: g.reason,
	})
	out := *g.out
	l.tag(c, g, &out)
	if l.Crash != nil {
		out.Sent = func() { l.Crash(meter.AfterDispatch) }
	}
	out.Header = append(out.Header[:len(out.Header):len(out.Header)], g.span.Header()...)
	sent := l.Now()
	res, err := c.snap.Upstream.Attempt(g.ctx, &out)
	if err == nil {
		g.res = res
		err = g.readHead()
	}
	l.passes(meter.FirstByte)
	g.took += l.Now().Sub(sent)
	if err != nil {
		g.err = asEngineError(err)
	}
	return nil
}

// readHead reads the first frame of a stream, so that a leg that fails at once
// can still be left behind.
func (g *leg) readHead() error {
	if g.res.Frames == nil {
		return nil
	}
	raw, err := g.res.Frames.Next()
	if err == nil {
		g.head = append([]byte(nil), raw...)
		var frame wire.Frame
		if frame, err = wire.ParseFrame(g.head); err == nil {
			g.fault, _ = frame.Header(":exception-type")
			return nil
		}
	}
	g.res.Frames.Close()
	g.res = nil
	return err
}

// asEngineError types what an attempt or a frame source returned. An end where
// a frame was due is a corrupt answer.
func asEngineError(err error) *engine.Error {
	var e *engine.Error
	if errors.As(err, &e) {
		return e
	}
	return &engine.Error{Failure: engine.Corrupt, Sent: true, Answered: true, Err: err}
}

// failure is the attempt's error as an interface that is nil without one.
func (g *leg) failure() error {
	if g.err == nil {
		return nil
	}
	return g.err
}

func (g *leg) recordID() string {
	if g.start == nil {
		return ""
	}
	return g.start.ID
}

// pause waits before another attempt. It reports false when the leg ended, or
// the caller left, meanwhile: then another attempt would serve nobody.
func (g *leg) pause(c *call, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return !g.unwanted.Load()
	case <-c.req.Caller.Done():
		return false
	case <-g.ctx.Done():
		return false
	}
}
