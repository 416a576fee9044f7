package capacity

import (
	"sync"
	"time"
)

// Gauge estimates how much of each block is in use, by what passed this gateway. The zero value knows of no call. It is
// safe for concurrent use, and outlives reloads.
type Gauge struct {
	mu     sync.Mutex // guards levels, and what they point to
	levels map[string]*level
}

// level is what is left of a block: tokens that a minute serves, refilled as time passes. It is below zero when answers
// were longer than was expected.
type level struct {
	input, output float64
	at            time.Time
	answers       float64 // mean length of answers, 0 before the first
}

// Taken is what a call took of a block until it ends. The zero value is nothing.
type Taken struct{ input, output int64 }

// Need is what a call is expected to use.
type Need struct {
	Input, Most int64 // tokens of input, and at most of output; 0 for no bound
}

// typical is how long an answer is taken to be before the first was seen.
const typical = 500

// Take takes what a call is expected to use, and reports false when the block has not so much left. A block of which
// nobody knows what a unit serves has always enough.
func (g *Gauge) Take(b *Block, n Need, now time.Time) (Taken, bool) {
	if b.Input == 0 && b.Output == 0 {
		return Taken{}, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l, most := g.level(b, now), full(b)
	answer := int64(l.answers)
	if l.answers == 0 {
		answer = typical
	}
	if n.Most > 0 {
		answer = min(answer, n.Most)
	}
	// one that is larger than all of it has to wait until nothing else is in use
	if short(l.input, n.Input, most.input) || short(l.output, answer, most.output) {
		return Taken{}, false
	}
	l.input -= float64(n.Input)
	l.output -= float64(answer)
	return Taken{n.Input, answer}, true
}

func short(left float64, need int64, most float64) bool {
	return most > 0 && left < min(float64(need), most)
}

// Settle puts what a call did use in the place of what was expected. It may be called for each attempt of a call: what
// was expected is given back once. t is nil for a call that took nothing before.
func (g *Gauge) Settle(b *Block, t *Taken, input, output int64, now time.Time) {
	if b.Input == 0 && b.Output == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.level(b, now)
	if t != nil {
		l.input, l.output = l.input+float64(t.input), l.output+float64(t.output)
		*t = Taken{}
	}
	l.input, l.output = l.input-float64(input), l.output-float64(output)
	switch {
	case output <= 0:
	case l.answers == 0:
		l.answers = float64(output)
	default:
		l.answers += (float64(output) - l.answers) / 16
	}
}

// level is that of a block as of now. A block that became another size, or whose name is new, is full.
func (g *Gauge) level(b *Block, now time.Time) *level {
	most := full(b)
	l := g.levels[b.Name]
	if l == nil {
		if g.levels == nil {
			g.levels = map[string]*level{}
		}
		l = &level{input: most.input, output: most.output, at: now}
		g.levels[b.Name] = l
	}
	if passed := now.Sub(l.at).Minutes(); passed > 0 {
		l.input, l.output, l.at = l.input+passed*most.input, l.output+passed*most.output, now
	}
	l.input, l.output = min(l.input, most.input), min(l.output, most.output)
	return l
}

// full is what a minute of all units serves.
func full(b *Block) level {
	return level{input: float64(b.Units * b.Input), output: float64(b.Units * b.Output)}
}
