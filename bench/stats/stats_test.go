package stats

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummarize(t *testing.T) {
	f := func(figures []float64, want Summary) {
		t.Helper()
		if diff := cmp.Diff(want, Summarize(figures)); diff != "" {
			t.Errorf("%v: %s", figures, diff)
		}
	}
	f(nil, Summary{})
	f([]float64{7}, Summary{Median: 7, Low: 7, High: 7, Rounds: 1})
	f([]float64{4, 2}, Summary{Median: 3, Low: 2.5, High: 3.5, Rounds: 2})
	f([]float64{5, 1, 4, 2, 3}, Summary{Median: 3, Low: 2, High: 4, Rounds: 5})
	f([]float64{100, 1, 2, 3}, Summary{Median: 2.5, Low: 1.75, High: 27.25, Rounds: 4})
}

func TestSummarizeLeavesItsArgumentAlone(t *testing.T) {
	figures := []float64{3, 1, 2}
	Summarize(figures)
	if diff := cmp.Diff([]float64{3, 1, 2}, figures); diff != "" {
		t.Error(diff)
	}
}

func TestSpread(t *testing.T) {
	f := func(s Summary, want float64) {
		t.Helper()
		if got := s.Spread(); math.Abs(got-want) > 1e-12 {
			t.Errorf("%+v: got %g, want %g", s, got, want)
		}
	}
	f(Summary{}, 0)
	f(Summary{Median: 2, Low: 1.9, High: 2.1}, 0.1)
	f(Summary{Median: -2, Low: -2.1, High: -1.9}, 0.1)
}

func TestSeriesPairsByRound(t *testing.T) {
	a := Series{1: 10, 2: 20, 3: 30, 5: 1}
	b := Series{1: 5, 2: 5, 4: 7, 5: 0}
	if diff := cmp.Diff(Series{1: 2, 2: 4}, a.Over(b)); diff != "" {
		t.Errorf("over: %s", diff)
	}
	if diff := cmp.Diff(Series{1: 5, 2: 15, 5: 1}, a.Minus(b)); diff != "" {
		t.Errorf("minus: %s", diff)
	}
	if got := a.Over(b).Summary(); got.Median != 3 || got.Rounds != 2 {
		t.Errorf("got %+v", got)
	}
}
