package leg

import (
	"cmp"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

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
