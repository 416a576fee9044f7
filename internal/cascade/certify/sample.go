package certify

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// sample is what the tests see: one stratum, or two with known shares. The
// losses are -1, 0 and 1 when it is exact, 0 and 1 when it is oneSided too; graded
// losses are one stratum.
type sample struct {
	strata   []part
	exact    bool
	oneSided bool
}

// part is the pairs of one stratum.
type part struct {
	share float64 // of the traffic
	pairs []Pair
}

// newSample treats pairs of the same weight as a stratum. When there are more than
// two, or losses are graded, it levels the weights by keeping each pair with the
// chance weight / largest weight: the rest is a plain sample of the weighted
// traffic.
func newSample(pairs []Pair, o Options) *sample {
	s := &sample{strata: parts(pairs), exact: true}
	for i := range pairs {
		if l := pairs[i].loss(); l != 0 && l != 1 && l != -1 {
			s.exact = false
		}
	}
	if len(s.strata) > 2 || !s.exact && len(s.strata) > 1 {
		s.strata = []part{{1, level(pairs, o.Seed)}}
	}
	s.oneSided = s.exact && o.OneSided && len(s.strata) == 1
	return s
}

// parts splits pairs by weight, the heaviest first, independent of the order of
// the log. Of more than two strata it returns three, without shares.
func parts(pairs []Pair) []part {
	var out []part
	var total float64
	for i := range pairs {
		w := pairs[i].weight()
		total += w
		at := slices.IndexFunc(out, func(p part) bool { return p.pairs[0].weight() == w })
		if at < 0 {
			at = len(out)
			out = append(out, part{})
		}
		out[at].pairs = append(out[at].pairs, pairs[i])
		if len(out) > 2 {
			return out
		}
	}
	// The order matters: the grid on which the p-value is searched is not the same
	// for both strata.
	slices.SortFunc(out, func(a, b part) int { return cmp.Compare(b.pairs[0].weight(), a.pairs[0].weight()) })
	for i := range out {
		out[i].share = out[i].pairs[0].weight() * float64(len(out[i].pairs)) / total
	}
	return out
}

// used is how many pairs are tested.
func (s *sample) used() int {
	n := 0
	for i := range s.strata {
		n += len(s.strata[i].pairs)
	}
	return n
}

func level(pairs []Pair, seed uint64) []Pair {
	var most float64
	for i := range pairs {
		most = max(most, pairs[i].weight())
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
	switch {
	case s.oneSided:
		return "binomial"
	case s.exact:
		return "exact"
	}
	return "betting"
}

// losses returns the loss of every pair under a policy, 0 where it escalates.
func (p *part) losses(threshold float64) []float64 {
	out := make([]float64, len(p.pairs))
	for i := range p.pairs {
		if p.pairs[i].Risk <= threshold {
			out[i] = p.pairs[i].loss()
		}
	}
	return out
}

// spread is what a policy loses by the pairs.
type spread struct {
	mean     float64
	error    float64 // variance of the mean
	variance float64 // of one request
}

func (s *sample) moments(threshold float64) spread {
	var all spread
	var squares float64
	for i := range s.strata {
		p := &s.strata[i]
		m, v := moments(p.losses(threshold))
		all.mean += p.share * m
		all.error += p.share * p.share * v / float64(len(p.pairs))
		squares += p.share * (v + m*m)
	}
	all.variance = squares - all.mean*all.mean
	return all
}

// foreseen is the mean loss below which the next ahead requests stay with chance
// 1-delta: the prediction interval of a mean from the mean of another sample, by
// the normal approximation (Hahn and Meeker, Statistical Intervals, 1991, section
// 4.6).
func (s *sample) foreseen(threshold, delta float64) float64 {
	m := s.moments(threshold)
	return m.mean + normalQuantile(1-delta)*math.Sqrt(m.error+m.variance/ahead)
}

func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// pValue tests "the mean loss is eps or more". Which test is used depends on
// the kind of the labels, not on their values.
func (s *sample) pValue(threshold, eps, delta float64) float64 {
	if !s.exact {
		return PValue(s.strata[0].losses(threshold), eps, 1)
	}
	counts, spare := s.counts(threshold), delta/spareShare
	if s.oneSided {
		return binomialBelow(counts[0].Worse, counts[0].N, eps)
	}
	if len(counts) == 1 {
		return ExactPValue(counts[0], eps, spare)
	}
	return StratifiedPValue(Stratum{s.strata[0].share, counts[0]}, Stratum{s.strata[1].share, counts[1]}, eps, spare)
}

// walk returns the p-values of the thresholds that pass, up to the first that
// does not.
func (s *sample) walk(o Options) []float64 {
	var passed []float64
	var before []Counts
	for _, threshold := range o.Grid {
		counts := s.counts(threshold)
		if s.exact && len(passed) > 0 && slices.Equal(counts, before) {
			passed = append(passed, passed[len(passed)-1])
			continue
		}
		p := s.pValue(threshold, o.MaxLoss, o.Delta)
		if p > o.level() || s.foreseen(threshold, o.Delta) > o.MaxLoss {
			break
		}
		passed, before = append(passed, p), counts
	}
	return passed
}

func (s *sample) counts(threshold float64) []Counts {
	out := make([]Counts, len(s.strata))
	for i := range s.strata {
		out[i] = count(s.strata[i].losses(threshold))
	}
	return out
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
