package calibrate

import (
	"fmt"
	"math"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// MinTraining is how many pairs training needs. What is trained on so few is
// hardly of use; on fewer it would be chance.
const MinTraining = 100

// TooFewError says that there are not enough pairs to train on.
type TooFewError struct{ Pairs int }

func (e *TooFewError) Error() string {
	return fmt.Sprintf("cannot train: %d pairs to train on, at least %d are needed", e.Pairs, MinTraining)
}

// readable reports whether the features of a light answer are known, and no check keeps
// it from being served.
func (p *Pair) readable() bool {
	return p.Pair.Veto == "" && p.Pair.FeatureSet == score.FeatureSet && len(p.Pair.Features) == score.FeatureCount
}

// risk is the untrained one of a light answer.
func (p *Pair) risk() float64 {
	if p.Pair.Risk == nil || p.Pair.Veto != "" {
		return score.Never
	}
	return *p.Pair.Risk
}

// reachOf is which pairs of a log a score shall rank. Where most that do not agree cannot
// be compared at all, the log is of free text: a number that differs is one of many words
// then, and no answer. No label is looked at.
func reachOf(log []Pair) score.Reach {
	unkeyed, other := 0, 0
	for i := range log {
		switch second := score.HasSecond(log[i].Pair.Features); {
		case !log[i].readable():
		case score.Unkeyed.Ranks(log[i].risk(), second):
			unkeyed++
		case score.Other.Ranks(log[i].risk(), second):
			other++
		}
	}
	if unkeyed >= other {
		return score.Other
	}
	return score.Unkeyed
}

// scored is a score that was cross-fitted to the pairs of a log.
type scored struct {
	model *score.Model
	risks map[*Pair]float64 // of the pairs that it ranks, each by a member that has not seen it
}

// fitScore fits a score to those pairs of a log that it ranks. It fails with *TooFewError.
func fitScore(log []Pair, reach score.Reach) (*scored, error) {
	s := &scored{risks: map[*Pair]float64{}}
	var ranked []*Pair
	var rows []score.Answered
	for i := range log {
		p := &log[i]
		second := reach != score.Alone && score.HasSecond(p.Pair.Features)
		if !p.readable() || !reach.Ranks(p.risk(), second) {
			continue
		}
		ranked, rows = append(ranked, p), append(rows, p.answered(reach))
	}
	if len(rows) < MinTraining {
		return nil, &TooFewError{len(rows)}
	}
	var risks []float64
	s.model, risks = score.CrossFit(rows, certify.DefaultGrid(), reach)
	for i, p := range ranked {
		s.risks[p] = risks[i]
	}
	return s, nil
}

// cap is by how many grades above an adequate one an answer is good enough. Better ones
// would draw a score away from telling the bad ones.
const topGrade = 3

// answered is a pair for training.
func (p *Pair) answered(reach score.Reach) score.Answered {
	a := score.Answered{Light: p.Pair.Features, Route: p.Pair.Route}
	if len(p.Pair.EscalationFeatures) == score.FeatureCount {
		a.Escalation = p.Pair.EscalationFeatures
	}
	if reach == score.Alone {
		a.Light = score.WithoutSecond(a.Light)
		if a.Escalation != nil {
			a.Escalation = score.WithoutSecond(a.Escalation)
		}
	}
	// Qualities from 0 to 1 are put on the scale of grades.
	a.LightGrade, a.EscalationGrade = 3+5*p.Verdict.Light, 3+5*p.Verdict.Escalation
	if g := p.Grades; g != nil {
		top := float64(p.adequate + topGrade)
		a.LightGrade, a.EscalationGrade = math.Min(float64(g.Light), top), math.Min(float64(g.Escalation), top)
	}
	return a
}
