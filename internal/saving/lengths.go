package saving

import (
	"math/big"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// lengths are output tokens and answers by hour, in seconds since 1970, and what
// the mean and its interval need of them, so that neither goes through the hours.
// The zero value is empty; it must not be copied once used.
type lengths struct {
	hours   map[int64]length
	answers int64
	output  big.Int
	// Sums over the hours: of output², output times answers, and answers².
	outputs, products, squares big.Int
}

type length struct{ answers, output int64 }

// add adds answers to an hour, or takes them away.
func (l *lengths) add(hour, answers, output int64) {
	if answers == 0 && output == 0 {
		return
	}
	if l.hours == nil {
		l.hours = make(map[int64]length)
	}
	n := l.hours[hour]
	l.sum(n, -1)
	n = length{n.answers + answers, n.output + output}
	l.sum(n, 1)
	if l.hours[hour] = n; n == (length{}) {
		delete(l.hours, hour)
	}
}

// sum adds an hour to the sums, sign times.
func (l *lengths) sum(n length, sign int64) {
	l.answers += sign * n.answers
	var answers, output, x big.Int
	answers.SetInt64(n.answers)
	output.SetInt64(n.output)
	add := func(to, x *big.Int) {
		if sign < 0 {
			x.Neg(x)
		}
		to.Add(to, x)
	}
	add(&l.outputs, x.Mul(&output, &output))
	add(&l.products, x.Mul(&output, &answers))
	add(&l.squares, x.Mul(&answers, &answers))
	add(&l.output, &output)
}

// drop takes the hours up to one away.
func (l *lengths) drop(upTo int64) {
	for hour, n := range l.hours {
		if hour <= upTo {
			l.add(hour, -n.answers, -n.output)
		}
	}
}

// mean is the output tokens per answer; there is at least one answer.
func (l *lengths) mean() *big.Rat {
	return new(big.Rat).SetFrac(&l.output, big.NewInt(l.answers))
}

// spread is the sum over the hours of (output - mean * answers)², times the
// square of all answers.
func (l *lengths) spread() *big.Int {
	all := big.NewInt(l.answers)
	sum, x := new(big.Int), new(big.Int)
	sum.Mul(x.Mul(all, all), &l.outputs)
	x.Mul(x.Mul(all, &l.output), &l.products)
	sum.Sub(sum, x.Lsh(x, 1))
	x.Mul(x.Mul(&l.output, &l.output), &l.squares)
	return sum.Add(sum, x)
}

// halfWidth is half the 95 % interval of scale times the mean, rounded down to
// a pico-dollar: t * sqrt(h/(h-1) * sum of (output - mean*answers)²) / answers,
// summed over h hours. It is false with fewer than two hours, unless the mean
// does not matter because scale is zero.
func (l *lengths) halfWidth(scale *big.Rat) (money.Total, bool) {
	var half money.Total
	h := int64(len(l.hours))
	if scale.Sign() == 0 || h < 2 {
		return half, scale.Sign() == 0
	}
	factor := new(big.Rat).SetFrac(big.NewInt(1), product(l.answers, l.answers))
	factor.Mul(factor.Mul(factor, scale), big.NewRat(student(h-1), 1000))
	variance := new(big.Rat).Mul(factor, factor)
	variance.Mul(variance, new(big.Rat).SetInt(l.spread()))
	variance.Mul(variance, big.NewRat(h, h-1))
	root := new(big.Int).Quo(variance.Num(), variance.Denom())
	half.AddRat(new(big.Rat).SetInt(root.Sqrt(root)))
	return half, true
}

// measured is how much the escalation model of a cascade wrote: in answers that
// callers got, in those that shadow asked for, and in both.
type measured struct{ served, shadow, both lengths }

// add takes in that the counters of a row changed.
func (m *measured) add(path string, hour int64, before, after *record.Counters) {
	var to *lengths
	var was, is length
	switch path {
	case pathDirect, pathEscalated:
		to = &m.served
		was, is = lengthOf(before.Requests, before.Output), lengthOf(after.Requests, after.Output)
	case pathShadow:
		to = &m.shadow
		was = lengthOf(before.Legs-before.Unknown, before.Output)
		is = lengthOf(after.Legs-after.Unknown, after.Output)
	default:
		return
	}
	to.add(hour, is.answers-was.answers, is.output-was.output)
	m.both.add(hour, is.answers-was.answers, is.output-was.output)
}

// lengthOf leaves out what nobody was answered with.
func lengthOf(answers, output int64) length {
	if answers <= 0 {
		return length{}
	}
	return length{answers, output}
}

func (m *measured) drop(upTo int64) {
	for _, l := range [...]*lengths{&m.served, &m.shadow, &m.both} {
		l.drop(upTo)
	}
}

// studentTable are the 97.5 % quantiles of Student's t with 1 to 30 degrees of
// freedom, in thousandths (NIST/SEMATECH e-Handbook, 1.3.6.7.2).
var studentTable = [...]int64{
	12706, 4303, 3182, 2776, 2571, 2447, 2365, 2306, 2262, 2228,
	2201, 2179, 2160, 2145, 2131, 2120, 2110, 2101, 2093, 2086,
	2080, 2074, 2069, 2064, 2060, 2056, 2052, 2048, 2045, 2042,
}

// student is the quantile; above 30 degrees that of 30, which errs to the wide.
func student(freedom int64) int64 {
	return studentTable[min(freedom, int64(len(studentTable)))-1]
}
