package controlplane

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// Callable lists what a tenant may name as the model of a request: the aliases first, then
// profiles and models, each group sorted. Models that make pictures are not among them.
func Callable(s *snapshot.Snapshot, t *tenant.Tenant, now time.Time) []caller.Listed {
	p := &plane{snapshot: s, tenant: t, now: now}
	var ids []string
	for _, alias := range slices.Sorted(maps.Keys(s.Config.Aliases)) {
		if p.allowed(alias) {
			ids = append(ids, alias)
		}
	}
	var models []string
	for _, foundation := range p.foundations() {
		if output(foundation, s.Router.Catalogue(foundation)) == image {
			continue
		}
		for _, id := range p.spellings(foundation) {
			if p.allowed(id) {
				models = append(models, id)
			}
		}
	}
	for arn := range s.Config.Behind {
		if p.own(arn) {
			models = append(models, arn)
		}
	}
	slices.Sort(models)
	all := make([]caller.Listed, 0, len(ids)+len(models))
	for _, id := range append(ids, models...) {
		all = append(all, p.listed(id))
	}
	return all
}

func (p *plane) listed(id string) caller.Listed {
	m := caller.Listed{ID: id, Name: id, Owner: "system"}
	if f := p.snapshot.Router.Priced(p.snapshot.Router.Resolve(id)).Foundation; f != "" {
		m.Owner, _, _ = strings.Cut(f, ".")
		if _, aliased := p.snapshot.Config.Aliases[id]; !aliased {
			m.Name = title(f)
		}
	}
	return m
}

// spellings are the ids by which a foundation model can be called: its own where it is served
// on demand, and those of its profiles.
func (p *plane) spellings(foundation string) (ids []string) {
	scopes := p.scopes(foundation)
	if p.snapshot.Prices.Lists(record.SKU{Model: foundation, Region: p.region(foundation)}, p.now) || len(scopes) == 0 {
		ids = append(ids, foundation)
	}
	for _, scope := range scopes {
		ids = append(ids, scope+"."+foundation)
	}
	return ids
}

// Named is the id of the model that its maker calls by a name: claude-sonnet-4-5 or
// claude-sonnet-4-5-20250929 for Anthropic's. It is the first spelling that the tenant may use, "" when
// the catalogue has no such model.
func Named(s *snapshot.Snapshot, t *tenant.Tenant, maker, name string, now time.Time) string {
	p := &plane{snapshot: s, tenant: t, now: now}
	name = strings.TrimSuffix(name, "-latest")
	found := ""
	for foundation := range p.catalogue(maker + ".") {
		dated := withoutVersion(foundation[len(maker)+1:])
		if dated == name || withoutDate(dated) == name {
			found = max(found, foundation) // the last one has the latest date
		}
	}
	if found == "" {
		return ""
	}
	ids := p.spellings(found)
	if ids[0] == found {
		ids = append(ids[1:], found) // most of today's models are served through profiles alone
	}
	if i := slices.IndexFunc(ids, p.allowed); i >= 0 {
		return ids[i]
	}
	return ids[0]
}

// withoutVersion takes Bedrock's version off a model's name: -v1:0, -v1.
func withoutVersion(name string) string {
	i := strings.LastIndex(name, "-v")
	if i < 0 || strings.Trim(name[i+2:], "0123456789:") != "" {
		return name
	}
	return name[:i]
}

// withoutDate takes the date off a model's name: -20250929.
func withoutDate(name string) string {
	i := strings.LastIndexByte(name, '-')
	if i < 0 || len(name)-i != 9 || strings.Trim(name[i+1:], "0123456789") != "" {
		return name
	}
	return name[:i]
}
