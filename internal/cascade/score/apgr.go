package score

import (
	"math"
	"math/rand/v2"
	"slices"
)

// APGR is the average performance gap recovered (RouteLLM, arXiv 2406.18665,
// section 3.2): the share of the quality gap between light and escalation that
// is won when the requests of the highest scores are escalated, averaged over
// all shares of escalated requests. 0.5 is a random order; above 1 is possible
// where the models complement each other.
func APGR(scores, light, escalation []float64) float64 {
	order := make([]int, len(scores))
	var gap float64
	for i := range order {
		order[i] = i
		gap += escalation[i] - light[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	if gap == 0 {
		return math.NaN()
	}
	var won, area float64
	for _, i := range order {
		step := escalation[i] - light[i]
		area += won + step/2
		won += step
	}
	return area / float64(len(order)) / gap
}

// APGRInterval is the 95 % percentile bootstrap of APGR over requests.
func APGRInterval(scores, light, escalation []float64, seed uint64) (low, high float64) {
	const draws = 400
	rng := rand.New(rand.NewPCG(seed, 0xa96a))
	n := len(scores)
	s, l, e := make([]float64, n), make([]float64, n), make([]float64, n)
	found := make([]float64, draws)
	for k := range found {
		for i := range n {
			j := rng.IntN(n)
			s[i], l[i], e[i] = scores[j], light[j], escalation[j]
		}
		found[k] = APGR(s, l, e)
	}
	slices.Sort(found)
	return found[draws/40], found[draws-1-draws/40]
}

// CrossPreScore scores each row by a pre-score that was trained on the other folds,
// so that no row is scored by one that has seen it. seed determines the folds.
func CrossPreScore(rows []Row, folds int, seed uint64) []float64 {
	scores := make([]float64, len(rows))
	fold := rand.New(rand.NewPCG(seed, 3)).Perm(len(rows))
	var buffer []uint32
	for k := range folds {
		var train []Row
		for i := range rows {
			if fold[i]%folds != k {
				train = append(train, rows[i])
			}
		}
		g := TrainPreScore(train, seed)
		for i := range rows {
			if fold[i]%folds == k {
				scores[i], buffer = g.Score(&rows[i].Input, buffer)
			}
		}
	}
	return scores
}
