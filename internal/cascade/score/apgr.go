package score

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// APGR is the average performance gap recovered (RouteLLM, arXiv 2406.18665,
// section 3.2): the share of the quality gap between light and escalation that
// is won when the requests of the highest scores are escalated, averaged over
// all shares of escalated requests. 0.5 is a random order; above 1 is possible
// where the models complement each other.
func APGR(scores []float64, rows []Row) float64 {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	return apgr(scores, rows, order)
}

// apgr is APGR of the rows with the given indices, which it sorts.
func apgr(scores []float64, rows []Row, order []int) float64 {
	var gap float64
	for _, i := range order {
		gap += rows[i].Escalation - rows[i].Light
	}
	if gap == 0 {
		return math.NaN()
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	var won, area float64
	for _, i := range order {
		step := rows[i].Escalation - rows[i].Light
		area += won + step/2
		won += step
	}
	return area / float64(len(order)) / gap
}

// APGRInterval is the 95 % percentile bootstrap of APGR over requests.
func APGRInterval(scores []float64, rows []Row, seed uint64) (low, high float64) {
	const draws = 400
	rng := rand.New(rand.NewPCG(seed, 0xa96a))
	drawn, found := make([]int, len(rows)), make([]float64, draws)
	for k := range found {
		for i := range drawn {
			drawn[i] = rng.IntN(len(rows))
		}
		found[k] = apgr(scores, rows, drawn)
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
