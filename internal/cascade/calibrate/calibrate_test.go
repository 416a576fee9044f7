package calibrate

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
)

// inputOf calibrates the log of trainable, five times over.
func inputOf(t *testing.T) Input {
	t.Helper()
	log := &Log{}
	for range 5 {
		log.Pairs = append(log.Pairs, trainable(t)...)
	}
	return Input{
		Log: log, Binding: binding, Options: certify.Options{MaxLoss: 0.3, Delta: 0.1},
		Now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
	}
}

// TestRun issues a certificate that is valid for the binding, and names the score
// that was trained.
func TestRun(t *testing.T) {
	in := inputOf(t)
	in.Log.Routes = []certify.Traffic{{Route: "a", Pairs: 50, Ends: []int{1}, Shares: []float64{1}}}
	r, err := Run(in)
	if err != nil {
		t.Fatal(err)
	}
	if r.Certificate.Traffic("a") == nil || r.Certificate.Traffic("b") != nil {
		t.Errorf("the certificate describes the routes %+v", r.Certificate.Routes)
	}
	if err := r.Certificate.Valid(binding); err != nil || !r.Certificate.Covers("") ||
		r.Certificate.Labels[ByKeys] != 2000 {
		t.Errorf("%v of %+v", err, r.Certificate)
	}
	if r.Second != nil || r.Trained.Pairs != 0 || len(r.Ranked.Pairs) != 2000 || r.Report.Test != "exact" {
		t.Errorf("%+v", r)
	}
	if len(binding.Scores) != 0 {
		t.Error("the binding that was given has changed")
	}
}

// TestRunFree certifies free text with a score that is fitted to the very pairs, says what
// the second opinion is worth, and does without one where there is none.
func TestRunFree(t *testing.T) {
	in := Input{
		Log: &Log{Pairs: freeLog(600)}, Binding: binding, Options: certify.Options{MaxLoss: 0.03, Delta: 0.1},
		Training: Training{Score: true},
	}
	r, err := Run(in)
	if err != nil {
		t.Fatal(err)
	}
	c := r.Certificate
	file := score.FileHash(r.Trained.Score)
	if c.N != 600 || c.Test != "binomial" || c.Labels[ByGrades] != 600 || c.Scores[certify.RoleScore] != file {
		t.Errorf("%+v", c)
	}
	if s := r.Second; s == nil || s.With < 0.5 || s.Without < 0.5 || s.Keys != 0 || s.Cost != 0.04 {
		t.Errorf("second opinion: %+v", s)
	}
	var void *certify.Void
	if err := c.Valid(binding); !errors.As(err, &void) || void.Reason != "scores" {
		t.Errorf("%v of a certificate about a new score", err)
	}
	in.Binding.Models = []string{binding.Models[0], "", binding.Models[2]}
	if r, err = Run(in); err != nil || r.Second != nil || r.Certificate.Saving < 0.5 {
		t.Errorf("without a partner: %v %+v", err, r)
	}
}

// TestRunRefuses says why there is no certificate, with what was found until then.
func TestRunRefuses(t *testing.T) {
	in := inputOf(t)
	in.Options.MaxLoss = 0.001
	var short *certify.CannotCertify
	if r, err := Run(in); !errors.As(err, &short) || r.Certificate != nil || r.Report == nil {
		t.Errorf("%v: %+v", err, r)
	}
	in = inputOf(t)
	for i := range in.Log.Pairs {
		in.Log.Pairs[i].By = ByJudge
	}
	for range MinJudged {
		in.Log.Judged.add(tie, lightWins)
	}
	var bad *JudgeError
	if r, err := Run(in); !errors.As(err, &bad) || r.Certificate != nil || r.Report.Certified < 0 {
		t.Errorf("%v: %+v", err, r)
	}
	in.Log.Pairs = in.Log.Pairs[:MinTraining]
	in.Training = Training{PreScore: true, Share: 0.5}
	var few *TooFewError
	if r, err := Run(in); !errors.As(err, &few) || r.Report != nil || len(r.Ranked.Pairs) != MinTraining {
		t.Errorf("%v: %+v", err, r)
	}
}
