package leg

import (
	"cmp"
	"fmt"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/batchjob"
	"github.com/sluice-gateway/sluice/internal/batchjob/ceiling"
	"github.com/sluice-gateway/sluice/internal/guardrail"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/capability"
	"github.com/sluice-gateway/sluice/internal/wire/fit"
)

// Plan is one model to ask, and what is known of that before it is asked. It does
// not change once it is asked: As and PaidBy return copies.
type Plan struct {
	router.Leg
	Index    int         // in the records of the request, from 0
	Path     router.Path // in its record, with Reason
	Reason   string
	Upstream string // configured name, "" for the default one
	// Profile is the application inference profile of who pays that is asked in place of Model, "" for Model itself.
	Profile string
	base    string // of OpenAI's own paths at the upstream, "" for the runtime host's
	SKU     record.SKU
	Price   *record.Price // nil: unpriced
	// Guardrail is what the units of a guardrail cost that works on the model's input
	// and output; nil for none.
	Guardrail *record.Price
	guards    *guardrail.Turn // what the guardrail reads of the conversation, nil for all of it
	Limit     wire.Limit      // of output tokens
	Pieces    wire.Pieces
	Facts     *wire.Facts // of the body, as this model reads it
	// Fitted is what of the body is another for this model than the caller's, of a cascade whose models are of several
	// generations; body is that body, nil for the caller's.
	Fitted []string
	body   []byte
	asked
	// Payer is who is charged for it, nil for the caller. What others pay for is
	// not repeated.
	Payer *tenant.Tenant
	// Input is tokens that the input will hardly exceed, and Cost what one attempt
	// may come to at most. They are 0 where nothing is held.
	Input int64
	Cost  budget.Amounts
}

// asked is where a plan is asked in turn, and for what job. The zero value is once, as the request asks for it.
type asked struct {
	tiers  config.Tier // service tiers to try
	try    try
	place  place // in capacity that was bought
	scopes scopes
	// Pool is where the calls may go, with the members that may take them; zero for Upstream alone.
	Pool router.Route
	turn member
	job  *ceiling.Cost // of a batch job, nil for none
}

// NewPlan finds out where a leg goes, how its output is capped and what it is
// priced as. It fails with the error that the caller gets.
func NewPlan(r *Request, planned router.Leg, index int) (*Plan, *wire.Error) {
	p := &Plan{Leg: planned, Index: index}
	if err := p.make(r); err != nil {
		return nil, err
	}
	return p, nil
}

// LightAlone is the plan of the light leg of a route's cascade, for a request that has it alone: first, if that is it,
// or a new one. It is nil when none can serve the request.
func LightAlone(r *Request, route *router.Plan, first *Plan) *Plan {
	switch {
	case route.Cascade == nil, len(r.Further) > 0:
		return nil
	case first.Role == router.RoleLight:
		return first
	case route.Unfit(route.Light.Model):
		return nil
	}
	light, err := NewPlan(r, route.Light, 0)
	if err != nil {
		return nil
	}
	return light
}

// make finds out what is not known of a plan yet.
func (p *Plan) make(r *Request) *wire.Error {
	var err *wire.Error
	if err = p.fit(r); err != nil {
		return err
	}
	if p.Facts, err = r.factsFor(p); err != nil {
		return err
	}
	if err = route(r, p); err != nil {
		return err
	}
	keepTier(r, p)
	if err = p.bounded(r, p.Model); err != nil {
		return err
	}
	if err = p.onMantle(r); err != nil {
		return err
	}
	if p.Origin() != r.Target.Model { // which was looked at before
		if err = r.MayName(r.Gone, p.Model); err != nil {
			return err
		}
	}
	if err = p.chooseProfile(r, r.Caller.Tenant); err != nil {
		return err
	}
	p.SKU = r.Snapshot.SKU(p.Model, pricedTier(r.Target.Op, p.Facts), p.Facts.Latency, p.Upstream)
	narrow(r, p)
	if err = choosePlace(p, r); err != nil {
		return err
	}
	p.Pieces = p.Facts.Pieces(p.Dialect, p.Body(r))
	if err = p.Facts.Limit(r.outputCap(p.Spec), &p.Limit); err != nil {
		return err
	}
	if err = p.bound(r); err != nil {
		return err
	}
	if err = p.chooseTiers(r); err != nil {
		return err
	}
	if err = p.price(r); err != nil {
		return err
	}
	chooseScopes(p, r)
	return readJob(r, p)
}

