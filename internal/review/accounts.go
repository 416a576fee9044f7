package review

import (
	"fmt"
	"maps"
	"slices"
)

// accounts warns of ARNs of accounts that requests may not name: whoever is sent there
// is refused.
func (r *reviewer) accounts() {
	warn := func(path, text string) {
		if id := r.Perimeter.Stranger(text); id != "" {
			own := ""
			if r.Config.AllowedAccounts == nil {
				own = ", nor named by role_arn, model_map or model_upstreams: refused unless it is the gateway's own"
			}
			r.warn(path, fmt.Sprintf("account %s is not among allowed_accounts%s", id, own))
		}
	}
	c := r.Config
	for _, alias := range slices.Sorted(maps.Keys(c.Aliases)) {
		warn(fmt.Sprintf("aliases[%q]", alias), c.Aliases[alias])
	}
	for _, arn := range slices.Sorted(maps.Keys(c.ModelMap)) {
		warn(fmt.Sprintf("model_map[%q]", arn), arn)
	}
	r.profiles(warn)
	for _, m := range c.ModelUpstreams {
		warn(fmt.Sprintf("model_upstreams[%q]", m.Glob), m.Glob)
	}
	for i := range c.Cascades {
		of, path := &c.Cascades[i], fmt.Sprintf("cascades[%d].", i)
		warn(path+"light", of.Light)
		warn(path+"partner", of.Partner)
		warn(path+"escalation", of.Escalation)
		warn(path+"shadow.judge", of.Shadow.Judge)
	}
	for i := range c.Tenants {
		for k, glob := range c.Tenants[i].Models {
			warn(fmt.Sprintf("tenants[%d].models[%d]", i, k), glob)
		}
		if own := c.Tenants[i].Resources; own != nil {
			for k, glob := range own.Guardrails {
				warn(fmt.Sprintf("tenants[%d].allowed_guardrails[%d]", i, k), glob)
			}
		}
	}
	for k, glob := range c.AllowedGuardrails {
		warn(fmt.Sprintf("allowed_guardrails[%d]", k), glob)
	}
}
