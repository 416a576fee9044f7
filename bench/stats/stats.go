// Package stats condenses the rounds of a measurement: medians, quartiles, and
// ratios between figures that were taken in the same round.
package stats

import (
	"math"
	"slices"
)

// Summary is the middle of some figures and how far they lie apart. Its zero
// value summarises nothing.
type Summary struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`  // first quartile
	High   float64 `json:"high"` // third quartile
	Rounds int     `json:"rounds"`
}

// Summarize returns the median and the quartiles of figures, interpolated
// linearly between neighbours.
func Summarize(figures []float64) Summary {
	if len(figures) == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(slices.Values(figures))
	return Summary{
		Median: quantile(sorted, 0.5), Low: quantile(sorted, 0.25), High: quantile(sorted, 0.75), Rounds: len(sorted),
	}
}

// quantile returns the value below which the share q of the sorted figures lies.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 == len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// Spread is the distance between the quartiles as a share of the median, 0
// when there is no median to compare it with.
func (s Summary) Spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.High - s.Low) / math.Abs(s.Median)
}

// Series is one figure of a row by round. A round in which it could not be
// measured is absent.
type Series map[int]float64

// Summary condenses the series.
func (s Series) Summary() Summary {
	var figures []float64
	for _, v := range s {
		figures = append(figures, v)
	}
	return Summarize(figures)
}

// Over divides the series by another, round by round. Rounds that one of them
// lacks, or where the divisor is 0, are left out.
func (s Series) Over(other Series) Series {
	return s.join(other, func(a, b float64) (float64, bool) { return a / b, b != 0 })
}

// Minus subtracts another series, round by round.
func (s Series) Minus(other Series) Series {
	return s.join(other, func(a, b float64) (float64, bool) { return a - b, true })
}

func (s Series) join(other Series, f func(a, b float64) (float64, bool)) Series {
	out := Series{}
	for round, a := range s {
		b, found := other[round]
		if !found {
			continue
		}
		if v, ok := f(a, b); ok {
			out[round] = v
		}
	}
	return out
}
