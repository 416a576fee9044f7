package leg

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/promptcache"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/trouble"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Ask asks a leg, with retries, until an attempt brings an answer that is final or
// the retry policy gives up. A plan with capacity that was bought is asked there first,
// one with service tiers to try on one of them, and then, where that does not answer in
// time, on demand or on the next tier. It returns that attempt still open: whoever knows
// what becomes of its answer closes it. It fails only when the journal takes no
// record, and when the quota of the upstream has no room.
func (k *Asker) Ask(ctx context.Context, r *Request, p *Plan, f *Funds) (*Attempt, *wire.Error) {
	return k.ask(ctx, r, p, turn{funds: f, from: f.first(), wanted: func() bool { return true }})
}

// ask is Ask, but makes no further attempt once the leg is not wanted any more.
func (k *Asker) ask(ctx context.Context, r *Request, p *Plan, t turn) (*Attempt, *wire.Error) {
	switch {
	case p.place.first != nil:
		return k.askPlace(ctx, r, p, t)
	case p.place.named:
		return askNamed(ctx, k, r, p, t)
	case len(p.scopes.further) > 0:
		return askScopes(ctx, k, r, p, t)
	case p.Pool.Pool != "":
		return k.askPool(ctx, r, p, t)
	case p.tiers.Try != "":
		return k.askTiers(ctx, r, p, t)
	}
	return k.repeat(ctx, r, p, t)
}

// turn is where a leg stands that is asked: what it is paid from, and the attempts before.
type turn struct {
	funds  *Funds
	from   *budget.Reservation
	wanted func() bool
	made   int // attempts
	took   time.Duration
	cost   budget.Amounts // of a further attempt at another place, held when one before may be billed
	stays  bool           // an attempt before may be billed, so no other member of a pool is asked
}

// after is where the leg stands when an attempt is left for another place: paid from what it was paid from, and where
// one before it may be billed, from what was held anew for that.
func (t turn) after(a *Attempt) turn {
	t.made, t.took, t.from = max(attempts(a), t.made+1), a.Took, a.from
	return t
}

// repeat makes attempts at a leg until one is final.
func (k *Asker) repeat(ctx context.Context, r *Request, p *Plan, t turn) (*Attempt, *wire.Error) {
	deadline, _ := ctx.Deadline()
	retries := r.Snapshot.Upstream.Retries(p.Upstream, deadline)
	out, refused := k.shaped(r, p)
	if refused != nil {
		return nil, refused
	}
	defer k.sent(out, r.Account)
	for n := t.made + 1; ; n++ {
		room, err := admit(ctx, k, r, p, t.wanted)
		if err != nil {
			k.Prompts.Ended(out.placed, &promptcache.Answer{Fate: promptcache.Failed}, k.Now())
			return nil, err
		}
		a := k.attempt(r, p)
		a.quota, a.from = room, t.from
		if err := a.begin(n, t.from); err != nil {
			room.Settle(0, 0)
			k.Prompts.Ended(out.placed, &promptcache.Answer{Fate: promptcache.Failed}, k.Now())
			return nil, err
		}
		a.call(ctx, out)
		t.took += a.Took
		a.Took = t.took
		if out.pointed() && met(a) == trouble.Invalid && t.wanted() {
			k.Telemetry.Metrics().Retry(p.Upstream, a.outcomeName())
			a.placed, t.made = out.placed, n
			leave(a)
			return k.repeat(ctx, r, pointless(p), t)
		}
		if p.try.first && turnedAway(a) != "" || p.turn.goesOn() && moves(a) || cold(a) {
			a.placed = out.placed
			return a, nil
		}
		wait, again := retries.Next(a.Response, a.failure())
		if !again || !a.repeats() || !t.wanted() || !pause(ctx, a.gone(ctx), wait) || !t.wanted() {
			a.placed = out.placed
			return a, nil
		}
		if a.outcome() == record.Unknown {
			more, ok := t.funds.again(ctx, k, dearer(p.Cost, t.cost))
			if !ok {
				a.placed = out.placed
				return a, nil
			}
			t.from = cmp.Or(more, t.from)
			p = staying(p)
		}
		k.Telemetry.Metrics().Retry(p.Upstream, a.outcomeName())
		a.Close(Lost)
	}
}

// repeats reports whether a further attempt is worth while. What somebody else
// pays for must not take a throttled upstream's room from callers.
func (a *Attempt) repeats() bool {
	stale := a.Err != nil && a.Err.Failure == engine.StaleConn
	refused := a.Response != nil && a.Response.Refusal != nil // of the gateway, before the model
	return a.Payer == nil || stale || refused
}

// cold reports whether the answer is that the model is not ready, where another one follows: a cascade goes on to that,
// and nobody waits until the light one is loaded.
func cold(a *Attempt) bool {
	followed := a.Role == router.RoleLight || a.Role == router.RolePartner
	return followed && met(a) == trouble.NotReady
}

// gone ends when nobody waits for the leg any more: what somebody else pays for runs
// beside the caller's request, and mostly after it.
func (a *Attempt) gone(ctx context.Context) context.Context {
	if a.Payer != nil {
		return ctx
	}
	return a.request.Gone
}

