package score

import (
	"math"
	"math/rand/v2"
)

// logistic is a logistic regression over standardised dense features and hashed
// words. The zero value answers 0, which is even odds.
type logistic struct {
	Bias   float32
	Weight []float32 // per dense feature, for standardised values
	Mean   []float32
	Scale  []float32 // 1/standard deviation, 0 for a constant
	Words  []float32 // per bucket, nil without words
}

// score returns the log odds for dense features and the buckets of words.
func (l *logistic) score(x []float32, words []uint32) float64 {
	z := float64(l.Bias)
	for j, w := range l.Weight {
		z += float64(w * standard(x[j], l.Mean[j], l.Scale[j]))
	}
	if len(l.Words) == 0 || len(words) == 0 {
		return z
	}
	var sum float64
	for _, b := range words {
		sum += float64(l.Words[b%uint32(len(l.Words))])
	}
	return z + sum*wordScale(len(words))
}

// standard clips at four deviations, so that one odd value decides nothing.
func standard(x, mean, scale float32) float32 {
	return min(max((x-mean)*scale, -4), 4)
}

// wordScale makes the words of a text a unit vector.
func wordScale(n int) float64 { return 1 / math.Sqrt(float64(n)) }

// The settings of the descent take small steps and stop early: with a label this noisy,
// what goes further fits noise.
const (
	epochs   = 6
	stepRate = 0.005
	l2       = 0.02 // on dense weights, per row
	buckets  = 1 << 16
)

// example is one row: features, words, a label in [0,1] and its weight.
type example struct {
	x      []float32
	words  []uint32
	label  float64
	weight float64
}

// fitLogistic fits by AdaGrad (Duchi et al. 2011) with L2, in an order drawn
// from the seed.
func fitLogistic(rows []example, seed uint64) logistic {
	if len(rows) == 0 {
		return logistic{}
	}
	f := newFit(rows)
	rng := rand.New(rand.NewPCG(seed, 0x5311ce))
	order := rng.Perm(len(rows))
	for range epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			f.step(&rows[i])
		}
	}
	return f.logistic
}

// fit is a regression with the squared gradients of its weights.
type fit struct {
	logistic
	dense, bucket []float32
	bias          float32
}

func newFit(rows []example) *fit {
	n := len(rows[0].x)
	f := &fit{dense: make([]float32, n), bucket: make([]float32, buckets)}
	f.Weight, f.Mean, f.Scale = make([]float32, n), make([]float32, n), make([]float32, n)
	f.Words = make([]float32, buckets)
	for j := range n {
		var sum, squares float64
		for i := range rows {
			sum += float64(rows[i].x[j])
			squares += float64(rows[i].x[j]) * float64(rows[i].x[j])
		}
		m := sum / float64(len(rows))
		f.Mean[j] = float32(m)
		if variance := squares/float64(len(rows)) - m*m; variance > 1e-9 {
			f.Scale[j] = float32(1 / math.Sqrt(variance))
		}
	}
	return f
}

func (f *fit) step(r *example) {
	miss := r.weight * (sigmoid(f.score(r.x, r.words)) - r.label)
	f.move(&f.Bias, &f.bias, miss)
	for j := range f.Weight {
		g := miss*float64(standard(r.x[j], f.Mean[j], f.Scale[j])) + l2*float64(f.Weight[j])
		f.move(&f.Weight[j], &f.dense[j], g)
	}
	scale := wordScale(len(r.words))
	for _, b := range r.words {
		b %= buckets
		f.move(&f.Words[b], &f.bucket[b], miss*scale)
	}
}

func (f *fit) move(w, squares *float32, g float64) {
	*squares += float32(g * g)
	*w -= float32(stepRate * g / math.Sqrt(float64(*squares)+1e-6))
}
