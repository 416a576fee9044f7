package memory

import (
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// minLegs is how many recent legs an expected cost needs.
const minLegs = 10

// Costs keeps what the legs of one cascade cost recently, per estimated input
// token, for requests that may find a warm prompt cache: cached input is billed at
// a tenth, so the escalation model that has just read a conversation may be
// cheaper than a light model that has not. The observed cost already contains
// prices, cache reads and the length of answers; nothing is assumed. The zero
// value is ready; it is safe for concurrent use.
type Costs struct {
	mu                sync.Mutex // guards the following
	light, escalation legCost    // light includes the cost of partners
	escalated         fading     // light answers that were discarded
}

type legCost struct{ legs, tokens, cost fading }

// Light counts a light leg. input is its estimated input in tokens.
func (c *Costs) Light(cost money.Pico, input int, now time.Time) { c.add(&c.light, cost, input, now) }

// Partner adds the cost of a second opinion to that of its light leg.
func (c *Costs) Partner(cost money.Pico, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.light.cost.add(float64(cost), now)
}

// Escalated counts a light answer that was discarded.
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
// less than asking the light model first, given how often its answers were
// escalated recently. It needs recent legs of both kinds: while all requests go
// direct, the light ones fade, and after a while the light model is tried again.
func (c *Costs) Warm(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	share := min(c.escalated.value(now)/max(c.light.legs.value(now), 1), 1)
	light, okLight := c.light.perToken(now)
	escalation, okEscalation := c.escalation.perToken(now)
	return okLight && okEscalation && escalation < light+share*escalation
}

// Share is which part of the light answers was escalated recently, and false while there are
// too few of them.
func (c *Costs) Share(now time.Time) (share float64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	legs := c.light.legs.value(now)
	return min(c.escalated.value(now)/max(legs, 1), 1), legs >= minLegs
}

func (l *legCost) perToken(now time.Time) (float64, bool) {
	tokens := l.tokens.value(now)
	if l.legs.value(now) < minLegs || tokens == 0 {
		return 0, false
	}
	return l.cost.value(now) / tokens, true
}
