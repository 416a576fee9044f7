// Package calibrate turns the log of labelled pairs of a cascade into a
// certificate: it reads the pairs that belong to the configuration, takes the best
// label of each, trains what was asked for, and certifies (package certify).
//
// What is trained decides which answers are served, so no pair certifies what it has
// trained: a pre-score is trained on the earlier pairs and the later ones certify, a
// score is cross-fitted, so that each pair is ranked by a model that has not seen it.
// The package opens no files and has no clock; the same
// log gives the same bytes.
package calibrate

import (
	"cmp"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
)

// seed of everything random here, so that the same log gives the same files.
const seed = 1

// Input is what to calibrate.
type Input struct {
	Log      *Log
	Binding  certify.Binding // as configured: with the hash of the score file that the cascade names, without schemas
	Options  certify.Options // without Seed and Labels
	Training Training
	Now      time.Time // of the certificate
	// NeedsCheck refuses grades of a judge of whom nothing says whether it can be trusted.
	NeedsCheck bool
}

// doubt is why the labels of a judge prove nothing, nil when they may; by is the
// number of pairs by who labelled them.
func (in *Input) doubt(by map[string]int) error {
	g, judged := &in.Log.Grading, &in.Log.Judged
	err := cmp.Or(judged.check(by[ByJudge]+by[ByGrades]), g.check(by[ByGrades]))
	if err == nil && in.NeedsCheck {
		err = g.known(by[ByGrades], judged)
	}
	return err
}

// Result is what a calibration found.
type Result struct {
	Ranked      *Ranked              // the pairs that were certified with
	Trained     *Trained             // nil when training failed
	Report      *certify.Report      // nil when training failed
	Second      *Second              // nil unless a score was trained with second opinions
	Certificate *certify.Certificate // nil when it was refused
}

// Run calibrates. The error says why there is no certificate: training failed
// (*TooFewError), the pairs do not prove the target
// (as certify.Calibrate returns it), the judge is not to be trusted (*JudgeError,
// *GradesError), there is little to lose (*InadequateError), or the traffic shifted
// (*ShiftError). The result is there in each case.
func Run(in Input) (*Result, error) {
	log := in.Log.Pairs
	in.Options.Seed = seed
	trained, err := in.Training.fit(log, in.Options, in.Binding.Models[1] == "")
	if err != nil {
		return &Result{Ranked: (&order{}).rank(log)}, err
	}
	trained.order.file = in.Binding.Scores[certify.RoleScore]
	r := &Result{Trained: trained, Ranked: trained.order.rank(log[trained.Pairs:])}
	in.Options = r.Ranked.options(in.Options, trained.Score != nil)
	r.Report, err = certify.Calibrate(r.Ranked.Pairs, in.Options)
	r.Second = trained.compare(log, in.Options, r.Report)
	later := log[trained.Pairs:]
	if err = cmp.Or(err, in.doubt(r.Ranked.By), adequate(later, in.Options), steady(later)); err != nil {
		return r, err
	}
	in.Binding.Schemas = r.Ranked.Schemas
	in.Binding.Scores = trained.bind(in.Binding.Scores)
	in.Options.Routes = in.Log.Routes
	r.Certificate = certify.Issue(r.Report, in.Options, in.Binding, in.Now)
	return r, nil
}
