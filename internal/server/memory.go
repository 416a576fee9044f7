package server

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/heap"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
)

// fixedBytes is what is held beside bodies and answers.
func (s *Server) fixedBytes() int64 {
	return s.connections.Load()*pool.PerConnection + s.inFlight.Load()*pool.PerRequest
}

// begin counts a request in flight.
func (s *Server) begin() {
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
)

// returnMemory returns the memory of large bodies, and of many requests at once, to the
// system soon after they are gone. The runtime would keep it until the next collection, which comes two
// minutes later when nothing allocates, and then for some minutes more.
func (s *Server) returnMemory() {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	var owed int64
	for {
		select {
		case <-tick.C:
		case <-s.stopped:
			return
		}
		lately := s.pool.Peak() + s.busiest.Swap(s.inFlight.Load())*pool.PerRequest
		owed = max(owed, lately)
		if owed >= worthReturning && lately <= calmBytes {
			owed = 0
			_ = heap.Trim() // an error leaves pages of the program where they are
		}
	}
}
