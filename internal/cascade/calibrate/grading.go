package calibrate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

// MinReread is how many answers have to be graded twice before it is known whether a
// judge agrees with itself.
const MinReread = 60

// What grades have to show, or a certificate rests on nothing.
const (
	minSelfAgreement = 0.8 // share of the answers that are adequate, or not, in both readings
	minKappa         = 0.2 // the same beyond what chance would give
	minTold          = 100 // pairs among which at least one answer has to be inadequate
)

// Grading is what a judge's grades of a log show.
type Grading struct {
	Pairs  int // with grades that count
	Reread int // answers that were graded twice
	// Light and Escalation are the answers of the pairs that are adequate.
	Light, Escalation int
	// Agreeing are the pairs with equal keys, AgreeingGraded those of them with another
	// label than their keys, AgreeingLost those of these where quality is lost.
	Agreeing, AgreeingGraded, AgreeingLost int

	twice [2][2]int // of the answers that were graded twice: adequate in the first, in the second
	apart int       // sum of the differences between both grades
}

// add counts the grades of a pair.
func (g *Grading) add(p *Pair) {
	if p.Grades == nil {
		return
	}
	first, second := p.Grades.Reading, p.Grades.Again
	g.Pairs++
	g.Light += flag(first.Light >= p.adequate)
	g.Escalation += flag(first.Escalation >= p.adequate)
	if second == nil {
		return
	}
	g.again(first.Light, second.Light, p.adequate)
	g.again(first.Escalation, second.Escalation, p.adequate)
}

func (g *Grading) again(first, second, from int) {
	g.Reread++
	g.twice[flag(first >= from)][flag(second >= from)]++
	g.apart += max(first-second, second-first)
}

// Self is how often both readings of an answer say the same of it, from 0 to 1, and
// the same beyond chance (Cohen's kappa); it is NaN when both always say one thing.
func (g *Grading) Self() (share, kappa float64) {
	n := float64(g.Reread)
	both := g.twice[1][1]
	share = float64(both+g.twice[0][0]) / n
	first, second := float64(both+g.twice[1][0])/n, float64(both+g.twice[0][1])/n
	chance := first*second + (1-first)*(1-second)
	return share, (share - chance) / (1 - chance)
}

// Apart is how many grades both readings of an answer are apart, on average.
func (g *Grading) Apart() float64 { return float64(g.apart) / float64(g.Reread) }

// check fails when grades say nothing: the judge contradicts itself, or finds no answer
// inadequate. used is how many pairs of a certificate are labelled by them.
func (g *Grading) check(used int) error {
	if used == 0 {
		return nil
	}
	share, kappa := g.Self()
	switch {
	case g.Reread >= MinReread && share < minSelfAgreement:
		return &GradesError{fmt.Sprintf("a second reading by the judge says the same of %.0f %% of %d answers, "+
			"%.0f %% are needed: ask another judge", 100*share, g.Reread, 100*minSelfAgreement)}
	case g.Reread >= MinReread && kappa < minKappa:
		return &GradesError{fmt.Sprintf("the judge agrees with itself no more than chance would "+
			"(kappa %.2f, %.1f is needed): ask another judge", kappa, minKappa)}
	case g.Pairs >= minTold && g.Light == g.Pairs && g.Escalation == g.Pairs:
		return &GradesError{fmt.Sprintf("the judge finds each of %d answers adequate: it tells nothing apart; "+
			"ask another judge, or raise shadow.adequate", 2*g.Pairs)}
	}
	return nil
}

// known fails when nothing says whether a judge that grades can be trusted: neither
// second readings nor human labels.
func (g *Grading) known(used int, humans *Agreement) error {
	if used == 0 || g.Reread >= MinReread || humans.Pairs >= MinJudged {
		return nil
	}
	return &GradesError{fmt.Sprintf("nothing says whether the judge can be trusted: %d answers are graded twice and "+
		"%d pairs have a human label too; %d or %d are needed", g.Reread, humans.Pairs, MinReread, MinJudged)}
}

// GradesError says that a judge's grades prove nothing.
type GradesError struct{ Problem string }

func (e *GradesError) Error() string { return e.Problem }

// weigh makes the pairs with equal keys that have a better label stand for all of
// them: two models can make the same mistake, and keys cannot see that. Without any
// such pair, equal keys count as no loss.
func (l *Log) weigh() {
	for i := range l.Pairs {
		p := &l.Pairs[i]
		l.Grading.add(p)
		if p.Pair.Label != "same" {
			continue
		}
		l.Grading.Agreeing++
		if p.By != ByKeys {
			l.Grading.AgreeingGraded++
			l.Grading.AgreeingLost += flag(p.Verdict.Loss() > 0)
		}
	}
	all, graded := l.Grading.Agreeing, l.Grading.AgreeingGraded
	if graded == 0 || graded == all || l.graded() == 0 {
		return
	}
	l.Pairs = slices.DeleteFunc(l.Pairs, func(p Pair) bool { return p.Pair.Label == "same" && p.By == ByKeys })
	for i := range l.Pairs {
		if p := l.Pairs[i].Pair; p.Label == "same" {
			p.Weight = cmp.Or(p.Weight, 1) * float64(all) / float64(graded)
		}
	}
}

// graded is how many pairs with equal keys a judge has graded.
func (l *Log) graded() (n int) {
	for i := range l.Pairs {
		n += flag(l.Pairs[i].Pair.Label == "same" && l.Pairs[i].Grades != nil)
	}
	return n
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// oneSided is a human's verdict as grades have it: that the light answer is better
// makes up for nothing.
func oneSided(v pairs.Verdict) pairs.Verdict {
	return pairs.Verdict{Light: math.Min(v.Light, v.Escalation), Escalation: v.Escalation}
}
