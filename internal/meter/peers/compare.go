package peers

import (
	"cmp"
	"maps"
	"slices"
)

// Difference is a tenant for which another gateway's file says something else.
type Difference struct{ Gateway, Tenant string }

// maxNamed bounds the differences that are named. All are held.
const maxNamed = 100

// stricter returns what other files demand of the tenants of one beside its own rules:
// for each tenant the windows that one of them holds closer, or that are missing here.
func stricter(own map[string][]Rule, others []map[string][]Rule) map[string][]Rule {
	known, all := withParents(own), map[string][]Rule{}
	for _, other := range others {
		for tenant, rules := range other {
			for i := range rules {
				if known[tenant] && !covers(own[tenant], &rules[i]) {
					all[tenant] = Tighten(all[tenant], rules[i])
				}
			}
		}
	}
	return all
}

// differ lists the tenants that both files know and for which they do not say the same,
// in order.
func differ(own, other map[string][]Rule) []string {
	here, there := withParents(own), withParents(other)
	var all []string
	for tenant := range here {
		if there[tenant] && !same(own[tenant], other[tenant]) {
			all = append(all, tenant)
		}
	}
	slices.Sort(all)
	return all
}

// same reports whether two tenants have the same rules, in any order.
func same(a, b []Rule) bool {
	has := func(rules []Rule, r Rule) bool { return slices.Contains(rules, r) }
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r Rule) bool { return !has(b, r) })
}

// name lists the differences of the gateways' files to one, by gateway and tenant, and
// how many there are in all.
func name(own map[string][]Rule, others map[string]map[string][]Rule, files map[string]string) ([]Difference, int) {
	tenants := map[string][]string{} // by digest
	for digest, other := range others {
		tenants[digest] = differ(own, other)
	}
	var named []Difference
	total := 0
	for _, gateway := range slices.SortedFunc(maps.Keys(files), cmp.Compare[string]) {
		of := tenants[files[gateway]]
		total += len(of)
		for _, tenant := range of[:min(len(of), maxNamed-len(named))] {
			named = append(named, Difference{gateway, tenant})
		}
	}
	return named, total
}
