package leg

import (
	"cmp"
	"context"

	"github.com/sluice-gateway/sluice/config/pools"
	"github.com/sluice-gateway/sluice/internal/money"
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
	q := router.ProfileQuery{Model: model, Upstream: pools.First(r.Snapshot.Config.Pools, t.Upstream), Role: t.Role()}
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
	s := perimeter.Signer{Tenant: t.ID, Upstream: upstream, Role: t.Role(), Offline: r.Snapshot.Upstream == nil}
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

// rankedAtOnce is how many documents one query of a model that ranks may have; a longer list is billed as several
// queries (Amazon Bedrock pricing, rerank models).
const rankedAtOnce = 100

// newAgentPlan plans an operation of the host bedrock-agent-runtime. Its bytes pass as they are. What is known of its
// price is that of the model in its body; an agent's models are known when its trace names them.
func newAgentPlan(r *Request) (*Plan, *wire.Error) {
	find, t := r.Snapshot.Router, r.Caller.Tenant
	asked, model := r.Target.Model, find.Resolve(r.Target.Model)
	if asked != "" && !t.AllowsModel(asked, model) {
		return nil, wire.Errorf(wire.KindAccessDenied, "You do not have access to the model %s.", asked)
	}
	upstream, err := find.Upstream(model, t.Upstream)
	if err != nil {
		return nil, err
	}
	name := "knowledge-base/" + knowledge(&r.Target)
	if r.Target.Op == wire.OpInvokeAgent {
		name = "agent/" + knowledge(&r.Target)
	}
	p := &Plan{Leg: router.Leg{Model: cmp.Or(model, name)}, Upstream: upstream, Facts: &r.Facts}
	if err := cmp.Or(p.bounded(r, model), p.onMantle(r)); err != nil {
		return nil, err
	}
	p.SKU = r.Snapshot.SKU(p.Model, "", "", upstream)
	switch op := r.Target.Op; {
	case op == wire.OpRerank:
		p.Pieces.Queries = int64(r.Facts.Documents+rankedAtOnce-1) / rankedAtOnce
	case op == wire.OpRetrieve && model != "":
		p.Pieces.Queries = 1 // a retrieval finds at most a hundred
	}
	return p, p.price(r)
}

// agentWorst is the most that an operation of bedrock-agent-runtime can cost. It is not known of what reads what a
// knowledge base finds, or calls models as often as it likes. A retrieval alone has no price of its own.
func agentWorst(r *Request, p *Plan) (money.Pico, bool) {
	switch op := r.Target.Op; {
	case op == wire.OpRetrieve && r.Target.Model == "":
		return 0, true
	case op == wire.OpRetrieve, op == wire.OpRerank:
		return p.Price.PiecesCost(p.Pieces)
	}
	return 0, false
}