// pricedTier is which tier's price a leg has before any is tried.
func pricedTier(op wire.Operation, f *wire.Facts) string {
	if op == wire.OpCreateBatch {
		return batchjob.Tier
	}
	return f.ServiceTier
}

// chooseProfile finds the profile by which the bill says who pays. AWS takes profiles on its own paths alone.
func (p *Plan) chooseProfile(r *Request, payer *tenant.Tenant) *wire.Error {
	p.Profile = ""
	if op := r.Target.Op; !op.IsConverse() && !op.IsInvoke() {
		return nil
	}
	if p.Profile = payer.Profile(p.Model); p.Profile == "" {
		return nil
	}
	s := r.signedBy(p.Upstream)
	s.Tenant = payer.ID
	return r.Snapshot.Perimeter.Model(r.Gone, &s, p.Profile)
}

// ID is what Bedrock is asked for, and what records have.
func (p *Plan) ID() string { return cmp.Or(p.Profile, p.Model) }

// fit fits the body to a model that is asked in place of the one that it was written for. It fails when there is no
// memory for another large body.
func (p *Plan) fit(r *Request) *wire.Error {
	find := r.Snapshot.Router
	if r.Cascade == "" || len(r.Further) > 0 || p.Origin() == find.Resolve(r.Target.Model) {
		return nil
	}
	size := int64(len(r.Body))
	if size > maxKeptBody && !r.Account.Grow(size) {
		return NoRoom()
	}
	p.body, p.Fitted = fit.Body(&r.Facts, r.Body, capability.Of(find.Priced(p.Model).Foundation))
	if size > maxKeptBody && p.body == nil {
		r.Account.Give(size, pool.Answer)
	}
	return nil
}

// Body is what the leg's model reads, before it is shaped.
func (p *Plan) Body(r *Request) []byte {
	if p.body != nil {
		return p.body
	}
	return r.Body
}

// bound decides about a body of an unknown family under a cap, which nothing in
// the body can be trusted to enforce.
func (p *Plan) bound(r *Request) *wire.Error {
	if p.Limit.CutAt == 0 {
		return nil
	}
	stream := ""
	switch cmp.Or(r.Caller.Tenant.Cap.UnknownFamily, r.Snapshot.Config.UnknownFamily) {
	case "allow":
		p.Limit.CutAt = 0
		return nil
	case "cut":
		if r.Target.Op.Streams() {
			return nil
		}
		stream = ": ask for a stream, which can be cut there"
	}
	return wire.Errorf(wire.KindAccessDenied, "A limit of %d"+
		" output tokens applies, and the gateway does not know how the family of model %s spells one%s. %s",
		p.Limit.CutAt, p.Model, stream, router.MapHint(p.Model))
}

// NewPlans makes the plans of a route, in the order of their numbers. The partner
// is between the light and the escalation leg. One that cannot be asked is left
// out: that is no reason to refuse the request.
func NewPlans(r *Request, route *router.Plan, partner bool) ([]*Plan, *wire.Error) {
	if len(r.Further) > 0 {
		return newParts(r, route)
	}
	plans := r.room.list[:0]
	for i, planned := range route.Legs {
		if i == 1 && partner {
			if p, err := NewPlan(r, *route.Partner, 1); err == nil {
				p.Path = router.Partner
				plans = append(plans, p)
			}
		}
		p := r.room.plan(i)
		*p = Plan{Leg: planned, Index: len(plans)}
		if err := p.make(r); err != nil {
			return nil, err
		}
		plans = append(plans, p)
	}
	plans[0].Path, plans[0].Reason = route.Path, route.Reason
	return plans, nil
}

// newParts makes a plan for each part of the request, all for the model that is asked first.
func newParts(r *Request, route *router.Plan) ([]*Plan, *wire.Error) {
	plans := make([]*Plan, 1+len(r.Further))
	for i := range plans {
		p := &Plan{Leg: route.Legs[0], Index: i, Path: route.Path, Reason: route.Reason}
		if i > 0 {
			p.body = r.Further[i-1]
		}
		if err := p.make(r); err != nil {
			return nil, err
		}
		plans[i] = p
	}
	return plans, nil
}

