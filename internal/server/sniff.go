package server

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/server/h2guard"
	"github.com/sluice-gateway/sluice/internal/server/proxied"
)

// protocolOf finds what serves a connection; it is drop when the caller sent
// nothing in time. All of it, the TLS handshake included, must happen within the
// header time-out: a silent connection costs a few kilobytes for that time.
func (s *Server) protocolOf(c *conn) func(*conn) {
	deadline := time.Now().Add(s.settings.Load().Timeouts.Header)
	if err := c.raw.SetDeadline(deadline); err != nil {
		return drop
	}
	if c.fromProxy() && !c.introduce() {
		if c.fault == "" || s.certs != nil {
			return drop
		}
		return s.h1.serve // which answers it
	}
	alpn := ""
	if s.certs != nil {
		var ok bool
		if alpn, ok = s.handshake(c); !ok {
			return drop
		}
	}
	isHTTP2, err := c.sniff(h2guard.Preface)
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
	tc := tls.Server(&again{c.raw, c.peeked[:c.nPeeked]}, s.tlsConfig())
	if err := tc.Handshake(); err != nil {
		return "", false
	}
	c.Conn, c.nPeeked = tc, 0
	c.hold(pool.PerTLS)
	return tc.ConnectionState().NegotiatedProtocol, true
}

// again is a socket of which the first bytes were read.
type again struct {
	net.Conn
	first []byte
}

// Read returns those bytes, then what comes.
func (a *again) Read(p []byte) (int, error) {
	if len(a.first) == 0 {
		return a.Conn.Read(p)
	}
	n := copy(p, a.first)
	a.first = a.first[n:]
	return n, nil
}

// introduce reads whose the connection of a trusted proxy is, when that says so before
// anything else. It reports whether the connection may go on.
func (c *conn) introduce() bool {
	s := c.server
	said, err := c.sniff(proxied.Signature)
	if err != nil || !said {
		return err == nil
	}
	from, err := proxied.ReadHeader(c.raw)
	var fault proxied.HeaderError
	if errors.As(err, &fault) {
		c.fault = "the PROXY protocol's header before it is wrong: " + fault.Error()
		s.opts.Log.Warn("closing a connection of a proxy", "from", c.from, "why", c.fault)
	}
	if err != nil {
		return false
	}
	if c.nPeeked = 0; !from.IsValid() {
		return true
	}
	s.crowd.Leave(&c.guest)
	c.from = from
	return s.crowd.Enter(&c.guest, c.arrival())
}

// turn waits until a connection of an address that floods may begin. It reports false
// when that is not within the header time-out, at the end of that: whoever were closed at
// once would come again at once.
func (s *Server) turn(c *conn, http2 bool) bool {
	now := time.Now()
	left := s.settings.Load().Timeouts.Header - now.Sub(c.opened)
	wait, ok := s.floods.Wait(c.from, http2, left, now)
	if ok && wait == 0 {
		return true
	}
	if !ok {
		wait = left
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		c.opened = time.Now() // it has waited for us
		return ok
	case <-s.stopped:
		return false
	}
}

// sniff reads until the bytes cannot be, or are, a beginning. An HTTP/1.1 request
// differs from the preface of HTTP/2 within its first three bytes.
func (c *conn) sniff(beginning string) (is bool, err error) {
	read, is, err := proxied.Begins(c.Conn, c.peeked[:c.nPeeked], beginning)
	c.nPeeked = len(read)
	return is, err
}
