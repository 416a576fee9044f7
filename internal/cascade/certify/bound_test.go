package certify

import "testing"

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
