// Package explain says where a request would go, why, and what that would
// reserve and cost, without sending anything.
//
// It asks the code that the request line asks (wire's facts and caps, the
// router's plan, the price table), so it cannot disagree with it about those.
// It looks at no ledger: what is left of a budget, and what was learned from
// earlier traffic (sessions, certificates), is not in it.
package explain

import (
	"math/big"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Gateway is a compiled configuration.
type Gateway struct {
	Config *config.Config
	Router *router.Router
	Prices *meter.PriceTable
}

// Request is what a caller would send.
type Request struct {
	Op     wire.Operation // one of the four that infer
	Model  string         // as it would be asked for, aliases too
	Body   []byte
	Header wire.Header
	Tenant *tenant.Tenant
	Key    string // key id, for conditions that name it; may be ""
	Now    time.Time
	// Input replaces the estimate of input tokens when it is above zero.
	Input int
	// Output is how many tokens an answer is expected to have.
	Output int64
	// Escalated is the share of such requests whose first answer is left behind,
	// nil when that is not known.
	Escalated *big.Rat
}

// Explanation is what would happen. Amounts are decimal dollars, nil when they
// are not known: a model without a price, an answer without a bound.
type Explanation struct {
	Operation   string  `json:"operation"`
	Model       string  `json:"model"`
	Resolved    string  `json:"resolved"`
	Tenant      string  `json:"tenant"`
	Key         string  `json:"key,omitempty"`
	InputTokens int     `json:"input_tokens"`
	Estimated   bool    `json:"input_estimated"`
	Turns       int     `json:"turns"`
	Images      int     `json:"images"`
	Documents   int     `json:"documents"`
	Tools       int     `json:"tools"`
	MaxTokens   *int64  `json:"max_tokens"` // asked for, nil for none
	Cascade     string  `json:"cascade,omitempty"`
	Mode        string  `json:"mode,omitempty"`
	Path        string  `json:"path,omitempty"`
	Reason      string  `json:"reason,omitempty"`
	Why         string  `json:"why"` // the reason in words
	Legs        []Leg   `json:"legs"`
	Skipped     []Skip  `json:"skipped,omitempty"`
	Faults      []Fault `json:"rule_errors,omitempty"`
	// Refused is the error that the caller would get, nil when the request would
	// leave.
	Refused *Refusal `json:"refused,omitempty"`
	// Reserved is the worst case of all legs together, by the input tokens above.
	// A budget holds more where the estimate of the input is not yet trusted.
	Reserved *string `json:"reserved_usd"`
	// First is what to expect when the first answer stands, All when every leg is
	// asked, Expected the mean over Request.Escalated.
	First    *string `json:"expected_first_usd"`
	All      *string `json:"expected_all_usd"`
	Expected *string `json:"expected_usd"`
	// Output is the length of an answer that the expectation assumes.
	Output int64 `json:"expected_output_tokens"`
}

// Leg is one model that would be tried.
type Leg struct {
	Role         string  `json:"role"`
	Model        string  `json:"model"`
	Upstream     string  `json:"upstream"`
	MaxOutput    *int64  `json:"max_output_tokens"` // after the cap; nil: no bound
	Capped       string  `json:"capped,omitempty"`  // the cap, when it changes the request
	Cut          int64   `json:"tokens_cut,omitempty"`
	PriceVersion string  `json:"price_version,omitempty"`
	Reserved     *string `json:"reserved_usd"`
	Expected     *string `json:"expected_usd"`

	reserved, expected amount
}

// amount is money that may be unknown.
type amount struct {
	pico  money.Pico
	known bool
}

func (a amount) text() *string {
	if !a.known {
		return nil
	}
	s := a.pico.String()
	return &s
}

// Skip is a model that would not be tried.
type Skip struct {
	Model  string `json:"model"`
	Reason string `json:"reason"`
	Need   string `json:"need,omitempty"`
	Why    string `json:"why"`
}

// Fault is a condition that failed on the request.
type Fault struct {
	Cascade string `json:"cascade"`
	Rule    string `json:"rule"`
	Error   string `json:"error"`
}

// Refusal is the error that a caller would get.
type Refusal struct {
	Type    string `json:"type"` // x-amzn-ErrorType
	Message string `json:"message"`
}

// Explain says what would happen to r. A refusal is no failure: it is in the
// explanation.
func Explain(g Gateway, r *Request) *Explanation {
	e := &Explanation{
		Operation: r.Op.String(), Model: r.Model, Resolved: g.Router.Resolve(r.Model),
		Tenant: r.Tenant.ID, Key: r.Key, Output: r.Output, Legs: []Leg{},
	}
	if err := e.fill(g, r); err != nil {
		e.Refused = &Refusal{err.Type(), err.Message}
		e.Why = "the request would be refused: " + err.Message
		e.Legs, e.Path, e.Reason = []Leg{}, "", ""
		return e
	}
	e.sum(r)
	return e
}

// fill takes the steps of the request line up to the reservation.
func (e *Explanation) fill(g Gateway, r *Request) *wire.Error {
	if !r.Tenant.AllowsOperation(r.Op) {
		return wire.Errorf(wire.KindAccessDenied, "operation %s is not allowed to this key", r.Op)
	}
	facts, err := read(g, r)
	if err != nil {
		return err
	}
	e.takeFacts(facts, r)
	in := router.Input{
		Facts: facts, Body: r.Body, Asked: r.Model, Header: r.Header,
		Tenant: r.Tenant.ID, Root: r.Tenant.Root, Key: r.Key, Allowed: r.Tenant.AllowsModel, Now: r.Now,
	}
	if r.Tenant.Cap != nil {
		in.MaxOutput = r.Tenant.Cap.Max
	}
	plan, err := g.Router.Plan(&in)
	e.takePlan(plan)
	if err != nil {
		return err
	}
	for i := range plan.Legs {
		leg, err := explainLeg(g, r, facts, &plan.Legs[i])
		if err != nil {
			return err
		}
		e.Legs = append(e.Legs, *leg)
	}
	return nil
}

// read reads the facts like the line, and puts a known input in.
func read(g Gateway, r *Request) (*wire.Facts, *wire.Error) {
	var dialect *wire.Dialect
	if r.Op == wire.OpInvoke || r.Op == wire.OpInvokeStream {
		dialect = g.Router.Dialect(r.Model, r.Body)
	}
	facts := new(wire.Facts)
	if err := facts.Read(r.Op, dialect, r.Body); err != nil {
		return nil, err
	}
	if wire.ParseModelID(r.Model).Kind == wire.ModelPrompt {
		facts.NoMaxTokens = true // AWS: a prompt's settings cannot be given with the request
	}
	if r.Input > 0 {
		facts.InputTokens = r.Input
	}
	return facts, nil
}

func (e *Explanation) takeFacts(f *wire.Facts, r *Request) {
	e.InputTokens, e.Estimated = f.InputTokens, r.Input <= 0
	e.Turns, e.Images, e.Documents, e.Tools = f.Turns, f.Images, f.Documents, f.Tools
	if f.MaxTokens.Known {
		e.MaxTokens = &f.MaxTokens.N
	}
}

func (e *Explanation) takePlan(plan *router.Plan) {
	e.Path, e.Reason = string(plan.Path), plan.Reason
	if plan.Cascade != nil {
		e.Cascade, e.Mode = plan.Cascade.Name, plan.Cascade.Mode
	}
	for _, s := range plan.Skipped {
		e.Skipped = append(e.Skipped, Skip{s.Model, s.Reason, s.Need, inWords(plan.Cascade, s.Reason, s.Need)})
	}
	for _, f := range plan.RuleErrors {
		e.Faults = append(e.Faults, Fault{f.Cascade, f.Rule, f.Err.Error()})
	}
	e.Why = why(plan)
}

// explainLeg finds out where a leg goes, how its output is capped, and what it
// costs.
func explainLeg(g Gateway, r *Request, facts *wire.Facts, planned *router.Leg) (*Leg, *wire.Error) {
	upstream, err := g.Router.Upstream(planned.Model, r.Tenant.Upstream)
	if err != nil {
		return nil, err
	}
	var limit wire.Cap
	if planned.Spec != nil {
		limit.ModelMax = planned.Spec.MaxOutput
	}
	if t := r.Tenant.Cap; t != nil {
		limit.Default, limit.Max, limit.Reject = t.Default, t.Max, t.OnExceed == "reject"
	}
	capped, err := facts.Limit(limit)
	if err != nil {
		return nil, err
	}
	leg := &Leg{Role: roles[planned.Role], Model: planned.Model, Upstream: upstream, Capped: capped.Header, Cut: capped.Cut}
	if capped.Tokens.Known {
		leg.MaxOutput = &capped.Tokens.N
	}
	id := g.Router.Priced(planned.Model)
	price := g.Prices.Find(meter.SKUOf(id.Foundation, id.Scope, facts.ServiceTier), r.Now)
	if price == nil && g.Config.Unpriced == config.UnpricedRefuse {
		return nil, wire.Errorf(wire.KindAccessDenied, "model %s has no price and this gateway refuses unpriced models", planned.Model)
	}
	leg.price(price, int64(facts.InputTokens), r.Output)
	return leg, accountable(r.Tenant, leg)
}

// accountable refuses, under a budget that refuses, what cannot be reserved
// for. Budgets of the tenants above count.
func accountable(t *tenant.Tenant, leg *Leg) *wire.Error {
	strict := false
	for _, above := range t.Ancestors {
		for _, b := range above.Budgets {
			strict = strict || b.OnExceed != "notify"
		}
	}
	switch {
	case !strict || leg.reserved.known:
		return nil
	case leg.MaxOutput == nil:
		return wire.Errorf(wire.KindAccessDenied, "model %s has no known maximum of output tokens, and a budget applies: set a maximum in the request", leg.Model)
	default:
		return wire.Errorf(wire.KindAccessDenied, "model %s has no price, and a budget applies", leg.Model)
	}
}

// price fills in what the leg reserves and what it is expected to cost.
func (l *Leg) price(price *meter.Price, input, output int64) {
	if price == nil {
		return
	}
	l.PriceVersion = price.Version
	if l.MaxOutput != nil {
		l.reserved.pico, l.reserved.known = price.WorstCase(input, *l.MaxOutput)
		output = min(output, *l.MaxOutput)
	}
	if rates, ok := price.TokenRates(); ok {
		l.expected = amount{money.Cost(input, rates.Input) + money.Cost(output, rates.Output), true}
	}
	l.Reserved, l.Expected = l.reserved.text(), l.expected.text()
}

// sum adds the legs up.
func (e *Explanation) sum(r *Request) {
	reserved, all := amount{known: true}, amount{known: true}
	for i := range e.Legs {
		reserved = reserved.plus(e.Legs[i].reserved)
		all = all.plus(e.Legs[i].expected)
	}
	first := e.Legs[0].expected
	e.Reserved, e.First, e.All = reserved.text(), first.text(), all.text()
	switch {
	case len(e.Legs) == 1:
		e.Expected = e.First
	case r.Escalated != nil && all.known:
		further := new(big.Rat).SetInt64(int64(all.pico - first.pico))
		var mean money.Total
		mean.Add(first.pico)
		mean.AddRat(further.Mul(further, r.Escalated))
		text := mean.String()
		e.Expected = &text
	}
}

func (a amount) plus(b amount) amount { return amount{a.pico + b.pico, a.known && b.known} }
