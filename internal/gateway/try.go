package gateway

import (
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// trial is a light leg whose answer is looked at before the caller gets it. No
// byte of it leaves before the decision.
type trial struct {
	line     *Line
	call     *call
	settings *config.Cascade
	checks   cascade.Checks
	request  *answer.Request // read by the first check, with answer
	answer   *answer.Answer  // the light one, nil when it cannot be read

	light   *run
	partner *run // nil without one
	early   *run // the escalation leg, when it is asked at once
	next    *leg // the escalation leg
}

// tried reports whether the answer of the first leg is looked at.
func (c *call) tried() bool {
	checked := c.plan.Cascade != nil && c.plan.Cascade.Checks() && len(c.legs) > 1 && c.legs[0].Role == router.RoleLight
	return checked && (!c.facts.Stream || c.plan.Cascade.Settings.Stream != "pre_only")
}

// planPartner puts the partner between the light and the escalation leg. A
// partner that cannot be asked is no reason to refuse the request.
func (l *Line) planPartner(c *call) {
	if c.plan.Partner == nil || !c.tried() || !c.wantsPartner() {
		return
	}
	g, err := l.planLeg(c, *c.plan.Partner, 1)
	if err != nil {
		return
	}
	last := c.legs[1]
	last.index = 2
	c.legs = append(c.legs[:1], g, last)
}

// wantsPartner reports whether a second opinion is asked for. Without a
// pre-score every answer is uncertain.
func (c *call) wantsPartner() bool {
	to := c.plan.Cascade
	return to.Mode == "enforce" || to.Settings.PartnerWhen != "uncertain" || c.prior != score.LightBand
}

// startsEarly reports whether the escalation leg is asked at once: for streams,
// when the pre-score cannot tell. Without a pre-score it never is, because an
// escalation call beside every light one costs more than it saves.
func (c *call) startsEarly() bool {
	return c.facts.Stream && c.plan.Cascade.Settings.Stream == "parallel" && c.prior == score.UncertainBand
}

// try runs the light leg, the partner beside it, and the escalation leg when
// the answer does not stand.
func (l *Line) try(c *call) (*Response, *wire.Error) {
	t := l.newTrial(c)
	t.await(t.light)
	if err := t.light.refused; err != nil {
		t.leaveAll(leftBehind)
		return nil, err
	}
	d := l.guard(c, t.decide())
	if d.Cut && !d.Escalate {
		l.Telemetry.Metrics().CutAccepted(t.settings.Name)
	}
	if !d.Escalate {
		return t.accept(d)
	}
	return t.escalate(d)
}

func (l *Line) newTrial(c *call) *trial {
	settings := c.plan.Cascade.Settings
	t := &trial{line: l, call: c, settings: settings, next: c.legs[len(c.legs)-1]}
	t.checks = cascade.Checks{Schemas: &l.schemas, Certified: l.threshold(c)}
	t.checks.AcceptUnknown = settings.Unknown == "accept" && t.checks.Certified == nil // no certificate covers the unknown
	if settings.OnLength == "escalate" {
		t.checks.Options.OnLength = answer.EscalateCut
	}
	if own, next := c.legs[0].limit.Tokens, t.next.limit.Tokens; own.Known && next.Known && next.N > own.N {
		t.checks.Options.NextHasRoom = answer.MoreRoom
	}
	c.legs[0].path = router.Light
	t.light = l.start(c, c.legs[0], toEnd)
	if len(c.legs) > 2 {
		c.legs[1].path = router.Partner
		t.partner = l.start(c, c.legs[1], toEnd)
	}
	if c.startsEarly() {
		t.next.path, t.next.reason = router.Escalated, cascade.ReasonParallel
		t.early = l.start(c, t.next, toHead)
	}
	return t
}

// decide looks at what the light leg brought.
func (t *trial) decide() cascade.Decision {
	if reason := t.light.failure(); reason != "" {
		return cascade.Decision{Escalate: true, Reason: reason}
	}
	if t.light.leg.err != nil { // its caller has left: there is nobody to ask another model for
		return cascade.Decision{}
	}
	light := t.light.said()
	d := t.timed(func() cascade.Decision { return t.alone(light) })
	if d.Escalate || t.partner == nil && t.checks.Certified == nil {
		return d
	}
	var partner *said
	if t.partner != nil {
		t.await(t.partner)
		partner = t.partner.said()
	}
	cut := d.Cut
	d = t.timed(func() cascade.Decision { return t.checks.Beside(t.request, t.answer, partner.answer()) })
	d.Cut = cut
	return d
}

// await waits until a run can be looked at.
func (t *trial) await(r *run) {
	began := t.line.Now()
	<-r.ready
	t.call.waited += t.line.Now().Sub(began)
}

// alone holds the light answer against the vetoes, and notes what it read for
// the next check.
func (t *trial) alone(light *said) cascade.Decision {
	t.request, t.answer = t.call.request(), light.answer()
	return t.checks.Alone(t.request, t.answer)
}

// timed bounds the checks. The ones that do not end in time end by themselves,
// and the request is escalated.
func (t *trial) timed(check func() cascade.Decision) cascade.Decision {
	found := make(chan cascade.Decision, 1)
	t.call.users.Add(1)
	t.line.drains.Go(func() {
		defer t.line.release(t.call)
		found <- check()
	})
	timer := time.NewTimer(t.settings.CheckTimeout)
	defer timer.Stop()
	select {
	case d := <-found:
		return d
	case <-timer.C:
		return cascade.Decision{Escalate: true, Reason: cascade.ReasonCheckTimeout}
	}
}

// accept serves the light answer.
func (t *trial) accept(d cascade.Decision) (*Response, *wire.Error) {
	c, g := t.call, t.light.leg
	c.path, c.reason, c.risk = router.Light, d.Reason, d.Risk
	c.served, c.answered = g, t.line.Now()
	t.light.take()
	t.leave(t.partner, consulted)
	if t.early != nil {
		t.early.leave(leftBehind, 0)
	}
	if t.light.streams() {
		return t.line.replay(c, t.light), nil
	}
	return t.line.respond(c, g)
}

// escalate leaves the light answer behind and serves the escalation model's. A
// caller who has left gets neither.
func (t *trial) escalate(d cascade.Decision) (*Response, *wire.Error) {
	c := t.call
	if c.req.Caller.Err() != nil {
		t.leaveAll(drained)
		return nil, wire.Errorf(wire.KindServiceUnavailable, "the caller left before the answer was decided on")
	}
	c.path, c.reason = router.Escalated, d.Reason
	t.leave(t.light, leftBehind)
	t.leave(t.partner, leftBehind)
	if t.early != nil {
		began := t.line.Now()
		t.early.take()
		c.answered = t.line.Now()
		c.waited += c.answered.Sub(began)
		if err := t.early.refused; err != nil {
			return nil, err
		}
	} else if err := t.line.ask(c, t.next); err != nil {
		return nil, err
	}
	c.served = t.next
	return t.line.respond(c, t.next)
}

// leaveAll gives every leg up; how is what becomes of the light one.
func (t *trial) leaveAll(how disposition) {
	t.leave(t.light, how)
	t.leave(t.partner, leftBehind)
	if t.early != nil {
		t.early.leave(leftBehind, 0)
	}
}

// leave gives a leg up: drained for its usage, or cut off at once.
func (t *trial) leave(r *run, how disposition) {
	if r == nil {
		return
	}
	within := t.call.snap.Config.Timeouts.Drain
	if t.settings.OnAbandon == "cancel" {
		within = 0
	}
	r.leave(how, within)
}
