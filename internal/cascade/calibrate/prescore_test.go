package calibrate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// exampleOf is a request of which a light call costs 10 and an escalation call 100.
func exampleOf(loss float64, escalated bool) example {
	return example{Row: score.Row{Light: 1 - loss, Escalation: 1}, escalated: escalated, lightCost: 10, fullCost: 100}
}

// at makes n examples of one score.
type at struct {
	n         int
	score     float64
	loss      float64
	escalated int // of the n
}

func made(groups ...at) (examples []example, scores []float64) {
	for _, g := range groups {
		for i := range g.n {
			examples, scores = append(examples, exampleOf(g.loss, i < g.escalated)), append(scores, g.score)
		}
	}
	return examples, scores
}

var inf = math.Inf(1)

// TestDirect sends past the light model what costs more with it.
func TestDirect(t *testing.T) {
	f := func(what string, want float64, groups ...at) {
		t.Helper()
		examples, scores := made(groups...)
		if got := directBound(examples, levelsOf(scores)); got != want {
			t.Errorf("%s: direct %v, want %v", what, got, want)
		}
	}
	f("nothing is known", inf)
	f("all are served", inf, at{n: 100, score: 0.5})
	f("all are escalated", -1, at{n: 100, score: 0.5, escalated: 100})
	f("even", inf, at{n: 100, score: 0.5, escalated: 90})
	f("it may be chance that it pays", inf, at{n: 100, score: 0.5, escalated: 93})
	f("it pays", -1, at{n: 100, score: 0.5, escalated: 95})
	f("one too few", inf, at{n: 100, score: 0.5, escalated: 89})
	f("the higher ones", 0.5, at{n: 100, score: 0.2, escalated: 20}, at{n: 100, score: 0.8, escalated: 100})
	f("what pays ends where it does not, though both together do", 0.5,
		at{n: 100, score: 0.2, escalated: 89}, at{n: 100, score: 0.8, escalated: 100})
	f("a better one below", 0.2,
		at{n: 100, score: 0.1}, at{n: 100, score: 0.3, escalated: 100}, at{n: 20, score: 0.8, escalated: 17})
	f("too few to tell", inf, at{n: 100, score: 0.2}, at{n: 19, score: 0.8, escalated: 19})
}

// TestUncertain lets the light model answer alone where that is proven to lose
// little.
func TestUncertain(t *testing.T) {
	target := certify.Options{MaxLoss: 0.02, Delta: 0.1}
	f := func(what string, want float64, groups ...at) {
		t.Helper()
		examples, scores := made(groups...)
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(examples), func(i, j int) {
			examples[i], examples[j] = examples[j], examples[i]
			scores[i], scores[j] = scores[j], scores[i]
		})
		if got := uncertainBound(examples, levelsOf(scores), target); got != want {
			t.Errorf("%s: uncertain %v, want %v", what, got, want)
		}
	}
	f("nothing is known", -inf)
	f("nothing is lost", 1, at{n: 1000, score: 0.1})
	f("too few to tell", -inf, at{n: 100, score: 0.1})
	f("the lower ones", 0.5, at{n: 500, score: 0.25}, at{n: 500, score: 0.75, loss: 0.5})
	f("too much is lost", -inf, at{n: 1000, score: 0.1, loss: 0.1})
	f("the mean is below the bound, the proof is not", -inf, at{n: 500, score: 0.1, loss: 0.009})
	f("few of all", 0.5, at{n: 40, score: 0.25, loss: 0.1}, at{n: 1960, score: 0.75, loss: 0.1})
}

// TestUncertainHolds draws logs in which every score loses exactly as much as is
// allowed when it is served: at most one in ten may find a bound there.
func TestUncertainHolds(t *testing.T) {
	const logs, n = 200, 400
	target := certify.Options{MaxLoss: 0.1, Delta: 0.1}
	rng := rand.New(rand.NewPCG(7, 7))
	wrong := 0
	for range logs {
		examples, scores := make([]example, n), make([]float64, n)
		for i := range examples {
			examples[i] = exampleOf(0, false)
			if rng.Float64() < lightPart*target.MaxLoss {
				examples[i] = exampleOf(1, false)
			}
		}
		if uncertainBound(examples, levelsOf(scores), target) > -inf {
			wrong++
		}
	}
	if wrong > logs/10 {
		t.Errorf("%d of %d logs have a bound that loses too much", wrong, logs)
	}
}

// TestFitPreScore trains on two kinds of requests and finds them again.
func TestFitPreScore(t *testing.T) {
	var examples []example
	for i := range 1200 {
		e, prompt := exampleOf(0, false), fmt.Sprintf("say hello to %d", i)
		if i%4 == 0 {
			e, prompt = exampleOf(1, true), fmt.Sprintf("prove the theorem %d", i)
		}
		e.Input = score.Input{Prompt: prompt}
		examples = append(examples, e)
	}
	pre, report, err := fitPreScore(examples, certify.Options{MaxLoss: 0.02, Delta: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	f := func(prompt string, want score.Band) {
		t.Helper()
		gain, _ := pre.Score(&score.Input{Prompt: prompt}, nil)
		if got := pre.Band(gain); got != want {
			t.Errorf("%s: band %v with a gain of %v between %v, want %v", prompt, got, gain, pre.Bounds, want)
		}
	}
	f("say hello to 5000", score.LightBand)
	f("prove the theorem 5000", score.DirectBand)
	want := [...]float64{0, 0.75, 0, 0.25}
	if report.N != 1200 || report.APGR < 0.85 || report.Low > report.APGR || report.Shares != want {
		t.Errorf("%+v", report)
	}
	var few *TooFewError
	_, _, err = fitPreScore(examples[:MinTraining-1], certify.Options{})
	if !errors.As(err, &few) || few.Pairs != MinTraining-1 {
		t.Errorf("%v of too few", err)
	}
}

// TestPreScoreOfNoise has labels that no score tells: nothing is sent direct, and
// no light answer stands alone.
func TestPreScoreOfNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	examples := make([]example, 600)
	for i := range examples {
		wrong := rng.IntN(3) == 0
		examples[i] = exampleOf(map[bool]float64{true: 1}[wrong], wrong)
		examples[i].Input = score.Input{Prompt: fmt.Sprintf("word%d other%d", rng.IntN(1e6), rng.IntN(1e6))}
	}
	pre, report, err := fitPreScore(examples, certify.Options{MaxLoss: 0.02, Delta: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	if !math.IsInf(pre.Direct, 1) || report.Shares[score.LightBand] > 0.1 {
		t.Errorf("bounds %v, %+v", pre.Bounds, report)
	}
}
