package quota

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// Place is where a call may go, and what it can take there at most. One whose limits are zero has room for all.
type Place struct {
	Key
	Limits
	Ask
}

// Admit admits a call to the first of some places that has room; the hold is nil where it has room for all. Without
// room it waits in the lines of all places into which it fits, for as long as the longest wait of them, and takes the
// room that is there first. It gives up when ctx or gone ends. at is the place that it was admitted to.
func (s *Store) Admit(ctx, gone context.Context, places []Place) (h *Hold, at int, outcome Outcome) {
	now := s.Now()
	second := s.second(now)
	for i := range places {
		p := &places[i]
		if p.Limits.Tokens == 0 && p.Requests == 0 {
			return nil, i, Admitted
		}
		if g := s.gate(p.Key, p.Limits); g.enter(p.Ask.Tokens(), second) {
			return &Hold{Ask: p.Ask, store: s, gate: g, second: second}, i, Admitted
		}
	}
	w := waiter{moved: make(chan struct{})}
	wait, why := s.queue(&w, places)
	if why == Admitted {
		why = s.wait(ctx, gone, &w, now.Add(wait))
	}
	if why != Admitted {
		for i := range places {
			s.gate(places[i].Key, places[i].Limits).refused()
		}
		return nil, 0, why
	}
	h = &Hold{
		Ask: places[w.at].Ask, store: s, gate: w.gate, second: w.second, Waited: s.Now().Sub(now), Lines: w.lines,
	}
	return h, w.at, Admitted
}

// waiter is a call that waits, in one line or in several.
type waiter struct {
	taken atomic.Bool   // it was admitted, or has left: whoever sets it decides which
	moved chan struct{} // closed when it was admitted
	gates []*gate       // in whose lines it stands
	lines []string      // names of their upstreams

	// Where it was admitted, once moved is closed.
	gate   *gate
	at     int
	second int64
}

// place is that of a waiter in one line.
type place struct {
	*waiter
	at     int // among the places that it asked for
	tokens int64
}

// decide reports whether the caller decides what becomes of the waiter.
func (w *waiter) decide() bool { return w.taken.CompareAndSwap(false, true) }

// enter takes room for a call at once. It reports false when there is none, or others wait for it.
func (g *gate) enter(tokens, second int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pump(second)
	if len(g.line) > 0 || !g.fits(tokens, second) {
		return false
	}
	g.take(tokens, second)
	return true
}

// queue puts a waiter into the lines that have room for it, and says how long it may wait, or why it may not.
func (s *Store) queue(w *waiter, places []Place) (wait time.Duration, why Outcome) {
	why = TooLarge
	for i := range places {
		p := &places[i]
		if p.Limits.Tokens == 0 || p.Ask.Tokens() <= p.Limits.Tokens {
			wait, why = max(wait, p.Wait), Full
		}
	}
	if why == TooLarge || wait <= 0 {
		return 0, why
	}
	for i := range places {
		p := &places[i]
		tokens, g := p.Ask.Tokens(), s.gate(p.Key, p.Limits)
		if p.Limits.Tokens > 0 && tokens > p.Limits.Tokens || !g.join(place{w, i, tokens}) {
			continue
		}
		w.gates, w.lines = append(w.gates, g), append(w.lines, p.Upstream)
	}
	if len(w.gates) == 0 {
		return 0, Full
	}
	return wait, Admitted
}

// join puts a waiter at the end of the line, if that has room.
func (g *gate) join(p place) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.line) >= g.limits.Waiting {
		return false
	}
	g.line = append(g.line, p)
	return true
}

// wait returns when a waiter is admitted, or gives up. Then it stands in no line any more.
func (s *Store) wait(ctx, gone context.Context, w *waiter, until time.Time) Outcome {
	defer s.leave(w)
	for {
		now := s.Now()
		timer := time.NewTimer(max(min(until.Sub(now), s.next(now).Sub(now)), 0))
		outcome := Admitted
		select {
		case <-w.moved:
		case <-timer.C: // each second has less of the minute before
		case <-gone.Done():
			outcome = Left
		case <-ctx.Done():
			outcome = Left
		}
		timer.Stop()
		if now = s.Now(); outcome == Admitted && !now.Before(until) {
			outcome = Late
		}
		s.pump(w, now)
		switch {
		case w.taken.Load():
		case outcome == Admitted:
			continue
		case w.decide():
			return outcome
		}
		<-w.moved
		return Admitted
	}
}

// pump admits whoever is first in the lines of a waiter and has room.
func (s *Store) pump(w *waiter, now time.Time) {
	second := s.second(now)
	for _, g := range w.gates {
		g.mu.Lock()
		g.pump(second)
		g.mu.Unlock()
	}
}

// leave takes a waiter out of all lines, for which others may be admitted.
func (s *Store) leave(w *waiter) {
	for _, g := range w.gates {
		g.mu.Lock()
		if i := slices.IndexFunc(g.line, func(p place) bool { return p.waiter == w }); i >= 0 {
			g.line = slices.Delete(g.line, i, i+1)
		}
		g.mu.Unlock()
	}
	s.pump(w, s.Now())
}

// pump admits those first in line as long as there is room. Who was admitted elsewhere is only taken out.
func (g *gate) pump(second int64) {
	for len(g.line) > 0 {
		p := g.line[0]
		if !p.taken.Load() && !g.fits(p.tokens, second) {
			return
		}
		g.line = g.line[1:]
		if !p.decide() {
			continue
		}
		g.take(p.tokens, second)
		g.sums.Waited++
		w := p.waiter
		w.gate, w.at, w.second = g, p.at, second
		close(w.moved)
	}
}

// refused counts a call that was not admitted.
func (g *gate) refused() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sums.Refused++
}
