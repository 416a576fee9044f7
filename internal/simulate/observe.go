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
	Judge    *Model   // grades the answers, nil for none
}

// A certificate takes about so many labelled pairs. A judge reads the request, one
// answer and so many tokens of rubric, replies with so few, and reads both answers of
// a pair, one pair in ten twice (internal/cascade/rubric).
const (
	pairsNeeded  = 500
	rubricTokens = 450
	replyTokens  = 6
)

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
		perCall := Workload{1, (r.Workload.Input+r.Workload.Output)/r.Workload.Requests + rubricTokens, replyTokens}
		found.Judge = product(big.NewRat(22, 10), r.Setup.cost(perCall, *o.Judge, big.NewRat(1, 1)))
	}
	return found
}

// each is what one pair costs.
func (o *Observation) each() *big.Rat { return sum(o.Shadow, o.Judge) }

func (o *Observation) write(b *strings.Builder) {
	fmt.Fprintf(b, "\nobserve %s of the requests: %s pairs a day, %d after %s\n",
		percent(o.Fraction), grouped(o.PairsPerDay.FloatString(0)), o.Pairs, days(o.Days))
	fmt.Fprintf(b, "a pair costs %s for the shadow", exact(o.Shadow))
	if o.Judge.Sign() > 0 {
		fmt.Fprintf(b, " and %s for the judge", exact(o.Judge))
	}
	fmt.Fprintf(b, "; %d pairs %s, a day of observing %s\n",
		o.Pairs, amount(product(whole(o.Pairs), o.each())), amount(product(o.PairsPerDay, o.each())))
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
