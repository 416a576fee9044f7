// Package admin is what people with the right to it do to keys: it checks what they ask
// for, makes the acts of it, and shows what keys there are. Commands use it directly, the
// page and programs by the HTTP API of this package, which docs/keys.md describes.
package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/tenant"
)

// What is wrong with what somebody asked for.
var (
	// ErrUnknown is a key or tenant that there is not.
	ErrUnknown = errors.New("not found")
	// ErrInvalid is something that nobody may ask for.
	ErrInvalid = errors.New("invalid")
	// ErrConflict is something that does not go with what the key is now.
	ErrConflict = errors.New("conflict")
	// ErrVersion is a change of a key that somebody else has changed meanwhile.
	ErrVersion = errors.New("the key has been changed meanwhile")
)

// Office acts on keys. All fields but Random must be set.
type Office struct {
	Book    *keys.Book
	Secrets *tenant.Secrets // nil: keys are only looked at
	// Tenants is the configuration in use.
	Tenants func() *tenant.Directory
	Now     func() time.Time
	Random  io.Reader // nil: crypto/rand
}

// Who acts, as the audit log has it.
type Who struct{ Name, Reason string }

func (o *Office) newID() (string, error) {
	random := o.Random
	if random == nil {
		random = rand.Reader
	}
	return o.Secrets.NewKeyID(random)
}

// Issue makes a key for a tenant.
func (o *Office) Issue(ctx context.Context, by Who, tenantID string, s keys.Settings) (Key, error) {
	if o.Tenants().Lookup(tenantID) == nil {
		return Key{}, fmt.Errorf("%w: the configuration has no tenant %q", ErrUnknown, tenantID)
	}
	if err := o.check(&s); err != nil {
		return Key{}, err
	}
	id, err := o.newID()
	if err != nil {
		return Key{}, err
	}
	return o.act(ctx, id, func(*keys.State) ([]keys.Act, error) {
		return []keys.Act{{Kind: keys.Issue, Key: id, Tenant: tenantID, Settings: &s, Actor: by.Name, Reason: by.Reason}}, nil
	})
}

// check finds what is wrong with settings for a key that is to be used.
func (o *Office) check(s *keys.Settings) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if s.Expires != nil {
		at := s.Expires.UTC().Truncate(time.Second)
		if s.Expires = &at; !o.Book.Clock(o.Now()).Before(at) {
			return fmt.Errorf("%w: it would expire at %s, which is over", ErrInvalid, at.Format(time.RFC3339))
		}
	}
	return nil
}

// act does what decide says about a key, tells others, and returns the key after that.
func (o *Office) act(ctx context.Context, id string, decide func(*keys.State) ([]keys.Act, error)) (Key, error) {
	if err := o.Book.Do(decide); err != nil {
		return Key{}, err
	}
	o.tell(ctx)
	k, _ := o.Find(id)
	return k, nil
}

// tellWithin is how long who acts waits for the ledger.
const tellWithin = time.Second

// tell lets others know at once. Who asks sees in Waiting, and everybody in /readyz, when
// they do not yet.
func (o *Office) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	_ = o.Book.Refresh(ctx)
}

// alive is a key that may still be used some time, or why there is none.
func (o *Office) alive(s *keys.State, id string) (k keys.Key, tenantID string, err error) {
	if acts := s.Keys[id]; acts != nil {
		k = *acts
	}
	switch tenantID = o.tenantOf(&k, id); {
	case !tenant.IsKeyID(id):
		err = fmt.Errorf("%w: %q is not a key id", ErrInvalid, id)
	case k.Revoked:
		err = fmt.Errorf("%w: key %s is revoked, for ever; issue another one", ErrConflict, id)
	case tenantID == "":
		err = fmt.Errorf("%w: there is no key %s", ErrUnknown, id)
	}
	return k, tenantID, err
}

// tenantOf is whose a key is: what the configuration says comes first.
func (o *Office) tenantOf(k *keys.Key, id string) string {
	if of := o.Tenants().Configured(id); of != "" {
		return of
	}
	return o.Tenants().Current(k.Tenant)
}

