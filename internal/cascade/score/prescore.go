package score

import (
	"cmp"
	"slices"
)

// PreScore estimates, before any call, what escalating would gain: the chance that
// the escalation model is right where the light one is wrong, less the reverse.
// That is not how hard a request is; where both fail there is nothing to gain.
//
// Texts of one domain give little information (see docs/cascade.md); the route gives
// most, so the mean gain of each known route is a feature. Train or decode it. It is
// safe for concurrent use.
type PreScore struct {
	// Bounds give scores a meaning; TrainPreScore leaves them unbounded, and they are
	// set before it is in use.
	Bounds

	line   logistic
	mean   float32
	routes []route // ascending by key
}

// route is the mean gain of one route, shrunk towards the overall mean.
type route struct {
	Key  uint32
	Gain float32
}

// pull is how many requests of average gain each route starts with.
const pull = 20

// TrainPreScore fits a pre-score without bounds; only prompt, length and route of the
// inputs are read.
func TrainPreScore(rows []Row, seed uint64) *PreScore {
	p := &PreScore{Bounds: Unbounded()}
	sums := map[uint32][2]float64{}
	var gain, total float64
	for i := range rows {
		r := &rows[i]
		gain += r.weight() * r.gain()
		total += r.weight()
		key := routeKey(r.Input.Route)
		s := sums[key]
		sums[key] = [2]float64{s[0] + r.weight()*r.gain(), s[1] + r.weight()}
	}
	mean := (gain + 0.5) / (total + 1)
	p.mean = float32(mean)
	for key, s := range sums {
		p.routes = append(p.routes, route{key, float32((s[0] + pull*mean) / (s[1] + pull))})
	}
	slices.SortFunc(p.routes, func(a, b route) int { return cmp.Compare(a.Key, b.Key) })
	examples := make([]example, len(rows))
	for i := range rows {
		r := &rows[i]
		s := sums[routeKey(r.Input.Route)]
		// Its own label must not reach a row through the mean of its route.
		others := (s[0] - r.weight()*r.gain() + pull*mean) / (s[1] - r.weight() + pull)
		var x [preScoreCount]float32
		preScoreFeatures(&r.Input, float32(others), &x)
		examples[i] = example{x[:], appendWords(nil, r.Input.Prompt), r.gain(), r.weight()}
	}
	p.line = fitLogistic(examples, seed)
	return p
}

// gain is what escalating changes, from worse (0) over nothing (0.5) to better
// (1), which makes it a label of a logistic regression. Losses count as much
// as wins: where the light model is often the better one, leave it alone.
func (r *Row) gain() float64 { return (r.Escalation - r.Light + 1) / 2 }

func preScoreFeatures(in *Input, routeGain float32, x *[preScoreCount]float32) {
	requestFeatures(in, x)
	x[fRoute] = float32(logit(min(max(float64(routeGain), 1e-4), 1-1e-4)))
}

// Score returns the estimated gain in quality, -1 to 1. The buffer is scratch space for
// the words and may be nil; pass it again to allocate nothing.
func (p *PreScore) Score(in *Input, buffer []uint32) (float64, []uint32) {
	buffer = appendWords(buffer[:0], in.Prompt)
	var x [preScoreCount]float32
	preScoreFeatures(in, p.routeGain(in.Route), &x)
	return 2*sigmoid(p.line.score(x[:], buffer)) - 1, buffer
}

func (p *PreScore) routeGain(name string) float32 {
	i, known := findRoute(p.routes, routeKey(name))
	if !known {
		return p.mean
	}
	return p.routes[i].Gain
}

func findRoute(routes []route, key uint32) (at int, known bool) {
	return slices.BinarySearchFunc(routes, key, func(r route, k uint32) int { return cmp.Compare(r.Key, k) })
}

func routeKey(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return mix(h)
}
