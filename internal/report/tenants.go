package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
)

// Tenant is what the configuration says of a tenant for those who pay. The zero value is
// nothing.
type Tenant struct {
	Name, CostCenter string
	Tags             map[string]string
}

// tags are the tags as one text, in order.
func (t *Tenant) tags() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(t.Tags)) {
		all = append(all, name+"="+t.Tags[name])
	}
	return strings.Join(all, ",")
}

// Tenants are those of a configuration, by id. The zero value knows none.
type Tenants struct{ byID map[string]*Tenant }

// TenantsOf takes cost centers and tags down the tree: a tenant has those of the ones
// above it that it does not say otherwise. A name is of one tenant alone.
func TenantsOf(all []config.Tenant) Tenants {
	own := make(map[string]*config.Tenant, len(all))
	for i := range all {
		own[all[i].ID] = &all[i]
	}
	t := Tenants{map[string]*Tenant{}}
	for _, id := range slices.Sorted(maps.Keys(own)) { // those above come first
		c, above := own[id], t.Of(id)
		one := &Tenant{Name: c.Name, CostCenter: cmp.Or(c.CostCenter, above.CostCenter), Tags: map[string]string{}}
		maps.Copy(one.Tags, above.Tags)
		maps.Copy(one.Tags, c.Tags)
		t.byID[id] = one
	}
	return t
}

// Of is what is said of a tenant, or of the nearest one above it, never nil.
func (t Tenants) Of(id string) *Tenant {
	for of := id; ; {
		if found := t.byID[of]; found != nil {
			if of != id {
				return &Tenant{CostCenter: found.CostCenter, Tags: found.Tags}
			}
			return found
		}
		end := strings.LastIndexByte(of, '/')
		if end < 0 {
			return &Tenant{}
		}
		of = of[:end]
	}
}
