package score

import (
	"cmp"
	"math"
)

// Row is one labelled request for training.
type Row struct {
	Input      Input
	Light      float64 // quality of the light answer, 0 to 1
	Escalation float64 // quality of the escalation answer, 0 to 1
	Weight     float64 // 0 counts as 1
}

func (r *Row) weight() float64 { return cmp.Or(r.Weight, 1) }

// Model estimates, from request and answers, how likely each of the two models
// is right. Each estimate is the mean log odds of a logistic regression and of
// boosted trees: the one is steady, the other finds interactions. Train or decode
// it; the zero value says even odds, and nil is the order of Untrained. It is safe
// for concurrent use.
type Model struct {
	light, escalation blend
	hash              string
}

// Hash returns the FileHash of the file that the model was decoded from, "" without
// one.
func (m *Model) Hash() string {
	if m == nil {
		return ""
	}
	return m.hash
}

type blend struct {
	line  Linear
	trees Forest
}

func (b *blend) chance(x []float32) float64 {
	return sigmoid((b.line.Score(x, nil) + b.trees.Score(x)) / 2)
}

// TrainModel fits a model. It needs a few hundred rows to be of use; below a
// thousand Untrained is as good, and leaves the rows to the certificate.
func TrainModel(rows []Row, seed uint64) *Model {
	x := make([][]float32, len(rows))
	light, escalation, weights := make([]float64, len(rows)), make([]float64, len(rows)), make([]float64, len(rows))
	for i := range rows {
		var d [denseCount]float32
		dense(&rows[i].Input, &d)
		x[i], light[i], escalation[i], weights[i] = d[:], rows[i].Light, rows[i].Escalation, rows[i].weight()
	}
	return &Model{light: fitBlend(x, light, weights, seed), escalation: fitBlend(x, escalation, weights, seed)}
}

var denseDescent = descent{epochs: 20, rate: 0.1, l2: 0.01}

func fitBlend(x [][]float32, labels, weights []float64, seed uint64) blend {
	rows := make([]example, len(x))
	for i := range x {
		rows[i] = example{x: x[i], label: labels[i], weight: weights[i]}
	}
	return blend{fitLinear(rows, denseDescent, seed), fitForest(x, labels, weights, smallData)}
}

// Score estimates the quality that serving the light answer costs: the chance
// that the escalation model is right less the chance that the light one is.
func (m *Model) Score(in *Input) float64 {
	var x [denseCount]float32
	dense(in, &x)
	return m.escalation.chance(x[:]) - m.light.chance(x[:])
}

// steady is added to an estimated cost of quality, so that a small sample's
// optimism decides less than what the escalation call would cost.
const steady = 0.3

// Risk places a light answer on the scale of Untrained: agreeing answers by
// their score, the others by score per length, which stands for the cost of
// the escalation call. It depends on the input alone. Calibrate it on rows that the
// model was not trained on.
func (m *Model) Risk(in *Input) float64 {
	base := Untrained(in)
	if m == nil || base == Never {
		return base
	}
	harm := max(m.Score(in)+steady, 0)
	if base < 1 {
		return min(harm/(2*steady), 0.999)
	}
	words := math.Expm1(min(2-base, 1)*logRange) / 1024
	relative := harm / steady / (1 + words)
	return 1 + min(relative/(1+relative), 0.999)
}
