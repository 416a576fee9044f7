package simulate

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/sluice-gateway/sluice/internal/money"
)

// Observing is how a cascade shall collect pairs before it is trusted.
type Observing struct {
	Days     int64    // of the workload
	Fraction *big.Rat // share of the requests that are shadowed, above 0 to 1
	Judge    *Model   // of the answers, nil for none
	// Compares is a judge that reads both answers at once, in both orders, and not each by
	// itself.
	Compares bool
	Again    *big.Rat // share of the pairs that are graded twice, nil for a tenth
}

// A certificate takes about so many labelled pairs. A judge that grades reads the request,
// one answer and so many tokens of rubric (internal/cascade/rubric); one that compares
// reads both answers and fewer words (internal/cascade/verdict). Either replies with few.
const (
	pairsNeeded   = 500
	rubricTokens  = 450
	verdictTokens = 250
	replyTokens   = 6
)

// judging is what a judge costs for one pair.
func (o *Observing) judging(w Workload, s *Setup) *big.Rat {
	input, output := w.Input/w.Requests, w.Output/w.Requests
	if o.Compares {
		one := s.cost(Workload{1, input + 2*output + verdictTokens, replyTokens}, *o.Judge, big.NewRat(1, 1))
		return product(whole(2), one)
	}
	again := o.Again
	if again == nil {
		again = big.NewRat(1, 10)
	}
	one := s.cost(Workload{1, input + output + rubricTokens, replyTokens}, *o.Judge, big.NewRat(1, 1))
	return product(whole(2), sum(whole(1), again), one)
}

// Observation is what collecting pairs costs, before it is switched on.
type Observation struct {
	Fraction    *big.Rat
	PairsPerDay *big.Rat
	Days        *big.Rat // until there are enough
	Pairs       int64    // that are enough
	Shadow      *big.Rat // light and partner calls of one pair, in pico-dollars
	Judge       *big.Rat // judge calls of one pair
}

// Observe works out what it costs to collect the pairs of a certificate.
func (r *Result) Observe(o Observing) *Observation {
	if o.Fraction == nil || o.Fraction.Sign() <= 0 || r.Workload.Requests == 0 {
		return nil
	}
	requests := whole(r.Workload.Requests)
	shadow := product(r.Ratio, r.Escalation.Cost.Rat())
	found := &Observation{
		Fraction: o.Fraction, Pairs: pairsNeeded, Judge: new(big.Rat),
		PairsPerDay: product(requests, o.Fraction, big.NewRat(1, max(o.Days, 1))),
		Shadow:      new(big.Rat).Quo(shadow, requests),
	}
	found.Days = new(big.Rat).Quo(whole(pairsNeeded), found.PairsPerDay)
	if o.Judge != nil {
		found.Judge = o.judging(r.Workload, &r.Setup)
	}
	return found
}

// each is what one pair costs.
func (o *Observation) each() *big.Rat { return sum(o.Shadow, o.Judge) }

func (o *Observation) write(b *strings.Builder) {
	fmt.Fprintf(b, "\nobserve %s of the requests: %s pairs a day, %d after %s\n",
		percent(o.Fraction), grouped(o.PairsPerDay.FloatString(0)), o.Pairs, days(o.Days))
	fmt.Fprintf(b, "%s, a day of observing %s\n", o.Each(), amount(product(o.PairsPerDay, o.each())))
}

// Each says what a pair costs, and as many as are enough.
func (o *Observation) Each() string {
	judge := ""
	if o.Judge.Sign() > 0 {
		judge = " and " + exact(o.Judge) + " for the judge"
	}
	return fmt.Sprintf("a pair costs %s for the shadow%s; %d pairs %s",
		exact(o.Shadow), judge, o.Pairs, amount(product(whole(o.Pairs), o.each())))
}

func amount(pico *big.Rat) string {
	return "$" + grouped(new(big.Rat).Quo(pico, whole(int64(money.Dollar))).FloatString(2))
}

// exact writes an amount that is a fraction of a cent.
func exact(pico *big.Rat) string {
	return "$" + new(big.Rat).Quo(pico, whole(int64(money.Dollar))).FloatString(5)
}

func days(n *big.Rat) string {
	if n.Cmp(whole(1)) < 0 {
		return "less than a day"
	}
	return n.FloatString(1) + " days"
}

// observationJSON is an Observation for programs.
type observationJSON struct {
	Fraction    string `json:"fraction"`
	PairsPerDay string `json:"pairs_per_day"`
	Pairs       int64  `json:"pairs"`
	Days        string `json:"days"`
	ShadowUSD   string `json:"shadow_usd_per_pair"`
	JudgeUSD    string `json:"judge_usd_per_pair"`
	TotalUSD    string `json:"total_usd"`
}

func (o *Observation) json() *observationJSON {
	if o == nil {
		return nil
	}
	var total money.Total
	total.AddRat(product(whole(o.Pairs), o.each()))
	return &observationJSON{
		o.Fraction.RatString(), o.PairsPerDay.FloatString(1), o.Pairs, o.Days.FloatString(2),
		exact(o.Shadow)[1:], exact(o.Judge)[1:], total.Rounded(),
	}
}
