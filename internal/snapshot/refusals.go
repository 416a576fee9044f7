package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
)

// Refusals says, a sentence each, what this configuration refuses because of what
// the gateway does not know, so that nobody learns it from callers. The sentences
// name the setting that lets it through.
func (s *Snapshot) Refusals() []string {
	var refused, cut, denying []string
	for i := range s.Config.Tenants {
		t := &s.Config.Tenants[i]
		if out := t.OutputTokens; out != nil && out.Max > 0 {
			switch cmp.Or(out.UnknownFamily, s.Config.UnknownFamily) {
			case "refuse":
				refused = append(refused, t.ID)
			case "cut":
				cut = append(cut, t.ID)
			}
		}
		if len(t.DenyModels) > 0 {
			denying = append(denying, t.ID)
		}
	}
	var all []string
	add := func(tenants []string, format string, models []string) {
		if len(tenants) > 0 {
			all = append(all, fmt.Sprintf(format, listed(tenants))+among(models))
		}
	}
	unknown, hidden := s.unknownModels()
	add(refused, "output_tokens.max of %s: InvokeModel of a model whose family the gateway does not know is refused; "+
		"model_map or models names the family, unknown_family: allow lets it through uncapped", unknown)
	add(cut, "output_tokens.max of %s: a stream of a model whose family the gateway does not know is cut off at the cap, "+
		"and a plain InvokeModel is refused (unknown_family: cut)", unknown)
	all = append(all, s.splitCascades()...)
	add(denying, "deny_models of %s: an ARN that does not name its model and is not in model_map is refused", hidden)
	return all
}

// splitCascades says of which cascades the legs spell InvokeModel bodies differently.
func (s *Snapshot) splitCascades() []string {
	var all []string
	for i := range s.Config.Cascades {
		c := &s.Config.Cascades[i]
		light, escalation := s.Router.Dialect(c.Light, nil), s.Router.Dialect(c.Escalation, nil)
		if light != nil && escalation != nil && light != escalation {
			all = append(all, fmt.Sprintf("cascade %s: an InvokeModel request goes only to the leg that its body fits, "+
				"%s for light and %s for escalation. Converse goes to both.", c.Name, light.Name, escalation.Name))
		}
	}
	return all
}

// unknownModels are the models that the configuration names, of an unknown family,
// and those of which nobody knows what they are.
func (s *Snapshot) unknownModels() (unknown, hidden []string) {
	named := slices.Collect(maps.Values(s.Config.Aliases))
	for i := range s.Config.Cascades {
		c := &s.Config.Cascades[i]
		named = append(named, c.Light, c.Partner, c.Escalation)
	}
	slices.Sort(named)
	for _, model := range slices.Compact(named) {
		if model == "" || model == config.JudgeKeys {
			continue
		}
		if s.Router.Dialect(model, nil) == nil {
			unknown = append(unknown, model)
		}
		if s.Router.Hidden(s.Router.Resolve(model)) {
			hidden = append(hidden, model)
		}
	}
	return unknown, hidden
}

func among(models []string) string {
	if len(models) == 0 {
		return "."
	}
	return ". Of the models that this configuration names: " + listed(models) + "."
}

// listed joins names, the first few of many.
func listed(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}
