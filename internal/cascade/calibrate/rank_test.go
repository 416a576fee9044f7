package calibrate

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// agreed is a labelled pair of which both light models said the same.
func agreed(prompt string, v pairs.Verdict) Pair {
	risk := 0.5
	return Pair{By: ByKeys, Verdict: v, Pair: &pairs.Pair{
		Route: "r", Risk: &risk, Partner: "same",
		Light: pairs.Leg{Cost: 6}, Second: &pairs.Leg{Cost: 4}, Escalation: pairs.Leg{Cost: 100},
		Content: &pairs.Content{Prompt: prompt, Light: "the answer is 1", Second: "the answer is 1"},
	}}
}

// TestDirectPairs: what a pre-score sends direct costs an escalation call and
// loses nothing, whatever the threshold, and its weight counts.
func TestDirectPairs(t *testing.T) {
	all := score.TrainPreScore(nil, 1) // even odds: a gain of 0
	all.Bounds = score.Bounds{Uncertain: math.Inf(-1), Direct: 0}
	none := score.TrainPreScore(nil, 1)
	log := []Pair{agreed("a", strongWins), agreed("b", tie)}
	log[1].Pair.Veto = "empty"
	log[1].Pair.Weight = 3
	f := func(what string, by order, share float64, want ...certify.Pair) {
		t.Helper()
		r := by.rank(log)
		if diff := cmp.Diff(want, r.Pairs); diff != "" || r.Direct() != share {
			t.Errorf("%s: %v direct: %s", what, r.Direct(), diff)
		}
	}
	light := []certify.Pair{
		{Risk: 0.5, Escalation: 1, LightCost: 10, FullCost: 100},
		{Risk: score.Never, Light: 1, Escalation: 1, LightCost: 10, FullCost: 100, Weight: 3},
	}
	direct := []certify.Pair{
		{Risk: math.Inf(-1), Light: 1, Escalation: 1, LightCost: 100, FullCost: 100},
		{Risk: math.Inf(-1), Light: 1, Escalation: 1, LightCost: 100, FullCost: 100, Weight: 3},
	}
	f("no pre-score", order{}, 0, light...)
	f("a pre-score without bounds", order{preScore: none}, 0, light...)
	f("a pre-score that sends all", order{preScore: all}, 1, direct...)
	log[0].Pair.Content = nil
	f("a pre-score that reads texts", order{preScore: all, texts: true}, 1, direct[1])
	log[1].Pair.Content = nil
	f("of nothing", order{preScore: all, texts: true}, 0)
}

// TestScoredOrder ranks by a score just trained what it reaches, and the rest by keys.
func TestScoredOrder(t *testing.T) {
	log := freeLog(200)
	log = append(log, agreed("a", tie), agreed("b", tie))
	log[201].Pair.Veto = "empty"
	s, err := fitScore(log, score.Unkeyed)
	if err != nil || len(s.risks) != 200 {
		t.Fatalf("%v: %d ranked", err, len(s.risks))
	}
	r := (&order{score: s, file: "another"}).rank(log)
	if len(r.Pairs) != 202 || r.Unkeyed != 200 || r.Pairs[200].Risk != 0.5 || r.Pairs[201].Risk != score.Never {
		t.Errorf("%d, %d, %+v", len(r.Pairs), r.Unkeyed, r.Pairs[200:])
	}
	if keyed, free := r.Served(0.5); keyed != 0.5 || free < 0.1 || free > 0.5 {
		t.Errorf("%v of the keyed served, %v of the others", keyed, free)
	}
}