// NewResourcePlan plans an operation that passes through without a model of its own:
// guardrails, and looking after a job or a stored response. A refusal for want of a price
// comes with the plan.
func NewResourcePlan(r *Request) (*Plan, *wire.Error) {
	if r.Target.Op.OnAgents() {
		return newAgentPlan(r)
	}
	upstream, err := r.Snapshot.Router.Upstream(r.Target.Resource, r.Caller.Tenant.Upstream)
	if err != nil {
		return nil, err
	}
	p := &Plan{Leg: router.Leg{Model: "guardrail/" + r.Target.Resource}, Upstream: upstream,
		SKU: record.SKU{Model: record.GuardrailModel}, Facts: &r.Facts}
	if r.kept != nil {
		p.Model, p.Upstream, p.base = "responses", r.kept.Upstream, r.kept.Base
	}
	if r.Target.Op.OfBegun() {
		p.Model = "batch"
	}
	if err := cmp.Or(p.bounded(r, ""), p.onMantle(r)); err != nil {
		return nil, err
	}
	return p, p.price(r)
}

// bounded refuses what would go where the tenant's requests may not, by whatever way the plan came to its model. No
// model is an operation without one.
func (p *Plan) bounded(r *Request, model string) *wire.Error {
	b := r.bounds()
	if _, why := r.Snapshot.Router.Outside(&b, model, p.Upstream); why != "" {
		return router.Unbound(p.Model, why)
	}
	return nil
}

// onMantle finds out where the host bedrock-mantle has the operation, when that is the upstream.
func (p *Plan) onMantle(r *Request) *wire.Error {
	find, op := r.Snapshot.Router, r.Target.Op
	switch {
	case !find.Mantle(p.Upstream):
		return nil
	case !op.OnMantle():
		return wire.Errorf(wire.KindValidation, "The upstream %q of %s is of kind mantle, which does not have %s: it has"+
			" Chat Completions and Responses of OpenAI's API, and Messages of Anthropic's for Claude.", p.Upstream, p.Model, op)
	case op.IsOpenAI():
		p.base = cmp.Or(capability.Of(find.Priced(p.Model).Foundation).MantleBase, mantleBase)
	}
	return nil
}

// mantleBase begins OpenAI's own paths there for most models.
const mantleBase = "/v1"

// price finds the price, and refuses a model without one where that matters.
func (p *Plan) price(r *Request) *wire.Error {
	p.Price = r.Snapshot.Prices.Find(p.SKU, r.Received)
	if p.guarded(r) {
		p.Guardrail = r.Snapshot.Prices.Find(record.SKU{Model: record.GuardrailModel}, r.Received)
		guardNewTurn(r, p)
	}
	if p.Price != nil || !r.Metered() || r.Snapshot.Config.Unpriced != config.UnpricedRefuse {
		return nil
	}
	return wire.Errorf(wire.KindAccessDenied, "model %s has no price and this gateway refuses unpriced models", p.Model)
}

// outputCap is the tenant's cap for one leg.
func (r *Request) outputCap(model *router.Model) wire.Cap {
	var limit wire.Cap
	if model != nil {
		limit.ModelMax = model.MaxOutput
	}
	if t := r.Caller.Tenant.Cap; t != nil && r.Metered() {
		limit.Default, limit.Max, limit.Reject = t.Default, t.Max, t.OnExceed == "reject"
	}
	return limit
}

// As returns the plan with the path and the reason of its record.
func (p *Plan) As(path router.Path, reason string) *Plan {
	if p.Path == path && p.Reason == reason {
		return p
	}
	q := *p
	q.Path, q.Reason = path, reason
	return &q
}

// PaidBy returns the plan as one that somebody else than the caller pays for. It fails like NewPlan.
func (p *Plan) PaidBy(r *Request, payer *tenant.Tenant) (*Plan, *wire.Error) {
	q := *p
	q.Payer, q.tiers = payer, config.Tier{}
	return &q, q.chooseProfile(r, payer)
}

// vagueOutput is what is held of a token limit for a model whose maximum output
// nobody knows, unless its answers were embeddings. Under a budget such a model is
// refused.
const vagueOutput = 4096

