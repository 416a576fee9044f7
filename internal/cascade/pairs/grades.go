package pairs

import "github.com/sluice-gateway/sluice/internal/money"

// The range of grades, as the rubric of a judge has them.
const (
	LowestGrade  = 1
	HighestGrade = 10
)

// Grades are a judge's grades of the two answers of a pair, each read by itself.
// The grade from which on an answer is adequate is a setting, and not in the log,
// so that another one can be tried on the same pairs.
type Grades struct {
	Judge  string `json:"judge"`  // the model's id
	Rubric string `json:"rubric"` // hash of the words that the judge was shown
	Reading
	// Again is a second reading of the same answers, nil where the judge was asked
	// once. It tells how far the judge agrees with itself, and labels nothing.
	Again *Reading `json:"again,omitempty"`
	// Cost is what all readings of this pair cost.
	Cost money.Pico `json:"cost_pico_usd"`
}

// Reading is one grade for each answer, LowestGrade to HighestGrade.
type Reading struct {
	Light      int `json:"light"`
	Escalation int `json:"escalation"`
}

func (r *Reading) valid() bool {
	return min(r.Light, r.Escalation) >= LowestGrade && max(r.Light, r.Escalation) <= HighestGrade
}

func (g *Grades) valid() bool {
	return g.Cost >= 0 && g.Reading.valid() && (g.Again == nil || g.Again.valid())
}

// Adequate is the verdict on a reading when answers are adequate from a grade on: 1
// for an adequate answer and 0 for another. An escalation answer that is not adequate
// loses nothing to a light one that is neither.
func (r Reading) Adequate(from int) Verdict {
	var v Verdict
	if r.Light >= from {
		v.Light = 1
	}
	if r.Escalation >= from {
		v.Escalation = 1
	}
	return v
}
