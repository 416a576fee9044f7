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
	Unkeyed  int            // pairs whose light answer a score ranks

	Unscored int // left out: not ranked by the score file that the cascade names
	Textless int // left out: without the text that a pre-score reads

	ranked []bool // by pair, whether a score ranks it

	weight, direct float64 // of all pairs, and of those that bypass the light model
}

// options are those of a certificate of these pairs.
func (r *Ranked) options(o certify.Options, crossFitted bool) certify.Options {
	o.Labels, o.CrossFitted = r.By, crossFitted
	o.OneSided = r.By[ByGrades] > 0 && r.By[ByHuman]+r.By[ByJudge] == 0
	return o
}

// Direct is the share of the requests that bypass the light model whatever the
// threshold, 0 to 1.
func (r *Ranked) Direct() float64 { return r.direct / max(r.weight, 1e-9) }

// order is what ranks light answers. The zero value is the untrained order.
type order struct {
	file     string          // hash of the score file whose risks the log has, "" for none
	score    *scored         // a score just trained, which replaces file; nil for none
	preScore *score.PreScore // one just trained, nil for none
	texts    bool            // preScore was trained on texts
}

// rank gives pairs their risks.
func (o *order) rank(log []Pair) *Ranked {
	r := &Ranked{By: map[string]int{}}
	for i := range log {
		p := log[i].Pair
		one := certify.Pair{
			Time: p.Time, Light: log[i].Verdict.Light, Escalation: log[i].Verdict.Escalation,
			LightCost: p.LightCost(), FullCost: p.Escalation.Cost, Weight: p.Weight,
		}
		if !o.place(&one, &log[i], r) {
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
		_, unkeyed := o.unkeyed(&log[i])
		if unkeyed {
			r.Unkeyed++
		}
		r.ranked = append(r.ranked, unkeyed)
		r.Pairs, r.Schemas = append(r.Pairs, one), append(r.Schemas, p.SchemaHash)
	}
	return r
}

// place gives a pair its risk, or counts in r why it has none.
func (o *order) place(one *certify.Pair, pair *Pair, r *Ranked) bool {
	p := pair.Pair
	switch {
	case o.preScore != nil && o.texts && p.Content == nil:
		r.Textless++
		return false
	case o.direct(p):
		// Whatever the threshold, the escalation model answers: nothing is lost, and
		// only its call is paid.
		one.Risk, one.LightCost, one.Light = math.Inf(-1), one.FullCost, one.Escalation
		return true
	case o.score != nil:
		o.rescore(one, pair)
		return true
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

// rescore gives a pair its risk by the score just trained, or by its keys.
func (o *order) rescore(one *certify.Pair, pair *Pair) {
	lone := o.score.model.Lone()
	if lone {
		one.LightCost = pair.Pair.Light.Cost
	}
	switch risk, ranked := o.unkeyed(pair); {
	case ranked:
		one.Risk = risk
	case lone:
		one.Risk = score.Never
	default:
		one.Risk = pair.risk()
	}
}

// unkeyed is the risk of a pair that the score just trained ranks.
func (o *order) unkeyed(pair *Pair) (risk float64, ranked bool) {
	if o.score == nil {
		return 0, false
	}
	risk, ranked = o.score.risks[pair]
	return risk, ranked
}

// Served is the part of the light answers that a threshold serves: of those with a key
// to compare, and of those that a score ranks.
func (r *Ranked) Served(threshold float64) (keyed, unkeyed float64) {
	var all, served [2]float64
	for i := range r.Pairs {
		kind := 0
		if r.ranked[i] {
			kind = 1
		}
		w := cmp.Or(r.Pairs[i].Weight, 1)
		all[kind] += w
		if r.Pairs[i].Risk <= threshold {
			served[kind] += w
		}
	}
	return served[0] / max(all[0], 1e-9), served[1] / max(all[1], 1e-9)
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
