package server

import (
	"sync/atomic"
	"time"
)

const (
	// A connection without a good credential may fail so often before it is closed: a
	// handshake costs more than a refusal, but who only fails has no use for it. A good
	// credential starts the count anew.
	failuresHTTP1 = 1000
	failuresHTTP2 = 200 // of streams, which cost more
)

// sender is what the credentials of a connection came to.
type sender struct {
	conn   *conn
	asked  atomic.Bool // a head has come whole
	proven atomic.Bool // there was a good credential
	failed atomic.Int64
}

// ask notes that a head has come.
func (s *sender) ask() {
	if !s.asked.Load() && s.asked.CompareAndSwap(false, true) {
		s.conn.server.crowd.Asked(&s.conn.guest)
	}
}

// Proven implements gateway.Sender.
func (s *sender) Proven() {
	if s.failed.Load() != 0 {
		s.failed.Store(0)
	}
	if !s.proven.Load() && s.proven.CompareAndSwap(false, true) {
		s.conn.server.crowd.Prove(&s.conn.guest)
		if s.conn.guard != nil {
			s.conn.guard.Trust()
		}
		if s.conn.narrow {
			s.conn.receive(provenReceives)
		}
	}
}

// Failed implements gateway.Sender.
func (s *sender) Failed() {
	s.failed.Add(1)
	if !s.conn.fromProxy() {
		s.conn.server.floods.Failed(s.conn.from, time.Now())
	}
}

// spent is whether the connection has failed too often to be kept.
func (s *sender) spent() bool {
	limit := int64(failuresHTTP1)
	if s.conn.guard != nil {
		limit = failuresHTTP2
	}
	return s.failed.Load() >= limit
}
