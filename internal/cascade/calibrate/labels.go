package calibrate

import (
	"fmt"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

// Who labelled a pair, as certificates name them. A human's label is preferred to a
// judge's, its grades to its choice of the better answer, and any to comparing the keys
// of the answers.
const (
	ByHuman  = "human"
	ByGrades = "grades"
	ByJudge  = "judge"
	ByKeys   = "keys"
)

// MinJudged is how many pairs need a label by a human and one by a judge before
// the judge can be checked.
const MinJudged = 30

// minAgreement is the share of those pairs on which the judge has to agree.
const minAgreement = 0.8

// Labels are the labels besides those that the log has. The zero value has none.
type Labels struct {
	Human   map[string]pairs.Verdict // by id of the pair
	NoJudge bool                     // ignore judges' verdicts and grades
}

// grades are those of a pair that count under a binding, nil for none: those of its
// rubric, where a grade is adequate.
func (l *Labels) grades(p *pairs.Pair, b *certify.Binding) *pairs.Grades {
	if l.NoJudge || b.Adequate == 0 || p.Grades == nil || p.Grades.Rubric != b.Rubric {
		return nil
	}
	return p.Grades
}

// of returns the best verdict on a pair and who gave it, "" when there is none. A
// pair that both a human and a judge have labelled is added to both.
func (l *Labels) of(p *pairs.Pair, b *certify.Binding, both *Agreement) (verdict pairs.Verdict, by string) {
	judge, by := p.Judge, ByJudge
	if l.NoJudge {
		judge = nil
	}
	if g := l.grades(p, b); g != nil {
		v := g.Adequate(b.Adequate)
		judge, by = &v, ByGrades
	}
	human, ok := l.Human[p.ID]
	switch {
	case ok && judge != nil:
		if by == ByGrades {
			both.add(oneSided(human), *judge)
		} else {
			both.add(human, *judge)
		}
		return human, ByHuman
	case ok:
		return human, ByHuman
	case judge != nil:
		return *judge, by
	case p.Label == "same":
		return pairs.Verdict{Light: 1, Escalation: 1}, ByKeys
	case p.Label == "different":
		return pairs.Verdict{Light: 0, Escalation: 1}, ByKeys
	}
	return pairs.Verdict{}, ""
}

// unmatched are the ids of human labels for which there is no pair, in order.
func (l *Labels) unmatched(log []Pair) []string {
	known := make(map[string]struct{}, len(log))
	for i := range log {
		known[log[i].Pair.ID] = struct{}{}
	}
	var ids []string
	for id := range l.Human {
		if _, ok := known[id]; !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Agreement compares a judge with humans, on the pairs that both have labelled.
type Agreement struct {
	Pairs        int
	same         int     // pairs of which both prefer the same answer, or neither
	human, judge float64 // sum of the losses that each sees
}

func (a *Agreement) add(human, judge pairs.Verdict) {
	a.Pairs++
	if sign(human.Loss()) == sign(judge.Loss()) {
		a.same++
	}
	a.human += human.Loss()
	a.judge += judge.Loss()
}

// Share is the share of the pairs of which both prefer the same answer, or
// neither. It is NaN without pairs.
func (a *Agreement) Share() float64 { return float64(a.same) / float64(a.Pairs) }

// Losses are the mean losses of quality by the humans and by the judge, -1 to 1.
func (a *Agreement) Losses() (human, judge float64) {
	return a.human / float64(a.Pairs), a.judge / float64(a.Pairs)
}

// check fails when humans disagree with the judge so often that its labels prove
// nothing. used is how many pairs a certificate would have by the judge.
func (a *Agreement) check(used int) error {
	if used == 0 || a.Pairs < MinJudged || a.Share() >= minAgreement {
		return nil
	}
	return &JudgeError{*a}
}

// JudgeError says that humans disagree with the judge too often.
type JudgeError struct{ Agreement Agreement }

func (e *JudgeError) Error() string {
	return fmt.Sprintf("the judge agrees with the human labels on %.0f %% of %d pairs, %.0f %% are needed: "+
		"ask another judge, or leave it out with --no-judge", 100*e.Agreement.Share(), e.Agreement.Pairs, 100*minAgreement)
}

func sign(x float64) int {
	switch {
	case math.Abs(x) < 1e-9:
		return 0
	case x > 0:
		return 1
	}
	return -1
}
