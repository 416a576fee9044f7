package gateway

import (
	"context"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/money"
)

// worst is the most that a leg may cost, 0 without a price.
func (g *leg) worst(c *call) money.Pico {
	if g.price == nil {
		return 0
	}
	most, _ := g.price.WorstCase(int64(c.facts.InputTokens), g.limit.Tokens.N)
	return most
}

// pair is the line of the log for a request that the light models answered too;
// runs and answers are the light one's and the partner's.
func (l *Line) pair(ctx context.Context, c *call, runs []*run, answers []*said) *pairs.Pair {
	to := c.plan.Cascade
	binding := c.snap.Binding(to.Settings, c.over)
	p := &pairs.Pair{
		Version: pairs.Version, Time: c.over.UTC(), ID: c.req.ID, Cascade: to.Name, Tenant: c.caller.Tenant.ID, Route: c.route(to),
		PolicyHash: binding.PolicyHash, PricesHash: binding.PricesHash,
		Operation: c.target.Op.String(), Turns: c.facts.Turns, TextBytes: c.facts.TextBytes,
		Light: runs[0].leg.usage(), Escalation: c.served.usage(),
	}
	r := c.request()
	p.SchemaHash = l.schemas.Hash(r)
	in := score.Input{Route: p.Route, Light: answers[0].answer()}
	served := (&said{c.target.Op, c.sample.frames, c.served.res.Body}).answer()
	if len(runs) > 1 {
		second := runs[1].leg.usage()
		p.Second, in.Partner = &second, answers[1].answer()
	}
	if in.Light != nil {
		p.Veto = string(answer.Check(r, in.Light, &l.schemas, answer.Options{}).Veto)
	}
	if c.snap.Config.Telemetry.Content {
		p.Content = &pairs.Content{Prompt: c.prompt(), Light: textOf(in.Light), Second: textOf(in.Partner), Escalation: textOf(served)}
	}
	in.Partner = cascade.Opinion(r, in.Partner, &l.schemas)
	compareKeys(p, r, &in)
	label := l.labelled(ctx, c, in.Light, served)
	p.Label, p.Judge = label.keys.String(), label.judge
	if artifacts := c.snap.Artifacts[to.Name]; artifacts != nil && artifacts.Score != nil && in.Light != nil {
		in.Prompt = c.prompt()
		p.Scored = &pairs.Scored{File: artifacts.Score.Hash(), Risk: logged(artifacts.Score.Risk(&in))}
	}
	return p
}

// compareKeys notes whether the light models agree, and the risk of the light
// answer.
func compareKeys(p *pairs.Pair, r *answer.Request, in *score.Input) {
	in.LightK, in.PartK = keyOf(r, in.Light), keyOf(r, in.Partner)
	p.KeyKind = in.LightK.Kind.String()
	p.Partner = answer.Agree(in.LightK, in.PartK).String()
	if in.Light == nil {
		return
	}
	p.Risk = logged(score.Untrained(in))
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
