package certify

import "math"

// Counts are losses that are -1, 0 or 1.
type Counts struct {
	N      int // all
	Worse  int // light wrong, escalation right
	Better int // light right, escalation wrong
}

func count(losses []float64) Counts {
	c := Counts{N: len(losses)}
	for _, l := range losses {
		switch {
		case l > 0:
			c.Worse++
		case l < 0:
			c.Better++
		}
	}
	return c
}

// 1/spareShare is the part of δ that the bound on how often the two models differ
// in quality uses up.
const spareShare = 50

// ExactPValue tests "the mean loss is eps or more" for losses of -1, 0 and 1.
//
// With q the chance of a loss other than 0, the number N of such losses is
// binomial(n, q) and their sum S is 2·B - N, where B given N is
// binomial(N, θ) with θ = (1 + eps/q)/2 on the border of the hypothesis.
// Samples are ordered by the studentised sum T = (S - n·eps) / √(N + 1), and
// the p-value is the chance of a T as small as the observed one, at the worst
// q within the Clopper-Pearson interval of level spare, plus spare (Berger and
// Boos, JASA 1994). Ordering by T rather than by S makes that chance depend
// little on q, so the worst q costs little.
//
// It is as valid at a fixed n as betting, and uses the sample better: Ville's
// inequality asks for a capital of 1/δ, which is log(10) = 2.3 where the exact
// tail asks for about 0.8. Only betting may be looked at again and again.
func ExactPValue(c Counts, eps, spare float64) float64 {
	events := c.Worse + c.Better
	top := upperRate(events, c.N, spare/2)
	if top <= eps {
		return spare
	}
	const steps = 32
	var worst float64
	low := max(eps, lowerRate(events, c.N, spare/2))
	ratio := top / low
	for k := range steps + 1 {
		q := low * math.Pow(ratio, float64(k)/steps)
		worst = max(worst, tailAt(c, eps, q))
	}
	return min(worst+spare, 1)
}

// studentised is T of ExactPValue.
func studentised(sum, events, n int, eps float64) float64 {
	return (float64(sum) - float64(n)*eps) / math.Sqrt(float64(events)+1)
}

// tailAt is the chance of a T as small as the observed one when a loss other
// than 0 has the chance q and the mean loss is eps.
func tailAt(c Counts, eps, q float64) float64 {
	observed := studentised(c.Worse-c.Better, c.Worse+c.Better, c.N, eps)
	theta := min((1+eps/q)/2, 1)
	middle := int(q * float64(c.N))
	reach := int(6*math.Sqrt(float64(c.N)*q)) + 12
	var total float64
	for n := max(0, middle-reach); n <= min(c.N, middle+reach); n++ {
		// The largest sum of n events that is as extreme; the addend keeps the
		// observed sample itself inside against rounding.
		sum := float64(c.N)*eps + observed*math.Sqrt(float64(n)+1) + 1e-9
		most := int(math.Floor((float64(n) + math.Floor(sum)) / 2))
		total += math.Exp(logBinomial(n, c.N, q)) * binomialBelow(most, n, theta)
	}
	return total
}

// upperRate is the one-sided upper Clopper-Pearson bound of a rate.
func upperRate(hits, n int, level float64) float64 {
	low, high := float64(hits)/float64(n), 1.0
	for range 40 {
		middle := (low + high) / 2
		if binomialBelow(hits, n, middle) > level {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// lowerRate is the one-sided lower Clopper-Pearson bound of a rate.
func lowerRate(hits, n int, level float64) float64 { return 1 - upperRate(n-hits, n, level) }

// logBinomial is the log of the chance of k among n.
func logBinomial(k, n int, p float64) float64 {
	if p <= 0 || p >= 1 {
		if p <= 0 && k == 0 || p >= 1 && k == n {
			return 0
		}
		return math.Inf(-1)
	}
	all, _ := math.Lgamma(float64(n + 1))
	some, _ := math.Lgamma(float64(k + 1))
	rest, _ := math.Lgamma(float64(n - k + 1))
	return all - some - rest + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p)
}

// binomialBelow is the chance of at most k among n. It sums downwards from k
// and stops where terms no longer count.
func binomialBelow(k, n int, p float64) float64 {
	if k < 0 {
		return 0
	}
	if k >= n {
		return 1
	}
	if p <= 0 {
		return 1
	}
	if p >= 1 {
		return 0
	}
	term := math.Exp(logBinomial(k, n, p))
	if float64(k) > float64(n)*p {
		return 1 - tailAbove(k, n, p)
	}
	var total float64
	for i := k; i >= 0 && term > total*1e-15; i-- {
		total += term
		term *= float64(i) * (1 - p) / (float64(n-i+1) * p)
	}
	return min(total, 1)
}

// tailAbove is the chance of more than k among n, for k above the mean.
func tailAbove(k, n int, p float64) float64 {
	term := math.Exp(logBinomial(k+1, n, p))
	var total float64
	for i := k + 1; i <= n && term > total*1e-15; i++ {
		total += term
		term *= float64(n-i) * p / (float64(i+1) * (1 - p))
	}
	return min(total, 1)
}
