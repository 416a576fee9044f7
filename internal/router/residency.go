package router

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Bounds are what a tenant's policy says of where its requests may go, and under which terms.
type Bounds struct {
	Residency string   // any, geo, region; "" says nothing
	Upstream  string   // the tenant's own, whose region is home; of a pool that of the first member
	Require   []string // terms that the maker of a model must give in full
}

// The settings that may keep a request from a model, as skips name them.
const (
	needResidency = "residency"
	needTerms     = "require"
)

// Outside says why a model must not be asked under the bounds at an upstream, and which setting says so. Both are ""
// when it may. No model is a call that needs none; it goes to the upstream all the same.
func (r *Router) Outside(b *Bounds, model, upstream string) (setting, why string) {
	if b.Residency == "geo" || b.Residency == "region" {
		if away := r.away(b, model, upstream); away != "" {
			return needResidency, "The tenant's residency is " + b.Residency + ", with its home in " + r.regions[b.Upstream] +
				", and " + away + "."
		}
	}
	if model == "" {
		return "", ""
	}
	for _, term := range b.Require {
		if lack := r.lacks(model, term); lack != "" {
			return needTerms, "The tenant's policy has require: [" + term + "], and " + lack
		}
	}
	return "", ""
}

// Bars is Outside for a leg, at the upstream that takes its calls, or at each member of its pool.
func (r *Router) Bars(b *Bounds, leg *Leg) (setting, why string) {
	name := r.upstreamOf(leg.Origin(), b.Upstream)
	setting, why = r.Outside(b, leg.Model, pools.First(r.pools, name))
	for _, m := range r.pools[name].Members {
		if why == "" {
			break
		}
		if s, w := r.Outside(b, leg.Model, m.Upstream); w == "" {
			setting, why = s, w
		}
	}
	return setting, why
}

// away says how calls of a model at an upstream leave what the residency allows, "" when they do not.
func (r *Router) away(b *Bounds, model, upstream string) string {
	home, at := r.regions[b.Upstream], r.regions[upstream]
	if region := wire.ParseModelID(model).Region; region != "" {
		at = region
	}
	if at != home && (b.Residency == "region" || geographyOf(at) != geographyOf(home)) {
		return "calls go to " + at
	}
	if model == "" {
		return ""
	}
	scope, known := r.reach(model)
	switch {
	case !known:
		return "nobody knows how far calls go. " + strings.TrimSuffix(MapHint(model), ".")
	case scope == wire.ScopeRegion, b.Residency == "geo" && geographyNamed(scope) == geographyOf(home):
		return ""
	}
	return "its profile sends calls across " + scope
}

// reach is the scope in which calls of a model stay, and whether that is known. Capacity and models of one's own are in
// the region of their ARN, whatever they are priced as.
func (r *Router) reach(model string) (scope string, known bool) {
	switch wire.ParseModelID(model).Kind {
	case wire.ModelProvisioned, wire.ModelCustom, wire.ModelCustomDeployment, wire.ModelImported, wire.ModelEndpoint:
		return wire.ScopeRegion, true
	}
	id := r.Priced(model)
	return id.Scope, id.Foundation != ""
}

// geographyOf is the geography that a region is in: what comes before its first dash, but for those below.
func geographyOf(region string) string {
	if strings.HasPrefix(region, "us-gov-") {
		return "us-gov"
	}
	before, _, _ := strings.Cut(region, "-")
	return geographyNamed(before)
}

// geographyNamed is the geography of a profile's scope: the narrower ones of Asia and the Pacific are in theirs.
func geographyNamed(scope string) string {
	switch scope {
	case "ap", "jp", "au", "in":
		return "apac"
	}
	return scope
}

// lacks says that the maker of a model does not give a term in full, as a sentence's end; "" when it does.
func (r *Router) lacks(model, term string) string {
	foundation := r.catalogue.foundation(model)
	if foundation == "" {
		return "nobody knows whose model this is. " + MapHint(model)
	}
	maker, _, _ := strings.Cut(foundation, ".")
	extent := "unstated"
	for i := range r.terms {
		if slices.Contains(r.terms[i].Makers, maker) {
			extent = r.terms[i].Of(term)
		}
	}
	if extent == config.TermFull {
		return ""
	}
	return "the catalogue has that of " + maker + " as " + extent + "."
}

// placed is a leg as the tenant's residency has it: with any, the global profile of a model is asked in place of
// another one where there is one that the tenant may use. A model for which the tenant has a profile of its own stays,
// and what is in a partition of AWS that global profiles do not reach.
func (r *Router) placed(in *Input, leg Leg) Leg {
	if in.Bounds.Residency != "any" || !in.Facts.Op.Writes() || in.Facts.Op.Starts() {
		return leg
	}
	global := Global(r, leg.Model, r.upstreamOf(leg.Model, in.Bounds.Upstream))
	if global == "" {
		return leg
	}
	if in.Policy.Profile(leg.Model) != "" && in.Policy.Profile(global) == "" || !r.allowed(in, global) {
		return leg
	}
	leg.Named, leg.Model = leg.Model, global
	return leg
}

// Global is the id of a model's global profile at an upstream, "" where there is none.
func Global(r *Router, model, upstream string) string {
	id := wire.ParseModelID(model)
	plain := id.Kind == wire.ModelFoundation || id.Kind == wire.ModelProfile
	if !plain || id.Region != "" || id.Scope == wire.ScopeGlobal || !strings.HasSuffix(model, id.Foundation) ||
		!r.global.Match(id.Foundation) || r.Mantle(upstream) || wire.Partition(r.regions[upstream]) != "aws" {
		return ""
	}
	return wire.ScopeGlobal + "." + id.Foundation
}

// globalOf are the models that have a global profile: those for which a price book has a price of it alone.
func globalOf(books []config.PriceBook) glob.List {
	var ids []string
	for i := range books {
		for k := range books[i].Prices {
			if p := &books[i].Prices[k]; p.Scope == wire.ScopeGlobal && !p.Everywhere {
				ids = append(ids, p.Models...)
			}
		}
	}
	slices.Sort(ids)
	return glob.CompileList(slices.Compact(ids))
}

// Globally is the global profile that a tenant's calls of a model would go to with residency any, "" where they would
// stay as they are: there is none, the tenant may not use it, or its bounds keep calls nearer or ask for other terms.
func Globally(r *Router, policy Policy, b *Bounds, model string) string {
	if b.Residency != "" && b.Residency != "any" {
		return ""
	}
	in := &Input{Facts: &wire.Facts{Op: wire.OpConverse}, Asked: model, Policy: policy, Bounds: *b}
	in.Bounds.Residency = "any"
	leg := r.placed(in, Leg{Model: model})
	if leg.Model == model {
		return ""
	}
	if _, why := r.Outside(&in.Bounds, leg.Model, r.upstreamOf(leg.Model, b.Upstream)); why != "" {
		return ""
	}
	return leg.Model
}
