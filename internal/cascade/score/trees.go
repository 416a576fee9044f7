package score

import (
	"math"
	"slices"
)

// Forest is a sum of small regression trees on the logistic scale, fitted by
// gradient boosting (Friedman 2001; leaf values by one Newton step, as in
// Chen and Guestrin 2016, equation 5). The zero value answers its Base.
type Forest struct {
	Base  float32 // log odds without any feature
	Trees []Tree
}

// treeDepth is the depth of every tree; leaves of shallower branches repeat.
const treeDepth = 3

// Tree is a complete binary tree: node i has the children 2i+1 and 2i+2.
type Tree struct {
	Feature [1<<treeDepth - 1]uint8
	Cut     [1<<treeDepth - 1]float32 // left when the feature is ≤ Cut
	Leaf    [1 << treeDepth]float32
}

func (t *Tree) leaf(x []float32) int {
	i := 0
	for i < len(t.Feature) {
		if x[t.Feature[i]] <= t.Cut[i] {
			i = 2*i + 1
		} else {
			i = 2*i + 2
		}
	}
	return i - len(t.Feature)
}

// Score returns the log odds for the features x.
func (f *Forest) Score(x []float32) float64 {
	sum := float64(f.Base)
	for i := range f.Trees {
		sum += float64(f.Trees[i].Leaf[f.Trees[i].leaf(x)])
	}
	return sum
}

// growth has the parameters of fitting. The values are for a few hundred
// to a few thousand rows, where the danger is to fit noise.
type growth struct {
	rounds    int
	shrink    float64
	l2        float64 // added to the curvature of every leaf
	minWeight float64 // curvature that a leaf needs
}

var smallData = growth{rounds: 60, shrink: 0.1, l2: 4, minWeight: 2}

// maxCuts bounds the candidate cuts per feature.
const maxCuts = 24

// fitForest fits labels in [0,1] with weights. Rows are in a fixed order and
// nothing is random, so the same rows give the same forest.
func fitForest(rows [][]float32, labels, weights []float64, g growth) Forest {
	f := Forest{Base: float32(logit(mean(labels, weights)))}
	if len(rows) == 0 {
		return f
	}
	b := newBuilder(rows, g)
	odds := make([]float64, len(rows))
	for i := range odds {
		odds[i] = float64(f.Base)
	}
	for range g.rounds {
		for i := range rows {
			p := sigmoid(odds[i])
			b.grad[i] = weights[i] * (labels[i] - p)
			b.curve[i] = weights[i] * p * (1 - p)
		}
		tree := b.grow()
		for i := range rows {
			odds[i] += float64(tree.Leaf[b.node[i]-len(tree.Feature)])
		}
		f.Trees = append(f.Trees, tree)
	}
	return f
}

// builder grows one tree after the other over binned features.
type builder struct {
	g           growth
	cuts        [][]float32 // per feature, ascending
	bins        [][]uint8   // per feature and row
	grad, curve []float64
	node        []int // of each row in the tree being grown
}

func newBuilder(rows [][]float32, g growth) *builder {
	b := &builder{g: g, grad: make([]float64, len(rows)), curve: make([]float64, len(rows)), node: make([]int, len(rows))}
	column := make([]float32, len(rows))
	for f := range rows[0] {
		for i, row := range rows {
			column[i] = row[f]
		}
		cuts := cutsOf(column)
		bins := make([]uint8, len(rows))
		for i := range rows {
			n, _ := slices.BinarySearch(cuts, column[i])
			bins[i] = uint8(n)
		}
		b.cuts, b.bins = append(b.cuts, cuts), append(b.bins, bins)
	}
	return b
}

// cutsOf picks cuts at even steps of the distinct sorted values.
func cutsOf(column []float32) []float32 {
	sorted := slices.Clone(column)
	slices.Sort(sorted)
	var cuts []float32
	for k := 1; k <= maxCuts; k++ {
		v := sorted[(len(sorted)-1)*k/(maxCuts+1)]
		if v < sorted[len(sorted)-1] && (len(cuts) == 0 || v > cuts[len(cuts)-1]) {
			cuts = append(cuts, v)
		}
	}
	return cuts
}

func (b *builder) grow() Tree {
	var t Tree
	clear(b.node)
	for node := range t.Feature {
		t.Feature[node], t.Cut[node] = b.split(node)
	}
	var grad, curve [1 << treeDepth]float64
	for i, n := range b.node {
		grad[n-len(t.Feature)] += b.grad[i]
		curve[n-len(t.Feature)] += b.curve[i]
	}
	for l := range t.Leaf {
		t.Leaf[l] = float32(b.g.shrink * grad[l] / (curve[l] + b.g.l2))
	}
	return t
}

type sums struct{ grad, curve float64 }

// split finds the best cut of a node and moves its rows to the children.
// Without a useful cut all rows go left.
func (b *builder) split(node int) (feature uint8, cut float32) {
	var members []int
	var total sums
	for i, n := range b.node {
		if n == node {
			members = append(members, i)
			total.grad += b.grad[i]
			total.curve += b.curve[i]
		}
	}
	best, bestFeature, bestBin := 1e-9, 0, -1
	for f := range b.cuts {
		gain, bin := b.bestCut(f, members, total)
		if gain > best {
			best, bestFeature, bestBin = gain, f, bin
		}
	}
	cut = float32(math.Inf(1))
	if bestBin >= 0 {
		cut = b.cuts[bestFeature][bestBin]
	}
	for _, i := range members {
		if bestBin < 0 || int(b.bins[bestFeature][i]) <= bestBin {
			b.node[i] = 2*node + 1
		} else {
			b.node[i] = 2*node + 2
		}
	}
	return uint8(bestFeature), cut
}

func (b *builder) bestCut(f int, members []int, total sums) (gain float64, bin int) {
	var hist [maxCuts + 1]sums
	for _, i := range members {
		h := &hist[b.bins[f][i]]
		h.grad += b.grad[i]
		h.curve += b.curve[i]
	}
	worth := func(s sums) float64 { return s.grad * s.grad / (s.curve + b.g.l2) }
	var left sums
	bin = -1
	for c := range b.cuts[f] {
		left.grad += hist[c].grad
		left.curve += hist[c].curve
		right := sums{total.grad - left.grad, total.curve - left.curve}
		if left.curve < b.g.minWeight || right.curve < b.g.minWeight {
			continue
		}
		if g := worth(left) + worth(right) - worth(total); g > gain {
			gain, bin = g, c
		}
	}
	return gain, bin
}

func mean(labels, weights []float64) float64 {
	var sum, total float64
	for i, l := range labels {
		sum += weights[i] * l
		total += weights[i]
	}
	return (sum + 0.5) / (total + 1)
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func logit(p float64) float64 { return math.Log(p / (1 - p)) }