// Change sets all settings of a key anew: change makes them of those of now. version, if
// not "", is what the key must be at.
func (o *Office) Change(
	ctx context.Context, by Who, id, version string, change func(*keys.Settings) error,
) (Key, error) {
	return o.act(ctx, id, func(s *keys.State) ([]keys.Act, error) {
		k, _, err := o.alive(s, id)
		if err != nil {
			return nil, err
		}
		if version != "" && version != k.Version {
			return nil, ErrVersion
		}
		configured, before := o.Tenants().Set()[id], k.Expires
		shown := configured.Over(k.Settings)
		set := shown
		if err := change(&set); err != nil {
			return nil, err
		}
		if vain := configured.Keep(&k.Settings, &shown, &set); len(vain) > 0 {
			return nil, fmt.Errorf("%w: the configuration sets %s of key %s; change it there", ErrConflict,
				strings.Join(vain, " and "), id)
		}
		if !sameTime(set.Expires, before) { // to name an expired key is no reason to give it more time
			err = o.check(&set)
		} else if err = set.Check(); err != nil {
			err = fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if err != nil {
			return nil, err
		}
		return []keys.Act{{Kind: keys.Change, Key: id, Settings: &set, Actor: by.Name, Reason: by.Reason}}, nil
	})
}

func sameTime(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

// Rotate issues a key with the settings of another one, which ends after a time of grace.
// Budgets of the key count both.
func (o *Office) Rotate(ctx context.Context, by Who, id string, grace time.Duration, expires *time.Time) (Key, error) {
	next, err := o.newID()
	if err != nil {
		return Key{}, err
	}
	if grace < 0 {
		return Key{}, fmt.Errorf("%w: a time of grace below zero", ErrInvalid)
	}
	return o.act(ctx, next, func(s *keys.State) ([]keys.Act, error) {
		k, tenantID, err := o.alive(s, id)
		if err != nil {
			return nil, err
		}
		if len(k.Frozen) > 0 {
			return nil, fmt.Errorf("%w: key %s is frozen; unfreeze it before, or issue another one", ErrConflict, id)
		}
		set := o.Tenants().Set()[id].Over(k.Settings)
		if expires != nil {
			set.Expires = expires
		}
		if err := o.check(&set); err != nil {
			return nil, err
		}
		end := o.Book.Clock(o.Now()).Add(grace).UTC().Truncate(time.Second)
		return []keys.Act{{
			Kind: keys.Issue, Key: next, Tenant: tenantID, Settings: &set, Replaces: id, Ends: &end,
			Actor: by.Name, Reason: by.Reason,
		}}, nil
	})
}

// Freeze refuses a key until it is thawed. It may be one that nobody here knows.
func (o *Office) Freeze(ctx context.Context, by Who, id string) (Key, error) {
	return o.act(ctx, id, func(s *keys.State) ([]keys.Act, error) {
		k := s.Keys[id]
		switch {
		case !tenant.IsKeyID(id):
			return nil, fmt.Errorf("%w: %q is not a key id", ErrInvalid, id)
		case k != nil && k.Revoked:
			return nil, fmt.Errorf("%w: key %s is revoked", ErrConflict, id)
		case k != nil && len(k.Frozen) > 0:
			return nil, nil
		}
		return []keys.Act{{Kind: keys.Freeze, Key: id, Actor: by.Name, Reason: by.Reason}}, nil
	})
}

// Thaw lifts the freezes of a key.
func (o *Office) Thaw(ctx context.Context, by Who, id string) (Key, error) {
	return o.act(ctx, id, func(s *keys.State) ([]keys.Act, error) {
		k, _, err := o.alive(s, id)
		if err != nil || len(k.Frozen) == 0 {
			return nil, err
		}
		return []keys.Act{{Kind: keys.Thaw, Key: id, Lifts: k.Frozen, Actor: by.Name, Reason: by.Reason}}, nil
	})
}

// Revoke refuses a key for ever. It may be one that nobody here knows.
func (o *Office) Revoke(ctx context.Context, by Who, id string) (Key, error) {
	return o.act(ctx, id, func(s *keys.State) ([]keys.Act, error) {
		if !tenant.IsKeyID(id) {
			return nil, fmt.Errorf("%w: %q is not a key id", ErrInvalid, id)
		}
		if k := s.Keys[id]; k != nil && k.Revoked {
			return nil, nil
		}
		return []keys.Act{{Kind: keys.Revoke, Key: id, Actor: by.Name, Reason: by.Reason}}, nil
	})
}

// FreezeTenant refuses all keys of a tenant and of those below it.
func (o *Office) FreezeTenant(ctx context.Context, by Who, id string) error {
	return o.actOnTenant(ctx, func(s *keys.State) ([]keys.Act, error) {
		if len(s.Freezes(id)) > 0 {
			return nil, nil
		}
		if !o.Tenants().Covers(id) {
			return nil, fmt.Errorf("%w: the configuration has no tenant %q, and none below it", ErrUnknown, id)
		}
		return []keys.Act{{Kind: keys.Freeze, Tenant: id, Actor: by.Name, Reason: by.Reason}}, nil
	})
}

// ThawTenant lifts the freezes of a tenant, also those under names that it had before, but
// not those of tenants above it.
func (o *Office) ThawTenant(ctx context.Context, by Who, id string) error {
	return o.actOnTenant(ctx, func(s *keys.State) ([]keys.Act, error) {
		var acts []keys.Act
		for _, name := range o.Tenants().Names(id) {
			lifts := s.Freezes(name)
			switch {
			case len(lifts) == 0:
			case name != id && o.Tenants().Lookup(name) != nil:
				return nil, fmt.Errorf("%w: tenant %q is frozen as %q, which is another tenant's name by now: unfreeze that",
					ErrConflict, id, name)
			default:
				acts = append(acts, keys.Act{Kind: keys.Thaw, Tenant: name, Lifts: lifts, Actor: by.Name, Reason: by.Reason})
			}
		}
		if len(acts) == 0 {
			return nil, fmt.Errorf("%w: tenant %q itself is not frozen", ErrConflict, id)
		}
		return acts, nil
	})
}

// FrozenTenants are the tenants that are frozen, as they are called now, sorted.
func (o *Office) FrozenTenants() []string {
	all := o.Book.State().FrozenTenants()
	for i, name := range all {
		all[i] = o.Tenants().Current(name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (o *Office) actOnTenant(ctx context.Context, decide func(*keys.State) ([]keys.Act, error)) error {
	err := o.Book.Do(decide)
	if err == nil {
		o.tell(ctx)
	}
	return err
}
