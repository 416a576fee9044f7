package cascade

import (
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// minLegs is how many recent legs an expected cost is told from.
const minLegs = 10

// Costs keeps what the legs of one cascade cost of late, per input token of the
// estimate, for requests that may find a warm prompt cache: cached input is
// billed at a tenth, so the escalation model that has just read a conversation
// may be cheaper than a light model that has not. What was observed contains
// prices, cache reads and the length of answers; nothing is assumed. The zero
// value is ready; it is safe for concurrent use.
type Costs struct {
	mu                sync.Mutex // guards the following
	light, escalation legCost    // light contains what partners cost
	escalated         fading     // light answers that were left behind
}

type legCost struct{ legs, tokens, cost fading }

// Light counts a light leg. input is the estimate of its input in tokens.
func (c *Costs) Light(cost money.Pico, input int, now time.Time) { c.add(&c.light, cost, input, now) }

// Partner adds the cost of a second opinion to that of the light leg beside it.
func (c *Costs) Partner(cost money.Pico, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.light.cost.add(float64(cost), now)
}

// Escalated counts a light answer that was left behind.
func (c *Costs) Escalated(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.escalated.add(1, now)
}

// Escalation counts an escalation leg.
func (c *Costs) Escalation(cost money.Pico, input int, now time.Time) {
	c.add(&c.escalation, cost, input, now)
}

func (c *Costs) add(l *legCost, cost money.Pico, input int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.legs.add(1, now)
	l.tokens.add(float64(input), now)
	l.cost.add(float64(cost), now)
}

// Warm reports whether asking the escalation model at once is expected to cost
// less than asking the light model first, whose answers are escalated as often
// as of late. It needs recent legs of both kinds: when all requests go straight,
// the light ones fade and the question is asked anew.
func (c *Costs) Warm(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	share := min(c.escalated.value(now)/max(c.light.legs.value(now), 1), 1)
	light, okLight := c.light.perToken(now)
	escalation, okEscalation := c.escalation.perToken(now)
	return okLight && okEscalation && escalation < light+share*escalation
}

func (l *legCost) perToken(now time.Time) (float64, bool) {
	tokens := l.tokens.value(now)
	if l.legs.value(now) < minLegs || tokens == 0 {
		return 0, false
	}
	return l.cost.value(now) / tokens, true
}
