package server

import (
	"crypto/tls"
	"time"

	"github.com/sluice-gateway/sluice/internal/server/h2guard"
)

// protocolOf finds what serves a connection; it is drop when the caller sent
// nothing in time. All of it, the TLS handshake included, must happen within the
// header time-out: a silent connection costs a few kilobytes for that time.
func (s *Server) protocolOf(c *conn) func(*conn) {
	deadline := time.Now().Add(s.settings.Load().Timeouts.Header)
	if err := c.raw.SetDeadline(deadline); err != nil {
		return drop
	}
	alpn := ""
	if s.certs != nil {
		var ok bool
		if alpn, ok = s.handshake(c); !ok {
			return drop
		}
	}
	isHTTP2, err := c.sniff()
	if err != nil {
		return drop
	}
	// Over TLS the negotiated name binds: no HTTP/1.1 after "h2".
	if alpn != "" && (alpn == "h2") != isHTTP2 {
		return drop
	}
	if err := c.raw.SetDeadline(time.Time{}); err != nil || !s.turn(c, isHTTP2) {
		return drop
	}
	c.busy.Store(true)
	if !isHTTP2 {
		return s.h1.serve
	}
	c.guardFrames()
	return s.h2.serve
}

// handshake begins TLS and returns the protocol on which it agrees. It is by itself because
// its large frame would double the stack of a connection without TLS that waits.
func (s *Server) handshake(c *conn) (alpn string, ok bool) {
	tc := tls.Server(c.raw, s.tlsConfig())
	if err := tc.Handshake(); err != nil {
		return "", false
	}
	c.Conn = tc
	return tc.ConnectionState().NegotiatedProtocol, true
}

// turn waits until a connection of an address that floods may begin. It reports false
// when that is not soon.
func (s *Server) turn(c *conn, http2 bool) bool {
	now := time.Now()
	wait := s.floods.Wait(c.from, http2, now)
	if wait == 0 {
		return true
	}
	if wait > s.settings.Load().Timeouts.Header-now.Sub(c.opened) {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		c.opened = time.Now() // it has waited for us
		return true
	case <-s.stopped:
		return false
	}
}

// sniff reads until the bytes cannot be, or are, the preface of HTTP/2. An
// HTTP/1.1 request differs from it within its first three bytes.
func (c *conn) sniff() (isHTTP2 bool, err error) {
	for c.nPeeked < len(h2guard.Preface) {
		n, err := c.Conn.Read(c.peeked[c.nPeeked:])
		c.nPeeked += n
		if string(c.peeked[:c.nPeeked]) != h2guard.Preface[:c.nPeeked] {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
