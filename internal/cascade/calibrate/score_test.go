package calibrate

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// pairOf is a line of the log as a gateway writes it, with texts.
func pairOf(prompt, light, second string) *pairs.Pair {
	p := &pairs.Pair{
		Route: "support acme 0", TextBytes: len(prompt), Second: &pairs.Leg{Cost: 4},
		Light: pairs.Leg{Cost: 6}, Escalation: pairs.Leg{Cost: 100},
		Content: &pairs.Content{Prompt: prompt, Light: light, Second: second},
	}
	a, b := &answer.Answer{Text: light}, &answer.Answer{Text: second}
	free := &answer.Request{}
	in := score.Input{Light: a, Partner: b, LightK: answer.KeyOf(free, a), PartK: answer.KeyOf(free, b)}
	p.Partner = answer.Agree(in.LightK, in.PartK).String()
	if risk := score.Untrained(&in); risk != score.Never {
		p.Risk = &risk
	}
	return p
}

// TestExamples has the costs of all light calls, what checks would escalate, and
// texts for all or none.
func TestExamples(t *testing.T) {
	same, different := pairOf("a", "the answer is 1", "the answer is 1"), pairOf("b", "the answer is 1", "the answer is 2")
	vetoed, alone := pairOf("c", "the answer is 1", "the answer is 1"), pairOf("d", "the answer is 1", "")
	vetoed.Veto, alone.Second = "refusal", nil
	vetoed.Weight = 3
	var log []Pair
	for _, p := range []*pairs.Pair{same, different, vetoed, alone} {
		log = append(log, Pair{Pair: p, Verdict: pairs.Verdict{Light: 0.25, Escalation: 1}, By: ByKeys})
	}
	examples := examplesOf(log)
	got := ""
	for _, e := range examples {
		got += fmt.Sprintln(e.Input.Prompt, e.Input.Bytes, e.escalated, int64(e.lightCost), int64(e.fullCost),
			e.Light, e.Escalation, e.Weight)
	}
	want := "a 1 false 10 100 0.25 1 0\nb 1 true 10 100 0.25 1 0\nc 1 true 10 100 0.25 1 3\nd 1 false 6 100 0.25 1 0\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	alone.Content = nil
	for _, e := range examplesOf(log) {
		if e.Input.Prompt != "" || e.Input.Bytes != 1 || e.Input.Route == "" {
			t.Errorf("%+v", e.Input)
		}
	}
}

// TestRoutesAlone has a pre-score that never saw a text serve requests that have one.
func TestRoutesAlone(t *testing.T) {
	var log []Pair
	for i := range 1200 {
		p, v := pairOf("", "the answer is 1", "the answer is 1"), pairs.Verdict{Light: 1, Escalation: 1}
		if i%4 == 0 {
			p, v = pairOf("", "the answer is 1", "the answer is 2"), pairs.Verdict{Escalation: 1}
			p.Route = "support acme 1"
		}
		p.TextBytes, p.Content = 900, nil
		log = append(log, Pair{Pair: p, Verdict: v, By: ByKeys})
	}
	pre, _, err := fitPreScore(examplesOf(log), certify.Options{MaxLoss: 0.02, Delta: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	for route, want := range map[string]score.Band{"support acme 0": score.LightBand, "support acme 1": score.DirectBand} {
		gain, _ := pre.Score(&score.Input{Prompt: "Each of 5 is twice 100 %?\n", Bytes: 900, Route: route}, nil)
		if got := pre.Band(gain); got != want {
			t.Errorf("%s: band %v with a gain of %v between %v, want %v", route, got, gain, pre.Bounds, want)
		}
	}
}

// freeLog are pairs of free text with a judge's grades: every third light answer is bad,
// and looks it.
func freeLog(n int) []Pair {
	log := make([]Pair, n)
	for i := range log {
		text, g := fmt.Sprintf("There are three ways to room %d.\n- The stairs.\n- The lift.\n- The ramp.\nAll open.", i), 8
		if i%3 == 0 {
			text, g = fmt.Sprintf("It depends on the building and on the day you mean, room %d or another", i), 3
		}
		strong := fmt.Sprintf("Room %d can be reached by the stairs, by the lift and by the ramp. All of them are open.", i)
		log[i] = freePair(text, strong, pairs.Reading{Light: g, Escalation: 8})
		log[i].Pair.ID, log[i].Pair.Time = fmt.Sprint(i), time.Unix(int64(i), 0)
	}
	return log
}

func freePair(light, strong string, grades pairs.Reading) Pair {
	p := pairOf("How do I get there?", light, "You can take the stairs, or the lift next to them")
	p.Risk, p.Partner, p.Label = nil, "unknown", "unknown"
	a, b, full := &answer.Answer{Text: light}, &answer.Answer{Text: p.Content.Second}, &answer.Answer{Text: strong}
	p.FeatureSet, p.Features = score.FeatureSet, score.Features(&score.Input{Light: a, Partner: b})
	p.EscalationFeatures = score.Features(&score.Input{Light: full, Partner: a})
	p.Grades = &pairs.Grades{Judge: "j", Rubric: "r", Reading: grades}
	return Pair{Pair: p, Verdict: grades.Adequate(5), By: ByGrades, Grades: p.Grades, adequate: 5}
}

// TestScore trains on what it can rank, with grades or labels alone.
func TestScore(t *testing.T) {
	log := freeLog(300)
	log[1].Pair.Veto, log[2].Pair.FeatureSet = "refusal", "older"
	check := func(what string, reach score.Reach) {
		t.Helper()
		s, err := fitScore(log, reach)
		if err != nil || len(s.risks) != 298 {
			t.Fatalf("%s: %v, %d ranked", what, err, len(s.risks))
		}
		if bad, good := s.risks[&log[3]], s.risks[&log[4]]; bad <= good {
			t.Errorf("%s: risk %v of a bad answer, %v of a good one", what, bad, good)
		}
	}
	check("grades", score.Unkeyed)
	check("alone", score.Alone)
	for i := range log {
		log[i].Grades = nil
	}
	check("labels", score.Unkeyed)
	var few *TooFewError
	if _, err := fitScore(log[:100], score.Unkeyed); !errors.As(err, &few) || few.Pairs != 98 {
		t.Errorf("%v of too few", err)
	}
}

// TestReachOf leaves answers with a key to their keys, unless the log is of free text.
func TestReachOf(t *testing.T) {
	log := freeLog(20)
	f := func(keyed int, want score.Reach) {
		t.Helper()
		all := slices.Clone(log)
		for range keyed {
			p := freePair("a", "b", pairs.Reading{Light: 5, Escalation: 5})
			risk := 1.5
			p.Pair.Risk = &risk
			all = append(all, p)
		}
		if got := reachOf(all); got != want {
			t.Errorf("%d with other keys: %v, want %v", keyed, got, want)
		}
	}
	f(0, score.Other)
	f(20, score.Other)
	f(21, score.Unkeyed)
}
