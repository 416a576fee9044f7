package gateway

import (
	"context"
	"net/http"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/verdict"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// maxJudged is how much text of a request and of two answers a judge is shown.
const maxJudged = 64 << 10

// labelled compares the light answer with the escalation model's. Keys that are
// equal are enough; else the cascade's judge is asked, when it has one. What
// cannot be told is unknown.
func (l *Line) labelled(ctx context.Context, c *call, light, strong *answer.Answer) (verdict.Label, *pairs.Judged) {
	r := c.request()
	keys := answer.Agree(keyOf(r, light), keyOf(r, strong))
	switch {
	case keys == answer.Same:
		return verdict.Same, nil
	case !c.plan.Cascade.Judged():
		return map[answer.Agreement]verdict.Label{answer.Different: verdict.Different, answer.Unknown: verdict.Unknown}[keys], nil
	case c.plan.Judge == nil || light == nil || strong == nil || !c.judgeable(light, strong):
		return verdict.Unknown, nil
	}
	judged := l.judge(ctx, c, spoken(light), spoken(strong))
	return verdict.Of(judged.LightFirst, judged.EscalationFirst), judged
}

// judgeable reports whether a judge sees all that the models saw and said.
func (c *call) judgeable(light, strong *answer.Answer) bool {
	f := &c.facts
	return f.Images+f.Documents+f.Videos+f.Audios == 0 && f.TextBytes+len(spoken(light))+len(spoken(strong)) <= maxJudged
}

// spoken is an answer as a judge reads it: its text, and the tools that it calls.
func spoken(a *answer.Answer) string {
	text := a.Text
	for _, call := range a.ToolCalls {
		text += "\n[calls the tool " + call.Name + " with " + string(call.Input) + "]"
	}
	return text
}

// judge asks in both orders. A judge that the payer cannot afford, or that does
// not answer, has not said anything.
func (l *Line) judge(ctx context.Context, c *call, light, strong string) *pairs.Judged {
	judged := &pairs.Judged{Model: c.plan.Judge.Model, LightFirst: verdict.Malformed, EscalationFirst: verdict.Malformed}
	prompt := c.prompt()
	asides := []*call{
		c.aside(verdict.Question(c.req.ID, prompt, light, strong)),
		c.aside(verdict.Question(c.req.ID, prompt, strong, light)),
	}
	choices := [...]*verdict.Choice{&judged.LightFirst, &judged.EscalationFirst}
	legs := make([]*leg, len(asides))
	for i, a := range asides {
		g, reason := l.admitLeg(ctx, a, *c.plan.Judge, firstJudge+i)
		if reason != "" {
			l.Telemetry.Metrics().ShadowDropped(c.plan.Cascade.Name, reason)
			for j, admitted := range legs[:i] {
				l.dismiss(asides[j], []*leg{admitted})
			}
			return judged
		}
		legs[i] = g
	}
	runs := make([]*run, len(legs))
	for i, g := range legs {
		runs[i] = l.start(asides[i], g, toEnd)
	}
	for i, r := range runs {
		if a := l.endShadow(asides[i], r).answer(); a != nil {
			*choices[i] = verdict.Read(a.Text)
		}
		asides[i].giveBack()
	}
	return judged
}

// firstJudge is the leg number of the first question to a judge, behind those
// of light and partner.
const firstJudge = 3

// aside is a Converse request of the gateway's own, made for c and in its name.
// It lives in c: it is never closed or reported for itself.
func (c *call) aside(body []byte) *call {
	a := &call{
		req: &Request{
			ID: c.req.ID, Method: http.MethodPost, Caller: c.req.Caller, Received: c.req.Received,
			Header: wire.Header{{Name: "content-type", Value: "application/json"}, {Name: "accept", Value: "application/json"}},
		},
		snap: c.snap, ctx: c.ctx, span: c.span, caller: c.caller, plan: c.plan, sample: c.sample,
		target: wire.Target{Op: wire.OpConverse, Model: c.plan.Judge.Model}, body: body,
	}
	a.users.Store(1)
	if err := a.facts.Read(wire.OpConverse, nil, body); err != nil {
		panic("BUG: a question of our own cannot be read: " + err.Error())
	}
	return a
}
