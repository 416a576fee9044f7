package server

import (
	"errors"
	"io"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	// firstBuffer is reserved before anything has arrived; a request that
	// announces a large body gets more as it sends, up to growth times as much as
	// it has sent.
	firstBuffer = 16 << 10
	growth      = 4
	// A body that announces at most smallBody gets its room at once, and may use a
	// part of the budget that large ones may not, so that a flood of documents does
	// not stop short questions.
	smallBody      = 64 << 10
	reservedShare  = 8 // one part in 8 of the budget is for small bodies
	budgetPatience = time.Second
	// slowestBytesPerSecond is the least average speed of a body after the first
	// body time-out: a byte now and then is not progress.
	slowestBytesPerSecond = 16 << 10
)

// budget is how many bytes of request bodies may be held at once.
type budget struct {
	limit atomic.Int64 // written by Server.Use

	mu    sync.Mutex // guards the following fields
	used  int64
	most  int64         // that used was, since peak was called
	freed chan struct{} // closed at the next give, nil when nothing waits
}

func newBudget(limit int64) *budget {
	b := &budget{}
	b.limit.Store(limit)
	return b
}

// take takes n bytes, waiting for at most budgetPatience. announced is how large
// the whole body will be; -1, not known, counts as large.
func (b *budget) take(n, announced int64) bool {
	limit := b.limit.Load()
	if announced < 0 || announced > smallBody {
		limit -= limit / reservedShare
	}
	freed := b.try(n, limit)
	if freed == nil {
		return true
	}
	patience := time.NewTimer(budgetPatience)
	defer patience.Stop()
	for {
		select {
		case <-freed:
		case <-patience.C:
			return false
		}
		if freed = b.try(n, limit); freed == nil {
			return true
		}
	}
}

// try takes n bytes and returns nil, or a channel that is closed when bytes have
// been given back.
func (b *budget) try(n, limit int64) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n <= limit {
		b.used += n
		b.most = max(b.most, b.used)
		return nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// peak returns how many bytes were held at most since it was called last.
func (b *budget) peak() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := b.most
	b.most = b.used
	return most
}

func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

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
	budget    *budget
	announced int64 // -1 unknown
	max       int64
	idle      time.Duration

	buffer   *[]byte // that buf lies in, nil when there is none
	buf      []byte
	err      *wire.Error
	read     bool // ReadAll has run
	complete bool // the end was reached
}

// newBody returns the body that comes from source; nil is none.
func (s *Server) newBody(hd *head, source bodySource) body {
	settings := s.settings.Load()
	return body{
		source: source, budget: s.budget, announced: hd.length, max: settings.Limits.MaxBodyBytes,
		idle: settings.Timeouts.Body, complete: source == nil,
	}
}

// ReadAll returns the whole body. Calling it again returns the same.
func (b *body) ReadAll() ([]byte, error) {
	if !b.read {
		b.read = true
		b.err = b.readAll()
	}
	if b.err != nil {
		b.Release()
		return nil, b.err
	}
	return b.buf, nil
}

// Release frees the memory; what ReadAll returned is no longer valid.
func (b *body) Release() {
	b.read = true
	b.replace(nil)
}

// forsake is Release after a panic of the handler: what it has left running may still
// read the memory, so that nobody else gets it.
func (b *body) forsake() {
	if b.buffer != nil {
		b.budget.give(int64(cap(*b.buffer)))
		b.buffer = nil
	}
	b.Release()
}

func (b *body) readAll() *wire.Error {
	if b.source == nil {
		return nil
	}
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

// grow makes room, taken from the budget: for all of a body that announces little,
// or of which enough has arrived, else growth times as much as there is. Few steps
// are few reads. One byte more than announced lets the end show without growing.
func (b *body) grow() *wire.Error {
	want := int64(max(growth*cap(b.buf), firstBuffer))
	if b.announced >= 0 && b.announced <= max(want, smallBody) {
		want = b.announced + 1
	}
	want = min(max(want, int64(len(b.buf))+1), b.max+1)
	size := bufferSize(int(want))
	if !b.budget.take(int64(size), b.announced) {
		return &wire.Error{
			Kind:             wire.KindServiceUnavailable,
			Message:          "The gateway is holding as many request bytes as it may. Try again.",
			RetryAfterMillis: budgetPatience.Milliseconds(),
		}
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
		b.budget.give(int64(cap(*old)))
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
