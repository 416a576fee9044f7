package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Key is a key as people and programs see it. It has no secret.
type Key struct {
	ID     string `json:"key_id"`
	Tenant string `json:"tenant"`
	State  State  `json:"state"`
	// Source is where it comes from: configuration, issued, or both.
	Source string `json:"source"`
	keys.Settings
	Issued   *time.Time `json:"issued,omitempty"`
	IssuedBy string     `json:"issued_by,omitempty"`
	// Ends is when it ends because another one has replaced it.
	Ends       *time.Time `json:"ends,omitempty"`
	Replaces   string     `json:"replaces,omitempty"`
	ReplacedBy string     `json:"replaced_by,omitempty"`
	Reason     string     `json:"reason,omitempty"` // of the last freeze or revocation
	LastUsed   *time.Time `json:"last_used,omitempty"`
	// Note is what is odd about it, in words.
	Note    string `json:"note,omitempty"`
	Version string `json:"version,omitempty"`
}

// State is whether a key may be used.
type State string

// The states. Only an active key may be used.
const (
	Active  State = "active"
	Expired State = "expired"
	Frozen  State = "frozen" // the key, or its tenant, or one above that
	Revoked State = "revoked"
	// Unusable is a key that a later program restricts, whose tenant is gone, or whose root
	// secret is not loaded.
	Unusable State = "unusable"
)

// The sources of a key.
const (
	configured = "configuration"
	issued     = "issued"
	both       = "both"
)

// Find shows a key of which the configuration or an act knows.
func (o *Office) Find(id string) (Key, bool) {
	acts, of := o.state().Keys[id], o.Tenants().Configured(id)
	if acts == nil && of == "" {
		return Key{}, false
	}
	return o.show(id, of, acts), true
}

// state is what acts and the configuration have made of keys.
func (o *Office) state() *keys.State { return o.Book.State().With(o.Tenants().Set(), nil) }

// List shows all keys, by tenant and id; of one tenant and those below it, unless that is "".
func (o *Office) List(of string) []Key {
	var all []Key
	state, seen := o.state(), map[string]bool{}
	o.Tenants().EachKey(func(id, tenantID string) {
		seen[id] = true
		all = append(all, o.show(id, tenantID, state.Keys[id]))
	})
	for id, acts := range state.Keys {
		if !seen[id] {
			all = append(all, o.show(id, "", acts))
		}
	}
	all = slices.DeleteFunc(all, func(k Key) bool { return of != "" && !record.Within(k.Tenant, of) })
	slices.SortFunc(all, func(a, b Key) int { return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID)) })
	return all
}

func (o *Office) show(id, of string, acts *keys.Key) Key {
	k := Key{ID: id, Tenant: of, Source: configured, State: Active}
	if acts == nil {
		acts = &keys.Key{}
	}
	k.Settings, k.Reason, k.Version, k.ReplacedBy = acts.Settings, acts.Why, acts.Version, acts.ReplacedBy
	k.Ends = stamp(acts.Ends)
	if acts.Tenant != "" {
		k.Issued, k.IssuedBy, k.Replaces = stamp(acts.Issued), acts.IssuedBy, acts.Replaces
		k.Source = both
		if of == "" {
			k.Tenant, k.Source = o.Tenants().Current(acts.Tenant), issued
		} else if of != o.Tenants().Current(acts.Tenant) {
			k.Note = "issued for " + acts.Tenant + "; what the configuration says counts"
		}
	} else if of == "" {
		k.Source = ""
	}
	k.LastUsed = stamp(o.Book.Used(id))
	o.judge(&k, acts)
	return k
}

// judge says whether the key may be used.
func (o *Office) judge(k *Key, acts *keys.Key) {
	var err error
	if o.Secrets != nil {
		_, err = o.Secrets.Credentials(k.ID)
	}
	until := acts.Until()
	switch {
	case acts.Revoked:
		k.State = Revoked
		if k.Source == configured || k.Source == both {
			k.Note = "revoked, although the configuration lists it"
		}
	case acts.Later:
		k.State, k.Note = Unusable, "a later program has restricted it"
	case k.Tenant == "" && len(acts.Frozen) == 0:
		k.State, k.Note = Unusable, "nobody has issued it, and no configuration here lists it"
	case k.Tenant != "" && o.Tenants().Lookup(k.Tenant) == nil:
		k.State, k.Note = Unusable, "its tenant is not in the configuration"
	case err != nil:
		k.State, k.Note = Unusable, err.Error()
	case len(acts.Frozen) > 0:
		k.State = Frozen
	case o.Tenants().Frozen(o.Book.State(), k.Tenant):
		k.State, k.Note = Frozen, "its tenant, or one above, is frozen"
	case !until.IsZero() && !o.Book.Clock(o.Now()).Before(until):
		k.State = Expired
	}
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
