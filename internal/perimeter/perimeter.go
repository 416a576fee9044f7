// Package perimeter decides which AWS resources a request may name: models,
// profiles and prompts by ARN, guardrails, places in S3, keys of KMS. It is asked
// beside the policy of a tenant, which knows models alone: the role of the gateway
// may reach more than its callers should (a confused deputy).
//
// A name that is no ARN means something in the account of whoever signs, which is
// the gateway's own, and passes. An ARN passes when its form is exact, its kind, its
// region and its account are among those that the configuration allows. Of tenants it
// knows their lists of guardrails and places alone. It reads bodies without decoding them,
// and changes nothing.
package perimeter

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/glob"
	"github.com/sluice-gateway/sluice/internal/role"
)

// Accounts finds out which AWS account requests are signed for. *bedrock.Engine is
// the real one.
type Accounts interface {
	Account(ctx context.Context, upstream string, as role.Role) (id string, err error)
}

// Perimeter is what may be named. It is immutable. The zero value allows no account.
type Perimeter struct {
	every     bool                // any account
	accounts  map[string]bool     // by number
	listed    bool                // the configuration lists them: the gateway's own is asked of nobody
	regions   map[string]bool     // nil: those that upstreams are in, which the router sees to
	kinds     map[string]bool     // of ARNs
	mapped    map[string]bool     // ARNs that the configuration says the model of, whatever their kind
	owners    map[string][]string // of the profiles that tenants have for themselves
	everybody lists
	tenants   map[string]lists     // of those that have lists of their own, which only narrow
	roles     map[string]glob.List // of batch jobs, by tenant
}

// lists are what guardrails, places in S3, knowledge bases and agents may be named, nil for any.
type lists struct{ guardrails, places, knowledge glob.List }

func newLists(of *config.Resources) (l lists) {
	for _, one := range [...]struct {
		to    *glob.List
		globs []string
	}{{&l.guardrails, of.Guardrails}, {&l.places, of.S3}, {&l.knowledge, of.Knowledge}} {
		if one.globs != nil {
			*one.to = glob.CompileList(one.globs)
		}
	}
	return l
}

// lists reports whether a name is in the lists that of returns: everybody's, those of a
// tenant, and those of the tenants above it.
func (p *Perimeter) lists(tenant, name string, of func(*lists) glob.List) bool {
	if all := of(&p.everybody); all != nil && !all.Match(name) {
		return false
	}
	for len(p.tenants) > 0 && tenant != "" {
		own := p.tenants[tenant]
		if l := of(&own); l != nil && !l.Match(name) {
			return false
		}
		tenant = tenant[:max(0, strings.LastIndexByte(tenant, '/'))]
	}
	return true
}

// Compile reads what a configuration allows.
func Compile(cfg *config.Config) *Perimeter {
	p := &Perimeter{
		accounts: set(cfg.AllowedAccounts), listed: cfg.AllowedAccounts != nil, regions: set(cfg.AllowedRegions),
		kinds: set(cfg.AllowedKinds), mapped: map[string]bool{}, owners: map[string][]string{},
		roles: map[string]glob.List{},
	}
	p.every = p.accounts[config.AnyAccount]
	if !p.listed {
		p.accounts = named(cfg)
	}
	if p.kinds == nil {
		p.kinds = ownKinds()
	}
	for arn := range cfg.Behind {
		p.mapped[arn] = true
	}
	for i := range cfg.Tenants {
		for _, arn := range cfg.Tenants[i].ModelMap {
			if _, shared := cfg.ModelMap[arn]; !shared {
				p.owners[arn] = append(p.owners[arn], cfg.Tenants[i].ID)
			}
		}
	}
	p.everybody = newLists(&config.Resources{
		Guardrails: cfg.AllowedGuardrails, S3: cfg.AllowedS3, Knowledge: cfg.AllowedKnowledge,
	})
	p.tenants = map[string]lists{}
	for i := range cfg.Tenants {
		if b := cfg.Tenants[i].Batch; b != nil {
			p.roles[cfg.Tenants[i].ID] = glob.CompileList(b.Roles)
		}
		if own := cfg.Tenants[i].Resources; own != nil {
			p.tenants[cfg.Tenants[i].ID] = newLists(own)
		}
	}
	return p
}

// set is nil for nil: no list is something else than an empty one.
func set(words []string) map[string]bool {
	if words == nil {
		return nil
	}
	all := make(map[string]bool, len(words))
	for _, w := range words {
		all[w] = true
	}
	return all
}

// ownKinds are the kinds of ARN that a request may name unless allowed_kinds says otherwise:
// all of Bedrock's own. An endpoint of SageMaker is named by model_map, or by allowed_kinds.
func ownKinds() map[string]bool {
	all := set(config.ARNKinds)
	for kind := range modelServices {
		delete(all, kind)
	}
	return all
}

var accountWithin = regexp.MustCompile(`:([0-9]{12}):`)

// named are the accounts that a configuration names by the way: those of roles, of
// ARNs that model_map and model_upstreams have, and of the stand-in. Beside the
// gateway's own they are allowed where allowed_accounts is not written.
func named(cfg *config.Config) map[string]bool {
	all := map[string]bool{}
	add := func(text string) {
		for _, found := range accountWithin.FindAllStringSubmatch(text, -1) {
			all[found[1]] = true
		}
	}
	standIn := func(u *config.Upstream) {
		add(u.Role.ARN)
		if u.Endpoint == config.Sandbox {
			all[config.SandboxAccount] = true
		}
	}
	standIn(&cfg.Upstream)
	for _, u := range cfg.Upstreams {
		standIn(&u)
	}
	for i := range cfg.Tenants {
		if r := cfg.Tenants[i].Role; r != nil {
			add(r.ARN)
		}
	}
	for arn := range cfg.Behind {
		add(arn)
	}
	for _, m := range cfg.ModelUpstreams {
		add(m.Glob)
	}
	return all
}

// Owns reports whether a tenant may name an ARN as far as that is the profile of some tenants: it is
// one of them, or below one.
func (p *Perimeter) Owns(tenant, arn string) bool {
	owners := p.owners[arn]
	for of := tenant; of != ""; of = of[:max(0, strings.LastIndexByte(of, '/'))] {
		if slices.Contains(owners, of) {
			return true
		}
	}
	return len(owners) == 0
}

// Stranger is the first account in an ARN, or in a pattern of some, that requests may not
// name as far as the configuration says; "" for none.
func (p *Perimeter) Stranger(text string) string {
	for _, found := range accountWithin.FindAllStringSubmatch(text, -1) {
		if !p.every && !p.accounts[found[1]] {
			return found[1]
		}
	}
	return ""
}
