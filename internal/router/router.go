// Package router turns the facts of a request into a plan: which models to try,
// in which order, and why. It resolves aliases, evaluates the cascades' CEL
// conditions, knows what each model accepts, obeys the tenant's model policy
// and picks the upstream.
//
// It sends nothing, reads no body beyond the facts (but for the texts that a
// condition names) and holds no state but what Learn notes of inference profiles:
// a Router is compiled once from a configuration, and the same input gives the
// same plan. A plan never has a leg that the tenant may not use.
package router

import (
	"cmp"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Router is the compiled routing part of a configuration. It is immutable, but for
// Learn, and safe for concurrent use.
type Router struct {
	aliases   map[string]string
	catalogue catalogue
	cascades  []*Cascade
	spoken    []*wire.Dialect // by the legs of the cascades
	upstreams []upstreamRule
	pools     map[string]pools.Pool
	regions   map[string]string // by upstream name, "" the default one
	mantles   map[string]bool   // the upstreams of kind mantle
	global    glob.List         // models that have a global profile
	terms     []config.Terms
}

// upstreamRule sends the models that match to an upstream.
type upstreamRule struct {
	models glob.Pattern
	name   string
}

// Compile builds a router. A problem that is no warning makes the router unfit
// for use; all problems are found in one go.
func Compile(cfg *config.Config) (*Router, []config.Problem) {
	r := &Router{
		aliases:   cfg.Aliases,
		catalogue: newCatalogue(cfg.Models, cfg.Behind),
		regions:   map[string]string{"": cfg.Upstream.Region},
		mantles:   map[string]bool{},
		global:    globalOf(cfg.Prices),
		terms:     cfg.Terms,
		pools:     cfg.Pools,
	}
	for name, upstream := range cfg.Upstreams {
		r.regions[name] = upstream.Region
		if upstream.Mantle() {
			r.mantles[name] = true
		}
	}
	for _, m := range cfg.ModelUpstreams {
		r.upstreams = append(r.upstreams, upstreamRule{glob.Compile(m.Glob), m.Name})
	}
	for name := range cfg.Pools {
		r.regions[name] = r.regions[pools.First(cfg.Pools, name)]
	}
	problems := append(r.checkAliases(), checkModels(cfg.Models)...)
	problems = append(problems, checkPools(r, cfg)...)
	conditions := newConditions()
	for i := range cfg.Cascades {
		cascade, found := r.compileCascade(conditions, &cfg.Cascades[i], i)
		r.cascades = append(r.cascades, cascade)
		r.spoken = append(r.spoken, cascade.Light.Dialect, cascade.Escalation.Dialect)
		problems = append(problems, found...)
	}
	return r, problems
}

// Resolve returns the model id that an alias stands for, that of a system-defined
// profile for its ARN without an account, and any other id as it is. Such ARNs are in
// the gateway's own lists (package controlplane), and Bedrock would not take them.
func (r *Router) Resolve(asked string) string {
	if model, ok := r.aliases[asked]; ok {
		return model
	}
	if strings.HasPrefix(asked, "arn:") {
		if _, profile, ok := strings.Cut(asked, "::inference-profile/"); ok {
			return profile
		}
	}
	return asked
}

// Region is where calls of a model go, in any form of id or by an alias; "" when its
// upstream has no region. Of a pool it is that of the first member.
func (r *Router) Region(model, tenantUpstream string) string {
	return r.regions[r.upstreamOf(r.Resolve(model), tenantUpstream)]
}

// Catalogue returns what is known of a model, given in any form of id or by an
// alias. It is nil when the model is not listed.
func (r *Router) Catalogue(model string) *Model { return r.catalogue.find(r.Resolve(model)) }

// Dialect returns how the InvokeModel body of a request is spelt, nil when that
// is not known: as the model asked for spells it. Behind an alias a caller may
// write for any leg of a cascade, and only then the shape of the body says for
// which. It decides no more than which leg the body fits: how a leg's cap and usage
// are read is always decided by the leg's own model.
func (r *Router) Dialect(asked string, body []byte) *wire.Dialect {
	own := r.Leg(RoleSole, asked).Dialect
	if _, aliased := r.aliases[asked]; !aliased || len(r.spoken) == 0 {
		return own
	}
	among := append([]*wire.Dialect{own}, r.spoken...)
	return cmp.Or(wire.SniffDialect(body, among...), own)
}

// Mantle reports whether an upstream is the host bedrock-mantle, which has OpenAI's and Anthropic's own paths alone.
func (r *Router) Mantle(upstream string) bool { return r.mantles[upstream] }

func (r *Router) upstreamOf(model, tenantUpstream string) string {
	for i := range r.upstreams {
		if r.upstreams[i].models.Match(model) {
			return r.upstreams[i].name
		}
	}
	return tenantUpstream
}

// Priced returns what a model id says about the model that is billed: of an
// opaque ARN, that of the model which the configuration maps it to.
func (r *Router) Priced(model string) wire.ModelID {
	return wire.ParseModelID(r.catalogue.named(model))
}
