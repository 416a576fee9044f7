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

// TestTrainedOrder ranks by the new score what its texts allow, and counts the
// rest.
func TestTrainedOrder(t *testing.T) {
	log := []Pair{agreed("a", tie), agreed("b", tie), agreed("c", tie), agreed("d", tie)}
	risk, in := untrainedRisk(t, log[0].Pair)
	log[0].Pair.Risk = risk
	log[1].Pair.SchemaHash = "5c"
	log[2].Pair.Veto = "empty"
	log[3].Pair.Content = nil
	served, err := score.DecodeModel(score.TrainModel(nil, 1).Encode())
	if err != nil {
		t.Fatal(err)
	}
	r := (&order{score: served, file: "another"}).rank(log)
	if len(r.Pairs) != 2 || r.Pairs[0].Risk != served.Risk(&in) || r.Pairs[1].Risk != score.Never {
		t.Errorf("%+v", r.Pairs)
	}
	if diff := cmp.Diff(map[Rebuild]int{Shaped: 1, Textless: 1}, r.Left); diff != "" {
		t.Error(diff)
	}
}

// untrainedRisk is what a pre-scoreway logs of a pair.
func untrainedRisk(t *testing.T, p *pairs.Pair) (*float64, score.Input) {
	t.Helper()
	in, _ := rebuild(p)
	risk := score.Untrained(&in)
	if risk == score.Never {
		t.Fatal("the pair cannot be compared")
	}
	return &risk, in
}
