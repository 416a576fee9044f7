package leg

import (
	"context"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/perimeter"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Find fails for a model that may not be named, and otherwise finds out what is behind an
// application inference profile that no model_map has, where the upstream can tell. When
// it cannot, that stays unknown.
func (k *Asker) Find(ctx context.Context, r *Request, asked string) *wire.Error {
	t, find := r.Caller.Tenant, r.Snapshot.Router
	model := find.Resolve(asked)
	if err := r.MayName(ctx, asked, model); err != nil {
		return err
	}
	source, ok := r.Snapshot.Upstream.(router.ProfileSource)
	if !ok {
		return nil
	}
	q := router.ProfileQuery{Model: model, Upstream: pools.First(r.Snapshot.Config.Pools, t.Upstream), Role: t.Role}
	if err := k.profiles.FindOut(ctx, find, source, q, k.Now); err != nil {
		k.Log.Warn("the model behind an inference profile is not known; a line in model_map names it",
			"profile", q.Model, "err", err)
	}
	return nil
}

// MayName fails for models that may not be named.
func (r *Request) MayName(ctx context.Context, models ...string) *wire.Error {
	for _, model := range models {
		if !perimeter.IsARN(model) {
			continue
		}
		s, err := r.signer(model)
		if err != nil {
			return err
		}
		if err := r.Snapshot.Perimeter.Model(ctx, &s, model); err != nil {
			return err
		}
	}
	return nil
}

// signer is as whom a call of a model, or of another resource, is signed. It fails for
// an ARN of a region that the call does not go to.
func (r *Request) signer(of string) (perimeter.Signer, *wire.Error) {
	b := r.bounds()
	route, err := r.Snapshot.Router.Route(of, &b)
	return r.signedBy(route.Upstream), err
}

// signedBy is as whom calls of an upstream are signed.
func (r *Request) signedBy(upstream string) perimeter.Signer {
	t := r.Caller.Tenant
	s := perimeter.Signer{Tenant: t.ID, Upstream: upstream, Role: t.Role, Offline: r.Snapshot.Upstream == nil}
	s.Accounts, _ = r.Snapshot.Upstream.(perimeter.Accounts)
	return s
}

// Within fails when the request names a resource that it may not, in its path, its header
// or its body. It belongs after ReadFacts, for the model of an asynchronous job is in the
// body.
func (r *Request) Within(ctx context.Context) *wire.Error {
	model, find, p := r.Target.Model, r.Snapshot.Router, r.Snapshot.Perimeter
	if r.Target.Op.Starts() {
		if err := r.MayName(ctx, model, find.Resolve(model)); err != nil {
			return err
		}
	}
	if !r.Facts.MayName && !r.Facts.Guarded && !resourceInPath(r.Target.Op) {
		return nil // as mostly; what follows would take memory
	}
	s, err := r.signer(find.Resolve(model))
	if err != nil {
		return err
	}
	region := upstreamOf(r, s.Upstream).Region
	if r.Target.Op == wire.OpApplyGuardrail {
		if err := p.Guardrail(ctx, &s, region, r.Target.Resource); err != nil {
			return err
		}
	}
	if r.Target.Op.OnAgents() && r.Target.Resource != "" {
		if err := p.Knowledge(ctx, &s, knowledge(&r.Target)); err != nil {
			return err
		}
	}
	if r.Facts.Guarded {
		if err := p.Header(ctx, &s, region, r.Header); err != nil {
			return err
		}
	}
	if !r.Facts.MayName {
		return nil
	}
	return p.Body(ctx, &s, region, r.Body)
}

// resourceInPath reports whether the path names a resource that may be another's.
func resourceInPath(op wire.Operation) bool { return op == wire.OpApplyGuardrail || op.OnAgents() }

// knowledge is the knowledge base or the agent that the path names.
func knowledge(t *wire.Target) string {
	if t.Version == "" {
		return t.Resource
	}
	return t.Resource + "/" + t.Version
}
