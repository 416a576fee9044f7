package keys

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// State is what all known acts come to. It is immutable.
type State struct {
	// Keys are all that an act is about, by id, those of the configuration too.
	Keys   map[string]*Key
	frozen map[string][]string // freezes in force, by tenant
	// Unsealed are acts whose seal no loaded root secret made. Those that give rights
	// have no effect.
	Unsealed int
}

// Key is what acts have made of one key. The zero value restricts nothing.
type Key struct {
	ID string
	// Tenant is whose it was issued as, "" for a key of the configuration alone.
	Tenant string
	Settings
	Issued   time.Time
	IssuedBy string
	// Version is the hash of the act that changed the key last.
	Version string

	Revoked bool
	// Frozen are hashes of the freezes in force.
	Frozen []string
	// Why is the reason of the last freeze or revocation.
	Why string
	// Ends is when the key ceases because another has replaced it; zero: it does not.
	Ends                 time.Time
	Replaces, ReplacedBy string
	// Later is whether an act of a later version is about it.
	Later bool
	// Family is the id that budgets of the key count under: that of the first key in
	// the line of replacements, so that a rotation is no way to a fresh budget.
	Family string
	// Own is what limits the key itself, nil for nothing.
	Own *Own
}

// Own is what limits one key, beside what limits its tenant.
type Own struct {
	// Name is what the windows are of, behind the tenant and "//": no tenant path has
	// an empty element.
	Name    string
	Budgets []config.Budget
	Limits  config.Limits
}

// Until is when the key ceases to be valid, zero for never.
func (k *Key) Until() time.Time {
	switch {
	case k.Expires == nil:
		return k.Ends
	case k.Ends.IsZero() || k.Expires.Before(k.Ends):
		return *k.Expires
	}
	return k.Ends
}

// Freezes returns the freezes in force for a tenant itself.
func (s *State) Freezes(tenant string) []string { return s.frozen[tenant] }

// FrozenTenants are the tenants with a freeze in force, sorted.
func (s *State) FrozenTenants() []string { return slices.Sorted(maps.Keys(s.frozen)) }

// AnyFrozen reports whether some tenant is frozen.
func (s *State) AnyFrozen() bool { return len(s.frozen) > 0 }

// Frozen reports whether a tenant or one above it is frozen.
func (s *State) Frozen(tenant string) bool {
	for id := tenant; id != "" && len(s.frozen) > 0; id = id[:max(0, strings.LastIndexByte(id, '/'))] {
		if len(s.frozen[id]) > 0 {
			return true
		}
	}
	return false
}

// before orders acts: by clock, then by writer. Acts of which each knew the one
// before are in their order; of others every gateway makes the same.
func before(a, b *known) int {
	return cmp.Or(cmp.Compare(a.Act.Clock, b.Act.Clock), cmp.Compare(a.Act.Writer, b.Act.Writer),
		cmp.Compare(a.Act.Number, b.Act.Number), cmp.Compare(a.hash, b.hash))
}

// merging is a State in the making.
type merging struct {
	*State
	changed map[string]bool   // keys whose settings an act has changed
	freezes map[string]*known // by hash
	lifted  map[string]bool   // hashes of freezes
}

// merge makes the state of acts, which are in order. It keeps what is the same in
// the previous state, nil for none.
func merge(acts []*known, previous *State) *State {
	m := merging{
		&State{Keys: map[string]*Key{}, frozen: map[string][]string{}}, map[string]bool{},
		map[string]*known{}, map[string]bool{},
	}
	for _, a := range acts {
		if a.Act.Kind == Freeze {
			m.freezes[a.hash] = a
		}
	}
	for _, a := range acts {
		m.add(a)
	}
	for _, a := range acts {
		if a.Act.Kind != Freeze || m.lifted[a.hash] {
			continue
		}
		if a.Act.Key != "" {
			k := m.key(a.Act.Key)
			k.Frozen = append(k.Frozen, a.hash)
		} else {
			m.frozen[a.Act.Tenant] = append(m.frozen[a.Act.Tenant], a.hash)
		}
	}
	for _, k := range m.Keys {
		k.Family = m.family(k)
		k.limit(previous)
	}
	return m.State
}

