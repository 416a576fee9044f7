package cascade

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/train"
)

// trainable is a log of 400 pairs, a quarter of which gains from escalating.
func trainable(t *testing.T) []labelled {
	t.Helper()
	log := make([]labelled, 400)
	for i := range log {
		log[i] = agreed(fmt.Sprint("say hello to ", i), tie)
		if i%4 == 0 {
			log[i] = agreed(fmt.Sprint("prove the theorem ", i), strongWins)
		}
		log[i].Pair.Time = time.Unix(int64(i), 0)
		log[i].Pair.Risk, _ = untrainedRisk(t, log[i].Pair)
	}
	return log
}

// TestFitSeesEarlierPairsAlone: what the later pairs say changes no byte of what
// is trained, and what the earlier ones say does.
func TestFitSeesEarlierPairsAlone(t *testing.T) {
	both := training{preScore: "gate", score: "score", share: 0.5}
	o := certify.Options{MaxLoss: 0.02, Delta: 0.1}
	fit := func(log []labelled) *learned {
		t.Helper()
		l, err := both.fit(log, o)
		if err != nil || l.n != 200 || !l.until.Equal(time.Unix(199, 0)) {
			t.Fatalf("%+v %v", l, err)
		}
		return l
	}
	log := trainable(t)
	first := fit(log)
	log[200].Verdict, log[399].Verdict = lightWins, strongWins
	later := fit(log)
	if !bytes.Equal(first.gate, later.gate) || !bytes.Equal(first.score, later.score) {
		t.Error("a pair that certifies was trained on")
	}
	log[199].Verdict = strongWins
	earlier := fit(log)
	if bytes.Equal(first.gate, earlier.gate) || bytes.Equal(first.score, earlier.score) {
		t.Error("the last of the earlier pairs was not trained on")
	}
}

// TestFit trains what was asked for, and names that in a certificate.
func TestFit(t *testing.T) {
	f := func(what training, pairs int, roles ...string) {
		t.Helper()
		what.share = 0.5
		l, err := what.fit(trainable(t)[:pairs], certify.Options{MaxLoss: 0.02, Delta: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		bound := map[string]string{}
		l.bind(bound)
		for _, role := range roles {
			if bound[role] == "" {
				t.Errorf("%+v: no %s in %v", what, role, bound)
			}
		}
		if len(bound) != len(roles) || (l.n == 0) != (len(roles) == 0) {
			t.Errorf("%+v: %d pairs for %v, want %v", what, l.n, bound, roles)
		}
	}
	f(training{}, 10)
	f(training{preScore: "gate"}, 400, certify.RolePreScore)
	f(training{score: "score"}, 400, certify.RoleScore)
	f(training{preScore: "gate", score: "score"}, 400, certify.RolePreScore, certify.RoleScore)
	for _, what := range []training{{preScore: "gate", share: 0.2}, {score: "score", share: 0.2}} {
		var few *train.TooFewError
		if _, err := what.fit(trainable(t), certify.Options{}); !errors.As(err, &few) || few.Pairs != 80 {
			t.Errorf("%+v: %v", what, err)
		}
	}
}
