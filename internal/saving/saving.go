// Package saving works out what cascades saved: what their escalation models
// alone would have cost, less all that was spent. It is the one implementation
// behind the report, the metrics and the spans. It reads counter rows, those of
// a ledger or of a Tally; it stores nothing of its own.
package saving

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/record/awake"
	"github.com/sluice-gateway/sluice/internal/money"
)

// MinAnswers is how many answers of the escalation model make its mean length
// worth a claim.
const MinAnswers = 30

// BasisShadow is the basis of a saving that rests on a sample of what the light
// model answered. Any other rests on harder requests, and claims too much.
const BasisShadow = "shadow"

// Source is where counters are read: a ledger.
type Source interface {
	// Rows yields every row of an hour at or after from and before to,
	// in any order, and stops at the first error of yield.
	Rows(ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error) error
}

// Baseline is what a cascade's spend is compared with: its escalation model
// answering every request.
type Baseline struct {
	Cascade string
	Model   string     // escalation model, as cascades name it once aliases are resolved
	SKU     record.SKU // what it is priced as; the tier is that of the light legs
	Quality Quality
	// Judges is whether the escalation model judges samples as well. Its verdicts
	// are a word long and are in the rows of its shadows, so that those say
	// nothing about the length of its answers.
	Judges bool
}

// Quality is the bound on what a cascade loses of quality. No saving is shown
// without it. The zero value is that of a cascade without a certificate.
type Quality struct {
	// Loss is the most that the mean quality loses, from 0 to 1, Confidence how
	// sure that is, and N of how many pairs. They mean nothing without Bound.
	Loss, Confidence float64
	N                int
	Issued           time.Time // of the certificate
	Bound            bool
	Why              string // what is wrong with the certificate that should be there, "" for nothing
}

// String says it in words.
func (q Quality) String() string {
	switch {
	case q.Bound:
		return fmt.Sprintf("at most %.3g points, %.3g %% sure, n = %d", 100*q.Loss, 100*q.Confidence, q.N)
	case q.Why != "":
		return "uncertified: " + q.Why
	default:
		return "uncertified"
	}
}

// Query says which savings to work out.
type Query struct {
	From, To  time.Time // UTC; To is exclusive
	Baselines []Baseline
	Prices    *record.PriceBook
	// Models are what opaque ARNs are for: rows may have the profiles of tenants.
	Models map[string]string
}

// Saving is what one cascade saved, or lost.
type Saving struct {
	Cascade, Escalation string
	Requests, Light     int64 // answered at all, and by the light model
	// Answers is of how many answers the escalation model's length is the mean,
	// Basis of which: BasisShadow, a sample of the requests that light answered,
	// or "served", those that escalated or went there at once, which are harder.
	Answers int64
	Basis   string
	Spent   money.Total // on every leg: thrown away, partner, shadow and judge too
	// NotMeasured is why the saving is not known, "" when it is. The figures
	// below are then zero and mean nothing.
	NotMeasured    string
	Counterfactual money.Total // the escalation model alone
	Saved          money.Total // negative when the cascade cost more
	// Low and High are the 95 % interval of Saved. Interval is false when all
	// measured answers are of one hour, which says nothing of the spread.
	Low, High money.Total
	Interval  bool
	Quality   Quality
	// Unknown and Unpriced count legs that Spent lacks; Suspense is the most that
	// the unknown ones may have cost. Drained counts answers whose callers had
	// left before they ended.
	Unknown, Unpriced, Drained int64
	Suspense                   money.Total
	From, To                   time.Time // as asked for
}

