package keys

import (
	"maps"
	"reflect"

	"github.com/sluice-gateway/sluice/config"
)

// Configured is what a configuration sets of keys, by their ids.
type Configured map[string]*Settings

// NewConfigured reads what the tenants of a configuration set of their keys.
func NewConfigured(tenants []config.Tenant) Configured {
	var all Configured
	for i := range tenants {
		for id, k := range tenants[i].KeySettings {
			if all == nil {
				all = Configured{}
			}
			all[id] = settingsOf(k)
		}
	}
	return all
}

func settingsOf(k *config.Key) *Settings {
	s := &Settings{Name: k.Name, Owner: k.Owner, Networks: k.Networks}
	if !k.Expires.IsZero() {
		s.Expires = &k.Expires
	}
	for i := range k.Budgets {
		b := &k.Budgets[i]
		budget := Budget{Period: b.Period, USD: b.USD.String(), OnExceed: b.OnExceed, TimeZone: b.TimeZone}
		if b.HardUSD != 0 {
			budget.HardUSD = b.HardUSD.String()
		}
		s.Budgets = append(s.Budgets, budget)
	}
	if k.Limits != (config.Limits{}) {
		l := Limits(k.Limits)
		s.Limits = &l
	}
	return s
}

// fields are the settings one by one: whether one is set, and how it is taken over.
var fields = [...]struct {
	name string
	set  func(*Settings) bool
	take func(to, from *Settings)
}{
	{"name", func(s *Settings) bool { return s.Name != "" }, func(to, from *Settings) { to.Name = from.Name }},
	{"owner", func(s *Settings) bool { return s.Owner != "" }, func(to, from *Settings) { to.Owner = from.Owner }},
	{
		"expires", func(s *Settings) bool { return s.Expires != nil },
		func(to, from *Settings) { to.Expires = from.Expires },
	},
	{
		"networks", func(s *Settings) bool { return len(s.Networks) > 0 },
		func(to, from *Settings) { to.Networks = from.Networks },
	},
	{
		"budgets", func(s *Settings) bool { return len(s.Budgets) > 0 },
		func(to, from *Settings) { to.Budgets = from.Budgets },
	},
	{"limits", func(s *Settings) bool { return s.Limits != nil }, func(to, from *Settings) { to.Limits = from.Limits }},
}

// Over is settings with those that the configuration has in their place.
func (s *Settings) Over(set Settings) Settings {
	for i := range fields {
		if s != nil && fields[i].set(s) {
			fields[i].take(&set, s)
		}
	}
	return set
}

// Keep takes what a change makes of a key: before is what acts had set, and shown is what
// the key had with the configuration. What the configuration sets stays as acts had it. It
// returns the names of what the change would set there in vain.
func (s *Settings) Keep(before, shown *Settings, changed *Settings) (vain []string) {
	for i := range fields {
		if s == nil || !fields[i].set(s) {
			continue
		}
		var was, is Settings
		fields[i].take(&was, shown)
		fields[i].take(&is, changed)
		if !reflect.DeepEqual(was, is) {
			vain = append(vain, fields[i].name)
		}
		fields[i].take(changed, before)
	}
	return vain
}

// With is the state with what a configuration sets of keys: it wins over what acts set of
// the same. What limits a key stays the same value as in previous, while it is equal. A nil
// state has no acts.
func (s *State) With(of Configured, previous *State) *State {
	if len(of) == 0 {
		return s
	}
	all := &State{}
	if s != nil {
		*all = State{Keys: maps.Clone(s.Keys), frozen: s.frozen, Unsealed: s.Unsealed}
	}
	if all.Keys == nil {
		all.Keys = make(map[string]*Key, len(of))
	}
	for id, set := range of {
		k := Key{ID: id, Family: id}
		if acts := all.Keys[id]; acts != nil {
			k = *acts
		}
		k.Settings = set.Over(k.Settings)
		k.limit(previous)
		all.Keys[id] = &k
	}
	return all
}
