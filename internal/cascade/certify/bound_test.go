package certify

import (
	"math"
	"slices"
	"testing"
)

// TestBoundWithinTarget: the bound of what was certified is never above the
// target, or service refuses what calibration issued. In these samples the test
// refuses the target and does not refuse a slightly larger loss.
func TestBoundWithinTarget(t *testing.T) {
	f := func(n, worse, better int) {
		t.Helper()
		pairs := make([]Pair, n)
		for i := range pairs {
			pairs[i] = Pair{Light: 1, Escalation: 1, LightCost: 1, FullCost: 10}
			switch {
			case i < worse:
				pairs[i].Light = 0
			case i < worse+better:
				pairs[i].Escalation = 0
			}
		}
		o := Options{MaxLoss: 0.02, Delta: 0.1, Grid: []float64{1}}
		if r, err := Calibrate(pairs, o); err == nil && r.Bound > o.MaxLoss {
			t.Errorf("%d pairs, %d worse, %d better: bound %.4f", n, worse, better, r.Bound)
		}
	}
	f(200, 3, 3)
	f(350, 11, 11)
	f(500, 14, 12)
	f(500, 17, 16)
	f(500, 21, 21)
}

// TestOrderOfPairs: the log's order is no evidence, so the two strata may come
// in either order.
func TestOrderOfPairs(t *testing.T) {
	var pairs []Pair
	for i := range 500 {
		p := Pair{Light: 1, Escalation: 1, LightCost: 1, FullCost: 10, Weight: 0.8 / 325}
		if i >= 325 {
			p.Weight = 0.2 / 175
		}
		switch {
		case i%40 == 0:
			p.Light = 0
		case i%60 == 1:
			p.Escalation = 0
		}
		pairs = append(pairs, p)
	}
	o := Options{MaxLoss: 0.04, Delta: 0.1, Grid: []float64{1}}
	forth, err := Calibrate(pairs, o)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(pairs)
	back, err := Calibrate(pairs, o)
	if err != nil || math.Abs(forth.PValue-back.PValue) > 1e-9 {
		t.Errorf("p %v, reversed %v, %v", forth.PValue, back.PValue, err)
	}
}
