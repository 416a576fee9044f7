package router

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// How long a model found behind an application inference profile counts before it
// is asked for again, how long a failure does, and how many are kept.
const (
	profileKept, profileFailed = time.Hour, time.Minute
	maxProfiles                = 1024
)

// profiles are the models behind the application inference profiles that callers
// named and no model_map has. It is safe for concurrent use.
type profiles struct {
	mu    sync.RWMutex // guards known
	known map[string]profile
}

// profile is the model behind one, "" when that could not be found out.
type profile struct {
	model string
	until time.Time
}

func (p *profiles) model(arn string) string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.known[arn].model
}

func (p *profiles) fresh(arn string, now time.Time) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	found, ok := p.known[arn]
	return ok && now.Before(found.until)
}

// Unresolved reports whether a model id, which is no alias, is an application
// inference profile of which it has to be found out, or found out again, which
// model it is for.
func (r *Router) Unresolved(model string, now time.Time) bool {
	if _, mapped := r.catalogue.behind[model]; mapped {
		return false
	}
	return wire.ParseModelID(model).Kind == wire.ModelApplicationProfile && !r.catalogue.profiles.fresh(model, now)
}

// Learn notes which model an application inference profile is for, "" when that
// could not be found out: what was known before then stays.
func (r *Router) Learn(arn, model string, now time.Time) {
	p := r.catalogue.profiles
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxProfiles {
		maps.DeleteFunc(p.known, func(_ string, old profile) bool { return !now.Before(old.until) })
	}
	if len(p.known) >= maxProfiles {
		clear(p.known)
	}
	if p.known == nil {
		p.known = make(map[string]profile)
	}
	if model == "" {
		p.known[arn] = profile{p.known[arn].model, now.Add(profileFailed)}
		return
	}
	p.known[arn] = profile{model, now.Add(profileKept)}
}

// ProfileSource finds the model behind an inference profile. *bedrock.Engine is the
// real one.
type ProfileSource interface {
	InferenceProfile(ctx context.Context, upstream string, as role.Role, profile string) (model string, err error)
}

// Bounds of asking for profiles: how long one may take, and how many requests may
// wait for one. A caller who makes up profiles must not keep others waiting.
const (
	profileTimeout = 2 * time.Second
	profileQueue   = 8
)

// ProfileQueries are the questions for inference profiles, one at a time. The zero
// value has none. It is safe for concurrent use.
type ProfileQueries struct {
	mu      sync.Mutex // held while one is asked
	waiting atomic.Int64
}

// ProfileQuery asks for the model behind a model id, with the upstream and the role
// of the tenant who named it.
type ProfileQuery struct {
	Model, Upstream string
	Role            role.Role
}

// FindOut asks the source, once, and lets r learn what it said. It asks nothing about
// models that r knows, and while many wait. It fails with the source's error.
func (p *ProfileQueries) FindOut(ctx context.Context, r *Router, s ProfileSource, q ProfileQuery,
	now func() time.Time,
) error {
	if !r.Unresolved(q.Model, now()) {
		return nil
	}
	if p.waiting.Add(1); p.waiting.Load() > profileQueue {
		p.waiting.Add(-1)
		return nil
	}
	defer p.waiting.Add(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	upstream, refused := r.Upstream(q.Model, q.Upstream)
	if refused != nil || !r.Unresolved(q.Model, now()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, profileTimeout)
	defer cancel()
	found, err := s.InferenceProfile(ctx, upstream, q.Role, q.Model)
	r.Learn(q.Model, found, now())
	return err
}
