package server

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// frameBuffer is how much of HTTP/2 is read ahead; longer payloads are read past it.
const frameBuffer = 4 << 10

// ahead reads the frames of a caller: it buffers them, because net/http asks for each
// head of a frame, of nine bytes, and for each payload, and it ends the connection when
// there is a flood, or a head that comes too slowly.
//
// It has a buffer only while there is something in it: of a connection that waits, nothing
// but what the socket needs is kept. Under TLS, which has buffers of its own, it keeps it.
type ahead struct {
	conn        *conn
	buffer      *[frameBuffer]byte // nil while nothing is buffered
	begin, end  int                // of what is buffered
	socket      syscall.RawConn    // nil under TLS
	receive     func(fd uintptr) bool
	received    int
	receivedErr error
}

func newAhead(c *conn) *ahead {
	a := &ahead{conn: c}
	if sc, ok := c.Conn.(syscall.Conn); ok {
		if socket, err := sc.SyscallConn(); err == nil {
			a.socket, a.receive = socket, a.fromSocket
		}
	}
	return a
}

var frameBuffers = sync.Pool{New: func() any { return new([frameBuffer]byte) }}

// read reads what is buffered, or else what comes.
func (a *ahead) read(p []byte) (int, error) {
	if a.begin == a.end {
		var into []byte // the buffer
		if len(p) >= frameBuffer {
			into = p
		}
		n, err := a.await(into)
		if into != nil || n == 0 {
			return n, err
		}
		a.begin, a.end = 0, n // an error comes again
	}
	n := copy(p, a.buffer[a.begin:a.end])
	if a.begin += n; a.begin == a.end && a.socket != nil {
		a.release()
	}
	return n, nil
}

func (a *ahead) release() {
	frameBuffers.Put(a.buffer)
	a.buffer = nil
}

// await reads into p, or the buffer when that is nil, and while a head is due at most until
// then: the first of the connection, or one that has begun. A head that comes at once costs
// no deadline.
func (a *ahead) await(p []byte) (int, error) {
	c := a.conn
	for {
		due := c.headDue()
		if due != c.headArmed {
			if err := c.Conn.SetReadDeadline(due); err != nil {
				return 0, err
			}
			c.headArmed = due
		}
		n, err := a.next(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if due := c.headDue(); !due.IsZero() && !time.Now().Before(due) {
			_ = c.Close()
			return 0, errLate
		}
	}
}

// next reads once, and looks for a flood in it.
func (a *ahead) next(p []byte) (n int, err error) {
	switch {
	case p != nil:
		n, err = a.conn.Conn.Read(p)
	case a.socket != nil:
		if err = a.socket.Read(a.receive); err == nil {
			n, err = a.received, a.receivedErr
		}
	default:
		if a.buffer == nil {
			a.buffer = new([frameBuffer]byte)
		}
		n, err = a.conn.Conn.Read(a.buffer[:])
	}
	if p == nil && n > 0 {
		p = a.buffer[:]
	}
	if flood := a.conn.guard.Received(p[:n], time.Now()); flood != "" {
		a.conn.flooding(flood)
		return 0, errFlood
	}
	if !a.conn.recount() {
		_ = a.conn.Close()
		return 0, errNoRoom
	}
	return n, err
}

// fromSocket reads from a socket into a buffer, and reports whether there was anything. If
// not, it is called again when there is.
func (a *ahead) fromSocket(fd uintptr) bool {
	if a.buffer == nil {
		a.buffer = frameBuffers.Get().(*[frameBuffer]byte)
	}
	n, err := syscall.Read(int(fd), a.buffer[:])
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(int(fd), a.buffer[:])
	}
	if n <= 0 {
		a.release()
	}
	if errors.Is(err, syscall.EAGAIN) {
		return false
	}
	if n <= 0 && err == nil {
		err = io.EOF
	}
	a.received, a.receivedErr = max(n, 0), err
	return true
}
