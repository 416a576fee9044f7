package http1

import (
	"errors"
	"sync"
	"time"
)

var (
	errTooMany = errors.New("too many connections to the upstream")
	errClosed  = errors.New("the engine is closed")
)

// pool keeps idle connections and counts all of them. The connection that was
// used last is used next, so that the others grow old and are closed.
type pool struct {
	maxIdle   int
	maxOpen   int
	keepAlive time.Duration
	now       func() time.Time

	mu     sync.Mutex
	idle   []*conn     // guarded by mu, oldest first
	open   int         // guarded by mu, idle ones included
	closed bool        // guarded by mu
	reaper *time.Timer // guarded by mu, nil while nothing is idle
}

// take returns a kept connection, which the server may have closed, or nil after
// it has counted a new one that the caller must dial and in the end give back.
func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	p.expireLocked()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		c.reused = true
		return c, nil
	}
	if p.open >= p.maxOpen {
		return nil, errTooMany
	}
	p.open++
	return nil, nil //nolint:nilnil // no connection and no error: dial one
}

// put keeps a connection for the next exchange.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.maxIdle {
		p.closeLocked(c)
		return
	}
	c.idleSince = p.now()
	p.idle = append(p.idle, c)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(p.keepAlive, p.reap)
	}
}

// discard closes a connection that cannot be used again. It may be called while
// another goroutine still reads from c, which then fails.
func (p *pool) discard(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeLocked(c)
}

// forget stops counting a connection that could not be made.
func (p *pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

// purge closes all idle connections.
func (p *pool) purge() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeOldestLocked(len(p.idle))
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.closeOldestLocked(len(p.idle))
	if p.reaper != nil {
		p.reaper.Stop()
	}
}

// reap closes what has been idle too long also when no request comes by.
func (p *pool) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expireLocked()
	if len(p.idle) == 0 || p.closed {
		p.reaper = nil
		return
	}
	p.reaper.Reset(p.keepAlive)
}

func (p *pool) expireLocked() {
	limit := p.now().Add(-p.keepAlive)
	n := 0
	for n < len(p.idle) && p.idle[n].idleSince.Before(limit) {
		n++
	}
	p.closeOldestLocked(n)
}

func (p *pool) closeOldestLocked(n int) {
	if n == 0 {
		return
	}
	for _, c := range p.idle[:n] {
		p.closeLocked(c)
	}
	kept := copy(p.idle, p.idle[n:])
	clear(p.idle[kept:])
	p.idle = p.idle[:kept]
}

// closeLocked closes the TCP connection under any TLS: close_notify could block on
// a peer that no longer reads, and nobody needs it.
func (p *pool) closeLocked(c *conn) {
	_ = c.raw.Close()
	p.open--
}
