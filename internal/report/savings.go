package report

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/money"
)

// MinAnswers is how many answers of the escalation model make its mean length
// worth a claim.
const MinAnswers = 30

// Baseline is what a cascade's spend is compared with: its escalation model
// answering every request.
type Baseline struct {
	Cascade string
	Model   string    // escalation model, as it is sent
	SKU     meter.SKU // what it is priced as; the tier is that of the light legs
	Quality string    // bound on the loss of quality, shown as it stands
}

// SavingsQuery says which savings to report.
type SavingsQuery struct {
	From, To  time.Time // UTC; To is exclusive
	Baselines []Baseline
	Prices    *meter.PriceTable
}

// Saving is what one cascade saved, or lost.
type Saving struct {
	Cascade, Escalation string
	Requests, Light     int64 // answered at all, and by the light model
	// Answers is of how many answers the escalation model's length is the mean,
	// Basis of which: "shadow", a sample of the requests that light answered, or
	// "served", those that escalated or went there at once.
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
	Quality   string
	// Unknown and Unpriced count legs that Spent lacks.
	Unknown, Unpriced int64

	from, to time.Time
}

// Savings reports the savings per cascade, in the order of their names.
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
func Savings(ctx context.Context, source Source, q SavingsQuery) ([]Saving, []Warning, error) {
	books := make(map[string]*cascadeBook)
	for _, b := range q.Baselines {
		books[b.Cascade] = newCascadeBook(b, q)
	}
	var suspense money.Total
	err := source.Rows(ctx, q.From, q.To, func(k meter.RowKey, c meter.Counters) error {
		if k.Cascade == "" {
			return nil
		}
		book := books[k.Cascade]
		if book == nil {
			book = newCascadeBook(Baseline{Cascade: k.Cascade, Quality: "uncertified"}, q)
			book.NotMeasured = "the configuration has no such cascade"
			books[k.Cascade] = book
		}
		suspense.Add(c.Suspense)
		book.add(&k, &c, q.Prices)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the ledger: %w", err)
	}
	rows := make([]Saving, 0, len(books))
	for _, book := range books {
		book.settle()
		rows = append(rows, book.Saving)
	}
	slices.SortFunc(rows, func(a, b Saving) int { return cmp.Compare(a.Cascade, b.Cascade) })
	return rows, savingWarnings(rows, &suspense), nil
}

func savingWarnings(rows []Saving, suspense *money.Total) []Warning {
	var out []Warning
	for i := range rows {
		r := &rows[i]
		if r.NotMeasured != "" {
			out = append(out, Warning(fmt.Sprintf("%s: not measured: %s", r.Cascade, r.NotMeasured)))
		}
		if r.Unpriced > 0 {
			out = append(out, Warning(fmt.Sprintf("%s: %d legs were served by models without a price, so it spent more than shown", r.Cascade, r.Unpriced)))
		}
		if r.Unknown > 0 {
			out = append(out, Warning(fmt.Sprintf("%s: %d attempts ended without known usage and may have been billed", r.Cascade, r.Unknown)))
		}
	}
	if suspense.Sign() > 0 {
		out = append(out, Warning(fmt.Sprintf("up to %s USD stand in suspense, in no row", suspense.String())))
	}
	return out
}

// cascadeBook is a Saving while it is added up. Amounts are in pico-dollars.
type cascadeBook struct {
	Saving
	base Baseline
	// known is the part of the counterfactual that needs no estimate; perToken is
	// what one output token more in the mean would cost over all light requests.
	known, perToken *big.Rat
	served, shadow  lengths
}

func newCascadeBook(b Baseline, q SavingsQuery) *cascadeBook {
	return &cascadeBook{
		Saving: Saving{Cascade: b.Cascade, Escalation: b.Model, Quality: b.Quality, from: q.From, to: q.To},
		base:   b, known: new(big.Rat), perToken: new(big.Rat),
		served: lengths{}, shadow: lengths{},
	}
}

// The paths of legs that a caller's answer can come from (internal/router).
const (
	pathDirect    = "direct"
	pathLight     = "light"
	pathEscalated = "escalated"
	pathShadow    = "shadow"
)

func (b *cascadeBook) add(k *meter.RowKey, c *meter.Counters, prices *meter.PriceTable) {
	var cost money.Total
	for _, class := range []money.Pico{c.CostInput, c.CostOutput, c.CostCacheRead, c.CostCacheWrite, c.CostGuardrail} {
		cost.Add(class)
	}
	b.Spent.AddTotal(&cost)
	b.Requests += c.Requests
	b.Unknown += c.Unknown
	b.Unpriced += c.Unpriced
	escalation := k.Model == b.base.Model
	switch k.Path {
	case pathDirect, pathEscalated:
		b.known.Add(b.known, cost.Rat())
		if escalation {
			b.served.add(k.Hour, c.Requests, c.Output)
		}
	case pathShadow:
		if escalation {
			b.shadow.add(k.Hour, c.Legs-c.Unknown, c.Output)
		}
	case pathLight:
		b.Light += c.Requests
		b.addLight(k, c, prices)
	}
}

// addLight adds what the requests that light answered would have cost on the
// escalation model, without their output.
func (b *cascadeBook) addLight(k *meter.RowKey, c *meter.Counters, prices *meter.PriceTable) {
	answered := max(c.Legs-c.Unknown, c.Requests)
	if c.Requests == 0 {
		return
	}
	sku := b.base.SKU
	sku.Tier = k.Tier
	rates, ok := prices.Find(sku, k.Hour).TokenRates()
	if !ok {
		b.NotMeasured = cmp.Or(b.NotMeasured, "the escalation model has no price for some of the hours")
		return
	}
	input := new(big.Rat).SetInt64(int64(c.CostGuardrail))
	for _, class := range []struct {
		tokens int64
		price  money.Price
	}{{c.Input, rates.Input}, {c.CacheRead, rates.CacheRead}, {c.CacheWrite5m, rates.CacheWrite5m}, {c.CacheWrite1h, rates.CacheWrite1h}} {
		input.Add(input, costOf(class.tokens, class.price))
	}
	b.known.Add(b.known, input.Mul(input, big.NewRat(c.Requests, answered)))
	b.perToken.Add(b.perToken, costOf(c.Requests, rates.Output))
}

// costOf is what n tokens cost, unrounded.
func costOf(n int64, price money.Price) *big.Rat {
	const perPrice = 1_000_000
	cost := new(big.Rat).SetInt64(n)
	return cost.Mul(cost, big.NewRat(int64(price), perPrice))
}

// settle makes the sums a saving.
func (b *cascadeBook) settle() {
	from := b.served
	b.Basis, b.Answers = "served", b.served.answers()
	if n := b.shadow.answers(); n >= MinAnswers {
		from, b.Basis, b.Answers = b.shadow, "shadow", n
	} else if n > 0 {
		from = b.served.with(b.shadow)
		b.Basis, b.Answers = "served and shadow", b.Answers+n
	}
	if b.NotMeasured == "" && b.Answers < MinAnswers {
		b.NotMeasured = fmt.Sprintf("the escalation model has %d answers here, of the %d that its mean length needs", b.Answers, MinAnswers)
	}
	if b.NotMeasured != "" {
		return
	}
	output := from.mean()
	output.Mul(output, b.perToken)
	b.Counterfactual.AddRat(output.Add(output, b.known))
	b.Saved.AddTotal(&b.Counterfactual)
	b.Saved.SubTotal(&b.Spent)
	half, ok := from.halfWidth(b.perToken)
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
