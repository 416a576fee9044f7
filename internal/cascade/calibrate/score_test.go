package calibrate

import (
	"errors"
	"fmt"
	"testing"

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

// TestRebuild rebuilds an answer as it was ranked, or says why it cannot.
func TestRebuild(t *testing.T) {
	f := func(what string, want Rebuild, change func(p *pairs.Pair)) {
		t.Helper()
		p := pairOf("add one to 41", "the answer is 42", "I say the answer is 42")
		change(p)
		in, got := rebuild(p)
		if got != want || got == Rebuilt && (in.Prompt != "add one to 41" || in.Route != p.Route) {
			t.Errorf("%s: %v of %+v, want %v", what, got, in, want)
		}
	}
	f("whole", Rebuilt, func(*pairs.Pair) {})
	f("vetoed", Unranked, func(p *pairs.Pair) { p.Veto = "empty" })
	f("not to be compared", Unranked, func(p *pairs.Pair) { p.Risk = nil })
	f("without texts", Textless, func(p *pairs.Pair) { p.Content = nil })
	f("with a schema", Shaped, func(p *pairs.Pair) { p.SchemaHash = "5c" })
	f("with another text than was ranked", Different, func(p *pairs.Pair) { p.Content.Second = "43" })
	f("with a text of another length", Different, func(p *pairs.Pair) { p.Content.Light += "!" })
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
		log = append(log, Pair{p, pairs.Verdict{Light: 0.25, Escalation: 1}, ByKeys})
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
		log = append(log, Pair{p, v, ByKeys})
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

// TestScore trains on what can be rebuilt and counts what cannot.
func TestScore(t *testing.T) {
	var log []Pair
	for i := range 300 {
		p, v := pairOf(fmt.Sprint("add ", i), "the answer is 42", "I say the answer is 42"), tie
		switch i % 4 {
		case 0:
			p, v = pairOf("1 2 3 4 5 6 7 8 9 10", "the answer is 42", "I say the answer is 42"), pairs.Verdict{Escalation: 1}
		case 1:
			p.SchemaHash = "5c"
		}
		log = append(log, Pair{p, v, ByKeys})
	}
	model, counts, err := fitScore(log)
	if err != nil || counts[Rebuilt] != 225 || counts[Shaped] != 75 {
		t.Fatalf("%v %v", counts, err)
	}
	hard, _ := rebuild(log[0].Pair)
	easy, _ := rebuild(log[2].Pair)
	if model.Risk(&hard) <= model.Risk(&easy) {
		t.Errorf("risk %v of a wrong answer, %v of a right one", model.Risk(&hard), model.Risk(&easy))
	}
	var few *TooFewError
	if _, _, err := fitScore(log[:100]); !errors.As(err, &few) || few.Pairs != 75 {
		t.Errorf("%v of too few", err)
	}
	for i := range log {
		log[i].Pair.Content = nil
	}
	var textless *NoContentError
	if _, _, err := fitScore(log); !errors.As(err, &textless) || textless.Pairs != 225 {
		t.Errorf("%v without texts", err)
	}
}
