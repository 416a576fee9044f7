// Package simulate computes what a workload would cost on each model, on a mix of
// two models, and on a cascade of them, before anything is switched.
//
// It is arithmetic over token counts and listed prices: it knows nothing of
// quality or throttling, reads no ledger and calls nobody. Shares and ratios are
// exact fractions; an amount is rounded once, when it is final. A Sheet has the
// figures of one lever, such as provisioned throughput.
package simulate

import (
	"errors"
	"math/big"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Workload is what is asked in the whole period, in requests and tokens.
type Workload struct{ Requests, Input, Output int64 }

// MaxCount bounds the tokens of a request, and the requests of a day.
const MaxCount = 1 << 30

// NewWorkload is a number of requests of the same size. It fails with ErrTokens.
func NewWorkload(requests, input, output int64) (Workload, error) {
	if requests > (1<<62)/max(input, output, 1) {
		return Workload{}, ErrTokens
	}
	return Workload{Requests: requests, Input: requests * input, Output: requests * output}, nil
}

// Model is a model with its list prices.
type Model struct {
	ID    string
	Rates record.TokenRates
	Batch record.TokenRates // of the tier batch, all zero when it has no price there
}

// Setup is the cascade and the deal to simulate. Its shares lie in 0 to 1 and a
// nil one is zero.
type Setup struct {
	Light, Escalation Model
	Partner           *Model // asked beside light for a second opinion; nil for none
	// Escalated is the share of all requests that the escalation model answers
	// after the light one was asked, Direct the share that it answers at once.
	Escalated, Direct *big.Rat
	Discount          *big.Rat // off every list price
	// Verbosity is how many output tokens light (and partner) write where the
	// escalation model writes one; nil is one.
	Verbosity *big.Rat
	Target    *big.Rat // saving that is hoped for; nil for none
	Levers    Levers   // that every model of the setup uses
}

// Spend is what the workload costs in one way of serving it.
type Spend struct {
	Model string // id, "" for a mixture
	Cost  money.Total
	// Saving is the exact share saved against the escalation model alone. It is
	// negative when this way costs more.
	Saving *big.Rat
}

// Result is a simulation. See Run.
type Result struct {
	Workload          Workload
	Setup             Setup
	Models            []Spend // the same tokens on each model, in the order given
	Light, Escalation Spend   // each alone
	// Mix splits the requests between light and escalation, as if it were known
	// beforehand which is which.
	Mix Spend
	// Cascade asks light, and partner, first and pays for them also where the
	// escalation model answers in the end.
	Cascade Spend
	// Ratio is r + k: the cost of a light and a partner call over that of an
	// escalation call. Ceiling is 1 - Ratio, the saving with nothing escalated.
	Ratio, Ceiling *big.Rat
	// Allowed is the largest share of escalated requests at which the cascade
	// reaches the target, negative when none does; nil without a target.
	Allowed *big.Rat
	// Observation is what pairs for a certificate cost; nil when that was not asked.
	Observation *Observation
	Sheets      []Sheet // of the levers that were asked for
}

// The mistakes in what is to be simulated.
var (
	ErrShare  = errors.New("escalated and direct together must be a share from 0 to 1")
	ErrFactor = errors.New("the discount must be a share from 0 to 1, the verbosity not negative")
	ErrTokens = errors.New("the workload has more tokens than can be counted")
	ErrNoCost = errors.New("on the escalation model this workload costs nothing, so there is nothing to save")
)

// Run simulates w. With r the light call's and k the partner call's cost over
// the escalation call's, p the share sent to the escalation model at once and e
// the share escalated afterwards, the cascade saves
//
//	1 - (p + (1-p)(r+k) + e)
//
// of what the escalation model alone costs. It fails with ErrShare, ErrFactor,
// ErrLevers or ErrNoCost.
func Run(w Workload, models []Model, s Setup) (*Result, error) {
	s = filled(s)
	one := big.NewRat(1, 1)
	strong := sum(s.Direct, s.Escalated)
	if s.Direct.Sign() < 0 || s.Escalated.Sign() < 0 || strong.Cmp(one) > 0 {
		return nil, ErrShare
	}
	if s.Discount.Sign() < 0 || s.Discount.Cmp(one) >= 0 || s.Verbosity.Sign() < 0 {
		return nil, ErrFactor
	}
	if err := s.Levers.check(); err != nil {
		return nil, err
	}
	light, escalation := s.cost(w, s.Light, s.Verbosity), s.cost(w, s.Escalation, one)
	if escalation.Sign() <= 0 {
		return nil, ErrNoCost
	}
	first := new(big.Rat).Set(light)
	if s.Partner != nil {
		first = sum(first, s.cost(w, *s.Partner, s.Verbosity))
	}
	spend := func(model string, cost *big.Rat) Spend { return newSpend(model, cost, escalation) }
	r := &Result{
		Workload: w, Setup: s,
		Light: spend(s.Light.ID, light), Escalation: spend(s.Escalation.ID, escalation),
		Mix:     spend("", sum(product(less(one, strong), light), product(strong, escalation))),
		Cascade: spend("", sum(product(less(one, s.Direct), first), product(strong, escalation))),
		Ratio:   new(big.Rat).Quo(first, escalation),
	}
	r.Ceiling = less(one, r.Ratio)
	for _, m := range models {
		r.Models = append(r.Models, spend(m.ID, s.cost(w, m, one)))
	}
	if s.Target != nil {
		r.Allowed = sum(less(r.Cascade.Saving, s.Target), s.Escalated)
	}
	return r, nil
}

// filled returns s without nil shares.
func filled(s Setup) Setup {
	for _, share := range []**big.Rat{&s.Escalated, &s.Direct, &s.Discount} {
		if *share == nil {
			*share = new(big.Rat)
		}
	}
	if s.Verbosity == nil {
		s.Verbosity = big.NewRat(1, 1)
	}
	s.Levers = s.Levers.filled()
	return s
}

// cost is what w costs on m after the discount, in pico-dollars, when m writes
// verbosity times the output.
func (s *Setup) cost(w Workload, m Model, verbosity *big.Rat) *big.Rat {
	output := product(whole(w.Output), verbosity)
	return product(s.Levers.cost(whole(w.Input), output, m), less(big.NewRat(1, 1), s.Discount))
}

func newSpend(model string, cost, baseline *big.Rat) Spend {
	s := Spend{Model: model, Saving: less(big.NewRat(1, 1), new(big.Rat).Quo(cost, baseline))}
	s.Cost.AddRat(cost)
	return s
}

func whole(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

func less(a, b *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }

func sum(terms ...*big.Rat) *big.Rat {
	total := new(big.Rat)
	for _, t := range terms {
		total.Add(total, t)
	}
	return total
}

func product(factors ...*big.Rat) *big.Rat {
	total := big.NewRat(1, 1)
	for _, f := range factors {
		total.Mul(total, f)
	}
	return total
}
