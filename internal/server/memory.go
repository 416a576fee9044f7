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

// poolLimits are those of the settings of the moment.
func (s *Server) poolLimits() pool.Limits {
	limits := &s.settings.Load().Limits
	return pool.Limits{Bytes: limits.BufferedBytes, Total: s.opts.Memory, Body: limits.MaxBodyBytes}
}

const (
	memoryInterval = 500 * time.Millisecond
	// worthReturning is how many bytes of bodies must have been held at once for
	// their memory to be returned, and calmBytes how few may be held when that
	// happens: collecting twice costs some 20 ms of a processor.
	worthReturning = 32 << 20
	calmBytes      = worthReturning / 4
)

// returnMemory returns the memory of large bodies to the system soon after they
// are gone. The runtime would keep it until the next collection, which comes two
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
		lately := s.pool.Peak()
		owed = max(owed, lately)
		if owed >= worthReturning && lately <= calmBytes {
			owed = 0
			_ = heap.Trim() // an error leaves pages of the program where they are
		}
	}
}
