package cascade

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
)

func TestCheck(t *testing.T) {
	f := func(o Outcome, want string) {
		t.Helper()
		if got := Check(o); got != want {
			t.Errorf("Check(%+v) = %q, want %q", o, got, want)
		}
	}
	f(Outcome{Status: 200}, "")
	f(Outcome{Status: 200, Last: true}, "")
	for _, status := range []int{301, 400, 403, 404, 413, 424, 429, 500, 503} {
		f(Outcome{Status: status}, ReasonLightError)
		f(Outcome{Status: status, Last: true}, "")
	}
	failures := []engine.Failure{
		engine.NotSent, engine.StaleConn, engine.LostInAnswer, engine.TimedOut,
		engine.Corrupt, engine.CircuitOpen, engine.Misconfigured,
	}
	for _, failure := range failures {
		f(Outcome{Failure: failure}, ReasonLightError)
		f(Outcome{Failure: failure, Last: true}, "")
	}
	// A stream may have begun with 200 and then broken.
	f(Outcome{Status: 200, Failure: engine.LostInAnswer}, ReasonLightError)
	// Nobody is left to ask another model for.
	f(Outcome{Failure: engine.Cancelled}, "")
}
