package calibrate

import (
	"maps"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// Training is what is fitted to the log before the rest of it certifies.
type Training struct {
	PreScore, Score bool
	Share           float64 // of the pairs, the earlier ones, that is trained on; 0 to 1
}

// Trained is what was trained. The zero value is nothing.
type Trained struct {
	Pairs int       // the earlier pairs of the log that were trained on
	Until time.Time // of the last of them

	PreScore []byte // its file, nil for none
	Texts    bool   // the pre-score was trained on texts
	Bounds   score.Bounds
	Report   *PreScoreReport

	Score []byte          // its file, nil for none
	Left  map[Rebuild]int // pairs by whether the score was trained on them

	order order
}

// fit trains on the earlier pairs of a log. It fails as fitPreScore and fitScore do.
func (t Training) fit(log []Pair, o certify.Options) (*Trained, error) {
	out := &Trained{}
	if !t.PreScore && !t.Score {
		return out, nil
	}
	before, _ := certify.Split(log, t.Share)
	out.Pairs = len(before)
	if len(before) > 0 {
		out.Until = before[len(before)-1].Pair.Time
	}
	if t.PreScore {
		pre, report, err := fitPreScore(examplesOf(before), o)
		if err != nil {
			return nil, err
		}
		out.PreScore, out.Texts, out.Bounds, out.Report = pre.Encode(), texts(before), pre.Bounds, report
		out.order.preScore, out.order.texts = pre, out.Texts
	}
	if !t.Score {
		return out, nil
	}
	model, left, err := fitScore(before)
	if err != nil {
		return nil, err
	}
	out.Score, out.Left, out.order.score = model.Encode(), left, model
	return out, nil
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

// Comparison is the savings that can be certified with and without the score that
// was trained, as shares of the escalation spend.
type Comparison struct {
	Trained   float64 // in the trained order
	Untrained float64 // in the untrained order, on the same pairs
	// All is the saving in the untrained order on all pairs, which it can certify
	// with because it is not trained on any. It counts when WithAll is set: a
	// pre-score just trained takes its pairs out.
	All     float64
	WithAll bool
}

// Gain is by how much the trained order saves more than the untrained one does at
// best; 0 or less when it does not pay.
func (c *Comparison) Gain() float64 {
	return c.Trained - max(c.Untrained, c.All)
}

// compare compares the trained order with the untrained one, nil without a trained
// score.
func (t *Trained) compare(log []Pair, o certify.Options) *Comparison {
	if t.Score == nil {
		return nil
	}
	untrained := t.order
	untrained.score, untrained.file = nil, ""
	later := log[t.Pairs:]
	c := &Comparison{Trained: t.order.certifies(later, o), Untrained: untrained.certifies(later, o)}
	if t.PreScore == nil {
		c.WithAll, c.All = true, untrained.certifies(log, o)
	}
	return c
}

// certifies is the saving that pairs certify in an order, 0 for none.
func (o *order) certifies(log []Pair, options certify.Options) float64 {
	r, err := certify.Calibrate(o.rank(log).Pairs, options)
	if err != nil && r.Certified < 0 {
		return 0
	}
	return r.Curve[r.Certified].Saving
}
