package calibrate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
)

// InadequateError says that too few escalation answers are adequate: where there is
// nothing to lose, a small loss says nothing of the light model.
type InadequateError struct{ Adequate, Graded, Least int }

func (e *InadequateError) Error() string {
	return fmt.Sprintf("cannot certify: the escalation answer is adequate in %d of %d graded pairs, "+
		"at least %d are needed: ask a better escalation model, or lower shadow.adequate", e.Adequate, e.Graded, e.Least)
}

// adequate fails with *InadequateError, when judges' grades are the labels.
func adequate(log []Pair, o certify.Options) error {
	e := InadequateError{}
	for i := range log {
		if log[i].By == ByGrades {
			e.Graded++
			e.Adequate += int(log[i].Verdict.Escalation)
		}
	}
	e.Least = max(certify.MinPairs(o.MaxLoss, o.Delta), e.Graded/2)
	if e.Graded == 0 || e.Adequate >= e.Least {
		return nil
	}
	return &e
}

// ShiftError says that the requests of a route are not in the later half of the log what
// they were in the earlier one, so that nobody knows what they will be.
type ShiftError struct {
	Route string
	What  string // changed
}

func (e *ShiftError) Error() string {
	return fmt.Sprintf("cannot certify: the traffic of the route %q shifted within the log: %s changed; "+
		"calibrate from pairs since the change alone", e.Route, e.What)
}

const (
	// leastShift is how many pairs each half needs before a route can be compared.
	leastShift = 30
	// shiftLevel is the chance to refuse a log in which nothing shifted.
	shiftLevel = 0.001
	// leastDistance is how far two distributions are apart that matter: days and hours
	// always differ a little, and a large log shows it.
	leastDistance = 0.2
)

// steady fails with *ShiftError when a route's requests, or the light answers to them,
// have other lengths in the later half of the log. No label is looked at.
func steady(log []Pair) error {
	type halves [2][]float64
	measured := [...]struct {
		what string
		of   func(p *Pair) float64
	}{
		{"the length of requests", func(p *Pair) float64 { return float64(p.Pair.TextBytes) }},
		{"the length of light answers", func(p *Pair) float64 { return float64(p.Pair.Light.Output) }},
	}
	var names []string
	routes := map[string]*[len(measured)]halves{}
	for i := range log {
		p := &log[i]
		r := routes[p.Pair.Route]
		if r == nil {
			r = &[len(measured)]halves{}
			routes[p.Pair.Route], names = r, append(names, p.Pair.Route)
		}
		for m := range measured {
			half := &r[m][2*i/len(log)]
			*half = append(*half, measured[m].of(p))
		}
	}
	level := shiftLevel / float64(len(names)*len(measured))
	for _, name := range names {
		for m, h := range routes[name] {
			if min(len(h[0]), len(h[1])) >= leastShift && differs(h[0], h[1], level) {
				return &ShiftError{name, measured[m].what}
			}
		}
	}
	return nil
}

// differs is the test of Kolmogorov and Smirnov whether two samples are of different
// distributions, by the tail of its limit, which is on the safe side where values are
// equal (Smirnov 1948).
func differs(a, b []float64, level float64) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	most := 0.0
	for i, j := 0, 0; i < len(a) && j < len(b); {
		at := cmp.Compare(a[i], b[j])
		x := min(a[i], b[j])
		for at <= 0 && i < len(a) && a[i] == x {
			i++
		}
		for at >= 0 && j < len(b) && b[j] == x {
			j++
		}
		most = max(most, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n, m := float64(len(a)), float64(len(b))
	return most > max(leastDistance, math.Sqrt(math.Log(2/level)/2*(n+m)/(n*m)))
}
