package calibrate

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
)

// TestInadequate refuses a log in which the escalation model has little to lose.
func TestInadequate(t *testing.T) {
	f := func(bad int, refused bool) {
		t.Helper()
		log := freeLog(200)
		for i := range bad {
			log[i].Verdict = pairs.Verdict{}
		}
		var e *InadequateError
		if err := adequate(log, certify.Options{MaxLoss: 0.03, Delta: 0.1}); errors.As(err, &e) != refused {
			t.Errorf("%d of 200 inadequate: %v", bad, err)
		}
	}
	f(0, false)
	f(100, false)
	f(101, true)
	log := freeLog(70) // fewer than a loss of 3 points can be proven of
	var e *InadequateError
	if err := adequate(log, certify.Options{MaxLoss: 0.03, Delta: 0.1}); !errors.As(err, &e) || e.Least != 76 {
		t.Errorf("%v", err)
	}
	for i := range log {
		log[i].By = ByHuman
	}
	if err := adequate(log, certify.Options{MaxLoss: 0.03, Delta: 0.1}); err != nil {
		t.Errorf("%v without grades", err)
	}
}

// TestShift refuses a log in which the requests of a route, or the answers to them, have
// other lengths in its later half, names the route, and lets chance be chance.
func TestShift(t *testing.T) {
	f := func(name string, change func(p *pairs.Pair), refused bool) {
		t.Helper()
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 1))
			log := freeLog(400)
			for i := range log {
				p := log[i].Pair
				p.Route = [...]string{"calm", "wild"}[rng.IntN(2)]
				p.TextBytes, p.Light.Output = 200+rng.IntN(800), int64(50+rng.IntN(200))
				if i >= 200 && p.Route == "wild" {
					change(p)
				}
			}
			var e *ShiftError
			if err := steady(log); errors.As(err, &e) != refused || refused && e.Route != "wild" {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	f("nothing", func(*pairs.Pair) {}, false)
	f("requests", func(p *pairs.Pair) { p.TextBytes *= 3 }, true)
	f("answers", func(p *pairs.Pair) { p.Light.Output += 150 }, true)
	f("one request", func(p *pairs.Pair) { p.Escalation.Output *= 3 }, false)
}
