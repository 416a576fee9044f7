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

// Adequate is the verdict on a reading when answers are adequate from a grade on.
// Quality is lost where the escalation answer is adequate and the light one is not, and
// nowhere else: that a light answer is adequate where the other is not makes up for
// nothing.
func (r Reading) Adequate(from int) Verdict {
	if r.Escalation < from {
		return Verdict{}
	}
	if r.Light < from {
		return Verdict{Escalation: 1}
	}
	return Verdict{Light: 1, Escalation: 1}
}
