package calibrate

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/money"
)

// example is a labelled pair as a pre-score is trained on it.
type example struct {
	score.Row
	escalated bool       // whether the checks of the cascade escalate its light answer
	lightCost money.Pico // of the light and the partner call together
	fullCost  money.Pico // of the escalation call
}

func (e *example) weight() float64 { return cmp.Or(e.Weight, 1) }

// PreScoreReport says what a pre-score is worth, by scores of pre-scores that were
// trained on other requests (score.CrossPreScore).
type PreScoreReport struct {
	N         int
	APGR      float64 // score.APGR; NaN where light and escalation model are equally good
	Low, High float64 // its 95 % bootstrap interval
	// Shares is the part of the requests in each score.Band, by weight.
	Shares [score.DirectBand + 1]float64
}

const (
	folds = 5

	// leastDirect is how many requests must score above Direct: fewer may all have
	// been escalated by chance.
	leastDirect = 20

	// sure is by how many standard errors going direct has to pay: one in forty
	// sums comes out that high by chance, and the best of many is taken.
	sure = 1.96

	// lightPart is the part of the target that serving below Uncertain may use up.
	// The rest is for answers that agree and are worse nevertheless.
	lightPart = 0.5

	// lightSteps is in how many steps Uncertain is searched for.
	lightSteps = 50
)

// texts reports whether every pair has the text of its request. Pre-scores read it
// only then: otherwise it would learn whether a pair has a text.
func texts(log []Pair) bool {
	textless := func(p Pair) bool { return p.Pair.Content == nil }
	return len(log) > 0 && !slices.ContainsFunc(log, textless)
}

// preScoreInput is what a pre-score sees of a pair's request: its route and length,
// and its text when the pair has one.
func preScoreInput(p *pairs.Pair) score.Input {
	in := score.Input{Route: p.Route, Bytes: p.TextBytes}
	if p.Content != nil {
		in.Prompt = p.Content.Prompt
	}
	return in
}

// examplesOf makes what a pre-score is trained on, with texts when all pairs have
// them.
func examplesOf(log []Pair) []example {
	withTexts := texts(log)
	examples := make([]example, len(log))
	for i := range log {
		p, v := log[i].Pair, log[i].Verdict
		in := preScoreInput(p)
		if !withTexts {
			in.Prompt = ""
		}
		examples[i] = example{
			Row:       score.Row{Input: in, Light: v.Light, Escalation: v.Escalation, Weight: p.Weight},
			lightCost: p.LightCost(), fullCost: p.Escalation.Cost,
			escalated: p.Veto != "" || p.Second != nil && p.Partner != answer.Same.String(),
		}
	}
	return examples
}

// fitPreScore fits a pre-score to examples in the order of time and finds its
// bounds. It fails with *TooFewError.
func fitPreScore(examples []example, o certify.Options) (*score.PreScore, *PreScoreReport, error) {
	if len(examples) < MinTraining {
		return nil, nil, &TooFewError{len(examples)}
	}
	rows := make([]score.Row, len(examples))
	for i := range examples {
		rows[i] = examples[i].Row
	}
	scores := score.CrossPreScore(rows, folds, seed)
	pre := score.TrainPreScore(rows, seed)
	pre.Bounds = findBounds(examples, scores, o)
	r := &PreScoreReport{N: len(rows), APGR: score.APGR(scores, rows)}
	if !math.IsNaN(r.APGR) {
		r.Low, r.High = score.APGRInterval(scores, rows, seed)
	}
	var total float64
	for i := range examples {
		r.Shares[pre.Band(scores[i])] += examples[i].weight()
		total += examples[i].weight()
	}
	for i := range r.Shares {
		r.Shares[i] /= total
	}
	return pre, r, nil
}

func findBounds(examples []example, scores []float64, o certify.Options) score.Bounds {
	levels := levelsOf(scores)
	b := score.Bounds{Uncertain: uncertainBound(examples, levels, o), Direct: directBound(examples, levels)}
	b.Uncertain = min(b.Uncertain, b.Direct)
	return b
}

// level is the examples of one score.
type level struct {
	score float64
	at    []int // into the examples
}

// levelsOf returns the scores in ascending order.
func levelsOf(scores []float64) []level {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	var levels []level
	for _, i := range order {
		if n := len(levels); n == 0 || levels[n-1].score != scores[i] {
			levels = append(levels, level{score: scores[i]})
		}
		last := &levels[len(levels)-1]
		last.at = append(last.at, i)
	}
	return levels
}

// boundBelow is the middle between a level and the one below it, because the
// pre-score in service scores a little differently than those of the folds. Below
// the lowest and above the highest level it is the end of the scale.
func boundBelow(levels []level, i int) float64 {
	switch i {
	case 0:
		return -1
	case len(levels):
		return 1
	}
	return (levels[i-1].score + levels[i].score) / 2
}

// directBound is the bound from which on asking the escalation model at once saves
// the most: it saves the light calls, but also loses the light answers that would
// have been served. At each score above the bound the cascade costs at least as
// much as the escalation call, assuming that its cost only rises with the score.
// +Inf where going direct saves nothing, or so little that it may be chance. No
// quality is lost.
func directBound(examples []example, levels []level) float64 {
	var saved, squares, most float64
	above, bound := 0, math.Inf(1)
	for i := len(levels) - 1; i >= 0; i-- {
		for _, k := range levels[i].at {
			e := &examples[k]
			spared := float64(e.lightCost)
			if !e.escalated {
				spared -= float64(e.fullCost)
			}
			saved += e.weight() * spared
			squares += e.weight() * spared * e.weight() * spared
		}
		above += len(levels[i].at)
		n := float64(above)
		chance := sure * math.Sqrt(max(squares-saved*saved/n, 0)) // of a sum of n
		if above >= leastDirect && saved >= most && saved >= chance {
			most, bound = saved, boundBelow(levels, i)
		}
	}
	return bound
}

// uncertainBound is the highest bound below which the light model may answer alone:
// the loss of quality that this adds to the mean of all requests is proven to be
// at most lightPart of the target. Bounds are tried in a fixed order from low to
// high, and the first that fails ends the search, so that the chance of a bound
// that loses more is at most Delta. -Inf where none is proven.
func uncertainBound(examples []example, levels []level, o certify.Options) float64 {
	s := newSample(examples)
	bound := math.Inf(-1)
	taken, next := 0, 1
	for i := range levels {
		for _, k := range levels[i].at {
			s.serve(k)
		}
		taken += len(levels[i].at)
		if taken*lightSteps < next*len(examples) {
			continue
		}
		next = taken*lightSteps/len(examples) + 1
		if certify.PValue(s.losses, lightPart*o.MaxLoss, s.largest) > o.Delta {
			break
		}
		bound = boundBelow(levels, i+1)
	}
	return bound
}

// sample is the loss that each request adds to the mean, 0 until the light model
// serves it, in the order of time.
type sample struct {
	examples []example
	losses   []float64
	mean     float64 // weight
	largest  float64 // loss that there can be
}

func newSample(examples []example) *sample {
	s := &sample{examples: examples, losses: make([]float64, len(examples))}
	var most float64
	for i := range examples {
		s.mean += examples[i].weight() / float64(len(examples))
		most = max(most, examples[i].weight())
	}
	s.largest = most / s.mean
	return s
}

func (s *sample) serve(i int) {
	e := &s.examples[i]
	s.losses[i] = e.weight() / s.mean * (e.Escalation - e.Light)
}
