package certify

import (
	"math"
	"math/rand/v2"
	"slices"
)

// sample is what the tests see: pairs of equal weight.
type sample struct {
	pairs []Pair
	exact bool // every loss is -1, 0 or 1
}

// newSample levels the weights by keeping each pair with the chance weight /
// largest weight. What is left is a plain sample of the weighted traffic, so
// no test has to know about weights.
func newSample(pairs []Pair, seed uint64) *sample {
	s := &sample{pairs: level(pairs, seed), exact: true}
	for i := range s.pairs {
		if l := s.pairs[i].loss(); l != 0 && l != 1 && l != -1 {
			s.exact = false
		}
	}
	return s
}

func level(pairs []Pair, seed uint64) []Pair {
	var most float64
	even := true
	for i := range pairs {
		most = max(most, pairs[i].weight())
		even = even && pairs[i].weight() == pairs[0].weight()
	}
	if even {
		return pairs
	}
	rng := rand.New(rand.NewPCG(seed, 0x5eed))
	var kept []Pair
	for _, p := range pairs {
		if rng.Float64()*most < p.weight() {
			p.Weight = 1
			kept = append(kept, p)
		}
	}
	return kept
}

func (s *sample) name() string {
	if s.exact {
		return "exact"
	}
	return "betting"
}

// losses returns the loss of every pair under a policy, 0 where it escalates.
func (s *sample) losses(threshold float64) []float64 {
	out := make([]float64, len(s.pairs))
	for i := range s.pairs {
		if s.pairs[i].Risk <= threshold {
			out[i] = s.pairs[i].loss()
		}
	}
	return out
}

// pValue tests "the mean loss is eps or more". Which test is used depends on
// the kind of the labels, not on what they say.
func (s *sample) pValue(threshold, eps, delta float64) float64 {
	losses := s.losses(threshold)
	if s.exact {
		return ExactPValue(count(losses), eps, delta/spareShare)
	}
	return PValue(losses, eps, 1)
}

// upperBound inverts the test: the smallest mean loss that it refuses.
func (s *sample) upperBound(threshold, delta float64) float64 {
	low, high := 0.0, 1.0
	for range 14 {
		middle := (low + high) / 2
		if s.pValue(threshold, middle, delta) <= delta {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// savingInterval is the 95 % percentile bootstrap of the saving.
func savingInterval(pairs []Pair, threshold float64, seed uint64) (low, high float64) {
	const draws = 1000
	rng := rand.New(rand.NewPCG(seed, 0xb007))
	savings := make([]float64, draws)
	for k := range savings {
		var t tally
		for range pairs {
			t.add(&pairs[rng.IntN(len(pairs))], threshold)
		}
		savings[k] = t.saving()
	}
	slices.Sort(savings)
	return savings[draws/40], savings[draws-1-draws/40]
}

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

// spareShare is the part of δ, as 1/spareShare, that pays for the bound on how
// often the two models differ in quality.
const spareShare = 10

// ExactPValue tests "the mean loss is eps or more" for losses of -1, 0 and 1.
//
// With q the chance of a loss other than 0, the number N of such losses is
// binomial(n, q) and their sum S is 2·B - N, where B given N is
// binomial(N, θ) with θ = (1 + eps/q)/2 on the border of the hypothesis.
// Samples are ordered by the studentised sum T = (S - n·eps) / √(N + 1), and
// the p-value is the chance of a T as small as the observed one, at the worst
// q below the upper Clopper-Pearson bound of level spare, plus spare (Berger
// and Boos, JASA 1994). Ordering by T rather than by S makes that chance depend
// little on q, so the worst q costs little.
//
// It is as valid at a fixed n as betting, and uses the sample better: Ville's
// inequality asks for a capital of 1/δ, which is log(10) = 2.3 where the exact
// tail asks for about 0.8. Only betting may be looked at again and again.
func ExactPValue(c Counts, eps, spare float64) float64 {
	top := upperRate(c.Worse+c.Better, c.N, spare)
	if top <= eps {
		return spare
	}
	const steps = 32
	var worst float64
	ratio := top / eps
	for k := 1; k <= steps; k++ {
		q := eps * math.Pow(ratio, float64(k)/steps)
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
	if p <= 0 || p >= 1 {
		return flagBelow(p)
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

// flagBelow is binomialBelow for a certain outcome and k < n.
func flagBelow(p float64) float64 {
	if p <= 0 {
		return 1
	}
	return 0
}
