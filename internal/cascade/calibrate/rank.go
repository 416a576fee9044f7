package calibrate

import (
	"cmp"
	"math"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// Ranked is the pairs that a certificate may rest on, in one order of risk.
type Ranked struct {
	Pairs    []certify.Pair
	Schemas  []string       // hash of each pair's response schema, as pairs.Pair has it
	By       map[string]int // number of pairs by who labelled them
	Unpriced int            // pairs without a price for a model

	Unscored int             // left out: not ranked by the score file that the cascade names
	Left     map[Rebuild]int // left out of the order that was trained, by why

	weight, direct float64 // of all pairs, and of those that bypass the light model
}

// Direct is the share of the requests that bypass the light model whatever the
// threshold, 0 to 1.
func (r *Ranked) Direct() float64 { return r.direct / max(r.weight, 1e-9) }

// order is what ranks light answers. The zero value is the untrained order.
type order struct {
	file     string          // hash of the score file whose risks the log has, "" for none
	score    *score.Model    // a score just trained, which replaces file; nil for none
	preScore *score.PreScore // one just trained, nil for none
	texts    bool            // preScore was trained on texts
}

// rank gives pairs their risks.
func (o *order) rank(log []Pair) *Ranked {
	r := &Ranked{By: map[string]int{}, Left: map[Rebuild]int{}}
	for i := range log {
		p := log[i].Pair
		one := certify.Pair{
			Time: p.Time, Light: log[i].Verdict.Light, Escalation: log[i].Verdict.Escalation,
			LightCost: p.LightCost(), FullCost: p.Escalation.Cost, Weight: p.Weight,
		}
		if !o.place(&one, p, r) {
			continue
		}
		w := cmp.Or(one.Weight, 1)
		r.weight += w
		if math.IsInf(one.Risk, -1) {
			r.direct += w
		}
		if p.Light.Cost == 0 || p.Escalation.Cost == 0 {
			r.Unpriced++
		}
		r.By[log[i].By]++
		r.Pairs, r.Schemas = append(r.Pairs, one), append(r.Schemas, p.SchemaHash)
	}
	return r
}

// place gives a pair its risk, or counts in r why it has none.
func (o *order) place(one *certify.Pair, p *pairs.Pair, r *Ranked) bool {
	switch {
	case o.preScore != nil && o.texts && p.Content == nil:
		r.Left[Textless]++
		return false
	case o.direct(p):
		// Whatever the threshold, the escalation model answers: nothing is lost, and
		// only its call is paid.
		one.Risk, one.LightCost, one.Light = math.Inf(-1), one.FullCost, one.Escalation
		return true
	case o.score != nil:
		return o.rescore(one, p, r)
	}
	risk := p.Risk
	if o.file != "" {
		if p.Scored == nil || p.Scored.File != o.file {
			r.Unscored++
			return false
		}
		// A file ranks only what was logged when it was in service already, so it was
		// not trained on these pairs.
		risk = p.Scored.Risk
	}
	one.Risk = score.Never
	if risk != nil && p.Veto == "" {
		one.Risk = *risk
	}
	return true
}

// rescore gives a pair its risk by the score just trained.
func (o *order) rescore(one *certify.Pair, p *pairs.Pair, r *Ranked) bool {
	in, how := rebuild(p)
	switch how {
	case Rebuilt:
		one.Risk = o.score.Risk(&in)
	case Unranked:
		one.Risk = score.Never
	default:
		r.Left[how]++
		return false
	}
	return true
}

// direct reports whether the pre-score sends a pair's request to the escalation
// model at once.
func (o *order) direct(p *pairs.Pair) bool {
	if o.preScore == nil {
		return false
	}
	in := preScoreInput(p)
	gain, _ := o.preScore.Score(&in, nil)
	return o.preScore.Band(gain) == score.DirectBand
}
