package score

import (
	"cmp"
	"slices"
)

// stump adds to a prediction what is left or right of a cut. Stumps find what a line
// cannot: that little of something is as good as none.
type stump struct {
	Feature   uint16
	Cut       float32 // left when the feature is ≤ Cut
	Low, High float32
}

// The settings of boosting (Friedman 2001), for some hundred pairs: each step is small,
// and a side of a cut has some pairs.
const (
	rounds   = 60
	rate     = 0.1
	prior    = 10 // pairs without a deviation that each side starts with
	leastCut = 12 // pairs on each side
)

// stepwise is the sum of stumps.
func stepwise(stumps []stump, x []float32) float64 {
	sum := 0.0
	for i := range stumps {
		s := &stumps[i]
		if x[s.Feature] <= s.Cut {
			sum += float64(s.Low)
		} else {
			sum += float64(s.High)
		}
	}
	return sum
}

// fitStumps fits the deviations of the light answers' grades from their mean, which it
// returns too.
func fitStumps(pairs []Answered) (base float32, stumps []stump) {
	rest := make([]float64, len(pairs))
	var mean float64
	for i := range pairs {
		mean += pairs[i].LightGrade / float64(len(pairs))
	}
	for i := range pairs {
		rest[i] = pairs[i].LightGrade - mean
	}
	orders := make([][]int, FeatureCount)
	for f := range orders {
		order := make([]int, len(pairs))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(pairs[a].Light[f], pairs[b].Light[f]) })
		orders[f] = order
	}
	for range rounds {
		s, found := bestStump(pairs, rest, orders)
		if !found {
			break
		}
		stumps = append(stumps, s)
		for i := range pairs {
			rest[i] -= stepwise([]stump{s}, pairs[i].Light)
		}
	}
	return float32(mean), stumps
}

// bestStump is the one that leaves the least.
func bestStump(pairs []Answered, rest []float64, orders [][]int) (best stump, found bool) {
	var total float64
	for _, v := range rest {
		total += v
	}
	most := 0.0
	for f, order := range orders {
		var sum float64
		for k, i := range order[:max(len(order)-leastCut, 0)] {
			sum += rest[i]
			here, next := pairs[i].Light[f], pairs[order[k+1]].Light[f]
			if k+1 < leastCut || here == next {
				continue
			}
			low, high := float64(k+1+prior), float64(len(order)-k-1+prior)
			if gain := sum*sum/low + (total-sum)*(total-sum)/high; gain > most {
				most, found = gain, true
				best = stump{uint16(f), here + (next-here)/2, float32(rate * sum / low), float32(rate * (total - sum) / high)}
			}
		}
	}
	return best, found
}
