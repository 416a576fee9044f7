// Package shed refuses requests while the process has more to do than it can, before what
// it has accepted becomes late. How late the process is, it measures itself: a probe waits
// in the same queues of the system and of the runtime as a request that has just come.
//
// The rule is that of CoDel: one late moment is a burst, which passes by itself. When all
// moments of an interval were late, there is a standing queue. Then a Gate lets through only
// so many requests per second as keep the probe early. What has been let through is never
// refused: streams run to their end.
package shed

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// interval is how long each moment must be late before anything is refused.
	interval = 30 * time.Millisecond
	// aim is how late the process may be while requests are refused, so that refusals come
	// at once.
	aim = time.Millisecond
	// calm is how long nothing must have been refused for the limit to be lifted.
	calm = time.Second
	// gain is by which part of it the limit grows in a second while the process is early.
	gain = 2
	// loss is by which part it shrinks at most when all moments of a span were late.
	loss = 0.06
	span = 20 * time.Millisecond
	// many is how many requests must be in flight. So many callers who each wait for their
	// answer, or who all begin at once, are served late; only more of them, or those who do not
	// wait, are a queue that stands.
	many = 1024
	// few is how many requests in flight are let through even while others keep the processors
	// busy.
	few = 32
	// least is how many requests per second are let through at least.
	least = 20
	// window is over how long the rate of requests is taken, and memory for how long its best
	// counts.
	window = 100 * time.Millisecond
	memory = 4 * time.Second
)

// unlimited is more than any process is asked between two moments.
const unlimited = math.MaxInt64 / 2

// Gate decides whether a request may begin. Make it with New. Admit is safe for concurrent
// use; Observe belongs to one goroutine.
type Gate struct {
	bound atomic.Int64 // nanoseconds; 0: nothing is ever refused
	left  atomic.Int64 // requests that may begin until the next moment
	delay atomic.Int64 // nanoseconds, of the last moment

	given    int64         // what left began with
	credit   float64       // the part of a request that may begin, and was not given
	inFlight int64         // at the last moment
	ending   float64       // requests per second that ended lately
	best     float64       // the most that they were
	rate     float64       // requests per second that may begin; 0: all
	last     time.Time     // the last moment
	since    time.Time     // when the first late moment of a row was, zero: the last was none
	began    time.Time     // when the span began
	soonest  time.Duration // the earliest moment of the span
	kept     time.Time     // when something was refused last
}

// New returns a gate that refuses when requests stand in line for longer than bound; 0 refuses
// nothing.
func New(bound time.Duration) *Gate {
	g := &Gate{given: unlimited}
	g.left.Store(unlimited)
	g.Limit(bound)
	return g
}

// Limit changes the bound.
func (g *Gate) Limit(bound time.Duration) { g.bound.Store(int64(bound)) }

// Delay is how late the process was at the last moment.
func (g *Gate) Delay() time.Duration { return time.Duration(g.delay.Load()) }

// Admit reports whether a request may begin. It costs one atomic addition.
func (g *Gate) Admit() bool { return g.left.Add(-1) >= 0 }

// Observe takes one moment: how late the process is, and how many requests are in flight. It
// reports whether requests may be refused until the next one.
func (g *Gate) Observe(now time.Time, late time.Duration, inFlight int64) bool {
	g.delay.Store(int64(late))
	since := now.Sub(g.last)
	if since <= 0 || since > time.Second { // the first moment
		since = window
	}
	g.last = now
	g.count(now, since, inFlight)
	late = min(late, g.own())
	g.decide(now, late)
	g.give(since, late)
	return g.rate > 0
}

// count looks how many requests ended since the last moment, and whether any was refused.
func (g *Gate) count(now time.Time, since time.Duration, inFlight int64) {
	left := g.left.Load()
	ended := g.given - max(left, 0) + g.inFlight - inFlight
	g.inFlight = inFlight
	share := min(since.Seconds()/window.Seconds(), 1)
	g.ending += (float64(ended)/since.Seconds() - g.ending) * share
	g.best = max(g.best*(1-min(since.Seconds()/memory.Seconds(), 1)), g.ending)
	if left < 0 {
		g.kept = now
	}
}

// own is how late the process can be at most by what it has begun itself. What is later than
// that waits for other processes, which no refusal makes sooner.
func (g *Gate) own() time.Duration {
	return time.Duration(float64(g.inFlight) / max(g.ending, least) * float64(time.Second))
}

// decide sets the limit. It begins with what the process has been seen to do.
func (g *Gate) decide(now time.Time, late time.Duration) {
	bound := time.Duration(g.bound.Load())
	switch {
	case bound == 0, g.rate > 0 && now.Sub(g.kept) > calm:
		g.rate, g.since = 0, time.Time{}
	case g.rate == 0:
		if late <= bound {
			g.since = time.Time{}
		} else if g.since.IsZero() {
			g.since = now
		} else if now.Sub(g.since) >= interval && g.inFlight > many {
			g.rate, g.kept, g.began, g.soonest = max(g.best, least), now, now, late
		}
	default:
		g.adapt(now, late)
	}
}

// adapt changes the limit once in a span, which lasts at least as long as what was let through
// before it can be seen.
func (g *Gate) adapt(now time.Time, late time.Duration) {
	g.soonest = min(g.soonest, late)
	length := now.Sub(g.began)
	if length < max(span, g.soonest) {
		return
	}
	over := min(float64(g.soonest-aim)/float64(aim), 1)
	switch {
	case over > 0 && g.inFlight > few:
		g.rate = max(g.rate*(1-loss*over), least)
	case over <= 0 && g.kept.After(g.began): // it was the limit that kept requests out
		g.rate += g.rate * gain * min(length.Seconds(), 2*span.Seconds())
	}
	g.began, g.soonest = now, late
}

// give lets as many requests begin as the limit allows until the next moment, and none while
// the process is so late that what it has is enough.
func (g *Gate) give(since, late time.Duration) {
	g.given = unlimited
	if g.rate > 0 {
		g.credit = min(g.credit+g.rate*since.Seconds(), max(g.rate*4*tick.Seconds(), 1))
		g.given = int64(g.credit)
		if late > time.Duration(g.bound.Load()) && g.inFlight > few {
			g.given = 0
		}
		g.credit -= float64(g.given)
	}
	g.left.Store(g.given)
}
