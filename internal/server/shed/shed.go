// Package shed keeps a process that is asked more than it can from becoming late with
// everything. A probe waits in the same queues of the system and of the runtime as a request
// that has just come. While it comes back at once, or few requests are in flight, requests begin as
// they come. Else they wait in a line of the gate's own, and a few begin each time that the probe
// comes back: what is ready to run stays so little that whoever comes is heard at once, and the
// processors are never without work while somebody waits.
//
// When the line is too long to wait in, new requests are refused. What has begun, or waits, is
// never refused: streams run to their end.
package shed

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// soon is how late the probe may be for requests to begin as they come.
	soon = 5 * time.Millisecond
	// atOnce is how many requests begin for each processor when the probe comes back.
	atOnce = 2
	// calm is how long nothing must have been refused for all to wait again.
	calm = time.Second
	// many is how many requests must be in flight for any to be refused. So many callers who
	// each wait for their answer, or who all begin at once, are served late; only more of them, or
	// those who do not wait, are a line that never ends.
	many = 1024
	// several is how many requests must be in flight for any to wait in line. So many take little
	// time altogether, and the probes that let requests begin cost each of them half a write.
	several = 256
	// few is how many requests in flight are let wait also then. Others may keep the processors
	// busy.
	few = 32
	// listEvery is how often one of the requests that are refused is listed.
	listEvery = 100 * time.Millisecond
)

// Gate decides when a request may begin, if it may. Make it with New; it is safe for concurrent
// use.
type Gate struct {
	Pages Pages

	now func() time.Time

	bound   atomic.Int64 // nanoseconds; 0: nothing waits, nothing is refused
	closed  atomic.Bool  // requests wait for their turn
	full    atomic.Bool  // and new ones are refused
	delay   atomic.Int64 // nanoseconds
	refused atomic.Int64 // how many ever were

	listed   atomic.Int64 // when a refused request was listed, in Unix nanoseconds
	unlisted atomic.Int64 // how many were refused since and were not

	mu       sync.Mutex // guards the following
	line     []waiting  // who came first is first
	begun    int        // how many of it ever have begun
	room     int        // how many may stand in it while it is limited
	counted  int        // of begun, when room was looked at last
	since    time.Time  // when that was
	ask      func()     // sends the probe; nil before Run
	over     bool       // Run has returned: nobody waits any more
	limited  bool       // the line was once too long, and may not become so again
	known    int64      // of refused, when it was looked at last
	lastFull time.Time  // when any had been refused since
}

// waiting is a request in the line.
type waiting struct {
	since time.Time
	turn  chan struct{}
}

// New returns a gate that refuses when requests stand in line for longer than bound; 0 refuses
// nothing. Its clock must not be set.
func New(bound time.Duration, now func() time.Time) *Gate {
	g := &Gate{now: now}
	g.Limit(bound)
	return g
}

// Limit changes the bound.
func (g *Gate) Limit(bound time.Duration) { g.bound.Store(int64(bound)) }

// Delay is how late the probe was, or how long the first of the line waits.
func (g *Gate) Delay() time.Duration { return time.Duration(g.delay.Load()) }

// Enter reports whether a request may begin. If turn is not nil, it has to wait for that first.
// inFlight is how many requests there are, with this one.
func (g *Gate) Enter(inFlight int64) (turn <-chan struct{}, ok bool) {
	if !g.closed.Load() {
		return nil, true
	}
	if g.Full(inFlight) {
		return nil, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed.Load() {
		return nil, true
	}
	w := waiting{g.now(), make(chan struct{}, 1)}
	if g.line = append(g.line, w); len(g.line) == 1 && g.ask != nil {
		g.ask()
	}
	if g.limited && len(g.line) >= g.room {
		g.full.Store(true)
	}
	return w.turn, true
}

// Limits reports whether requests may be refused now.
func (g *Gate) Limits() bool { return g.full.Load() }

// Full reports whether a request must be refused, and counts it then. inFlight is how many there
// are, with this one.
func (g *Gate) Full(inFlight int64) bool {
	if !g.full.Load() || inFlight <= few {
		return false
	}
	g.refused.Add(1)
	return true
}

// List reports whether a refused request is one of the few that are listed, and how many since the
// last one are not.
func (g *Gate) List(now time.Time) (more int64, ok bool) {
	if at := g.listed.Load(); now.UnixNano() < at+int64(listEvery) || !g.listed.CompareAndSwap(at, now.UnixNano()) {
		g.unlisted.Add(1)
		return 0, false
	}
	return g.unlisted.Swap(0), true
}

// Rest gives how many were refused and not listed to tell, if there are any.
func (g *Gate) Rest(tell func(int64)) {
	if n := g.unlisted.Swap(0); n > 0 {
		tell(n)
	}
}

// back takes that the probe came back, and how late. It lets the next requests begin, and reports
// whether others wait.
func (g *Gate) back(late time.Duration, inFlight int64) (more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin(atOnce * runtime.GOMAXPROCS(0))
	g.look(late, inFlight)
	return len(g.line) > 0
}

// begin lets the first n of the line begin, for whoever has the lock.
func (g *Gate) begin(n int) {
	n = min(n, len(g.line))
	for _, w := range g.line[:n] {
		w.turn <- struct{}{}
	}
	g.line = g.line[n:]
	g.begun += n
}

// start lets requests wait from now on. ask sends the probe, unless it is under way.
func (g *Gate) start(ask func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ask = ask
}

// stop lets all begin, also those that come.
func (g *Gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ask, g.over = nil, true
	g.begin(len(g.line))
	g.look(0, 0)
}

// Late takes that the probe is not back yet, and how late it is. inFlight is how many requests
// there are.
func (g *Gate) Late(late time.Duration, inFlight int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look(late, inFlight)
}

// measure lets as many stand in line as have begun within the bound, for whoever has the lock: the
// last of them then waits for about as long.
func (g *Gate) measure(now time.Time, bound time.Duration) {
	passed := now.Sub(g.since)
	if passed < bound {
		return
	}
	least := max(few, 4*atOnce*runtime.GOMAXPROCS(0))
	g.room = max(least, int(int64(g.begun-g.counted)*int64(bound)/max(int64(passed), 1)))
	g.since, g.counted = now, g.begun
}

// look sets what holds until it is called again, for whoever has the lock.
func (g *Gate) look(late time.Duration, inFlight int64) {
	now, bound, waits := g.now(), time.Duration(g.bound.Load()), time.Duration(0)
	if len(g.line) > 0 {
		waits = now.Sub(g.line[0].since)
	}
	if refused := g.refused.Load(); refused != g.known {
		g.known, g.lastFull = refused, now
	}
	if waits > bound && inFlight > many {
		g.limited, g.lastFull = true, now
	}
	g.limited = g.limited && bound > 0 && now.Sub(g.lastFull) < calm
	g.measure(now, bound)
	g.full.Store(g.limited && (waits > bound || len(g.line) >= g.room))
	crowded := len(g.line) > 0 || g.limited || late > soon && inFlight > several
	g.closed.Store(bound > 0 && !g.over && crowded)
	g.delay.Store(int64(max(late, waits)))
}
