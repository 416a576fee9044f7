package router

import (
	"fmt"

	"github.com/sluice-gateway/sluice/config"
)

// Cascade is a compiled cascade: a condition on requests, a light model,
// perhaps a partner that gives a second opinion, and an escalation model behind
// them.
type Cascade struct {
	Name       string
	Mode       string // rules, check, observe, enforce
	Light      Leg
	Partner    Leg // Model is "" without one
	Escalation Leg
	Judge      Leg // labels samples; Model is "" when keys alone do
	// Settings is the configuration that it was compiled from.
	Settings *config.Cascade

	match condition
	rules []condition
}

// Checks reports whether answers of the light model are looked at before they
// are served.
func (c *Cascade) Checks() bool { return c.Mode == "check" || c.Mode == "enforce" }

// Judged reports whether a judge model labels samples.
func (c *Cascade) Judged() bool { return c.Judge.Model != "" }

func (r *Router) compileCascade(conditions *conditions, settings *config.Cascade, index int) (*Cascade,
	[]config.Problem) {
	path := fmt.Sprintf("cascades[%d]", index)
	c := &Cascade{
		Name: settings.Name, Mode: settings.Mode, Settings: settings,
		Light:      r.Leg(RoleLight, settings.Light),
		Escalation: r.Leg(RoleEscalation, settings.Escalation),
	}
	if settings.Partner != "" {
		c.Partner = r.Leg(RolePartner, settings.Partner)
	}
	c.Light.Tier, c.Partner.Tier, c.Escalation.Tier = settings.Tier.Light, settings.Tier.Partner, settings.Tier.Escalation
	if judge := settings.Shadow.Judge; judge != "" && judge != config.JudgeKeys {
		c.Judge = r.Leg(RoleJudge, judge)
	}
	var problems []config.Problem
	c.match, problems = conditions.compile("match", path+".match", settings.Match)
	problems = append(problems, r.checkLegs(path, c)...)
	for i, rule := range settings.EscalateIf {
		compiled, found := conditions.compile(rule.ID, fmt.Sprintf("%s.escalate_if[%d].if", path, i), rule.If)
		c.rules = append(c.rules, compiled)
		problems = append(problems, found...)
	}
	return c, problems
}

// checkLegs refuses models that the host bedrock-mantle serves, which has no Converse.
func (r *Router) checkLegs(path string, c *Cascade) (problems []config.Problem) {
	for _, l := range []struct {
		key, model string
	}{
		{"light", c.Light.Model}, {"partner", c.Partner.Model}, {"escalation", c.Escalation.Model},
		{"shadow.judge", c.Judge.Model},
	} {
		if at := r.upstreamOf(l.model, ""); l.model != "" && r.Mantle(at) {
			problems = append(problems, config.Problem{Path: path + "." + l.key, Message: fmt.Sprintf(
				"model_upstreams sends %s to %q, which is of kind mantle and has no Converse, by which cascades ask", l.model, at)})
		}
	}
	return problems
}

// Leg makes a leg of a model id or an alias, whoever asks for it.
func (r *Router) Leg(role Role, name string) Leg {
	model := r.Resolve(name)
	entry := r.catalogue.find(model)
	return Leg{Role: role, Model: model, Spec: entry, Dialect: r.catalogue.dialect(entry, model)}
}

// direct says why a request goes directly to escalation, "" when neither rules
// nor the mode send it there. Rules come before the mode: they would decide in
// any mode. A rule that fails counts as matched.
func (c *Cascade) direct(v *view, m *Match) string {
	for i := range c.rules {
		matched, err := c.rules[i].eval(v)
		if err != nil {
			m.RuleErrors = append(m.RuleErrors, RuleError{c.Name, c.rules[i].id, err})
		}
		if matched || err != nil {
			return c.rules[i].id
		}
	}
	if c.Mode == "observe" {
		return ReasonObserve
	}
	return ""
}
