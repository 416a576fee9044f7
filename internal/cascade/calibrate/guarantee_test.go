package calibrate

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// population makes pairs whose loss is known: signal is how much of a grade the features
// tell, 0 for nothing.
type population struct {
	rng    *rand.Rand
	signal float64
}

func (p *population) draw(n int) []Pair {
	log := make([]Pair, n)
	for i := range log {
		x := make([]float32, score.FeatureCount)
		for j := range x {
			x[j] = float32(p.rng.NormFloat64())
		}
		grade := 7 + 1.5*(p.signal*float64(x[0]+x[1]-x[2])/1.7+(1-p.signal)*p.rng.NormFloat64())
		if p.rng.Float64() < 0.03 {
			grade = 2 // nobody sees why
		}
		r := pairs.Reading{Light: min(max(int(grade+0.5), 1), 10), Escalation: 8}
		log[i] = Pair{
			Pair: &pairs.Pair{
				FeatureSet: score.FeatureSet, Features: x, Light: pairs.Leg{Cost: 3}, Escalation: pairs.Leg{Cost: 100},
			},
			Verdict: r.Adequate(6), By: ByGrades, Grades: &pairs.Grades{Reading: r}, adequate: 6,
		}
	}
	return log
}

// TestCrossFittedHolds certifies from logs of populations whose loss is known, of
// features that tell much, little and nothing: no more than δ of the certificates may
// lose more than was promised. SLUICE_RUNS sets how many.
func TestCrossFittedHolds(t *testing.T) {
	runs := 12
	if n, err := strconv.Atoi(os.Getenv("SLUICE_RUNS")); err == nil {
		runs = n
	}
	target := certify.Options{MaxLoss: 0.05, Delta: 0.1, OneSided: true, CrossFitted: true}
	for _, signal := range []float64{0, 0.5, 0.9} {
		p := &population{rand.New(rand.NewPCG(3, uint64(100*signal))), signal}
		truth := p.draw(4000)
		issued, broken, saving, loss := 0, 0, 0.0, 0.0
		for range runs {
			log := p.draw(400)
			s, err := fitScore(log, score.Alone)
			if err != nil {
				t.Fatal(err)
			}
			r, err := certify.Calibrate((&order{score: s}).rank(log).Pairs, target)
			if err != nil {
				continue
			}
			at := r.Curve[r.Certified].Threshold
			lost := 0
			for i := range truth {
				if s.model.Place(truth[i].Pair.Features, "") <= at && truth[i].Verdict.Loss() > 0 {
					lost++
				}
			}
			mean := float64(lost) / float64(len(truth))
			issued, saving, loss = issued+1, saving+r.Curve[r.Certified].Saving, loss+mean
			if mean > target.MaxLoss {
				broken++
			}
		}
		n := float64(max(issued, 1))
		t.Logf("signal %.1f: %d of %d issued, %.1f %% saved, %.2f points lost, %d broken",
			signal, issued, runs, 100*saving/n, 100*loss/n, broken)
		if broken > max(1, runs/10) {
			t.Errorf("signal %.1f: %d of %d broken", signal, broken, issued)
		}
	}
}
