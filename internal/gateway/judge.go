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

// label is what is known of a light answer against the escalation model's.
type label struct {
	keys  answer.Agreement // what comparing keys tells
	judge *pairs.Verdict   // nil when no judge was asked, or it did not say
}

// labelled compares the two answers. Keys that are the same are enough; else the
// cascade's judge is asked, when it has one, and then its word alone counts.
func (l *Line) labelled(ctx context.Context, c *call, light, strong *answer.Answer) label {
	r := c.request()
	keys := answer.Agree(keyOf(r, light), keyOf(r, strong))
	if keys == answer.Same || !c.plan.Cascade.Judged() {
		return label{keys: keys}
	}
	var said *pairs.Verdict
	if c.plan.Judge != nil && light != nil && strong != nil && c.judgeable(light, strong) {
		said = l.judge(ctx, c, spoken(light), spoken(strong))
	}
	if said == nil {
		keys = answer.Unknown
	}
	return label{keys, said}
}

// loss is the quality that serving the light answer cost, and whether that is
// known.
func (v label) loss() (loss float64, known bool) {
	switch {
	case v.judge != nil:
		return v.judge.Loss(), true
	case v.keys == answer.Different:
		return 1, true
	}
	return 0, v.keys == answer.Same
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

// judge asks in both orders, nil when the payer cannot afford it or the judge
// does not say.
func (l *Line) judge(ctx context.Context, c *call, light, strong string) *pairs.Verdict {
	prompt := c.prompt()
	asides := [...]*call{
		c.aside(verdict.Question(c.req.ID, prompt, light, strong)),
		c.aside(verdict.Question(c.req.ID, prompt, strong, light)),
	}
	var legs [len(asides)]*leg
	for i, a := range asides {
		g, reason := l.admitLeg(ctx, a, *c.plan.Judge, firstJudge+i)
		if reason != "" {
			l.Telemetry.Metrics().ShadowDropped(c.plan.Cascade.Name, reason)
			for j := range i {
				l.dismiss(asides[j], legs[j:j+1])
			}
			return nil
		}
		legs[i] = g
	}
	var runs [len(asides)]*run
	for i, g := range legs {
		runs[i] = l.start(asides[i], g, toEnd)
	}
	var choices [len(asides)]verdict.Choice
	for i, r := range runs {
		choices[i] = verdict.Read(textOf(l.endShadow(asides[i], r).answer()))
		asides[i].giveBack()
	}
	return pairs.Won(string(verdict.Of(choices[0], choices[1])))
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
