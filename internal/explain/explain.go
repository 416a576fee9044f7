// Package explain says where a request would go, why, and what that would
// reserve and cost, without sending anything.
//
// It takes the steps of the request line up to the reservation, for a gateway that
// has seen no traffic, and puts what they find into words and amounts. It looks at
// no ledger: how budgets stand is for the caller to add, and what a gateway has learned
// from its traffic is not in it.
package explain

import (
	"math/big"
	"time"

	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/tenant"
	"github.com/sluice-gateway/sluice/internal/wire"
)

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

// Explanation is what would happen. Amounts are not known for a model without a
// price and an answer without a bound.
type Explanation struct {
	Operation   string `json:"operation"`
	Model       string `json:"model"`
	Resolved    string `json:"resolved"`
	Tenant      string `json:"tenant"`
	Key         string `json:"key,omitempty"`
	InputTokens int    `json:"input_tokens"`
	Estimated   bool   `json:"input_estimated"`
	Turns       int    `json:"turns"`
	Images      int    `json:"images"`
	Documents   int    `json:"documents"`
	Tools       int    `json:"tools"`
	MaxTokens   *int64 `json:"max_tokens"` // asked for, nil for none
	Cascade     string `json:"cascade,omitempty"`
	Mode        string `json:"mode,omitempty"`
	Path        string `json:"path,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Why         string `json:"why"` // the reason in words
	// Quality is the bound of the cascade's certificate, or that there is none;
	// Threshold is the highest risk that the certificate lets through.
	Quality   string   `json:"quality_loss,omitempty"`
	Threshold *float64 `json:"threshold,omitempty"`
	Legs      []Leg    `json:"legs"`
	// Shadows are asked after the answer of the first leg, for a part of such
	// requests, and paid by another tenant; a judge only where answers differ.
	Shadows []Shadow `json:"shadows,omitempty"`
	Skipped []Skip   `json:"skipped,omitempty"`
	Faults  []Fault  `json:"rule_errors,omitempty"`
	// Refused is the error that the caller would get, nil when the request would
	// leave.
	Refused *Refusal `json:"refused,omitempty"`
	// Reserved is what all legs together hold of the budgets: the proven worst
	// case. Held reports whether there is a budget or limit to hold it of.
	// AtEstimate is the same at the input tokens above, which is about what an
	// attempt of unknown outcome puts into suspense.
	Reserved   Amount `json:"reserved_usd"`
	AtEstimate Amount `json:"reserved_at_estimate_usd"`
	Held       bool   `json:"held"`
	// First is what to expect when the first answer stands, All when every leg is
	// asked, Expected the mean over Request.Escalated.
	First    Amount `json:"expected_first_usd"`
	All      Amount `json:"expected_all_usd"`
	Expected Amount `json:"expected_usd"`
	// Budgets are how those stand that the request counts in, when the ledger was read;
	// BudgetsUnknown is why they are not known.
	Budgets        []*forecast.State `json:"budgets,omitempty"`
	BudgetsUnknown string            `json:"budgets_unknown,omitempty"`
	// Output is the length of an answer that the expectation assumes.
	Output int64 `json:"expected_output_tokens"`
}

// Leg is one model that would be tried.
type Leg struct {
	Role     string `json:"role"`
	Model    string `json:"model"`
	Profile  string `json:"profile,omitempty"` // the tenant's own, which is asked in place of the model
	Path     string `json:"path"`              // of its record
	Reason   string `json:"reason,omitempty"`  // known before the call
	Upstream string `json:"upstream"`
	// Pool is the pool that takes the call, and Members those of it that may, in the order of the configuration.
	Pool         string   `json:"pool,omitempty"`
	Members      []string `json:"members,omitempty"`
	MaxOutput    *int64   `json:"max_output_tokens"`   // after the cap; nil: no bound
	Capped       string   `json:"capped,omitempty"`    // the cap, when it changes the request
	Tiers        string   `json:"tiers,omitempty"`     // service tiers that are tried; "" for that of the request
	Named        string   `json:"named,omitempty"`     // the id in whose place its global profile is asked
	Cache        string   `json:"cache,omitempty"`     // what the tenant's prompt_cache makes of it, "" where that is off
	Capacity     string   `json:"capacity,omitempty"`  // what was bought that is asked first; "" for none
	Spills       []string `json:"spills,omitempty"`    // as what else it is asked, in turn, when it throttles
	Quota        string   `json:"quota,omitempty"`     // what it takes of the quotas of upstreams, "" where they have none
	Guardrail    string   `json:"guardrail,omitempty"` // what it reads, "" for all of the conversation
	Cut          int64    `json:"tokens_cut,omitempty"`
	PriceVersion string   `json:"price_version,omitempty"`
	Reserved     Amount   `json:"reserved_usd"`
	AtEstimate   Amount   `json:"reserved_at_estimate_usd"`
	Expected     Amount   `json:"expected_usd"`
}

// Shadow is a model that is asked after the answer.
type Shadow struct {
	Role     string  `json:"role"`
	Model    string  `json:"model"`
	Fraction float64 `json:"fraction"` // of the requests
	Tenant   string  `json:"tenant"`   // who pays
}

// Amount is money that may be unknown, as in the zero value.
type Amount struct {
	Pico  money.Pico
	Known bool
}

// String is the amount in dollars: "$0.0105", or "unknown".
func (a Amount) String() string {
	if !a.Known {
		return "unknown"
	}
	return "$" + a.Pico.String()
}

// MarshalJSON writes decimal dollars as a string, null when they are not known.
func (a Amount) MarshalJSON() ([]byte, error) {
	if !a.Known {
		return []byte("null"), nil
	}
	return []byte(`"` + a.Pico.String() + `"`), nil
}

func (a Amount) plus(b Amount) Amount { return Amount{a.Pico + b.Pico, a.Known && b.Known} }

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
func Explain(s *snapshot.Snapshot, r *Request) *Explanation {
	e := &Explanation{
		Operation: r.Op.String(), Model: r.Model, Resolved: s.Router.Resolve(r.Model),
		Tenant: r.Tenant.ID, Key: r.Key, Output: r.Output, Legs: []Leg{},
	}
	p, err := preview(s, r)
	e.takeFacts(&p.request.Facts, r)
	if p.route != nil {
		e.takeRoute(p)
	}
	if err != nil {
		e.Refused = &Refusal{err.Type(), err.Message}
		e.Why = "the request would be refused: " + err.Message
		e.Path, e.Reason, e.Shadows = "", "", nil
		return e
	}
	for i := range p.legs {
		e.Legs = append(e.Legs, p.explain(i, r.Output))
	}
	e.Held = p.limited
	e.sum(r)
	return e
}

func (e *Explanation) takeFacts(f *wire.Facts, r *Request) {
	e.InputTokens, e.Estimated = f.InputTokens, r.Input <= 0
	e.Turns, e.Images, e.Documents, e.Tools = f.Turns, f.Images, f.Documents, f.Tools
	if f.MaxTokens.Known {
		e.MaxTokens = &f.MaxTokens.N
	}
}

func (e *Explanation) takeRoute(p *previewed) {
	route := p.route
	e.Path, e.Reason = string(route.Path), route.Reason
	if c := route.Cascade; c != nil {
		e.Cascade, e.Mode = c.Name, c.Mode
		e.takeCertificate(p.request.Snapshot.Artifacts[c.Name])
		for _, s := range p.shadows() {
			shadow := &c.Settings.Shadow
			e.Shadows = append(e.Shadows, Shadow{roles[s.Role], s.Model, shadow.Fraction, shadow.Tenant})
		}
	}
	for _, s := range route.Skipped {
		e.Skipped = append(e.Skipped, Skip{s.Model, s.Reason, s.Need, inWords(route.Cascade, s.Reason, s.Need)})
	}
	for _, f := range route.RuleErrors {
		e.Faults = append(e.Faults, Fault{f.Cascade, f.Rule, f.Err.Error()})
	}
	e.Why = why(route)
}

func (e *Explanation) takeCertificate(a *snapshot.Artifacts) {
	quality := a.Quality()
	e.Quality = quality.String()
	if quality.Bound {
		e.Threshold = &a.Certificate.Threshold
	}
}

// sum adds the legs up.
func (e *Explanation) sum(r *Request) {
	nothing := Amount{Known: true}
	e.Reserved, e.AtEstimate, e.All = nothing, nothing, nothing
	for i := range e.Legs {
		if i > 0 && i == len(e.Legs)-1 {
			e.First = e.All // the last one is asked when the others' answers do not serve
		}
		e.Reserved = e.Reserved.plus(e.Legs[i].Reserved)
		e.AtEstimate = e.AtEstimate.plus(e.Legs[i].AtEstimate)
		e.All = e.All.plus(e.Legs[i].Expected)
	}
	switch {
	case len(e.Legs) == 1:
		e.First, e.Expected = e.All, e.All
	case r.Escalated != nil && e.All.Known:
		further := new(big.Rat).SetInt64(int64(e.All.Pico - e.First.Pico))
		var mean money.Total
		mean.Add(e.First.Pico)
		mean.AddRat(further.Mul(further, r.Escalated))
		e.Expected.Pico, e.Expected.Known = mean.Pico()
	}
}
