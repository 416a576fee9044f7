package review

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/similar"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// scopes are those of the inference profiles that AWS has today.
var scopes = []string{"us", "eu", "apac", "jp", "au", "ca", "us-gov", "global"}

// learnNames collects the names that models can have: those of the catalogue and the
// price books in every scope, aliases, and what ARNs are mapped to.
func (r *reviewer) learnNames() {
	ids := map[string]bool{}
	for i := range r.Config.Models {
		for _, id := range r.Config.Models[i].IDs {
			ids[id] = true
		}
	}
	for i := range r.Config.Prices {
		if r.Config.Prices[i].Shipped {
			addModels(ids, &r.Config.Prices[i])
		} else {
			addModels(r.priced, &r.Config.Prices[i])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		r.ids = append(r.ids, id)
		for _, scope := range scopes {
			r.ids = append(r.ids, scope+"."+id)
		}
	}
	r.ids = append(r.ids, slices.Sorted(maps.Keys(r.Config.Aliases))...)
	for _, id := range r.ids {
		r.spelt = append(r.spelt, wire.ParseModelID(id).Names()...)
	}
	r.spelt = append(r.spelt, slices.Collect(maps.Keys(r.Config.Behind))...)
	slices.Sort(r.spelt)
	r.spelt = slices.Compact(r.spelt)
}

func addModels(ids map[string]bool, book *config.PriceBook) {
	for i := range book.Prices {
		for _, id := range book.Prices[i].Models {
			if id != guardrail {
				ids[id] = true
			}
		}
	}
}

// guardrail is the name under which books have the rates of guardrails.
const guardrail = "guardrail"

// references warns of models that nobody knows.
func (r *reviewer) references() {
	c := r.Config
	for _, alias := range slices.Sorted(maps.Keys(c.Aliases)) {
		r.warn(fmt.Sprintf("aliases[%q]", alias), r.model(c.Aliases[alias]))
	}
	for _, arn := range slices.Sorted(maps.Keys(c.ModelMap)) {
		r.warn(fmt.Sprintf("model_map[%q]", arn), r.model(c.ModelMap[arn]))
	}
	for i := range c.Cascades {
		of, path := &c.Cascades[i], fmt.Sprintf("cascades[%d].", i)
		r.warn(path+"light", r.model(of.Light))
		r.warn(path+"partner", r.model(of.Partner))
		r.warn(path+"escalation", r.model(of.Escalation))
		if of.Shadow.Judge != config.JudgeKeys {
			r.warn(path+"shadow.judge", r.model(of.Shadow.Judge))
		}
	}
}

// profiles looks through the profiles that tenants have for themselves: models that nobody knows, accounts
// that may not be named, and regions that calls of the model do not go to.
func (r *reviewer) profiles(account func(path, text string)) {
	payers := map[string]string{}
	for i := range r.Config.Tenants {
		t := &r.Config.Tenants[i]
		for _, model := range slices.Sorted(maps.Keys(t.ModelMap)) {
			path, arn := fmt.Sprintf("tenants[%d].model_map[%q]", i, model), t.ModelMap[model]
			r.warn(path, r.model(model))
			account(path, arn)
			have, want := wire.ParseModelID(arn).Region, r.Router.Region(model, t.Upstream)
			if have != want && want != "" {
				r.refuse(path, "the profile is in region %s, and calls of the model go to %s", have, want)
			}
			if before, twice := payers[arn]; twice {
				r.warn(path, fmt.Sprintf("is the profile of %s too: a bill cannot tell them apart", before))
			}
			payers[arn] = t.ID
		}
	}
}

// model is what to say of the name of a model, "" for nothing.
func (r *reviewer) model(name string) string {
	said, known := r.verdicts[name]
	if !known && !r.priced[name] && !r.priced[wire.ParseModelID(name).Foundation] {
		said = r.judgeModel(name)
		r.verdicts[name] = said
	}
	return said
}

func (r *reviewer) judgeModel(name string) string {
	if _, alias := r.Config.Aliases[name]; name == "" || alias || r.Router.Catalogue(name) != nil {
		return ""
	}
	id := wire.ParseModelID(name)
	if _, found := slices.BinarySearch(r.spelt, name); found || id.Opaque() {
		return ""
	}
	if near := r.nearest(name); near != "" {
		return fmt.Sprintf("no model %q is known; did you mean %q?", name, near)
	}
	return fmt.Sprintf("no model %q is known: a file in models says what it accepts, one in prices what it costs", name)
}

// nearest is the model that was probably meant: one that begins alike or has the name
// inside of its own, or one spelt almost so.
func (r *reviewer) nearest(name string) string {
	const letters = 4 // that may be wrong: ids are long, and alike
	if near := similar.Nearest(name, r.ids); near != "" && similar.Distance(name, near) <= letters {
		return near
	}
	for _, id := range r.ids {
		if len(name) > letters && strings.Contains(id, strings.ToLower(name)) {
			return id
		}
	}
	return ""
}

// globs warns of patterns that match no model.
func (r *reviewer) globs() {
	for i := range r.Config.Tenants {
		t := &r.Config.Tenants[i]
		r.patterns(func(k int) string { return fmt.Sprintf("tenants[%d].models[%d]", i, k) }, t.Models)
		r.patterns(func(k int) string { return fmt.Sprintf("tenants[%d].deny_models[%d]", i, k) }, t.DenyModels)
	}
	for _, m := range r.Config.ModelUpstreams {
		r.warn(fmt.Sprintf("model_upstreams[%q]", m.Glob), r.pattern(m.Glob))
	}
	for i := range r.Config.Discounts {
		for k, p := range r.Config.Discounts[i].Models {
			r.warn(fmt.Sprintf("discounts[%d].models[%d]", i, k), r.pattern(p.String()))
		}
	}
}

func (r *reviewer) patterns(path func(int) string, patterns []string) {
	for k, p := range patterns {
		if said := r.pattern(p); said != "" {
			r.warn(path(k), said)
		}
	}
}

// pattern is what to say of a glob, "" for nothing. One of ARNs may match any.
func (r *reviewer) pattern(text string) string {
	if !strings.Contains(text, "*") {
		return r.model(text)
	}
	said, known := r.verdicts[text]
	if !known {
		if !r.matchesAny(text) && !strings.Contains(text, "arn:") && !strings.Contains(text, "/") {
			said = fmt.Sprintf("%q matches no model that is known%s", text, r.patternHint(text))
		}
		r.verdicts[text] = said
	}
	return said
}

var word = regexp.MustCompile(`[A-Za-z0-9]+`)

// patternHint replaces the words of a glob that no model has by what was probably meant.
func (r *reviewer) patternHint(text string) string {
	words := map[string]bool{}
	for _, id := range r.ids {
		for _, w := range word.FindAllString(id, -1) {
			words[w] = true
		}
	}
	all := slices.Sorted(maps.Keys(words))
	meant := word.ReplaceAllStringFunc(text, func(w string) string {
		if words[strings.ToLower(w)] {
			return w
		}
		return cmp.Or(similar.Nearest(w, all), w)
	})
	if meant == text || !r.matchesAny(meant) {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", meant)
}

func (r *reviewer) matchesAny(text string) bool {
	p, bare := glob.Compile(text), strings.ReplaceAll(text, "*", "")
	return slices.ContainsFunc(r.spelt, func(id string) bool {
		if !strings.Contains(id, "*") {
			return p.Match(id)
		}
		return p.Match(strings.ReplaceAll(id, "*", "")) || glob.Compile(id).Match(bare)
	})
}

// books warns of names in the operator's own price books that are almost those of models.
func (r *reviewer) books() {
	for i := range r.Config.Prices {
		book := &r.Config.Prices[i]
		if book.Shipped {
			continue
		}
		for k := range book.Prices {
			path := fmt.Sprintf("prices[%d].prices[%d]", i, k)
			for _, id := range book.Prices[k].Models {
				if id != guardrail && !strings.Contains(id, "*") && r.nearest(id) != "" {
					r.warn(path, r.judgeModel(id))
				}
			}
			if region := book.Prices[k].Region; region != "" {
				r.warn(path, unknownRegion(region))
			}
		}
	}
}
