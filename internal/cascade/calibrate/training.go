package calibrate

import (
	"errors"
	"maps"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// Training is what is fitted to the log before it certifies.
type Training struct {
	// PreScore is trained on the earlier pairs, and the others certify.
	PreScore bool
	Share    float64 // of the pairs, the earlier ones, that a pre-score is trained on; 0 to 1
	// Score is cross-fitted to the pairs that certify, so it costs none.
	Score bool
}

// Trained is what was trained. The zero value is nothing.
type Trained struct {
	Pairs int       // the earlier pairs of the log that a pre-score was trained on
	Until time.Time // of the last of them

	PreScore []byte // its file, nil for none
	Texts    bool   // the pre-score was trained on texts
	Bounds   score.Bounds
	Report   *PreScoreReport

	Score  []byte // its file, nil for none
	Ranked int    // pairs that the score ranks, and was trained on

	order order
}

// fit trains. It fails as fitPreScore and fitScore do. lone is for a cascade without a
// second opinion.
func (t Training) fit(log []Pair, o certify.Options, lone bool) (*Trained, error) {
	out := &Trained{}
	if t.PreScore {
		if err := out.fitPreScore(log, t.Share, o); err != nil {
			return nil, err
		}
	}
	if !t.Score {
		return out, nil
	}
	reach := score.Alone
	if !lone {
		reach = reachOf(log[out.Pairs:])
	}
	s, err := fitScore(log[out.Pairs:], reach)
	if err != nil {
		return nil, err
	}
	out.Score, out.Ranked, out.order.score = s.model.Encode(), len(s.risks), s
	return out, nil
}

func (t *Trained) fitPreScore(log []Pair, share float64, o certify.Options) error {
	before, _ := certify.Split(log, share)
	pre, report, err := fitPreScore(examplesOf(before), o)
	if err != nil {
		return err
	}
	t.Pairs, t.Until = len(before), before[len(before)-1].Pair.Time
	t.PreScore, t.Texts, t.Bounds, t.Report = pre.Encode(), texts(before), pre.Bounds, report
	t.order.preScore, t.order.texts = pre, t.Texts
	return nil
}

// bind returns the score files of a certificate: those that the cascade names, and
// the new ones instead.
func (t *Trained) bind(configured map[string]string) map[string]string {
	scores := maps.Clone(configured)
	for role, file := range map[string][]byte{certify.RolePreScore: t.PreScore, certify.RoleScore: t.Score} {
		if file != nil {
			scores[role] = score.FileHash(file)
		}
	}
	return scores
}

// Second is what the second opinion is worth on a log: the savings that can be certified
// with a score, as shares of the escalation spend, all calls charged; 0 for none.
type Second struct {
	With    float64 // where it is asked
	Keys    float64 // where it is asked, by its keys alone, without a score
	Without float64 // where nobody is asked
	Cost    float64 // of the second opinion, as a share of the escalation spend
}

// compare says what the second opinion is worth, nil where the log has none or no score
// was trained.
func (t *Trained) compare(log []Pair, o certify.Options, with *certify.Report) *Second {
	later := log[t.Pairs:]
	if t.Score == nil || t.order.score.model.Lone() {
		return nil
	}
	c := &Second{}
	if with != nil && with.Certified >= 0 {
		c.With = with.Curve[with.Certified].Saving
	}
	keys := t.order
	keys.score = nil
	c.Keys = keys.certifies(later, o)
	alone, err := fitScore(later, score.Alone)
	var few *TooFewError
	if errors.As(err, &few) {
		return c
	}
	lone := t.order
	lone.score = alone
	c.Without = lone.certifies(later, o)
	var asked, full float64
	for i := range later {
		if p := later[i].Pair; p.Second != nil {
			asked += float64(p.Second.Cost)
		}
		full += float64(later[i].Pair.Escalation.Cost)
	}
	if full > 0 {
		c.Cost = asked / full
	}
	return c
}

// certifies is the saving that pairs certify in an order, 0 for none.
func (o *order) certifies(log []Pair, options certify.Options) float64 {
	ranked := o.rank(log)
	r, err := certify.Calibrate(ranked.Pairs, ranked.options(options, o.score != nil))
	if err != nil && r.Certified < 0 {
		return 0
	}
	return r.Curve[r.Certified].Saving
}
