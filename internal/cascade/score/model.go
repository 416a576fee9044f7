package score

import (
	"hash/fnv"
	"math"
	"slices"
)

// Model ranks light answers that no key can rank. It predicts how well a judge
// would grade an answer, from what package traits counts. Train it with CrossFit or
// decode it; nil ranks no such answer. It is safe for concurrent use.
//
// It has as many members as there were folds, each trained without one fold. Which of
// them scores an answer is decided by a hash of the answer's features, so each scores a
// like part of the traffic and the same answer always has the same score. The mean loss
// of what is served is then the mean of the members' losses, and that is what the pairs
// estimate that each member has not seen (see CrossFit).
type Model struct {
	members []member
	steps   []Step
	reach   Reach
	hash    string
}

// Reach is which light answers a model ranks.
type Reach uint8

// The reaches. An answer that they leave out is ranked by its key.
const (
	Unkeyed Reach = iota // those that cannot be compared with the second opinion
	Other                // those that do not agree with the second opinion
	Alone                // all, where nobody is asked for a second opinion
	reaches
)

// Ranks reports whether a light answer of an untrained risk is within reach.
func (r Reach) Ranks(risk float64, second bool) bool {
	switch r {
	case Unkeyed:
		return second && risk == Never
	case Other:
		return second && risk >= agreed
	}
	return !second
}

// Step is the score up to which answers have at most a risk. Scores and risks both
// ascend.
type Step struct{ Score, Risk float64 }

// member predicts grades: the mean of a linear and of a stepwise prediction, and what a
// route is off from that.
type member struct {
	line   ridge
	base   float32 // mean grade of the light answers, to which stumps add
	stumps []stump
	routes []route // ascending by key
}

// Hash returns the FileHash of the file that the model was decoded from, "" without
// one.
func (m *Model) Hash() string {
	if m == nil {
		return ""
	}
	return m.hash
}

// Lone reports whether the model ranks answers of a cascade without a second opinion.
func (m *Model) Lone() bool { return m != nil && m.reach == Alone }

// Risk places a light answer on the scale of Untrained: by the model when it is within
// its reach, else by its key. Never is what neither ranks, and what is worse than all
// that the model was trained on.
func (m *Model) Risk(in *Input) float64 {
	base := Untrained(in)
	if m == nil || !m.reach.Ranks(base, in.Partner != nil) {
		return base
	}
	x := Features(in)
	if x == nil {
		return base
	}
	return m.Place(x, in.Route)
}

// Place is the risk of a light answer within reach, by its features.
func (m *Model) Place(x []float32, route string) float64 { return m.place(m.score(x, route)) }

// place is the risk of a score.
func (m *Model) place(score float64) float64 {
	i, _ := slices.BinarySearchFunc(m.steps, score, func(s Step, at float64) int {
		if s.Score < at {
			return -1
		}
		return 1
	})
	if i == len(m.steps) {
		return Never
	}
	return m.steps[i].Risk
}

// score is low for answers that are probably good.
func (m *Model) score(x []float32, route string) float64 {
	if len(m.members) == 0 {
		return math.Inf(1)
	}
	return m.members[memberOf(x, len(m.members))].score(x, route)
}

// memberOf picks the member that scores an answer.
func memberOf(x []float32, members int) int {
	h := fnv.New32a()
	var buffer [4]byte
	for _, v := range x {
		bits := math.Float32bits(v)
		buffer = [4]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)}
		_, _ = h.Write(buffer[:]) // a hash never fails
	}
	return int(mix(h.Sum32()) % uint32(members))
}

// score is how bad an answer probably is.
func (m *member) score(x []float32, route string) float64 {
	return -(m.line.predict(x, light)+float64(m.base)+stepwise(m.stumps, x))/2 - m.offset(route)
}

func (m *member) offset(name string) float64 {
	i, known := findRoute(m.routes, routeKey(name))
	if !known {
		return 0
	}
	return float64(m.routes[i].Gain)
}
