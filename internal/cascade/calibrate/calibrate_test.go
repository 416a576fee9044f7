package calibrate

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
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
	r, err := Run(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Certificate.Valid(binding); err != nil || !r.Certificate.Covers("") ||
		r.Certificate.Labels[ByKeys] != 2000 {
		t.Errorf("%v of %+v", err, r.Certificate)
	}
	if r.Comparison != nil || r.Trained.Pairs != 0 || len(r.Ranked.Pairs) != 2000 {
		t.Errorf("%+v", r)
	}
	in.Training = Training{Score: true, Share: 0.5}
	if r, err = Run(in); err != nil {
		t.Fatal(err)
	}
	var void *certify.Void
	if err := r.Certificate.Valid(binding); !errors.As(err, &void) || void.Reason != "scores" {
		t.Errorf("%v of a certificate about a new score", err)
	}
	if r.Comparison == nil || r.Comparison.Trained <= 0 || !r.Comparison.WithAll || r.Certificate.N != 1000 {
		t.Errorf("%+v %+v", r.Comparison, r.Certificate)
	}
	if len(binding.Scores) != 0 {
		t.Error("the binding that was given has changed")
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
	in.Log.Pairs = in.Log.Pairs[:minTraining]
	in.Training = Training{PreScore: true, Share: 0.5}
	var few *TooFewError
	if r, err := Run(in); !errors.As(err, &few) || r.Report != nil || len(r.Ranked.Pairs) != minTraining {
		t.Errorf("%v: %+v", err, r)
	}
}
