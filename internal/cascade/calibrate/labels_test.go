package calibrate

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

var (
	lightWins  = pairs.Verdict{Light: 1, Escalation: 0}
	strongWins = pairs.Verdict{Light: 0, Escalation: 1}
	tie        = pairs.Verdict{Light: 1, Escalation: 1}
)

// TestWhoLabels takes the best label that a pair has, and says whose it was.
func TestWhoLabels(t *testing.T) {
	l := Labels{Human: map[string]pairs.Verdict{"a": lightWins, "nobody": tie}}
	f := func(id, label string, judge *pairs.Verdict, want pairs.Verdict, by string) {
		t.Helper()
		var both Agreement
		got, whose := l.of(&pairs.Pair{ID: id, Label: label, Judge: judge}, &binding, &both)
		if got != want || whose != by || both.Pairs > 0 != (by == ByHuman && judge != nil) {
			t.Errorf("%s: %+v by %q, want %+v by %q; %+v", id, got, whose, want, by, both)
		}
	}
	f("a", "different", &strongWins, lightWins, ByHuman)
	f("a", "different", nil, lightWins, ByHuman)
	f("b", "different", &tie, tie, ByJudge)
	f("c", "different", nil, strongWins, ByKeys)
	f("d", "same", nil, tie, ByKeys)
	f("e", "unknown", nil, pairs.Verdict{}, "")
	l.NoJudge = true
	f("f", "same", &strongWins, tie, ByKeys)
}

// TestGradesLabel prefers grades to a choice and to keys, takes those of the binding's
// rubric alone, and counts as lost only what the escalation model would have done.
func TestGradesLabel(t *testing.T) {
	b := binding
	b.Rubric, b.Adequate = "r", 5
	f := func(l Labels, g *pairs.Grades, want pairs.Verdict, by string) {
		t.Helper()
		var both Agreement
		got, whose := l.of(&pairs.Pair{ID: "a", Label: "same", Judge: &lightWins, Grades: g}, &b, &both)
		if got != want || whose != by {
			t.Errorf("%+v: %+v by %q, want %+v by %q", g, got, whose, want, by)
		}
	}
	graded := func(rubric string, light, strong int) *pairs.Grades {
		return &pairs.Grades{Rubric: rubric, Reading: pairs.Reading{Light: light, Escalation: strong}}
	}
	f(Labels{}, graded("r", 4, 5), strongWins, ByGrades)
	f(Labels{}, graded("r", 5, 10), tie, ByGrades)
	f(Labels{}, graded("r", 9, 4), pairs.Verdict{}, ByGrades)
	f(Labels{}, graded("another", 4, 5), lightWins, ByJudge)
	f(Labels{Human: map[string]pairs.Verdict{"a": tie}}, graded("r", 4, 5), tie, ByHuman)
	f(Labels{NoJudge: true}, graded("r", 4, 5), tie, ByKeys)
	b.Adequate = 0
	f(Labels{}, graded("r", 4, 5), lightWins, ByJudge)
}

// TestJudgeIsChecked refuses the labels of a judge whom humans contradict, once
// that can be told.
func TestJudgeIsChecked(t *testing.T) {
	f := func(agree, disagree int, refused bool, share, judge float64) {
		t.Helper()
		labels := Labels{Human: map[string]pairs.Verdict{}}
		logged := []*pairs.Pair{{ID: "of the judge alone", Judge: &tie}}
		for n := range agree + disagree {
			id, judge := fmt.Sprint(n), tie
			if n >= agree {
				judge = lightWins
			}
			labels.Human[id] = tie
			logged = append(logged, &pairs.Pair{ID: id, Judge: &judge})
		}
		both := &logOf(t, labels, logged...).Judged
		var bad *JudgeError
		if err := both.check(1); errors.As(err, &bad) != refused {
			t.Errorf("%d of %d: %v", agree, agree+disagree, err)
		}
		if err := both.check(0); err != nil {
			t.Errorf("%v although no label of the judge is used", err)
		}
		byHuman, byJudge := both.Losses()
		if both.Pairs != agree+disagree || both.Share() != share || byHuman != 0 || byJudge != judge {
			t.Errorf("%d of %d: %+v", agree, agree+disagree, both)
		}
	}
	f(40, 10, false, 0.8, -0.2)
	f(39, 11, true, 0.78, -0.22)
	f(10, 10, false, 0.5, -0.5)
}
