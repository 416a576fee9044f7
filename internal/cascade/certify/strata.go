package certify

import "math"

// Stratum is a part of the traffic whose share is known, with the losses of
// the pairs that were sampled from it. How many were sampled from each stratum was
// fixed in advance, not left to chance.
type Stratum struct {
	Share float64 // of the traffic; the shares add up to 1
	Counts
}

// scale is what one loss in the stratum adds to the mean loss.
func (s *Stratum) scale() float64 { return s.Share / float64(s.N) }

// mean is the estimated mean loss times the share.
func (s *Stratum) mean() float64 { return s.scale() * float64(s.Worse-s.Better) }

// spread is the stratum's part of the estimated variance of the mean loss for
// a number of losses other than 0. The half keeps it above 0, and makes two
// strata count one, as one does in studentised.
func (s *Stratum) spread(events int) float64 {
	return s.scale() * s.scale() * (float64(events) + 0.5)
}

// rates are the chances in one stratum of a loss of 1 and of -1.
type rates struct{ worse, better float64 }

// any is the chance of a loss other than 0.
func (r rates) any() float64 { return r.worse + r.better }

// theta is the chance that a loss other than 0 is a loss of 1.
func (r rates) theta() float64 {
	if r.any() == 0 {
		return 0
	}
	return r.worse / r.any()
}

// box bounds the rates of a stratum.
type box struct{ low, high rates }

func boxOf(c Counts, level float64) box {
	return box{
		rates{lowerRate(c.Worse, c.N, level), lowerRate(c.Better, c.N, level)},
		rates{upperRate(c.Worse, c.N, level), upperRate(c.Better, c.N, level)},
	}
}

// steps of the search for the worst rates, per axis.
const (
	worseSteps  = 3
	betterSteps = 2
)

// StratifiedPValue tests "the mean loss is eps or more" on two strata, for
// losses of -1, 0 and 1. It is ExactPValue for a weighted mean: samples are
// ordered by the studentised weighted sum, and the p-value is the chance of one
// as small as the observed one at the worst rates that keep the mean at eps and
// lie in a confidence box of level spare, plus spare (Berger and Boos 1994).
//
// A plain sample of the same traffic would have to discard pairs of the stratum
// that was sampled too often.
func StratifiedPValue(a, b Stratum, eps, spare float64) float64 {
	// Four rates are bounded from both sides.
	boxA, boxB := boxOf(a.Counts, spare/8), boxOf(b.Counts, spare/8)
	top := a.Share*(boxA.high.worse-boxA.low.better) + b.Share*(boxB.high.worse-boxB.low.better)
	if top <= eps {
		return spare
	}
	var worst float64
	for i := range betterSteps {
		for j := range betterSteps {
			x := rates{better: along(boxA.low.better, boxA.high.better, i, betterSteps)}
			y := rates{better: along(boxB.low.better, boxB.high.better, j, betterSteps)}
			for k := range worseSteps {
				x.worse = along(boxA.low.worse, boxA.high.worse, k, worseSteps)
				if onBorder(&x, &y, [2]Stratum{a, b}, [2]box{boxA, boxB}, eps) {
					worst = max(worst, tailOfTwo(a, b, [2]rates{x, y}, eps))
				}
			}
		}
	}
	return min(worst+spare, 1)
}

func along(low, high float64, k, steps int) float64 {
	return low + (high-low)*float64(k)/float64(steps-1)
}

// onBorder sets the rates of worse answers so that the mean loss is eps, as
// near to x as the boxes allow, or as little above eps as they allow. It
// reports whether they allow a mean of eps or more.
func onBorder(x, y *rates, s [2]Stratum, boxes [2]box, eps float64) bool {
	y.worse = y.better + (eps-s[0].Share*(x.worse-x.better))/s[1].Share
	y.worse = min(max(y.worse, boxes[1].low.worse), boxes[1].high.worse)
	x.worse = x.better + (eps-s[1].Share*(y.worse-y.better))/s[0].Share
	x.worse = max(x.worse, boxes[0].low.worse)
	return x.worse <= boxes[0].high.worse+1e-12 && x.any() <= 1 && y.any() <= 1
}

// faint is the chance below which outcomes are not looked at but counted as
// extreme.
const faint = 1e-7

// tailOfTwo is the chance of a studentised weighted sum as small as the
// observed one.
func tailOfTwo(a, b Stratum, at [2]rates, eps float64) float64 {
	observed := (a.mean() + b.mean() - eps) / math.Sqrt(a.spread(a.Worse+a.Better)+b.spread(b.Worse+b.Better))
	rows := tableOf(&b, at[1])
	roots := make([]float64, len(rows))
	seen, total := 0.0, 0.0
	for n, chance := range binomials(a.N, at[0].any()) {
		if chance < faint {
			continue
		}
		for i := range rows {
			roots[i] = observed*math.Sqrt(a.spread(n)+b.spread(rows[i].events)) + eps + 1e-12
		}
		for worse, p := range binomials(n, at[0].theta()) {
			if p *= chance; p > faint {
				seen += p
				total += p * below(rows, roots, a.scale()*float64(2*worse-n), b.scale())
			}
		}
	}
	return total + 1 - seen
}

// row is the distribution of the worse answers among a number of losses other
// than 0 in one stratum.
type row struct {
	events int
	chance float64   // of that number
	upTo   []float64 // chance of at most k worse answers
}

func tableOf(s *Stratum, at rates) []row {
	var rows []row
	seen := 0.0
	for n, chance := range binomials(s.N, at.any()) {
		if chance < faint {
			continue
		}
		upTo := binomials(n, at.theta())
		for k := 1; k < len(upTo); k++ {
			upTo[k] += upTo[k-1]
		}
		rows, seen = append(rows, row{n, chance, upTo}), seen+chance
	}
	for i := range rows {
		rows[i].chance /= seen
	}
	return rows
}

// below is the chance that the other stratum keeps the sum at the roots or
// below, given what the first adds.
func below(rows []row, roots []float64, added, scale float64) float64 {
	var total float64
	for i := range rows {
		most := int(math.Floor(((roots[i]-added)/scale + float64(rows[i].events)) / 2))
		switch {
		case most < 0:
		case most >= rows[i].events:
			total += rows[i].chance
		default:
			total += rows[i].chance * rows[i].upTo[most]
		}
	}
	return total
}

// binomials are the chances of 0 to n among n, from the most likely one
// outwards.
func binomials(n int, p float64) []float64 {
	out := make([]float64, n+1)
	top := min(int(float64(n+1)*p), n)
	out[top] = math.Exp(logBinomial(top, n, p))
	for k := top + 1; k <= n && p < 1; k++ {
		out[k] = out[k-1] * float64(n-k+1) / float64(k) * p / (1 - p)
	}
	for k := top - 1; k >= 0 && p > 0; k-- {
		out[k] = out[k+1] * float64(k+1) / float64(n-k) * (1 - p) / p
	}
	return out
}
