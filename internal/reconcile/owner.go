package reconcile

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Attribution is by what the bill itself says whose usage is: by application inference profiles, or by
// a tag of sessions or resources. The zero value is by profiles.
type Attribution struct {
	Tag string // "" for profiles
	// Of is what calls of a tenant have in the tag, "" for nothing. It is only asked with Tag.
	Of func(tenant string) string
}

// Owner is a profile, or a value of a tag, with what was billed and metered under it.
type Owner struct {
	Name string // ARN or value; "" for what has none
	// Tenants are whose calls were metered under it, in order.
	Tenants       []string
	Bill, Gateway int64
	USD           string // billed
}

// owned is an Owner while it is added up.
type owned struct {
	bill, gateway int64
	usd           big.Rat
	tenants       map[string]bool
}

// isProfile reports whether a name is that of an application inference profile.
func isProfile(name string) bool { return strings.Contains(name, ":application-inference-profile/") }

// line is whose a line of the bill is. AWS names tags of sessions iamPrincipal/NAME; those of resources
// are user_NAME in CUR 2.0, and NAME in FOCUS.
func (a *Attribution) line(l *line) string {
	if a.Tag == "" {
		if id := l.of("line_item_resource_id", "resourceid"); isProfile(id) {
			return id
		}
		return ""
	}
	var names []string
	tag := strings.ToLower(a.Tag)
	for _, of := range []string{"tags.", "resource_tags."} {
		names = append(names, of+"iamprincipal/"+tag, of+"user_"+tag, of+"user:"+tag, of+tag)
	}
	return l.of(names...)
}

// row is whose a row of the ledger is.
func (a *Attribution) row(k *record.RowKey) string {
	switch {
	case a.Tag != "":
		return a.Of(k.Tenant)
	case isProfile(k.Model):
		return k.Model
	}
	return ""
}

func (b *Bill) owned(name string) *owned {
	o := b.owners[name]
	if o == nil {
		o = &owned{tenants: map[string]bool{}}
		b.owners[name] = o
	}
	return o
}

// Owners are whose the usage is that was compared, most dollars first.
func (b *Bill) Owners() []Owner {
	all := make([]Owner, 0, len(b.owners))
	for _, name := range slices.Sorted(maps.Keys(b.owners)) {
		o := b.owners[name]
		all = append(all, Owner{name, slices.Sorted(maps.Keys(o.tenants)), o.bill, o.gateway, o.usd.FloatString(2)})
	}
	slices.SortStableFunc(all, func(x, y Owner) int {
		return cmp.Or(b.owners[y.Name].usd.Cmp(&b.owners[x.Name].usd), cmp.Compare(x.Name, y.Name))
	})
	return all
}
