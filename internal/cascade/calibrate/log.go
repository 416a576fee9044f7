package calibrate

import (
	"cmp"
	"io"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

// Log is the labelled pairs of a cascade, and how many lines were left out.
type Log struct {
	Pairs []Pair // the earliest first

	Skipped      int // lines that are incomplete or of another version
	OtherCascade int // pairs of another cascade
	OtherPolicy  int // pairs of another policy, other models or other prices
	Unlabelled   int // pairs whose label is unknown

	Unmatched []string // ids of human labels without a pair in the log, in order
	Judged    Agreement
	Grading   Grading
	Asked     Asked             // all pairs of the binding, with a label and without
	Routes    []certify.Traffic // of the same pairs, of routes that have enough, ascending
}

// Pair is a pair of the log with its best label.
type Pair struct {
	Pair    *pairs.Pair
	Verdict pairs.Verdict
	By      string        // who labelled it
	Grades  *pairs.Grades // that count, nil for none

	adequate int // grade from which on an answer is
}

// ReadLog reads the pairs that belong to a binding.
func ReadLog(in io.Reader, b *certify.Binding, labels Labels) (*Log, error) {
	l := &Log{}
	var taken []Pair // of the binding, with and without a label
	var err error
	l.Skipped, err = pairs.Read(in, func(p *pairs.Pair) error {
		switch {
		case p.Cascade != b.Cascade:
			l.OtherCascade++
		case p.PolicyHash != b.PolicyHash || p.PricesHash != b.PricesHash || !sameModels(p, b.Models):
			l.OtherPolicy++
		default:
			verdict, by := labels.of(p, b, &l.Judged)
			taken = append(taken, Pair{p, verdict, by, labels.grades(p, b), b.Adequate})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.Unmatched = labels.unmatched(taken)
	l.Asked, l.Routes = askedOf(taken), routesOf(taken)
	l.Pairs = slices.DeleteFunc(taken, func(p Pair) bool { return p.By == "" })
	l.Unlabelled = len(taken) - len(l.Pairs)
	l.Asked.Labelled = len(l.Pairs)
	slices.SortStableFunc(l.Pairs, func(a, b Pair) int { return a.Pair.Time.Compare(b.Pair.Time) })
	l.weigh()
	return l, nil
}

// sameModels compares the models themselves: without prices the hash of the prices
// is the same for any models.
func sameModels(p *pairs.Pair, models []string) bool {
	second := p.Second == nil || p.Second.Model == models[1]
	return second && p.Light.Model == models[0] && p.Escalation.Model == models[2]
}

// leastRoute is how many pairs a route needs before its traffic is described.
const leastRoute = 50

// routesOf describes the requests of the routes. Those without a label count too: what
// people label is often another selection.
func routesOf(log []Pair) []certify.Traffic {
	requests := map[string][]certify.Request{}
	for i := range log {
		p := log[i].Pair
		requests[p.Route] = append(requests[p.Route], certify.Request{Bytes: p.TextBytes, Weight: cmp.Or(p.Weight, 1)})
	}
	var all []certify.Traffic
	for _, route := range slices.Sorted(maps.Keys(requests)) {
		if len(requests[route]) >= leastRoute {
			all = append(all, certify.TrafficOf(route, requests[route]))
		}
	}
	return all
}
