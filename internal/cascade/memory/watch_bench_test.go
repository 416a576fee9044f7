package memory

import "testing"

func BenchmarkWatch(b *testing.B) {
	steps := make([]float64, 70)
	for i := range steps {
		steps[i] = 0.5 + float64(i)/50
	}
	var w Watch
	c := stepping("a", steps...)
	for b.Loop() {
		w.Observe(c, Sample{Risk: 0.7})
	}
}
