package score

import (
	"cmp"
	"math"
	"slices"
)

// Answered is a pair to train on. Of a pair both answers were graded, so both teach
// what a good answer looks like; they are told apart by who wrote them.
type Answered struct {
	Light, Escalation           []float32 // features; the escalation answer's may be nil
	LightGrade, EscalationGrade float64   // the higher the better
	Route                       string
}

// Folds is how many members CrossFit trains.
const Folds = 5

// CrossFit trains a model on pairs in the order of time, and returns the risk of each
// light answer by the member that has not seen its pair. reach is which pairs
// they are. risks is where the model places its steps: the same share of the
// pairs lies between any two.
//
// The folds are runs of the log, because requests that follow one another are often
// alike. The risks are fit for a proof on these very pairs: given the members, the loss
// of each pair is an unbiased sample of the loss of the member that ranked it, and the
// mean over the pairs tends to the mean loss of all members as it would with members
// that were trained on other pairs, because one pair in hundreds moves a prediction that
// is shrunk this much by little (Bayle, Bayle, Janson and Mackey, "Cross-validation
// confidence intervals for test error", NeurIPS 2020, theorem 1 and section 3).
func CrossFit(pairs []Answered, risks []float64, reach Reach) (m *Model, placed []float64) {
	m = &Model{reach: reach}
	scores := make([]float64, len(pairs))
	for f := range Folds {
		from, to := f*len(pairs)/Folds, (f+1)*len(pairs)/Folds
		others := slices.Concat(pairs[:from], pairs[to:])
		one := fitMember(others)
		m.members = append(m.members, one)
		for i := from; i < to; i++ {
			scores[i] = one.score(pairs[i].Light, pairs[i].Route)
		}
	}
	m.steps = stepsOf(scores, risks)
	placed = make([]float64, len(pairs))
	for i, s := range scores {
		placed[i] = m.place(s)
	}
	return m, placed
}

// stepsOf divides scores into parts of the same size, one for each risk.
func stepsOf(scores, risks []float64) []Step {
	sorted := slices.Sorted(slices.Values(scores))
	var steps []Step
	for i, risk := range risks {
		if len(sorted) == 0 {
			break
		}
		last := (i+1)*len(sorted)/len(risks) - 1
		if last < 0 {
			continue
		}
		if n := len(steps); n > 0 && steps[n-1].Score >= sorted[last] {
			continue
		}
		steps = append(steps, Step{sorted[last], risk})
	}
	return steps
}

func fitMember(pairs []Answered) member {
	var m member
	m.line = fitRidge(pairs)
	m.base, m.stumps = fitStumps(pairs)
	m.routes = m.offsets(pairs)
	return m
}

// offsets are how much better each route is than predicted, drawn towards 0.
func (m *member) offsets(pairs []Answered) []route {
	sums := map[uint32][2]float64{}
	for i := range pairs {
		p := &pairs[i]
		key := routeKey(p.Route)
		s := sums[key]
		sums[key] = [2]float64{s[0] + p.LightGrade + m.score(p.Light, ""), s[1] + 1}
	}
	if len(sums) < 2 {
		return nil
	}
	var routes []route
	for key, s := range sums {
		routes = append(routes, route{key, float32(s[0] / (s[1] + pull))})
	}
	slices.SortFunc(routes, func(a, b route) int { return cmp.Compare(a.Key, b.Key) })
	return routes
}

// ridge is a linear regression over standardised features and a last one that says who
// wrote the answer.
type ridge struct {
	Bias   float32
	Weight []float32
	Mean   []float32
	Scale  []float32 // 1/standard deviation, 0 for a constant
}

// The last feature.
const (
	light      = 0
	escalation = 1
)

// shrink is the ridge: so much is added to the square of each weight, in rows of
// variance 1.
const shrink = 300

func (r *ridge) predict(x []float32, author float32) float64 {
	z := float64(r.Bias)
	n := len(r.Weight) - 1
	for j, w := range r.Weight[:n] {
		z += float64(w * standard(x[j], r.Mean[j], r.Scale[j]))
	}
	return z + float64(r.Weight[n]*standard(author, r.Mean[n], r.Scale[n]))
}

// graded is an answer with its grade.
type graded struct {
	x     []float32
	grade float64
}

func fitRidge(pairs []Answered) ridge {
	rows := make([]graded, 0, 2*len(pairs))
	add := func(x []float32, author float32, grade float64) {
		rows = append(rows, graded{append(slices.Clip(slices.Clone(x)), author), grade})
	}
	for i := range pairs {
		add(pairs[i].Light, light, pairs[i].LightGrade)
		if pairs[i].Escalation != nil {
			add(pairs[i].Escalation, escalation, pairs[i].EscalationGrade)
		}
	}
	r := standardise(rows)
	var mean float64
	for i := range rows {
		mean += rows[i].grade / float64(len(rows))
	}
	r.Bias = float32(mean)
	r.solve(rows, mean)
	return r
}

func standardise(rows []graded) ridge {
	n := FeatureCount + 1
	r := ridge{Weight: make([]float32, n), Mean: make([]float32, n), Scale: make([]float32, n)}
	for j := range n {
		var sum, squares float64
		for i := range rows {
			sum += float64(rows[i].x[j])
			squares += float64(rows[i].x[j]) * float64(rows[i].x[j])
		}
		m := sum / float64(max(len(rows), 1))
		r.Mean[j] = float32(m)
		if variance := squares/float64(max(len(rows), 1)) - m*m; variance > 1e-9 {
			r.Scale[j] = float32(1 / math.Sqrt(variance))
		}
	}
	return r
}

// solve finds the weights by the normal equations.
func (r *ridge) solve(rows []graded, mean float64) {
	n := len(r.Weight)
	a, b := make([][]float64, n), make([]float64, n)
	for j := range a {
		a[j] = make([]float64, n)
		a[j][j] = shrink
	}
	z := make([]float64, n)
	for i := range rows {
		for j := range z {
			z[j] = float64(standard(rows[i].x[j], r.Mean[j], r.Scale[j]))
		}
		for j, v := range z {
			b[j] += v * (rows[i].grade - mean)
			for k := range j + 1 {
				a[j][k] += v * z[k]
			}
		}
	}
	for j, w := range cholesky(a, b) {
		r.Weight[j] = float32(w)
	}
}

// cholesky solves a·x = b for a positive definite a, of which the lower half is read and
// overwritten.
func cholesky(a [][]float64, b []float64) []float64 {
	n := len(b)
	x := slices.Clone(b)
	for k := range n {
		for j := range k {
			a[k][k] -= a[k][j] * a[k][j]
			x[k] -= a[k][j] * x[j]
		}
		a[k][k] = math.Sqrt(a[k][k])
		x[k] /= a[k][k]
		for i := k + 1; i < n; i++ {
			for j := range k {
				a[i][k] -= a[i][j] * a[k][j]
			}
			a[i][k] /= a[k][k]
		}
	}
	for k := n - 1; k >= 0; k-- {
		for i := k + 1; i < n; i++ {
			x[k] -= a[i][k] * x[i]
		}
		x[k] /= a[k][k]
	}
	return x
}
