package gateway

import (
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/ground"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// check decides whether a leg's answer is the one that the caller gets. The
// last leg's always is. A leg left behind is recorded as it ended.
func (l *Line) check(c *call, a *leg.Attempt, last bool) (accepted bool) {
	status, failure := a.Result()
	reason := cascade.Check(cascade.Outcome{Status: status, Failure: failure, Last: last})
	if reason == "" {
		c.served = a
		return true
	}
	c.path, c.reason = router.Escalated, reason
	if a.Streams() {
		a.Response.Frames.Close()
	}
	a.Close(leg.LeftBehind)
	return false
}

// legCheck is a light leg whose answer is looked at before the caller gets it. No
// byte of it leaves before the decision.
type legCheck struct {
	line     *Line
	call     *call
	settings *config.Cascade
	checks   cascade.Checks
	request  *answer.Request // read by the first check, with answer
	answer   *answer.Answer  // the light one, nil when it cannot be read

	light   *leg.Side
	partner *leg.Side   // nil without one
	early   *leg.Side   // the escalation leg, when it is asked at once
	next    *leg.Plan   // the escalation leg
	timer   *time.Timer // bounds the checks, nil before the first
}

// try runs the light leg, the partner beside it, and the escalation leg when
// the answer does not stand.
func (l *Line) try(c *call) (*Response, *wire.Error) {
	t := l.startCheck(c)
	t.await(t.light)
	if err := t.light.Refused; err != nil {
		t.discardAll(leg.LeftBehind)
		return nil, err
	}
	d := l.cascades.guard(c, t.decide())
	if d.Cut && !d.Escalate {
		l.asker.Telemetry.Metrics().CutAccepted(t.settings.Name)
	}
	if !d.Escalate {
		return t.accept(d)
	}
	return t.escalate(d)
}

func (l *Line) startCheck(c *call) *legCheck {
	settings := c.route.Cascade.Settings
	t := &legCheck{line: l, call: c, settings: settings, next: c.legs[len(c.legs)-1]}
	t.checks = cascade.Checks{Schemas: l.cascades.schemas, Certified: l.cascades.threshold(c)}
	t.checks.AcceptUnknown = settings.Unknown == "accept" && t.checks.Certified == nil // no certificate covers the unknown
	t.checks.Source = func() *ground.Source { return ground.Read(&c.Facts, c.Body) }
	t.checks.Grounded = settings.OnUngrounded == "escalate"
	t.checks.Options.EscalateCut = settings.OnLength == "escalate"
	if own, next := c.legs[0].Limit.Tokens, t.next.Limit.Tokens; own.Known && next.Known && next.N > own.N {
		t.checks.Options.NextHasRoom = true
	}
	light := c.legs[0].As(router.Light, "")
	if c.Facts.Stream {
		t.light = t.start(light, leg.ToEnd)
	} else { // asked when somebody waits for it, which is after the partner has begun
		t.light = l.asker.Here(&c.life.Context, &c.Request, light, &c.funds)
	}
	if len(c.legs) > 2 {
		t.partner = t.start(c.legs[1].As(router.Partner, ""), leg.ToEnd)
	}
	if c.startsEarly() {
		t.early = t.start(t.next.As(router.Escalated, cascade.ReasonParallel), leg.ToHead)
	}
	return t
}

func (t *legCheck) start(p *leg.Plan, far leg.Reading) *leg.Side {
	return t.line.asker.Beside(&t.call.life.Context, &t.call.Request, p, &t.call.funds, far)
}

// startsEarly reports whether the escalation leg is asked at once: for streams,
// when the pre-score cannot tell. Without a pre-score it never is, because an
// escalation call beside every light one costs more than it saves.
func (c *call) startsEarly() bool {
	return c.Facts.Stream && c.route.Cascade.Settings.Stream == "parallel" && c.prior == score.UncertainBand
}

// await waits until a leg can be looked at.
func (t *legCheck) await(s *leg.Side) {
	began := t.line.asker.Now()
	s.Wait()
	t.call.waited += t.line.asker.Now().Sub(began)
}

// decide looks at what the light leg brought.
func (t *legCheck) decide() cascade.Decision {
	if reason := brokeBy(t.light); reason != "" {
		return cascade.Decision{Escalate: true, Reason: reason}
	}
	if t.light.Err != nil { // its caller has left: there is nobody to ask another model for
		return cascade.Decision{}
	}
	light := t.light.Reply()
	d := t.timed(func() cascade.Decision {
		t.request, t.answer = t.call.request(), light.Answer()
		return t.checks.Alone(t.request, t.answer)
	})
	if d.Escalate || t.partner == nil && t.checks.Certified == nil {
		return d
	}
	var partner *leg.Reply
	if t.partner != nil {
		t.await(t.partner)
		partner = t.partner.Reply()
	}
	cut := d.Cut
	d = t.timed(func() cascade.Decision { return t.checks.Beside(t.request, t.answer, partner.Answer()) })
	d.Cut = cut
	return d
}

// brokeBy is why a leg brought no answer to look at, "" when it did.
func brokeBy(s *leg.Side) string {
	if s.Overflow {
		return cascade.ReasonBuffer
	}
	status, failure := s.Result()
	return cascade.Check(cascade.Outcome{Status: status, Failure: failure})
}

// timed bounds the checks. Those that do not end in time end by themselves, and
// the request is escalated.
func (t *legCheck) timed(check func() cascade.Decision) cascade.Decision {
	found := make(chan cascade.Decision, 1)
	t.call.Go(func() { found <- check() })
	if t.timer == nil {
		t.timer = time.NewTimer(t.settings.CheckTimeout)
	} else {
		t.timer.Reset(t.settings.CheckTimeout)
	}
	defer t.timer.Stop()
	select {
	case d := <-found:
		return d
	case <-t.timer.C:
		return cascade.Decision{Escalate: true, Reason: cascade.ReasonCheckTimeout}
	}
}

// accept serves the light answer.
func (t *legCheck) accept(d cascade.Decision) (*Response, *wire.Error) {
	c := t.call
	c.path, c.reason, c.risk = router.Light, d.Reason, d.Risk
	c.served, c.answered = t.light.Attempt, t.line.asker.Now()
	t.light.Accept()
	t.discard(t.partner, leg.Consulted)
	t.discardEarly()
	if t.light.Streams() {
		res := c.answer(c.served)
		res.Stream = newReplay(t.line, c, t.light)
		return res, nil
	}
	defer t.light.Release()
	return t.line.respond(c, c.served)
}

// escalate leaves the light answer behind and serves the escalation model's. A
// caller who has left gets neither.
func (t *legCheck) escalate(d cascade.Decision) (*Response, *wire.Error) {
	c := t.call
	if c.Gone.Err() != nil {
		t.discardAll(leg.Drained)
		return nil, wire.Errorf(wire.KindServiceUnavailable, "the caller left before the answer was decided on")
	}
	c.path, c.reason = router.Escalated, d.Reason
	c.bill.began(t.partner != nil || t.light.Billable())
	t.discard(t.light, leg.LeftBehind)
	t.discard(t.partner, leg.LeftBehind)
	var err *wire.Error
	if t.early != nil {
		t.await(t.early)
		t.early.Accept()
		c.answered = t.line.asker.Now()
		c.served, err = t.early.Attempt, t.early.Refused
	} else {
		c.served, err = t.line.ask(c, t.next)
	}
	if err != nil {
		return nil, err
	}
	return t.line.respond(c, c.served)
}

// discardAll gives every leg up; how is what becomes of the light one.
func (t *legCheck) discardAll(how leg.Disposition) {
	t.discard(t.light, how)
	t.discard(t.partner, leg.LeftBehind)
	t.discardEarly()
}

func (t *legCheck) discardEarly() {
	if t.early != nil {
		t.early.Discard(leg.LeftBehind, 0)
	}
}

// discard gives a leg up: drained for its usage, or cut off at once.
func (t *legCheck) discard(s *leg.Side, how leg.Disposition) {
	if s == nil {
		return
	}
	within := t.call.Snapshot.Config.Timeouts.Drain
	if t.settings.OnAbandon == "cancel" {
		within = 0
	}
	s.Discard(how, within)
}
