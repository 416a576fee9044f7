package score

import (
	"math"
	"slices"
)

// Gate estimates, before any call, what escalating would gain: the chance that
// the escalation model is right where the light one is wrong, less the reverse.
// That is not how hard a request is; where both fail there is nothing to gain.
//
// Texts of one domain tell little (see docs/cascade.md); the route tells most,
// so the mean gain of each known route is a feature. Train or read it. It is
// safe for concurrent use.
type Gate struct {
	line   Linear
	mean   float32
	routes []route // ascending by key
}

// route is the mean gain of one route, drawn to the overall mean.
type route struct {
	Key  uint32
	Gain float32
}

// pull is how many requests of average gain each route starts with.
const pull = 20

// wordDescent stops early: with a label this noisy, every further pass fits noise.
var wordDescent = descent{epochs: 3, rate: 0.02, l2: 0.02, buckets: 1 << 16}

// TrainGate fits a gate; only prompt and route of the inputs are read.
func TrainGate(rows []Row, seed uint64) *Gate {
	g := &Gate{}
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
	g.mean = float32(mean)
	for key, s := range sums {
		g.routes = append(g.routes, route{key, float32((s[0] + pull*mean) / (s[1] + pull))})
	}
	slices.SortFunc(g.routes, func(a, b route) int { return int(int64(a.Key) - int64(b.Key)) })
	examples := make([]example, len(rows))
	for i := range rows {
		r := &rows[i]
		s := sums[routeKey(r.Input.Route)]
		// Its own label must not reach a row through the mean of its route.
		others := (s[0] - r.weight()*r.gain() + pull*mean) / (s[1] - r.weight() + pull)
		var x [gateCount]float32
		gateFeatures(&r.Input, float32(others), &x)
		examples[i] = example{x[:], appendWords(nil, r.Input.Prompt), r.gain(), r.weight()}
	}
	g.line = fitLinear(examples, wordDescent, seed)
	return g
}

// gain is what escalating changes, from worse (0) over nothing (0.5) to better
// (1), which makes it a label of a logistic regression. Losses count as much
// as wins: where the light model is often the better one, leave it alone.
func (r *Row) gain() float64 { return (r.Escalation - r.Light + 1) / 2 }

// gateCount is the dense request features and the log odds of the route.
const gateCount = denseCount - fPromptLength + 1

func gateFeatures(in *Input, routeGain float32, x *[gateCount]float32) {
	var d [denseCount]float32
	dense(&Input{Prompt: in.Prompt}, &d)
	copy(x[:], d[fPromptLength:])
	x[gateCount-1] = float32(logit(min(max(float64(routeGain), 1e-4), 1-1e-4)))
}

// Score returns the estimated gain in quality, -1 to 1. The buffer is scratch space for
// the words and may be nil; pass it again to allocate nothing.
func (g *Gate) Score(in *Input, buffer []uint32) (float64, []uint32) {
	buffer = appendWords(buffer[:0], in.Prompt)
	var x [gateCount]float32
	gateFeatures(in, g.routeGain(in.Route), &x)
	return 2*sigmoid(g.line.Score(x[:], buffer)) - 1, buffer
}

func (g *Gate) routeGain(name string) float32 {
	key := routeKey(name)
	i, known := slices.BinarySearchFunc(g.routes, key, func(r route, k uint32) int { return int(int64(r.Key) - int64(k)) })
	if !known {
		return g.mean
	}
	return g.routes[i].Gain
}

func routeKey(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return mix(h)
}

// APGR is the average performance gap recovered (RouteLLM, arXiv 2406.18665,
// section 3.2): the share of the quality gap between light and escalation that
// is won when the requests of the highest scores are escalated, averaged over
// all shares of escalated requests. 0.5 is a random order; above 1 is possible
// where the models complement each other.
func APGR(scores, light, escalation []float64) float64 {
	order := make([]int, len(scores))
	var gap float64
	for i := range order {
		order[i] = i
		gap += escalation[i] - light[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	if gap == 0 {
		return math.NaN()
	}
	var won, area float64
	for _, i := range order {
		step := escalation[i] - light[i]
		area += won + step/2
		won += step
	}
	return area / float64(len(order)) / gap
}
