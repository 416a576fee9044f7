package shadow

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/ground"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// pair is the line of the log for a request that the light models answered too:
// the light one, and perhaps its partner.
func (j *job) pair(ctx context.Context, replies []reply) *pairs.Pair {
	r, to := j.Request, j.Route.Cascade
	binding := r.Snapshot.Binding(to.Settings, j.At)
	p := &pairs.Pair{
		Version: pairs.Version, Time: j.At.UTC(), ID: r.ID, Cascade: to.Name, Tenant: r.Caller.Tenant.ID, Route: r.Kind(),
		PolicyHash: binding.PolicyHash, PricesHash: binding.PricesHash,
		Operation: r.Target.Op.String(), Turns: r.Facts.Turns, TextBytes: r.Facts.TextBytes,
		Light: replies[0].used, Escalation: used(j.Served), SchemaHash: j.Schemas.Hash(j.asked),
	}
	in := score.Input{Prompt: r.Prompt(), Route: p.Route, Light: replies[0].Answer(), Source: j.source}
	served := j.served()
	if len(replies) > 1 {
		p.Second, in.Partner = &replies[1].used, replies[1].Answer()
	}
	if in.Light != nil {
		p.Veto = j.veto(in.Light)
	}
	if r.Snapshot.Config.Telemetry.Content {
		p.Content = &pairs.Content{Prompt: in.Prompt, Light: textOf(in.Light), Second: textOf(in.Partner),
			Escalation: textOf(served)}
	}
	in.Partner = cascade.Opinion(j.asked, in.Partner, j.Schemas)
	j.compareKeys(p, &in)
	j.features(p, &in, served)
	label := j.labelled(ctx, in.Light, served)
	p.Label, p.Judge, p.Grades, p.JudgeCost = label.keys.String(), label.judge, label.grades, label.spent
	if a := r.Snapshot.Artifacts[to.Name]; a != nil && a.Score != nil && in.Light != nil {
		p.Scored = &pairs.Scored{File: a.Score.Hash(), Risk: logged(a.Score.Risk(&in))}
	}
	return p
}

// veto is the check that would keep the light answer from being served, "" for none.
func (j *job) veto(light *answer.Answer) string {
	if v := answer.Check(j.asked, light, j.Schemas, answer.Options{}).Veto; v != "" {
		return string(v)
	}
	if j.Route.Cascade.Settings.OnUngrounded != "escalate" {
		return ""
	}
	return cascade.Ungrounded(j.source, light)
}

// source is what the request supplies to answer from.
func (j *job) source() *ground.Source { return ground.Read(&j.Request.Facts, j.Request.Body) }

// compareKeys notes whether the light models agree, and the risk of the light
// answer.
func (j *job) compareKeys(p *pairs.Pair, in *score.Input) {
	in.LightK, in.PartK = keyOf(j.asked, in.Light), keyOf(j.asked, in.Partner)
	p.KeyKind = in.LightK.Kind.String()
	p.Partner = answer.Agree(in.LightK, in.PartK).String()
	if in.Light != nil {
		p.Risk = logged(score.Untrained(in))
	}
}

// features notes what a score reads of the light answer, and of the escalation answer
// beside it.
func (j *job) features(p *pairs.Pair, in *score.Input, served *answer.Answer) {
	if p.Features = score.Features(in); p.Features == nil {
		return
	}
	p.FeatureSet = score.FeatureSet
	p.EscalationFeatures = score.Features(&score.Input{
		Prompt: in.Prompt, Light: served, Partner: in.Light, LightK: keyOf(j.asked, served), Source: j.source,
	})
}

// logged is a risk as the log has it, nil for Never.
func logged(risk float64) *float64 {
	if risk == score.Never {
		return nil
	}
	return &risk
}

func keyOf(r *answer.Request, a *answer.Answer) answer.Key {
	if a == nil {
		return answer.Key{}
	}
	return answer.KeyOf(r, a)
}

func textOf(a *answer.Answer) string {
	if a == nil {
		return ""
	}
	return a.Text
}
