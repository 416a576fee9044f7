package cascade

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/test/harness"
)

var (
	lightWins  = pairs.Verdict{Light: 1, Escalation: 0}
	strongWins = pairs.Verdict{Light: 0, Escalation: 1}
	tie        = pairs.Verdict{Light: 1, Escalation: 1}
)

// TestWhoLabels takes the best label that a pair has, and says whose it was.
func TestWhoLabels(t *testing.T) {
	l, err := readLabels(harness.File(t, "labels.jsonl", `{"id":"a","winner":"light"}`+"\n"+`{"id":"nobody","winner":"tie"}`))
	if err != nil {
		t.Fatal(err)
	}
	f := func(id, label string, judge *pairs.Verdict, want pairs.Verdict, by string) {
		t.Helper()
		if got, whose := l.of(&pairs.Pair{ID: id, Label: label, Judge: judge}); got != want || whose != by {
			t.Errorf("%s: %+v by %q, want %+v by %q", id, got, whose, want, by)
		}
	}
	f("a", "different", &strongWins, lightWins, byHuman)
	f("b", "different", &tie, tie, byJudge)
	f("c", "different", nil, strongWins, byKeys)
	f("d", "same", nil, tie, byKeys)
	f("e", "unknown", nil, pairs.Verdict{}, "")
	if diff := cmp.Diff([]string{"nobody"}, l.unmatched()); diff != "" {
		t.Error(diff)
	}
	l.noJudge = true
	f("f", "same", &strongWins, tie, byKeys)
	for _, text := range []string{"{", `{"id":"a"}`} {
		if _, err := readLabels(harness.File(t, "bad.jsonl", text)); err == nil {
			t.Errorf("%q is a file of labels", text)
		}
	}
	if _, err := readLabels("/nonexistent"); err == nil {
		t.Error("a file that is not there")
	}
}

// TestJudgeIsChecked refuses the labels of a judge whom humans contradict, once
// that can be told.
func TestJudgeIsChecked(t *testing.T) {
	f := func(agree, disagree int, refused bool, want string) {
		t.Helper()
		l := &labels{human: map[string]pairs.Verdict{}, used: map[string]int{}, seen: map[string]struct{}{}}
		for n := range agree + disagree {
			id, judge := fmt.Sprint(n), tie
			if n >= agree {
				judge = lightWins
			}
			l.human[id] = tie
			l.of(&pairs.Pair{ID: id, Judge: &judge})
		}
		_, by := l.of(&pairs.Pair{ID: "of the judge alone", Judge: &tie})
		l.used[by]++
		if err := l.check(); (err != nil) != refused {
			t.Errorf("%d of %d: %v", agree, agree+disagree, err)
		}
		var out bytes.Buffer
		l.print(&out)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%d of %d: %q, want %q", agree, agree+disagree, out.String(), want)
		}
	}
	f(40, 10, false, "on 80.0 % of 50 pairs; mean loss 0.00 points by humans, -20.00 by the judge")
	f(39, 11, true, "on 78.0 %")
	f(10, 10, false, "warning: the judge is checked on 20 pairs")
}
