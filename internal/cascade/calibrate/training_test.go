package calibrate

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
)

// trainable is a log of 400 pairs, a quarter of which gains from escalating.
func trainable(t *testing.T) []Pair {
	t.Helper()
	log := make([]Pair, 400)
	for i := range log {
		log[i] = agreed(fmt.Sprint("say hello to ", i), tie)
		if i%4 == 0 {
			log[i] = agreed(fmt.Sprint("prove the theorem ", i), strongWins)
		}
		log[i].Pair.Time = time.Unix(int64(i), 0)
	}
	return log
}

// TestFitSeesEarlierPairsAlone: what the later pairs say changes no byte of a pre-score,
// and what the earlier ones say does.
func TestFitSeesEarlierPairsAlone(t *testing.T) {
	training := Training{PreScore: true, Share: 0.5}
	o := certify.Options{MaxLoss: 0.02, Delta: 0.1}
	fit := func(log []Pair) *Trained {
		t.Helper()
		l, err := training.fit(log, o, false)
		if err != nil || l.Pairs != 200 || !l.Until.Equal(time.Unix(199, 0)) {
			t.Fatalf("%+v %v", l, err)
		}
		return l
	}
	log := trainable(t)
	first := fit(log)
	log[200].Verdict, log[399].Verdict = lightWins, strongWins
	if later := fit(log); !bytes.Equal(first.PreScore, later.PreScore) {
		t.Error("a pair that certifies was trained on")
	}
	log[199].Verdict = strongWins
	if earlier := fit(log); bytes.Equal(first.PreScore, earlier.PreScore) {
		t.Error("the last of the earlier pairs was not trained on")
	}
}

// TestFit trains what was asked for, and names that in a certificate.
func TestFit(t *testing.T) {
	f := func(what Training, pairs, before, ranked int, roles ...string) {
		t.Helper()
		what.Share = 0.5
		l, err := what.fit(freeLog(pairs), certify.Options{MaxLoss: 0.02, Delta: 0.1}, false)
		if err != nil {
			t.Fatal(err)
		}
		bound := l.bind(map[string]string{})
		for _, role := range roles {
			if bound[role] == "" {
				t.Errorf("%+v: no %s in %v", what, role, bound)
			}
		}
		if len(bound) != len(roles) || l.Pairs != before || l.Ranked != ranked {
			t.Errorf("%+v: %d pairs before, %d ranked for %v, want %v", what, l.Pairs, l.Ranked, bound, roles)
		}
	}
	f(Training{}, 10, 0, 0)
	f(Training{PreScore: true}, 400, 200, 0, certify.RolePreScore)
	f(Training{Score: true}, 400, 0, 400, certify.RoleScore)
	f(Training{PreScore: true, Score: true}, 400, 200, 200, certify.RolePreScore, certify.RoleScore)
	for _, what := range []Training{{PreScore: true, Share: 0.2}, {Score: true}} {
		var few *TooFewError
		if _, err := what.fit(trainable(t), certify.Options{}, false); !errors.As(err, &few) || few.Pairs > 80 {
			t.Errorf("%+v: %v", what, err)
		}
	}
}