// Of works out the savings per cascade, in the order of their names.
//
// What the escalation model itself was paid for is in the counterfactual as it
// was paid. For the requests that the light model answered, it is
//
//	(their share of the light legs' input) * input price + requests * mean output * output price
//
// with the escalation model's prices of the hour and its own mean output on
// this cascade: the light model's length says nothing about it. Attempts that
// failed lower the mean and the input share, never raise them.
//
// The interval is that of the mean, the one thing estimated: a ratio of sums
// with hours as clusters, linearised, and Student's t for the number of hours
// (W. G. Cochran, Sampling Techniques, 3rd ed., 2.11 and 6.3). That another
// model counts the same text in other tokens is not in it.
//
// It fails with what the source fails with.
func Of(ctx context.Context, source Source, q Query) ([]Saving, error) {
	all := newBooks(&q)
	err := source.Rows(ctx, q.From, q.To, func(k record.RowKey, c record.Counters) error {
		all.add(&k, &c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the counters: %w", err)
	}
	return all.settle(), nil
}

// books are those of all cascades, by name.
type books struct {
	query  *Query
	byName map[string]*book
}

func newBooks(q *Query) *books {
	all := &books{q, make(map[string]*book)}
	for _, b := range q.Baselines {
		all.byName[b.Cascade] = newBook(b, q)
	}
	return all
}

func (all *books) add(k *record.RowKey, c *record.Counters) {
	if k.Cascade == "" {
		return
	}
	b := all.byName[k.Cascade]
	if b == nil {
		b = newBook(Baseline{Cascade: k.Cascade}, all.query)
		b.NotMeasured = "the configuration has no such cascade"
		all.byName[k.Cascade] = b
	}
	b.charge(k, c)
	b.measure(k, c)
}

// settle returns the savings in the order of their names.
func (all *books) settle() []Saving {
	rows := make([]Saving, 0, len(all.byName))
	for _, b := range all.byName {
		b.settle()
		rows = append(rows, b.Saving)
	}
	slices.SortFunc(rows, func(a, b Saving) int { return cmp.Compare(a.Cascade, b.Cascade) })
	return rows
}

// book is a Saving while it is added up. Amounts are in pico-dollars.
type book struct {
	Saving
	base   Baseline
	prices *record.PriceBook
	models map[string]string
	// paid and inputs are the part of the counterfactual that needs no estimate: what was paid for
	// the model's own answers, and what its input would have cost. inputs is divided by perPrice
	// and by the attempts that are its key, in the end: a fraction for each row would take long.
	paid   money.Total
	inputs map[int64]*big.Int
	// perToken is what one output token more in the mean would cost over all light requests,
	// times perPrice.
	perToken big.Int
	measured *measured
}

func newBook(b Baseline, q *Query) *book {
	return &book{
		Saving: Saving{Cascade: b.Cascade, Escalation: b.Model, Quality: b.Quality, From: q.From, To: q.To},
		base:   b, prices: q.Prices, models: q.Models, inputs: map[int64]*big.Int{}, measured: &measured{},
	}
}

// The paths of legs that a caller's answer can come from (internal/router).
const (
	pathDirect    = "direct"
	pathLight     = "light"
	pathEscalated = "escalated"
	pathShadow    = "shadow"
)

// charge counts what was spent, and what the escalation model would have cost
// without the output that is estimated.
func (b *book) charge(k *record.RowKey, c *record.Counters) {
	cost := c.Cost()
	b.Spent.AddTotal(cost)
	b.Suspense.Add(c.Suspense)
	b.Requests += c.Requests
	b.Unknown += c.Unknown
	b.Unpriced += c.Unpriced
	b.Drained += c.Drained
	switch k.Path {
	case pathDirect, pathEscalated:
		b.paid.AddTotal(cost)
		b.paid.Add(-c.CostWasted) // of legs that were started early and not needed
	case pathLight:
		b.Light += c.Requests
		b.chargeLight(k, c)
	}
}

// measure counts how much the escalation model wrote.
func (b *book) measure(k *record.RowKey, c *record.Counters) {
	if k.Model == b.base.Model || b.models[k.Model] == b.base.Model {
		b.measured.add(k.Path, k.Hour.Unix(), &record.Counters{}, c)
	}
}

// chargeLight adds what the requests that light answered would have cost on the
// escalation model, without their output.
func (b *book) chargeLight(k *record.RowKey, c *record.Counters) {
	answered := max(c.Legs-c.Unknown, c.Requests)
	if c.Requests == 0 {
		return
	}
	sku := b.base.SKU
	sku.Tier = awake.Plain(k.Tier)
	rates, ok := b.prices.Find(sku, k.Hour).TokenRates()
	if !ok {
		b.NotMeasured = cmp.Or(b.NotMeasured, "the escalation model has no price for some of the hours")
		return
	}
	input := product(int64(c.CostGuardrail), perPrice)
	for _, class := range []struct {
		tokens int64
		price  money.Price
	}{
		{c.Input, rates.Input}, {c.CacheRead, rates.CacheRead},
		{c.CacheWrite5m, rates.CacheWrite5m}, {c.CacheWrite1h, rates.CacheWrite1h},
	} {
		if class.tokens != 0 {
			input.Add(input, product(class.tokens, int64(class.price)))
		}
	}
	of := int64(1) // all attempts were answers, mostly: then nothing is left to divide by
	if answered != c.Requests {
		of = answered
		input.Mul(input, big.NewInt(c.Requests))
	}
	sum := b.inputs[of]
	if sum == nil {
		sum = new(big.Int)
		b.inputs[of] = sum
	}
	sum.Add(sum, input)
	b.perToken.Add(&b.perToken, product(c.Requests, int64(rates.Output)))
}

// known is the part of the counterfactual that needs no estimate.
func (b *book) known() *big.Rat {
	sum := b.paid.Rat()
	for of, input := range b.inputs {
		sum.Add(sum, new(big.Rat).SetFrac(input, product(of, perPrice)))
	}
	return sum
}

// perPrice is how many tokens a money.Price is for.
const perPrice = 1_000_000

func product(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }

// settle makes the sums a saving.
func (b *book) settle() {
	from := &b.measured.served
	b.Basis, b.Answers = "served", from.answers
	if n := b.measured.shadow.answers; n > 0 && !b.base.Judges {
		from, b.Basis, b.Answers = &b.measured.both, "served and shadow", b.Answers+n
		if n >= MinAnswers {
			from, b.Basis, b.Answers = &b.measured.shadow, BasisShadow, n
		}
	}
	if b.NotMeasured == "" && b.Answers < MinAnswers {
		b.NotMeasured = fmt.Sprintf("the escalation model has %d answers here, of the %d that its mean length needs",
			b.Answers, MinAnswers)
	}
	if b.NotMeasured != "" {
		return
	}
	perToken := new(big.Rat).SetFrac(&b.perToken, big.NewInt(perPrice))
	output := from.mean()
	output.Mul(output, perToken)
	b.Counterfactual.AddRat(output.Add(output, b.known()))
	b.Saved.AddTotal(&b.Counterfactual)
	b.Saved.SubTotal(&b.Spent)
	half, ok := from.halfWidth(perToken)
	b.Interval = ok
	if ok {
		b.Low.AddTotal(&b.Saved)
		b.Low.SubTotal(&half)
		b.High.AddTotal(&b.Saved)
		b.High.AddTotal(&half)
	}
}

// Share is Saved as an exact share of Counterfactual, false when there is none.
func (s *Saving) Share() (*big.Rat, bool) {
	if s.NotMeasured != "" || s.Counterfactual.Sign() == 0 {
		return nil, false
	}
	return new(big.Rat).Quo(s.Saved.Rat(), s.Counterfactual.Rat()), true
}
