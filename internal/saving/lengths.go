package saving

import (
	"math/big"

	"github.com/sluice-gateway/sluice/internal/money"
)

// lengths are output tokens and answers by hour, in seconds since 1970.
type lengths map[int64]length

type length struct{ answers, output int64 }

func (l lengths) add(hour, answers, output int64) {
	if answers > 0 {
		l[hour] = length{l[hour].answers + answers, l[hour].output + output}
	}
}

// with returns the sums of both.
func (l lengths) with(m lengths) lengths {
	both := lengths{}
	for _, part := range []lengths{l, m} {
		for hour, n := range part {
			both.add(hour, n.answers, n.output)
		}
	}
	return both
}

func (l lengths) answers() int64 {
	n, _ := l.sums()
	return n
}

// sums are all answers and their output tokens.
func (l lengths) sums() (answers int64, output *big.Int) {
	output = new(big.Int)
	for _, hour := range l {
		answers += hour.answers
		output.Add(output, big.NewInt(hour.output))
	}
	return answers, output
}

// mean is the output tokens per answer; there is at least one answer.
func (l lengths) mean() *big.Rat {
	answers, output := l.sums()
	return new(big.Rat).SetFrac(output, big.NewInt(answers))
}

// halfWidth is half the 95 % interval of scale times the mean, rounded down to
// a pico-dollar: t * sqrt(h/(h-1) * sum of (output - mean*answers)²) / answers,
// summed over h hours. It is false with fewer than two hours, unless the mean
// does not matter because scale is zero.
func (l lengths) halfWidth(scale *big.Rat) (money.Total, bool) {
	var half money.Total
	h := int64(len(l))
	if scale.Sign() == 0 || h < 2 {
		return half, scale.Sign() == 0
	}
	answers, output := l.sums()
	all := big.NewInt(answers)
	squares, off, share := new(big.Int), new(big.Int), new(big.Int) // off by answers times as much
	for _, hour := range l {
		off.Mul(big.NewInt(hour.output), all)
		off.Sub(off, share.Mul(output, big.NewInt(hour.answers)))
		squares.Add(squares, off.Mul(off, off))
	}
	factor := new(big.Rat).SetFrac(big.NewInt(1), off.Mul(all, all))
	factor.Mul(factor.Mul(factor, scale), big.NewRat(student(h-1), 1000))
	variance := new(big.Rat).Mul(factor, factor)
	variance.Mul(variance, new(big.Rat).SetInt(squares))
	variance.Mul(variance, big.NewRat(h, h-1))
	root := new(big.Int).Quo(variance.Num(), variance.Denom())
	half.AddRat(new(big.Rat).SetInt(root.Sqrt(root)))
	return half, true
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
