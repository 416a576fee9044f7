package explain

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/router"
)

var roles = map[router.Role]string{
	router.RoleSole: "sole", router.RoleLight: "light", router.RolePartner: "partner",
	router.RoleEscalation: "escalation", router.RoleJudge: "judge",
}

// reasons say in words what the router's own reasons mean.
var reasons = map[string]string{
	router.ReasonDialect:     "the InvokeModel body is written for another model family",
	router.ReasonDenied:      "the tenant may not use it",
	router.ReasonObserve:     "the cascade only observes: the escalation model serves",
	router.ReasonUncertified: "the cascade would enforce, but no certificate holds",
}

// why says in words why the plan is as it is.
func why(plan *router.Plan) string {
	c := plan.Cascade
	switch {
	case c == nil:
		return "no cascade matches: the model that was asked for serves"
	case len(plan.Legs) == 0:
		return fmt.Sprintf("cascade %s matches, and no model of it can serve", c.Name)
	case plan.Path == router.Light && plan.Reason == "":
		return fmt.Sprintf("cascade %s matches, and nothing keeps the request from the light model", c.Name)
	case plan.Path == router.Light:
		return fmt.Sprintf("cascade %s matches; the light model is the last resort, because of %s", c.Name, plan.Reason)
	}
	need := ""
	if len(plan.Skipped) > 0 {
		need = plan.Skipped[0].Need
	}
	return fmt.Sprintf("cascade %s matches; straight to the escalation model: %s", c.Name, inWords(c, plan.Reason, need))
}

// inQuotas says what a call takes of quotas, and how long it waits for that.
func inQuotas(all []quota.Place) string {
	texts := make([]string, len(all))
	for i := range all {
		p := &all[i]
		limits := fmt.Sprintf("of %d tokens", p.Limits.Tokens)
		if p.Limits.Tokens == 0 {
			limits = fmt.Sprintf("tokens of %d requests", p.Requests)
		}
		texts[i] = fmt.Sprintf("up to %d %s a minute at %s, in line for up to %s", p.Ask.Tokens(), limits,
			orDefault(p.Upstream), p.Wait)
	}
	return strings.Join(texts, "; ")
}

// inWords says what a reason means. A rule's is its condition.
func inWords(c *router.Cascade, reason, need string) string {
	if reason == router.ReasonUnsupported {
		return fmt.Sprintf("the model does not take what the request needs (%s)", need)
	}
	if reason == router.ReasonDenied && need != "" {
		return fmt.Sprintf("the tenant may not use it: %s in its policy keeps it from that", need)
	}
	if words, ok := reasons[reason]; ok {
		return words
	}
	if c != nil {
		for _, rule := range c.Settings.EscalateIf {
			if rule.ID == reason {
				return fmt.Sprintf("rule %q: %s", rule.ID, rule.If)
			}
		}
	}
	return reason
}
