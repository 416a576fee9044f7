package tenant

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/network"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// runtime is what was done to keys while gateways run, beside the configuration.
type runtime struct {
	book    *keys.Book // nil: nothing
	current atomic.Pointer[overlay]
}

// overlay is the keys that acts issued, by id, as of one state. It is made by whoever
// first asks after an act, and is immutable but for what is compiled in its slots.
type overlay struct {
	acts   *keys.State // what acts come to; nil: no act
	state  *keys.State // with what the configuration sets; nil: nothing
	issued map[string]*issuedSlot
}

// issuedSlot is a key that an act issued, and the key once it was used.
type issuedSlot struct {
	id, tenant string
	compiled   atomic.Pointer[key]
}

// overlay is that of the current state.
func (d *Directory) overlay() *overlay {
	r := &d.acts
	before, acts := r.current.Load(), r.book.State()
	if before.acts == acts {
		return before
	}
	o := &overlay{acts: acts, state: acts.With(d.set, before.state), issued: make(map[string]*issuedSlot)}
	for id, k := range o.state.Keys {
		if k.Tenant != "" {
			o.issued[id] = &issuedSlot{id: id, tenant: k.Tenant}
		}
	}
	r.current.Store(o) // two callers may both have made one, of states that follow each other: the next call looks
	return o
}

// Obey makes the directory heed what was and will be done to keys. It must not be in
// use yet.
func (d *Directory) Obey(b *keys.Book) { d.acts.book = b }

// find returns the key with this id, or one that nobody is admitted by. A key of the
// configuration is found in one map, whatever acts there are.
func (d *Directory) find(keyID string) *key {
	if d.secrets == nil {
		return d.stranger
	}
	o := d.overlay()
	i, ok := d.keys[keyID]
	if !ok {
		slot := o.issued[keyID]
		if slot == nil {
			return d.stranger
		}
		if k := slot.compiled.Load(); k != nil {
			return k
		}
		slot.compiled.CompareAndSwap(nil, d.compileKey(slot.id, slot.tenant, o, nil))
		return slot.compiled.Load()
	}
	slot := &d.keySlots[i]
	before := slot.compiled.Load()
	if before != nil && before.under == o {
		return before
	}
	t := &d.config[slot.tenant]
	k := d.compileKey(t.Keys[slot.index], t.ID, o, before) // keyID may be a part of the request
	if slot.compiled.CompareAndSwap(before, k) {
		return k
	}
	return d.find(keyID) // another request was first
}

// Keys is what acts and the configuration have made of keys, nil for nothing.
func (d *Directory) Keys() *keys.State { return d.overlay().state }

// Set is what the configuration sets of keys.
func (d *Directory) Set() keys.Configured { return d.set }

// Configured is the tenant whose key the configuration says that this is, "" for none.
func (d *Directory) Configured(keyID string) string {
	i, ok := d.keys[keyID]
	if !ok {
		return ""
	}
	return d.config[d.keySlots[i].tenant].ID
}

// setOf is what the configuration sets of a key, the zero value for nothing.
func (d *Directory) setOf(keyID string) (set config.Key) {
	i, ok := d.keys[keyID]
	if !ok {
		return set
	}
	if k := d.config[d.keySlots[i].tenant].KeySettings[keyID]; k != nil {
		set = *k
	}
	return set
}

// Covers reports whether there is a tenant of this id, or below it.
func (d *Directory) Covers(id string) bool {
	for i := range d.config {
		if record.Within(d.config[i].ID, id) {
			return true
		}
	}
	return false
}

// EachKey calls do for every key of the configuration.
func (d *Directory) EachKey(do func(keyID, tenant string)) {
	for i := range d.config {
		for _, id := range d.config[i].Keys {
			do(id, d.config[i].ID)
		}
	}
}

