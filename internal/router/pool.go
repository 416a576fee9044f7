package router

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Route is where the calls of a model may go.
type Route struct {
	// Upstream is the name of the one that takes them, "" for the default one; of a pool the first one that may.
	Upstream string
	// Pool is the name of the pool, "" for an upstream by itself. Members are those of it that may take the calls.
	Pool    string
	Order   string
	Members []pools.Member
}

// Upstream returns the name of the upstream that serves model, "" for the
// default one: the first glob that matches, else the tenant's, else the
// default; of a pool the first member that has the model. It fails with a validation error when the model is an ARN of
// another region, which Bedrock would not find there. An upstream whose region is not
// configured takes any.
func (r *Router) Upstream(model, tenantUpstream string) (string, *wire.Error) {
	route, err := r.Route(model, &Bounds{Upstream: tenantUpstream})
	return route.Upstream, err
}

// Route is where the calls of a model may go within bounds. Without a member that is within them it is the first one,
// and Outside says why not. It fails as Upstream does.
func (r *Router) Route(model string, b *Bounds) (Route, *wire.Error) {
	name := r.upstreamOf(model, b.Upstream)
	want := wire.ParseModelID(model).Region
	p, pooled := r.pools[name]
	if !pooled {
		return Route{Upstream: name}, elsewhere(r, model, want, name)
	}
	route := Route{Upstream: p.Members[0].Upstream, Pool: name, Order: p.Order, Members: p.Members}
	all := func(m pools.Member) bool {
		_, why := r.Outside(&Bounds{Residency: b.Residency, Upstream: b.Upstream}, "", m.Upstream)
		return why == "" && elsewhere(r, model, want, m.Upstream) == nil
	}
	route.Members = filter(p.Members, all)
	if len(route.Members) > 0 {
		route.Upstream = route.Members[0].Upstream
	}
	return route, elsewhere(r, model, want, route.Upstream)
}

// filter are the members that satisfy f; all of them take no memory.
func filter(all []pools.Member, f func(pools.Member) bool) []pools.Member {
	for i := range all {
		if f(all[i]) {
			continue
		}
		some := append([]pools.Member(nil), all[:i]...)
		for _, m := range all[i+1:] {
			if f(m) {
				some = append(some, m)
			}
		}
		return some
	}
	return all
}

// elsewhere refuses a model that belongs to a region which is not an upstream's, nil when it may be there.
func elsewhere(r *Router, model, want, upstream string) *wire.Error {
	have := r.regions[upstream]
	if want == "" || have == "" || want == have {
		return nil
	}
	return wire.Errorf(wire.KindValidation,
		"The model %s belongs to region %s, but it is served from region %s.", model, want, have)
}

// checkPools finds pools of several partitions of AWS, which have no account in common, and tenants whose residency no
// member of a pool meets that takes their calls.
func checkPools(r *Router, cfg *config.Config) (problems []config.Problem) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Pools)) {
		for i, m := range cfg.Pools[name].Members {
			if home := r.regions[name]; wire.Partition(r.regions[m.Upstream]) != wire.Partition(home) {
				problems = append(problems, config.Problem{
					Path:    fmt.Sprintf("pools[%q].members[%d].upstream", name, i),
					Message: "region " + r.regions[m.Upstream] + " is in another partition of AWS than " + home,
				})
			}
		}
	}
	for i := range cfg.Tenants {
		if t := &cfg.Tenants[i]; t.Residency == "geo" || t.Residency == "region" {
			problems = append(problems, checkHome(r, t, i)...)
		}
	}
	return problems
}

// checkHome finds the rules of model_upstreams that would send a tenant's calls to a pool without a member within its
// residency. One that takes every model leaves the tenant none, and that is a mistake.
func checkHome(r *Router, t *config.Tenant, index int) (problems []config.Problem) {
	b := &Bounds{Residency: t.Residency, Upstream: t.Upstream}
	for _, rule := range r.upstreams {
		p, pooled := r.pools[rule.name]
		within := filter(p.Members, func(m pools.Member) bool { _, why := r.Outside(b, "", m.Upstream); return why == "" })
		if !pooled || len(within) > 0 {
			continue
		}
		problems = append(problems, config.Problem{
			Path: fmt.Sprintf("tenants[%d].residency", index), Warning: rule.models.String() != "*",
			Message: fmt.Sprintf("no member of the pool %q, which takes the models %q, is within %s of %s: they are refused",
				rule.name, rule.models, t.Residency, r.regions[t.Upstream]),
		})
	}
	return problems
}
