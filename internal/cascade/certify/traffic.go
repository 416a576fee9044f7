package certify

import (
	"cmp"
	"slices"
)

// Traffic is how long the requests of one route were among the pairs of a certificate.
type Traffic struct {
	Route string `json:"route"`
	Pairs int    `json:"pairs"`
	// Ends are lengths in bytes, ascending, and Shares the part of the requests that is at
	// most as long, up to 1.
	Ends   []int     `json:"ends"`
	Shares []float64 `json:"shares"`
}

// Request is a request of a log: its length in bytes, and how many it stands for.
type Request struct {
	Bytes  int
	Weight float64
}

// ends is about how many lengths describe a route.
const ends = 10

// TrafficOf describes requests of a route. Without any there are no ends.
func TrafficOf(route string, requests []Request) Traffic {
	t := Traffic{Route: route, Pairs: len(requests)}
	sorted := slices.SortedFunc(slices.Values(requests), func(a, b Request) int { return cmp.Compare(a.Bytes, b.Bytes) })
	var all, sum float64
	for _, r := range sorted {
		all += r.Weight
	}
	for i, r := range sorted {
		sum += r.Weight
		last := i == len(sorted)-1
		if share := sum / all; last || sorted[i+1].Bytes > r.Bytes && share >= float64(len(t.Ends)+1)/ends {
			t.Ends, t.Shares = append(t.Ends, r.Bytes), append(t.Shares, share)
		}
	}
	return t
}

// Distance is by how much the part of other requests that is at most so long differs
// from Shares, at the end where it differs most: the statistic of Kolmogorov and Smirnov,
// at the ends alone. Of requests of some weight together, shorter and longer are the weight
// of those that are at most as long as the ends made a tenth shorter and longer, as Around
// makes them: lengths that differ by less are the same.
func (t *Traffic) Distance(shorter, longer []float64, weight float64) (most float64) {
	for i, share := range t.Shares {
		most = max(most, shorter[i]/weight-share, share-longer[i]/weight)
	}
	return most
}

// slack are bytes by which lengths may differ whatever they are.
const slack = 16

// Around returns lengths a little shorter and longer than an end.
func Around(end int) (shorter, longer int) { return end - end/10 - slack, end + end/10 + slack }

// Traffic returns how long the requests of a route were, nil when the certificate does not
// say.
func (c *Certificate) Traffic(route string) *Traffic {
	i, known := slices.BinarySearchFunc(c.Routes, route, func(t Traffic, name string) int {
		return cmp.Compare(t.Route, name)
	})
	if !known {
		return nil
	}
	return &c.Routes[i]
}

// sound reports whether a certificate's traffic can be looked up and compared.
func (c *Certificate) sound() bool {
	for i := range c.Routes {
		if t := &c.Routes[i]; len(t.Ends) == 0 || len(t.Shares) != len(t.Ends) || t.Pairs <= 0 {
			return false
		}
	}
	return slices.IsSortedFunc(c.Routes, func(a, b Traffic) int { return cmp.Compare(a.Route, b.Route) })
}