// pause waits before another attempt. It reports false when the leg ended, or the
// caller left, meanwhile: then another attempt would serve nobody.
func pause(ctx, gone context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone.Done():
		return false
	case <-ctx.Done():
		return false
	}
}

// begin journals that the attempt is about to leave, if it is billed, with its
// part of what is held.
func (a *Attempt) begin(n int, from *budget.Reservation) *wire.Error {
	r, p := a.request, a.Plan
	id := ""
	if r.Metered() {
		a.hold = from.Attempt(p.Cost.Plus(once))
		a.start(n)
		if err := a.asker.Meter.Begin(a.Start); err != nil {
			a.hold.Release()
			return &wire.Error{
				Kind: wire.KindServiceUnavailable, Cause: err,
				Message: "the gateway cannot write its journal and takes no new requests",
			}
		}
		id = a.Start.ID
	}
	a.span = r.Span.Leg(telemetry.LegStart{
		Operation: r.Target.Op.String(), Model: p.Model, Upstream: p.Upstream, MaxTokens: p.Limit.Tokens.N,
		Stream: r.Facts.Stream, RecordID: id, Leg: p.Index, Attempt: n, Path: string(p.Path), Reason: p.Reason,
	})
	return nil
}

// start makes the first half of the record.
func (a *Attempt) start(n int) {
	r, p := a.request, a.Plan
	payer, key := r.Caller.Tenant, r.Caller.KeyID
	if p.Payer != nil {
		payer, key = p.Payer, ""
	}
	a.charges = a.hold.AppendCharges(a.charges)
	a.Start = &a.half
	s := a.Start
	*s = record.Start{
		ID: a.asker.NewID(), RequestID: r.ID, Root: payer.Root, Tenant: payer.ID, Key: key,
		Op: r.Target.Op, Model: p.ID(), SKU: p.SKU, Cascade: r.Cascade, Path: string(p.Path), Reason: p.Reason,
		Leg: p.Index, Attempt: n,
		EstimatedInput: cmp.Or(p.Input, int64(p.Facts.InputTokens)), MaxOutput: p.Limit.Tokens.N, At: a.asker.Now(),
		Charges: a.charges, AskedTier: cmp.Or(p.askedTier(), p.Facts.ServiceTier), AskedLatency: p.Facts.Latency,
	}
	if p.Payer == nil {
		s.User = r.user(p.Facts)
	}
	if p.Price != nil {
		s.PriceVersion = p.Price.Version
		s.Hold, _ = p.most(s.EstimatedInput, s.MaxOutput)
		if s.Op == wire.OpCreateBatch {
			s.Hold, _ = p.worstCase(r, 0, 0)
		}
		if p.Guardrail != nil {
			units, _ := p.guardrail(s.MaxOutput)
			s.Hold += units
		}
	}
}

// call makes the call and reads the head of its answer.
func (a *Attempt) call(ctx context.Context, out *outgoing) {
	k := a.asker
	out.Request = out.shaped
	if a.Start != nil {
		a.tag(out)
	}
	if k.Crash != nil {
		out.Sent = func() { k.Crash(meter.AfterDispatch) }
	}
	out.Header = a.span.AppendHeader(out.Header)
	a.usage.Op, a.usage.Measure = out.Op, a.Limit.CutAt > 0
	sent := k.Now()
	res, err := a.request.Snapshot.Upstream.Attempt(ctx, &out.Request)
	if err == nil {
		a.Response = res
		a.usage.ReadHeader(res.Header)
		err = a.readHead()
	}
	k.Crash.At(meter.FirstByte)
	a.Took = k.Now().Sub(sent)
	if err != nil {
		a.Err = asEngineError(err)
	}
}

// readHead looks whether an answer is one, and reads the first frame of a stream, so
// that a leg that fails at once can still be left behind.
func (a *Attempt) readHead() error {
	frames := a.Response.Frames
	if fault := faultOf(a); fault != "" {
		if frames != nil {
			frames.Close()
		}
		err := &engine.Error{
			Failure: engine.Corrupt, Sent: true, Answered: true, Timing: a.Response.Timing,
			Err: errors.New("the answer is " + fault),
		}
		a.Response = nil
		return err
	}
	if frames == nil {
		return nil
	}
	raw, err := frames.Next()
	if err == nil {
		var frame wire.Frame
		if frame, err = wire.ParseFrame(raw); err == nil {
			a.head = raw
			a.Fault, _ = frame.Header(":exception-type")
			return nil
		}
	}
	frames.Close()
	a.Response = nil
	return err
}

// faultOf says what keeps the answer from being one of the operation, "" for nothing. Of
// an answer that is no stream it reads the usage, too.
func faultOf(a *Attempt) string {
	res, op, d := a.Response, a.request.Target.Op, a.Facts.Dialect
	fault := wire.AnswerFault(op, d != nil, res.Status, res.Header, res.Frames != nil)
	if fault == "" && res.Frames == nil && res.Status < 300 {
		a.End.Usage, fault = wire.ReadAnswer(op, d, res.Header, res.Body)
	}
	return fault
}
