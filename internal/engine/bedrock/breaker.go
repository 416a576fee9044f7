package bedrock

import (
	"errors"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sony/gobreaker/v2"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
)

// maxBreakers bounds the models of one upstream that have a breaker of their
// own. One that is forgotten starts closed again.
const maxBreakers = 1024

// breaker lets attempts at one model through, or not while it is open.
type breaker = *gobreaker.TwoStepCircuitBreaker[struct{}]

// breakers are the breakers of one upstream by model.
type breakers struct {
	settings gobreaker.Settings
	byModel  *lru.Cache[string, breaker]
	onChange func(model, state string) // may be nil
}

// What an attempt shows about the health of a model; nil is healthy.
var (
	errUnhealthy = errors.New("unhealthy")
	errNeutral   = errors.New("shows nothing")
)

// newBreakers returns breakers that open after consecutive failures and let one
// attempt through after a while. No failures configured means never open.
func newBreakers(b config.Breaker) *breakers {
	byModel, err := lru.New[string, breaker](maxBreakers)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &breakers{byModel: byModel, settings: gobreaker.Settings{
		Timeout: b.OpenFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return b.Failures > 0 && int64(c.ConsecutiveFailures) >= int64(b.Failures)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNeutral) },
	}}
}

func (b *breakers) of(model string) breaker {
	if known, ok := b.byModel.Get(model); ok {
		return known
	}
	settings := b.settings
	if b.onChange != nil {
		settings.OnStateChange = func(_ string, _, to gobreaker.State) { b.onChange(model, to.String()) }
	}
	fresh := gobreaker.NewTwoStepCircuitBreaker[struct{}](settings)
	if known, ok, _ := b.byModel.PeekOrAdd(model, fresh); ok {
		return known // another goroutine was faster
	}
	return fresh
}

// note counts what became of a stream after its head had counted as healthy.
func note(b breaker, failed *engine.Error) {
	if report, err := b.Allow(); err == nil {
		report(health(nil, failed))
	}
}

// health judges an attempt: server errors, lost connections and time-outs count
// against a model; throttling and other refusals do not, they are answers.
func health(res *engine.Response, failed *engine.Error) error {
	if failed == nil {
		if res.Status >= 500 {
			return errUnhealthy
		}
		return nil
	}
	switch failed.Failure {
	case engine.NotSent, engine.LostInAnswer, engine.TimedOut, engine.Corrupt:
		return errUnhealthy
	default:
		return errNeutral
	}
}
