package http1

import (
	"bufio"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	readBuffer = 4 << 10 // a large body is read past it
	// maxJoined is the largest body that is copied behind its head, to go in
	// one packet and one TLS record.
	maxJoined = 16 << 10
	// writePiece is how much must be sent within the write bound: slow links need
	// minutes for 25 MB, but they make progress.
	writePiece = 256 << 10
)

// conn is one connection. It is used by one exchange at a time.
type conn struct {
	raw net.Conn // the TCP connection; closing it ends every wait
	net net.Conn // raw, or TLS over it
	r   *bufio.Reader
	now func() time.Time
	// poll waits for bytes at raw; nil where that cannot be done
	poll syscall.RawConn

	silence   time.Duration // how long the next read may wait
	until     time.Time     // when the exchange must be over, zero when it need not be
	readDue   time.Time     // the deadlines that are set
	writeDue  time.Time
	idleSince time.Time
	reused    bool
}

func newConn(raw, secured net.Conn, now func() time.Time) *conn {
	c := &conn{raw: raw, net: secured, now: now, poll: pollable(raw)}
	c.r = bufio.NewReaderSize(deadlineReader{c}, readBuffer)
	return c
}

// deadlineReader gives each read its own deadline, so that an answer may last
// as long as it likes but not fall silent.
type deadlineReader struct{ c *conn }

func (d deadlineReader) Read(p []byte) (int, error) {
	if err := d.c.boundRead(); err != nil {
		return 0, err
	}
	return d.c.net.Read(p)
}

// boundRead bounds the next read by silence.
func (c *conn) boundRead() error {
	due, renewed := c.renew(c.readDue, c.silence)
	if !renewed {
		return nil
	}
	c.readDue = due
	return c.net.SetReadDeadline(due)
}

// boundWrite bounds the next write.
func (c *conn) boundWrite(bound time.Duration) error {
	due, renewed := c.renew(c.writeDue, bound)
	if !renewed {
		return nil
	}
	c.writeDue = due
	return c.net.SetWriteDeadline(due)
}

// renew returns a deadline that is bound from now, or up to an eighth later, but
// not after the exchange's end, and whether it differs from the one that is set:
// setting a timer costs more than a small read. So one that is set for an earlier
// exchange does when it is hardly before the end of this one.
func (c *conn) renew(due time.Time, bound time.Duration) (time.Time, bool) {
	now, slack := c.now(), bound/8
	if !c.until.IsZero() && c.until.Before(now.Add(bound+slack)) {
		if early := c.until.Sub(due); early >= 0 && early <= c.until.Sub(now)/128 {
			return due, false
		}
		return c.until, true
	}
	if left := due.Sub(now); left >= bound && left <= bound+slack {
		return due, false
	}
	return now.Add(bound + slack), true
}

// writeParts sends head, body and parts, short ones together with what is beside them.
func (c *conn) writeParts(head, body []byte, parts [][]byte, bound time.Duration) error {
	w, ok := joiners.Get().(*bufio.Writer)
	if !ok {
		w = bufio.NewWriterSize(nil, maxJoined)
	}
	w.Reset(boundWriter{c, bound})
	_, err := w.Write(head)
	if err == nil {
		_, err = w.Write(body)
	}
	for i := 0; err == nil && i < len(parts); i++ {
		_, err = w.Write(parts[i])
	}
	if err == nil {
		err = w.Flush()
	}
	w.Reset(nil)
	joiners.Put(w)
	return err
}

var joiners sync.Pool // of *bufio.Writer, of maxJoined bytes

// boundWriter is conn.write as a writer.
type boundWriter struct {
	c     *conn
	bound time.Duration
}

// Write sends all of p, or fails.
func (w boundWriter) Write(p []byte) (int, error) {
	if err := w.c.write(p, w.bound); err != nil {
		return 0, err
	}
	return len(p), nil
}

// write sends p in pieces, each within bound.
func (c *conn) write(p []byte, bound time.Duration) error {
	for len(p) > 0 {
		piece := p[:min(len(p), writePiece)]
		if err := c.boundWrite(bound); err != nil {
			return err
		}
		if _, err := c.net.Write(piece); err != nil {
			return err
		}
		p = p[len(piece):]
	}
	return nil
}
