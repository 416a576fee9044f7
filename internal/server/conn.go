package server

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/server/crowd"
	"github.com/sluice-gateway/sluice/internal/server/h2guard"
	"github.com/sluice-gateway/sluice/internal/server/hangup"
	"github.com/sluice-gateway/sluice/internal/server/proxied"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// conn is one connection between the socket (or TLS) and the HTTP servers. It
// returns the bytes that the sniffer read, renews the write deadline while
// there is progress, counts HTTP/2 frames, and closes in a way that lets a
// caller read the answer to a body that was not read.
type conn struct {
	net.Conn          // TLS when there is, else raw
	raw      net.Conn // the socket
	server   *Server
	from     netip.Addr // whose it is, as far as is known without a request
	watch    hangup.Watch
	opened   time.Time
	guest    crowd.Guest
	sender   sender
	// guard, ahead and held are nil on HTTP/1.1. They are set before a server gets
	// the connection.
	guard *h2guard.Guard
	ahead *ahead
	held  *held

	peeked  [len(h2guard.Preface)]byte
	nPeeked int
	nGiven  int

	// bodyRead counts the bytes of a chunked body with its framing up to
	// bodyLimit; 0 is no limit. Both belong to the reading goroutine.
	bodyRead, bodyLimit int64

	fault  string // what is wrong before any request, "" mostly
	narrow bool   // suspectReceives is in force

	holding   holding
	kept      int64       // of it, for the reader of HTTP/2
	ungranted int64       // of firstCredit, for the writer
	headArmed time.Time   // the read deadline of HTTP/2, for who reads
	renewed   time.Time   // when the write deadline was set, for who sends
	busy      atomic.Bool // a request has begun; on HTTP/2 net/http knows better
	isHTTP2   atomic.Bool // guard, frames and held are set
	linger    atomic.Bool // close gently: the caller may still be sending
	closeOnce sync.Once
	closeErr  error
}

const (
	// writeSlice is what may be written under one deadline, so that a long
	// answer to a slow but living reader is not cut.
	writeSlice = 256 << 10
	// A lingering close reads at most this much, for at most this long and the time that
	// what comes has earned: enough for a body somewhat above the limit, from a caller
	// who reads no answer before all is sent.
	lingerBytes          = 32 << 20
	lingerTime           = time.Second
	lingerBytesPerSecond = 1 << 20

	// The system takes megabytes from a caller whose connection waits. From an address that
	// floods it takes little, until a good credential has come: sending what nobody reads
	// costs the machine more than all that is done with it here. The larger size is what
	// most systems allow.
	suspectReceives, provenReceives = 4 << 10, 208 << 10
)

var (
	errFraming = errors.New("chunk framing outweighs the body")
	errFlood   = errors.New("flood of HTTP/2 frames")
	errLate    = errors.New("the head of a request came too slowly")
	errNoRoom  = errors.New("no memory for what comes")
)

func newConn(s *Server, raw net.Conn) *conn {
	c := &conn{Conn: raw, raw: raw, server: s, opened: time.Now()}
	c.sender.conn = c
	if addr, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		c.from = addr.AddrPort().Addr().Unmap()
	}
	if sc, ok := raw.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			_ = rc.Control(func(fd uintptr) { c.watch.FD = int(fd) })
		}
	}
	return c
}

// fromProxy is whether the connection is that of a trusted proxy, for many callers. So it
// is not punished for what some of them do.
func (c *conn) fromProxy() bool { return c.server.settings.Load().Proxies.Has(c.from) }

// caller is whose a request is.
func (c *conn) caller(h wire.Header) netip.Addr {
	return proxied.Caller(c.server.settings.Load().Proxies, c.from, h)
}

// suspect is whether it comes from an address that floods.
func (c *conn) suspect() bool { return c.server.floods.Flooding(c.from, time.Now()) }

// arrival is the connection as the crowd has it.
func (c *conn) arrival() crowd.Arrival {
	a := crowd.Arrival{From: c.from, Exempt: c.fromProxy(), Suspect: c.suspect(), Evict: c.evict}
	if a.Suspect {
		c.narrow = true
		c.receive(suspectReceives)
	}
	return a
}

// receive bounds what the system takes from the caller before it is read here.
func (c *conn) receive(bytes int) {
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(bytes) // on an error it stays as large as it is
	}
}

// Read returns what the sniffer read, then what comes. On HTTP/2 it is buffered:
// net/http asks for each head of a frame, of nine bytes, and for each payload.
func (c *conn) Read(p []byte) (int, error) {
	if c.ahead != nil {
		return c.ahead.read(p)
	}
	return c.read(p)
}

