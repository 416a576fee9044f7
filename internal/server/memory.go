package server

import (
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/heap"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
)

// fixedBytes is what is held beside bodies and answers.
func (s *Server) fixedBytes() int64 {
	return s.connections.Load()*pool.PerConnection + s.held.Load() + s.inFlight.Load()*pool.PerRequest
}

// holding is what one connection holds beside what each does. The zero value is nothing.
type holding struct {
	mu    sync.Mutex // guards the following
	bytes int64
	gone  bool
}

// hold counts n bytes more; less than 0 are given back.
func (c *conn) hold(n int64) {
	c.holding.mu.Lock()
	defer c.holding.mu.Unlock()
	if n != 0 && !c.holding.gone {
		c.holding.bytes += n
		c.server.held.Add(n)
	}
}

// letGo gives all back, once and for all.
func (c *conn) letGo() {
	c.holding.mu.Lock()
	defer c.holding.mu.Unlock()
	c.server.held.Add(-c.holding.bytes)
	c.holding.bytes, c.holding.gone = 0, true
}

// spare reports whether the connection may hold n bytes more.
func (c *conn) spare(n int64) bool {
	return c.server.pool.Spare(n, c.server.held.Load(), c.sender.proven.Load())
}

// recount counts what has come on HTTP/2: what its reader keeps, and bodies that no request
// has read yet. It reports false when a long head grows for which there is no room.
func (c *conn) recount() bool {
	more := c.guard.Kept() - c.kept
	c.kept += more
	if c.guard.LongHead() && more > 0 && !c.spare(more) {
		return false
	}
	c.hold(more + c.guard.Data())
	return true
}

// firstCredit is what the window of a connection grows by before anything has come.
const firstCredit = receiveWindow - 65535

// credit counts what was read of bodies on HTTP/2, for which the caller may send more.
func (c *conn) credit(n int64) {
	if n == 0 {
		return
	}
	first := min(n, c.ungranted)
	c.ungranted -= first
	c.hold(first - n)
}

// begin counts a request in flight.
func (s *Server) begin() {
	s.begun.Add(1)
	if n := s.inFlight.Add(1); n > s.busiest.Load() {
		s.busiest.Store(n) // a little less, when several come at once
	}
}

// poolLimits are those of the settings of the moment.
func (s *Server) poolLimits() pool.Limits {
	limits := &s.settings.Load().Limits
	return pool.Limits{Bytes: limits.BufferedBytes, Total: s.opts.Memory, Body: limits.MaxBodyBytes}
}

const (
	memoryInterval = 200 * time.Millisecond
	// worthReturning is how many bytes requests must have held at once for
	// their memory to be returned, and calmBytes how few may be held when that
	// happens: collecting twice costs some 20 ms of a processor.
	worthReturning = 32 << 20
	calmBytes      = worthReturning / 4
	// manyBegun and quietLooks are how many requests must have begun, and how often none
	// had when memory was looked at, for that of beginning to be returned while they go on.
	manyBegun  = worthReturning / 2 / pool.PerRequest
	quietLooks = 5
)

// returnMemory returns memory to the system soon after requests need it no more. The
// runtime would keep it until the next collection, which comes two minutes later when
// nothing allocates, and then for some minutes more.
func (s *Server) returnMemory() {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	var r returning
	for {
		select {
		case <-tick.C:
		case <-s.stopped:
			return
		}
		held := s.pool.Peak() + s.busiest.Swap(s.inFlight.Load())*pool.PerRequest
		if r.due(held, s.begun.Load()) {
			_ = heap.Trim() // an error leaves pages of the program where they are
		}
	}
}

// returning decides when memory goes back: that of large bodies, and of many requests at
// once, when they are gone; what many streams took to begin, when no other request begins.
type returning struct {
	owed  int64 // the most that was held since memory went back
	begun int64 // requests, when it was looked at last
	freed int64 // requests that had begun when memory went back
	quiet int   // looks since a request began
}

// due is asked once a look: for what was held at most since the last one, and how many
// requests have begun ever.
func (r *returning) due(held, begun int64) bool {
	r.owed, r.quiet = max(r.owed, held), r.quiet+1
	if begun != r.begun {
		r.begun, r.quiet = begun, 0
	}
	gone := r.owed >= worthReturning && held <= calmBytes
	settled := r.quiet == quietLooks && held > calmBytes && begun-r.freed >= manyBegun
	if gone || settled {
		r.owed, r.freed = held, begun
	}
	return gone || settled
}
