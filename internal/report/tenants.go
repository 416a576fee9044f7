package report

import (
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
	for id := range own {
		t.byID[id] = inherited(own, id)
	}
	return t
}

func inherited(own map[string]*config.Tenant, id string) *Tenant {
	t := &Tenant{Tags: map[string]string{}}
	for end := 0; end >= 0; {
		next := strings.IndexByte(id[end:], '/')
		part := id
		if next >= 0 {
			part = id[:end+next]
			end += next + 1
		} else {
			end = -1
		}
		if c := own[part]; c != nil {
			if c.CostCenter != "" {
				t.CostCenter = c.CostCenter
			}
			maps.Copy(t.Tags, c.Tags)
		}
	}
	if c := own[id]; c != nil {
		t.Name = c.Name
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
