package tenant

import (
	"cmp"
	"slices"
)

// residencies are how far requests may go, from anywhere to nowhere else. A word that is not here comes first.
var residencies = []string{"any", "geo", "region"}

// looser reports whether one residency lets requests go further than another.
func looser(one, other string) bool {
	return slices.Index(residencies, one) < slices.Index(residencies, other)
}

// within narrows what a tenant may do by what those above it may, and gives it their service tier and session budget.
func (t *Tenant) within(above *Tenant) {
	t.Tier, t.Session = cmp.Or(t.Tier, above.Tier), cmp.Or(t.Session, above.Session)
	if t.Spill == nil {
		t.Spill = above.Spill
	}
	if looser(t.Residency, above.Residency) {
		t.Residency = above.Residency
	}
	for _, term := range above.Require {
		if !slices.Contains(t.Require, term) {
			t.Require = append(slices.Clip(t.Require), term)
		}
	}
}

// checkResidency refuses a residency that lets a tenant's requests go further than those above it may.
func (b *builder) checkResidency(i int) {
	c := &b.dir.config[i]
	if c.Residency == "" {
		return
	}
	for id := parent(c.ID); id != ""; id = parent(id) {
		at, there := b.dir.tenants[id]
		if !there {
			continue
		}
		if above := b.dir.config[at].Residency; looser(c.Residency, above) {
			b.fail(i, "residency", "%s lets requests go further than %s of %s above it does", c.Residency, above, id)
			return
		}
	}
}