// guardFrames begins to buffer and to count frames, after the preface.
func (c *conn) guardFrames() {
	c.guard = &h2guard.Guard{Suspect: c.suspect()}
	c.guard.Received(c.peeked[:], time.Now())
	c.nGiven = c.nPeeked
	c.ahead = newAhead(c)
	c.held = &held{send: c.send, hold: c.server.holdTime}
	c.ungranted = firstCredit
	c.hold(pool.PerHTTP2)
	c.isHTTP2.Store(true)
	if c.server.draining() { // Leave may not have seen it
		c.held.leave()
	}
}

// headDue is until when a head must have come, zero when none is under way.
func (c *conn) headDue() time.Time {
	timeout := c.server.settings.Load().Timeouts.Header
	if c.guard.Requests() == 0 {
		return c.opened.Add(timeout)
	}
	if began := c.guard.HeadBegan(); !began.IsZero() {
		return began.Add(timeout)
	}
	return time.Time{}
}

// SetReadDeadline does nothing on HTTP/2, where readHead has the deadline: net/http would
// lift it.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.guard != nil {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// flooding closes a connection for a flood, and remembers its address.
func (c *conn) flooding(kind string) {
	s := c.server
	s.opts.OnGlitch(kind)
	s.opts.Log.Warn("closing a flooding connection", "from", c.from, "kind", kind)
	if !c.fromProxy() {
		s.floods.Note(c.from, time.Now())
	}
	_ = c.Close()
}

// evict closes the connection, to make room for another or because it waits for nothing.
// Who serves it sees the end; until it is served, nobody else may touch more than its socket.
func (c *conn) evict() { _ = c.raw.Close() }

// unread reports whether something came that nobody has read yet.
func (c *conn) unread() bool {
	socket, ok := c.raw.(syscall.Conn)
	if !ok {
		return false
	}
	n := 0
	if raw, err := socket.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			n, _, _ = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT) //nolint:gosec // fits
		})
	}
	return n > 0
}

func (c *conn) read(p []byte) (int, error) {
	if c.nGiven < c.nPeeked {
		n := copy(p, c.peeked[c.nGiven:c.nPeeked])
		c.nGiven += n
		return n, nil
	}
	if c.bodyLimit > 0 && c.bodyRead >= c.bodyLimit {
		return 0, errFraming
	}
	n, err := c.Conn.Read(p)
	c.bodyRead += int64(n)
	return n, err
}

// Write writes p; of HTTP/2, it may keep a little back for the next write.
func (c *conn) Write(p []byte) (int, error) {
	if c.held != nil {
		sent := c.guard.Sent(p)
		c.credit(sent.Credit)
		return c.held.write(p, sent)
	}
	return c.send(p)
}

// send writes p in slices, each of which must make progress in time. There is no
// deadline for the whole: a stream may last for an hour.
func (c *conn) send(p []byte) (int, error) {
	written := 0
	for {
		if err := c.renewWriteDeadline(); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[:min(len(p), writeSlice)])
		written += n
		p = p[n:]
		if err != nil {
			c.dropTail(err)
			return written, err
		}
		if len(p) == 0 {
			return written, nil
		}
	}
}

// renewWriteDeadline skips renewals that would change the deadline by little: a
// timer costs more than a small frame.
func (c *conn) renewWriteDeadline() error {
	timeout := c.server.settings.Load().Timeouts.Write
	now := time.Now()
	if now.Sub(c.renewed) < timeout/8 {
		return nil
	}
	c.renewed = now
	return c.SetWriteDeadline(now.Add(timeout))
}

// dropTail makes the kernel discard what was sent to a caller who does not read;
// it would keep it for minutes otherwise.
func (c *conn) dropTail(err error) {
	if tcp, ok := c.raw.(*net.TCPConn); ok && errors.Is(err, os.ErrDeadlineExceeded) {
		_ = tcp.SetLinger(0)
	}
}

// limitBody bounds the bytes of a chunked body with its framing; 0 is no bound.
// Bytes that were read before the body's first limit do not count.
func (c *conn) limitBody(n int64) {
	if c.bodyLimit == 0 {
		c.bodyRead = 0
	}
	c.bodyLimit = n
}

// Close closes the connection once. Any goroutine may call it.
func (c *conn) Close() error {
	c.closeOnce.Do(func() {
		c.server.watcher.Remove(&c.watch)
		if c.linger.Load() {
			c.lingerAwhile()
		}
		c.closeErr = c.Conn.Close()
		c.server.forget(c)
	})
	return c.closeErr
}

// lingerAwhile ends the sending half and reads a little more, because closing
// with unread bytes resets the connection and the caller may then lose the
// answer that says why.
func (c *conn) lingerAwhile() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	due, armed := time.Now().Add(lingerTime), time.Time{}
	var sink [16 << 10]byte
	for left := lingerBytes; left > 0; {
		if due.Sub(armed) > lingerTime/8 {
			armed = due
			_ = c.Conn.SetReadDeadline(due)
		}
		n, err := c.Conn.Read(sink[:])
		if err != nil {
			return
		}
		left -= n
		due = due.Add(time.Duration(n) * time.Second / lingerBytesPerSecond)
	}
}
