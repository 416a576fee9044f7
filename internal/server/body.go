package server

import (
	"errors"
	"io"
	"math/bits"
	"os"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	// firstBuffer is reserved before anything has arrived; a request that
	// announces a large body gets more as it sends, up to growth times as much as
	// it has sent.
	firstBuffer = 16 << 10
	growth      = 4
	// A body that announces at most smallBody gets its room at once, and counts as
	// small in the pool.
	smallBody = 64 << 10
	// wholeAfter is how much of a large body must have come before all that it announces
	// is reserved. From then on it has what it needs, so that bodies that wait for each
	// other's bytes do not all fail.
	wholeAfter = 1 << 20
	// slowestBytesPerSecond is the least average speed of a body after the first
	// body time-out: a byte now and then is not progress.
	slowestBytesPerSecond = 16 << 10
)

// Buffers are pooled in powers of two up to 1<<maxPooledBits; a larger one is left
// to the garbage collector.
const (
	minPooledBits = 10
	maxPooledBits = 20
)

var bufferPools [maxPooledBits - minPooledBits + 1]sync.Pool // of *[]byte

// bufferSize is how large a buffer with room for n bytes is.
func bufferSize(n int) int {
	if n > 1<<maxPooledBits {
		return n
	}
	return 1 << max(bits.Len(uint(max(n, 1)-1)), minPooledBits)
}

// poolOf returns the pool for buffers of exactly that size, nil when they are
// not pooled.
func poolOf(size int) *sync.Pool {
	class := bits.Len(uint(size)) - 1 - minPooledBits
	if class < 0 || class >= len(bufferPools) || size != 1<<(class+minPooledBits) {
		return nil
	}
	return &bufferPools[class]
}

// newBuffer returns an empty buffer; size comes from bufferSize.
func newBuffer(size int) *[]byte {
	if pool := poolOf(size); pool != nil {
		if b, ok := pool.Get().(*[]byte); ok {
			return b
		}
	}
	b := make([]byte, 0, size)
	return &b
}

// freeBuffer takes a buffer as newBuffer returned it.
func freeBuffer(b *[]byte) {
	if pool := poolOf(cap(*b)); pool != nil {
		pool.Put(b)
	}
}

// bodySource is where a body comes from: a stream of fasthttp or of net/http.
type bodySource interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// body reads one request body. It is not safe for concurrent use.
type body struct {
	source    bodySource // nil: no body
	account   *pool.Account
	pool      *pool.Pool
	announced int64 // -1 unknown
	max       int64
	idle      time.Duration

	buffer   *[]byte // that buf lies in, nil when there is none
	buf      []byte
	err      *wire.Error
	begun    bool // some of it may have been read
	read     bool // ReadAll has run
	complete bool // the end was reached
	released bool // the line has let go of the account
}

// newBody returns the body that comes from source, nil for none, whose bytes count in
// a, which begins with it.
func (s *Server) newBody(hd *head, source bodySource, a *pool.Account) body {
	settings := s.settings.Load()
	s.pool.Open(a)
	return body{
		source: source, account: a, pool: s.pool, announced: hd.length, max: settings.Limits.MaxBodyBytes,
		idle: settings.Timeouts.Body, complete: source == nil,
	}
}

// ReadAll returns the whole body. Calling it again returns the same.
func (b *body) ReadAll() ([]byte, *wire.Error) {
	if !b.read {
		b.read = true
		b.err = b.readAll()
	}
	if b.err != nil {
		b.drop()
		return nil, b.err
	}
	return b.buf, nil
}

// Release frees the memory; what ReadAll returned is no longer valid. It also closes
// the account for the line.
func (b *body) Release() {
	b.drop()
	if !b.released {
		b.released = true
		b.account.Close()
	}
}

func (b *body) drop() {
	b.read = true
	b.replace(nil)
}

// forsake is Release after a panic of the handler: what it has left running may still
// read the memory, so that nobody else gets it.
func (b *body) forsake() {
	if b.buffer != nil {
		b.account.Give(int64(cap(*b.buffer)), b.use())
		b.buffer = nil
	}
	b.Release()
}

func (b *body) readAll() *wire.Error {
	if b.source == nil {
		return nil
	}
	b.begun = true
	started := time.Now()
	var armed time.Time
	for {
		if len(b.buf) == cap(b.buf) {
			if err := b.grow(); err != nil {
				return err
			}
		}
		if deadline := b.deadline(started); deadline.Sub(armed) > b.idle/8 {
			armed = deadline
			if err := b.source.SetReadDeadline(deadline); err != nil {
				return brokenBody(err)
			}
		}
		n, err := b.source.Read(b.buf[len(b.buf):cap(b.buf)])
		b.buf = b.buf[:len(b.buf)+n]
		switch {
		case int64(len(b.buf)) > b.max:
			return wire.Errorf(wire.KindTooLarge, "The request body is larger than %d bytes.", b.max)
		case errors.Is(err, io.EOF):
			return b.end()
		case err != nil:
			return brokenBody(err)
		}
	}
}

func (b *body) end() *wire.Error {
	if b.announced >= 0 && int64(len(b.buf)) != b.announced {
		return wire.Errorf(wire.KindValidation, "The request body ended after %d of %d announced bytes.", len(b.buf),
			b.announced)
	}
	b.complete = true
	return nil
}

// deadline is the idle limit from now, or earlier for a caller who is too slow.
func (b *body) deadline(started time.Time) time.Time {
	earned := time.Duration(len(b.buf)) * time.Second / slowestBytesPerSecond
	slowest := started.Add(b.idle + earned)
	idle := time.Now().Add(b.idle)
	if slowest.Before(idle) {
		return slowest
	}
	return idle
}

// use is what the body is to the pool. What announces nothing counts as large.
func (b *body) use() pool.Use {
	if b.announced < 0 || b.announced > smallBody {
		return pool.Large
	}
	return pool.Small
}

// grow makes room, taken from the pool: for all of a body that announces little,
// or of which enough has arrived, else growth times as much as there is. Few steps
// are few reads. One byte more than announced lets the end show without growing.
func (b *body) grow() *wire.Error {
	want := int64(max(growth*cap(b.buf), firstBuffer))
	if b.announced >= 0 && (b.announced <= max(want, smallBody) || len(b.buf) >= wholeAfter) {
		want = b.announced + 1
	}
	want = min(max(want, int64(len(b.buf))+1), b.max+1)
	size := bufferSize(int(want))
	if !b.pool.Holds(int64(size), b.use()) {
		return wire.Errorf(wire.KindTooLarge, "The request body is larger than the memory of the gateway allows.")
	}
	if !b.account.Take(int64(size), b.use()) {
		return leg.NoRoom()
	}
	b.replace(newBuffer(size))
	return nil
}

// replace moves the body into another buffer; nil drops it.
func (b *body) replace(next *[]byte) {
	old := b.buffer
	if b.buffer = next; next == nil {
		b.buf = nil
	} else {
		b.buf = append(*next, b.buf...)
	}
	if old != nil {
		b.account.Give(int64(cap(*old)), b.use())
		freeBuffer(old)
	}
}

func brokenBody(err error) *wire.Error {
	e := wire.Errorf(wire.KindValidation, "The request body is broken or ended early.")
	if errors.Is(err, os.ErrDeadlineExceeded) {
		e = wire.Errorf(wire.KindRequestTimeout, "The request body came too slowly.")
	}
	e.Cause = err
	return e
}
