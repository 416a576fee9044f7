package http1

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/lifetime"
)

// exchange is one request and its answer on one connection.
type exchange struct {
	client  *Client
	request *Request // until it is sent
	conn    *conn
	start   time.Time
	sentAt  time.Duration   // since start
	ctx     context.Context //nolint:containedctx // of the caller of Do, while its answer is read
	watch   lifetime.Watch  // of ctx

	answer Answer
	body   Body

	sent     bool // the whole request was written
	answered bool // a byte of the answer came
	// unanswered is how waiting for that byte ended without it
	unanswered error
	timing     engine.Timing

	// sendWhenQuiet is the method of that name, so that it is made into a value once.
	onPoll  func(fd uintptr) bool
	begun   bool  // sending has
	sendErr error // how it ended

	// ending is open, released or the engine.Failure that ended the exchange.
	// Whoever changes it from open decides what becomes of the connection.
	ending atomic.Uint32
	clean  bool // it was released, and nobody else can know of it
}

// exchange returns a new exchange, or one that was freed.
func (c *Client) exchange(req *Request) *exchange {
	x, ok := c.exchanges.Get().(*exchange)
	if !ok {
		x = &exchange{client: c}
		x.onPoll = x.sendWhenQuiet
	}
	x.request, x.start = req, c.options.Now()
	return x
}

// free makes x available to other requests.
func (x *exchange) free() {
	if !x.clean {
		return
	}
	*x = exchange{client: x.client, onPoll: x.onPoll}
	x.client.exchanges.Put(x)
}

const (
	open     uint32 = 0
	released uint32 = 1 << 16
)

// connect uses a kept connection or makes one, and lets the end of ctx close it.
func (x *exchange) connect(ctx context.Context) error {
	c, err := x.client.connection(ctx)
	if err != nil {
		return &engine.Error{Failure: dialFailure(ctx), Err: err, Timing: x.timing}
	}
	x.conn = c
	x.timing.Connected = x.sinceStart()
	x.timing.Reused = c.reused
	c.until, _ = ctx.Deadline()
	x.ctx = ctx
	x.watch = lifetime.Watching(ctx, x)
	return nil
}

// ContextEnded implements lifetime.Hook.
func (x *exchange) ContextEnded() { x.end(contextFailure(x.ctx)) }

// dialFailure distinguishes the end of ctx from trouble with the upstream.
func dialFailure(ctx context.Context) engine.Failure {
	if ctx.Err() != nil {
		return contextFailure(ctx)
	}
	return engine.NotSent
}

func contextFailure(ctx context.Context) engine.Failure {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return engine.TimedOut
	}
	return engine.Cancelled
}

// reconnect replaces a kept connection on which nothing was sent.
func (x *exchange) reconnect(ctx context.Context) error {
	if !x.watch.Stop() {
		return x.fail(contextFailure(ctx), ctx.Err())
	}
	x.client.pool.discard(x.conn)
	return x.connect(ctx)
}

// errNotQuiet is a kept connection that the server has closed, or on which it has
// spoken unasked. Nothing was sent on it.
var errNotQuiet = errors.New("the connection is not quiet")

// send sends the request. On a kept connection it also waits for the first byte of
// the answer: the read that proves the connection quiet, before the request
// leaves, is at the same time the one after which the poller may wait, so no
// further read has to find out that nothing is there.
func (x *exchange) send() error {
	c := x.conn
	if !c.reused || c.poll == nil {
		return x.transmit()
	}
	c.silence = x.client.options.FirstByte
	if err := c.boundRead(); err != nil {
		return errNotQuiet
	}
	x.begun, x.sendErr = false, errNotQuiet
	waitErr := c.poll.Read(x.onPoll)
	if x.begun && x.sendErr == nil {
		x.unanswered = waitErr
	}
	return x.sendErr
}

// sendWhenQuiet sends the request if the connection is quiet, and reports whether
// there is nothing to wait for.
func (x *exchange) sendWhenQuiet(fd uintptr) bool {
	if x.begun || !quiet(fd) {
		return true
	}
	if x.begun, x.sendErr = true, x.transmit(); x.sendErr != nil {
		return true
	}
	return x.conn.boundRead() != nil // the answer has its time from now on, however long the request took
}

// transmit writes the request and notes when that ended.
func (x *exchange) transmit() error {
	err := x.write(x.request)
	x.sentAt = x.sinceStart()
	if err != nil {
		return err
	}
	x.sent = true
	if x.request.Sent != nil {
		x.request.Sent()
	}
	return nil
}

// write writes the request. A small body shares the head's packet.
func (x *exchange) write(req *Request) error {
	scratch, ok := scratches.Get().(*[]byte)
	if !ok {
		scratch = new([]byte)
	}
	defer scratches.Put(scratch)
	c, bound, body := x.conn, x.client.options.Write, req.Body
	head := x.client.appendHead((*scratch)[:0], req)
	if len(body) <= maxJoined {
		head = append(head, body...)
		body = nil
	}
	*scratch = head
	if req.Parts != nil {
		return c.writeParts(head, body, req.Parts, bound)
	}
	if err := c.write(head, bound); err != nil {
		return err
	}
	return c.write(body, bound)
}

// scratches are heads, with small bodies, that were sent.
var scratches sync.Pool // of *[]byte

// end closes the connection if the exchange is still open. It may be called
// from any goroutine and reports whether it was this call that ended it.
func (x *exchange) end(why engine.Failure) bool {
	if !x.ending.CompareAndSwap(open, uint32(why)) {
		return false
	}
	x.client.pool.discard(x.conn)
	return true
}

// release ends an exchange whose answer was read whole. It reports false when
// the exchange had been aborted meanwhile.
func (x *exchange) release(keep keepAlive) bool {
	alone := x.watch.Stop()
	if !x.ending.CompareAndSwap(open, released) {
		return false
	}
	x.clean = alone
	x.timing.Done = x.sinceStart()
	if keep && x.conn.r.Buffered() == 0 {
		x.client.pool.put(x.conn)
	} else {
		x.client.pool.discard(x.conn)
	}
	return true
}

// fail ends the exchange and describes why. When the context or Close ended it
// before, that is the reason, and err only its consequence. An answer that was
// read whole can still prove to be corrupt.
func (x *exchange) fail(why engine.Failure, err error) *engine.Error {
	if cause := x.ctx.Err(); cause != nil && x.ending.Load() == open {
		why, err = contextFailure(x.ctx), cause // it may have shown as a read's deadline
	}
	x.watch.Stop()
	if !x.end(why) && x.ending.Load() != released {
		why = engine.Failure(x.ending.Load())
		err = context.Canceled
		if why == engine.TimedOut {
			err = context.DeadlineExceeded
		}
	}
	return &engine.Error{Failure: why, Sent: x.sent, Answered: x.answered, Timing: x.timing, Err: err}
}

func (x *exchange) sinceStart() time.Duration { return x.client.options.Now().Sub(x.start) }