// compileKey makes a key as acts have left it. What proves it is that of before, if
// there was one.
func (d *Directory) compileKey(id, tenantID string, o *overlay, before *key) *key {
	dead := &key{bearer: d.stranger.bearer, secret: d.stranger.secret, under: o}
	var acts *keys.Key
	if o.state != nil {
		acts = o.state.Keys[id]
	}
	if acts != nil && (acts.Revoked || acts.Later) {
		return dead
	}
	t := d.Lookup(d.Current(tenantID))
	if t == nil { // it was issued for a tenant that the configuration does not have any more
		return dead
	}
	set := d.setOf(id)
	k := &key{identity: &Identity{Tenant: t, KeyID: id, Tier: set.Tier, Session: set.Session}, under: o}
	if before != nil && before.identity != nil {
		k.bearer, k.secret = before.bearer, before.secret
	} else {
		c, err := d.secrets.Credentials(id)
		if err != nil {
			return dead
		}
		k = newKey(c, k.identity)
		k.under = o
	}
	if acts != nil {
		k.identity.Own = acts.Own
		k.gate = gate{frozen: len(acts.Frozen) > 0, until: acts.Until(), networks: acts.Networks}
	}
	k.gate.frozen = k.gate.frozen || o.state != nil && d.Frozen(o.state, t.ID)
	return k
}

// Current is what a tenant is called now: its name, or where the configuration has none of
// that name, what it or one above it was renamed to, perhaps more than once.
func (d *Directory) Current(id string) string {
	for range len(d.renamed) + 1 { // names that lead in a circle end too
		next := d.renamedTo(id)
		if next == id {
			break
		}
		id = next
	}
	return id
}

func (d *Directory) renamedTo(id string) string {
	if _, there := d.tenants[id]; there {
		return id
	}
	for old := id; old != ""; old = parent(old) {
		if now, ok := d.renamed[old]; ok {
			return now + id[len(old):]
		}
	}
	return id
}

// Names are what a tenant is called, and what it was called before, by its own renames and
// those of tenants above it.
func (d *Directory) Names(id string) []string {
	all := []string{id}
	for i := 0; i < len(all) && len(all) <= 2*len(d.renamed)+1; i++ {
		for of := all[i]; of != "" && len(d.renamed) > 0; of = parent(of) {
			if at, ok := d.tenants[of]; ok && d.config[at].RenamedFrom != "" {
				if old := d.config[at].RenamedFrom + all[i][len(of):]; !slices.Contains(all, old) {
					all = append(all, old)
				}
			}
		}
	}
	return all
}

// Frozen reports whether a tenant or one above it is frozen, by its name or by what it was
// called before.
func (d *Directory) Frozen(s *keys.State, id string) bool {
	return s.Frozen(id) || s.AnyFrozen() && slices.ContainsFunc(d.Names(id), s.Frozen)
}

// gate is when and from where a key may be used. The zero value is always open.
type gate struct {
	frozen   bool
	until    time.Time // zero: for ever
	networks network.Set
}

// pass refuses a key that may not be used. Whoever gets to know why has proven it, but
// for the signature of a bearer key's body, which has none.
func (d *Directory) pass(k *key, now time.Time, from netip.Addr) *wire.Error {
	g, why := &k.gate, ""
	switch {
	case g.frozen:
		why = "This key is frozen."
	case !g.until.IsZero() && !d.acts.book.Clock(now).Before(g.until):
		why = "This key has expired."
	case len(g.networks) > 0 && !g.networks.Has(from):
		why = "This key may not be used from " + from.String() + "."
	default:
		return nil
	}
	return &wire.Error{Kind: wire.KindAccessDenied, Message: "Authentication failed: " + why}
}

// touch notes now and then that a key was used.
func (d *Directory) touch(k *key, now time.Time) {
	every := int64(keys.UsedEvery / time.Second)
	if at := now.Unix() / every; d.acts.book != nil && k.used.Load() != at {
		k.used.Store(at)
		d.acts.book.Touch(k.identity.KeyID, now)
	}
}