// limit makes Own of the settings: the same value as in the previous state while it is
// equal, because policies are kept by it.
func (k *Key) limit(previous *State) {
	k.Own = own(k)
	if previous != nil && previous.Keys[k.ID] != nil && reflect.DeepEqual(k.Own, previous.Keys[k.ID].Own) {
		k.Own = previous.Keys[k.ID].Own
	}
}

func (m *merging) key(id string) *Key {
	k := m.Keys[id]
	if k == nil {
		k = &Key{ID: id}
		m.Keys[id] = k
	}
	return k
}

// add takes an act in. Only what takes rights away needs no seal.
func (m *merging) add(a *known) {
	act := &a.Act
	if !a.verified {
		m.Unsealed++
	}
	if act.V > actVersion {
		m.addLater(a)
		return
	}
	switch act.Kind {
	case Revoke:
		k := m.key(act.Key)
		k.Revoked, k.Why, k.Version = true, act.Reason, a.hash
	case Freeze:
		if act.Key != "" {
			k := m.key(act.Key)
			k.Why, k.Version = act.Reason, a.hash
		}
	case Thaw:
		m.thaw(a)
	case Issue, Change:
		if a.verified && act.Settings != nil && act.Key != "" {
			m.set(a)
		}
	default:
		m.addLater(a)
	}
}

// addLater takes in an act that this program does not understand.
func (m *merging) addLater(a *known) {
	if a.Act.Key != "" && a.verified {
		m.key(a.Act.Key).Later = true
	}
}

// thaw lifts freezes. One without a seal lifts only those without a seal: both are
// of a root secret that is gone.
func (m *merging) thaw(a *known) {
	for _, hash := range a.Act.Lifts {
		f := m.freezes[hash]
		if f == nil || f.Act.Key != a.Act.Key || f.Act.Tenant != a.Act.Tenant || f.verified && !a.verified {
			continue
		}
		m.lifted[hash] = true
		if a.Act.Key != "" {
			m.key(a.Act.Key).Version = a.hash
		}
	}
}

// set takes in an issue or a change. The first issue of an id decides whose it is, the
// last change what is set.
func (m *merging) set(a *known) {
	act, k := &a.Act, m.key(a.Act.Key)
	if act.Kind == Change {
		k.Settings, k.Version, m.changed[act.Key] = *act.Settings, a.hash, true
		return
	}
	if k.Tenant != "" {
		return // issued twice: ids are random, so somebody has copied this one
	}
	k.Tenant, k.Issued, k.IssuedBy = act.Tenant, act.At, act.Actor
	if !m.changed[act.Key] {
		k.Settings, k.Version = *act.Settings, a.hash
	}
	if act.Replaces == "" {
		return
	}
	k.Replaces = act.Replaces
	old := m.key(act.Replaces)
	old.ReplacedBy, old.Version = act.Key, a.hash
	if act.Ends != nil && (old.Ends.IsZero() || act.Ends.Before(old.Ends)) {
		old.Ends = *act.Ends
	}
}

// family is the first key in the line of replacements that led to k.
func (m *merging) family(k *Key) string {
	id := k.ID
	for range m.Keys { // a circle, which only a forger can make, ends too
		before := m.Keys[id]
		if before == nil || before.Replaces == "" {
			break
		}
		id = before.Replaces
	}
	return id
}

// own is what limits a key itself. What cannot be read of it was written by a later
// program: then the key is refused.
func own(k *Key) *Own {
	if len(k.Budgets) == 0 && k.Limits == nil {
		return nil
	}
	o := &Own{Name: k.Family}
	for i := range k.Budgets {
		b, err := k.Budgets[i].config()
		if err != nil {
			k.Later = true
			continue
		}
		o.Budgets = append(o.Budgets, b)
	}
	if l := k.Limits; l != nil {
		o.Limits = config.Limits(*l)
	}
	return o
}