// Estimate finds out what the plan may use. Under a budget that refuses, a model
// that cannot be accounted for cannot be used.
func (p *Plan) Estimate(r *Request, table *estimate.Table, policy *budget.Policy) *wire.Error {
	var model estimate.Model
	if p.Spec != nil {
		model.Context = p.Spec.Context
		if p.Spec.Dialect != nil {
			model.Dialect = p.Spec.Dialect.Name
		}
	}
	bound, _ := estimate.Bound(p.Facts, model)
	output := p.Limit.Tokens
	if !r.Modelled() || r.Target.Op == wire.OpCreateBatch {
		output = wire.Known(0)
	}
	if !output.Known {
		if policy.Strict() {
			return wire.Errorf(wire.KindAccessDenied,
				"model %s has no known maximum of output tokens, and a budget applies: set a maximum in the request.%s",
				p.Model, p.Vague())
		}
		if !p.unmapped() || table.Writes(p.Model) {
			output.N = vagueOutput
		}
	}
	input := bound
	if p.Limit.Beside > 0 {
		input, output.N = 2*bound, output.N+p.Limit.Beside
	}
	worst, priced := p.dearest(r, input, output.N)
	if !priced && policy.Strict() && p.Price != nil && r.Target.Op.OnAgents() {
		return wire.Errorf(wire.KindAccessDenied, "what %s can cost is not known before the call, and a budget applies",
			p.Model)
	}
	if !priced && policy.Strict() {
		return wire.Errorf(wire.KindAccessDenied, "model %s has no price, and a budget applies", p.Model)
	}
	p.Input = table.Likely(p.Model, p.Facts.DialectName(), int64(p.Facts.InputTokens), bound)
	p.Cost = budget.Amounts{record.UnitUSD: worst.NanosUp(), record.UnitTokens: input + output.N}
	holdSpare(p, r, table, policy)
	holdScopes(p, r, table, policy)
	return nil
}

// Vague says what to add to the configuration where nobody knows whether the model has
// output at all, which is held: an embedding has none. It is "" for other plans.
func (p *Plan) Vague() string {
	if p.Limit.Tokens.Known || !p.unmapped() {
		return ""
	}
	return fmt.Sprintf(" The gateway does not know the family of model %s, nor whether it has output at all. %s", p.Model,
		router.MapHint(p.Model))
}

// unmapped reports whether nobody knows of which family the body is.
func (p *Plan) unmapped() bool { return p.Facts.Op.IsInvoke() && p.Facts.DialectName() == "" }

// tokenBytes is how long a token of an answer may be on average.
const tokenBytes = 8

// guarded reports whether a guardrail works on what the model reads and writes.
func (p *Plan) guarded(r *Request) bool {
	return p.Facts.Guarded && r.Target.Op.Writes()
}

// worstCase prices a leg; a guardrail of its own is billed by text units.
func (p *Plan) worstCase(r *Request, input, output int64) (money.Pico, bool) {
	switch op := r.Target.Op; {
	case op == wire.OpCreateBatch:
		return p.job.Most, p.job.Priced
	case op.OnAgents():
		return agentWorst(r, p)
	}
	if !r.Modelled() {
		return p.Price.GuardrailWorstCase(int64(len(r.Body))/record.TextUnit+1, int64(p.Facts.Images))
	}
	most, priced := p.most(input, output)
	if p.guarded(r) {
		units, listed := p.guardrail(output)
		return most + units, priced && listed
	}
	return most, priced
}

// guardrail is the most that the guardrail can cost when so much is written.
func (p *Plan) guardrail(output int64) (money.Pico, bool) {
	units := output*tokenBytes/record.TextUnit + 1
	if t := p.guards; t != nil {
		units += t.Bytes/record.TextUnit + int64(len(t.Splices))
	} else {
		units += int64(p.Facts.BodyBytes-p.Facts.MediaBytes)/record.TextUnit + 1
	}
	return p.Guardrail.GuardrailWorstCase(units, int64(p.Facts.Images))
}

// most is what so many tokens, and the pieces, can cost.
func (p *Plan) most(input, output int64) (money.Pico, bool) {
	if !p.Dialect.CountsInput() {
		input = 0
	}
	tokens, priced := p.Price.WorstCase(input, output)
	pieces, listed := p.Price.PiecesCost(p.Pieces)
	return tokens + pieces, priced && listed
}

// Worst is the most that an attempt may cost at the estimated input, 0 without a
// price.
func (p *Plan) Worst(r *Request) money.Pico {
	most, _ := p.Price.WorstCase(int64(p.Facts.InputTokens), p.Limit.Tokens.N)
	return most
}
