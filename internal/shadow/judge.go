package shadow

import (
	"context"
	"net/http"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/verdict"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// maxJudged is how much text of a request and of two answers a judge is shown.
const maxJudged = 64 << 10

// label is what is known of a light answer beside the escalation model's.
type label struct {
	keys   answer.Agreement // the result of comparing keys
	judge  *pairs.Verdict   // nil when no judge compared the answers, or it gave no verdict
	grades *pairs.Grades    // nil when no judge graded them, or a reply could not be read
	from   int              // the grade that is adequate
	spent  money.Pico       // on judges beside grades
}

// labelled compares the two answers. Keys that are the same are enough, but for a
// sample of them that a judge grades too, because keys have blind spots. Otherwise the
// cascade's judge is asked, when it has one, and then its word alone counts.
func (j *job) labelled(ctx context.Context, light, strong *answer.Answer) label {
	l := label{keys: answer.Agree(keyOf(j.asked, light), keyOf(j.asked, strong))}
	settings := &j.Route.Cascade.Settings.Shadow
	same := l.keys == answer.Same
	switch l.from = settings.Adequate; {
	case !j.Route.Cascade.Judged():
		return l
	case l.from > 0 && (!same || j.Random() < settings.GradeAgreeing):
		l.grades, l.spent = j.grade(ctx, light, strong)
	case l.from == 0 && !same:
		l.judge, l.spent = j.judge(ctx, light, strong)
	}
	if !same && l.grades == nil && l.judge == nil {
		l.keys = answer.Unknown
	}
	return l
}

// loss is the quality that serving the light answer cost, and whether that is
// known.
func (v label) loss() (loss float64, known bool) {
	switch {
	case v.grades != nil:
		verdict := v.grades.Adequate(v.from)
		return verdict.Loss(), true
	case v.judge != nil:
		return v.judge.Loss(), true
	case v.keys == answer.Different:
		return 1, true
	}
	return 0, v.keys == answer.Same
}

// firstJudge is the leg number of the first question to a judge, behind those
// of light and partner.
const firstJudge = 3

// judge asks in both orders. It returns nil when no judge can tell, when the
// payer cannot afford it, and when the judge gives no verdict; and what it cost.
func (j *job) judge(ctx context.Context, light, strong *answer.Answer) (*pairs.Verdict, money.Pico) {
	if !j.judgeable(light, strong) {
		return nil, 0
	}
	one, two := spoken(light), spoken(strong)
	prompt, model := j.Request.Prompt(), *j.Route.Judge
	replies := j.ask(ctx, []question{
		{j.judgeCall(verdict.Question(j.Request.ID, prompt, one, two)), model, firstJudge},
		{j.judgeCall(verdict.Question(j.Request.ID, prompt, two, one)), model, firstJudge + 1},
	})
	if replies == nil {
		return nil, 0
	}
	first, second := verdict.Read(textOf(replies[0].Answer())), verdict.Read(textOf(replies[1].Answer()))
	return pairs.Won(string(verdict.Of(first, second))), costOf(replies)
}

func costOf(replies []reply) (all money.Pico) {
	for i := range replies {
		all += replies[i].used.Cost
	}
	return all
}

// judgeable reports whether a judge may be asked, and sees all that it has to judge.
// Neither the caller's tenant nor the one that pays may be denied its model.
func (j *job) judgeable(light, strong *answer.Answer) bool {
	model := j.Route.Judge
	return model != nil && light != nil && strong != nil && j.Sample.payer.AllowsModel(model.Model) &&
		j.showsAll(spoken(light), spoken(strong))
}

// showsAll reports whether a judge sees everything that the models were asked
// and answered.
func (j *job) showsAll(light, strong string) bool {
	f := &j.Request.Facts
	return f.Images+f.Documents+f.Videos+f.Audios == 0 && f.TextBytes+len(light)+len(strong) <= maxJudged
}

// spoken is an answer as a judge reads it: its text, and the tools that it calls.
func spoken(a *answer.Answer) string {
	text := a.Text
	for _, call := range a.ToolCalls {
		text += "\n[calls the tool " + call.Name + " with " + string(call.Input) + "]"
	}
	return text
}

// judgeCall is a Converse request of the gateway's own, in the name of the request
// that is judged.
func (j *job) judgeCall(body []byte) *leg.Request {
	of := j.Request
	r := &leg.Request{
		ID: of.ID, Snapshot: of.Snapshot, Caller: of.Caller, Received: of.Received, Cascade: of.Cascade, Gone: of.Gone,
		Span: of.Span, Host: of.Host,
		Method: http.MethodPost, Target: wire.Target{Op: wire.OpConverse, Model: j.Route.Judge.Model}, Body: body,
		Header: wire.Header{{Name: "content-type", Value: "application/json"}, {Name: "accept", Value: "application/json"}},
	}
	if err := r.Facts.Read(wire.OpConverse, nil, body); err != nil {
		panic("BUG: a question of our own cannot be read: " + err.Error())
	}
	return r
}
