// Package http1 speaks HTTP/1.1 to one upstream over kept connections.
//
// It exists because a paid call needs answers that general clients do not give
// (docs/adr/0002): whether the request was sent whole, whether any byte of the
// answer came, an end within milliseconds when the context ends, and bodies
// that may last for an hour but may not fall silent. It adds no field of its
// own but Host and Content-Length, follows no redirect, retries nothing and
// keeps the answer's fields in their order and spelling. It knows neither AWS
// nor event streams.
//
// Invariants: an exchange ends exactly once, by release, failure or abort, and
// what ends it decides what becomes of its connection. A connection is kept
// only when its answer was read to the end and nothing came after it.
package http1

import (
	"context"
	"errors"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Options configure a Client. All fields are needed.
type Options struct {
	Endpoint *url.URL // scheme http or https and the authority; its path is not used
	Route    Route    // to the endpoint

	Connect   time.Duration // bound of name look-up, connection and handshakes together
	FirstByte time.Duration // bound from the end of the request to the answer
	Idle      time.Duration // bound of silence inside an answer
	Write     time.Duration // bound without progress while sending
	KeepAlive time.Duration // how long an idle connection is kept; below the upstream's own bound

	MaxIdle  int // connections kept idle
	MaxConns int // connections in all

	// Now is the clock. Socket deadlines use it, so it must run with real time.
	Now func() time.Time
}

// Client holds the connections to one upstream. It is safe for concurrent use.
type Client struct {
	options   Options
	authority string // the Host field, without a default port
	forward   forward
	pool      pool
	exchanges sync.Pool // of *exchange, of answers that were freed
}

// forward is what a proxy that reads requests needs in them.
type forward struct {
	yes           bool
	authorization string // a field line, or ""
}

// New returns a client without connections.
func New(o Options) *Client {
	c := &Client{options: o, authority: authority(o.Endpoint)}
	c.forward.authorization, c.forward.yes = o.Route.Forward()
	c.pool = pool{maxIdle: o.MaxIdle, maxOpen: o.MaxConns, keepAlive: o.KeepAlive, now: o.Now}
	return c
}

// Authority returns the value of the Host field that the client sends.
func (c *Client) Authority() string { return c.authority }

// Close closes idle connections now and the others when their exchange ends.
func (c *Client) Close() { c.pool.close() }

// Request is one message to send.
type Request struct {
	Method string
	Target string // path and query, sent exactly as given
	Header wire.Header
	Body   []byte
	Parts  [][]byte // of a large body, sent one after the other behind Body; may be nil
	Sent   func()   // called once the whole request was written; may be nil
	// Room is memory for the fields of the answer; may be nil.
	Room wire.Header
}

// Answer is an answer whose body has not been read.
type Answer struct {
	Status int
	Header wire.Header
	Body   *Body // must be read to its end or closed

	x *exchange
}

// Free makes the memory of an answer available to other requests. The answer must
// have been read to its end and not be used any more; its Header may be.
func (a *Answer) Free() { a.x.free() }

// Do sends one request and reads the head of the answer; interim answers are
// skipped. When ctx ends, also while the body is read, the connection is closed
// at once. Every error is an *engine.Error.
func (c *Client) Do(ctx context.Context, req *Request) (*Answer, error) {
	if err := validate(req); err != nil {
		return nil, &engine.Error{Failure: engine.Misconfigured, Err: err}
	}
	x := c.exchange(req)
	if err := x.connect(ctx); err != nil {
		return nil, err
	}
	sendErr := x.send()
	for errors.Is(sendErr, errNotQuiet) {
		if err := x.reconnect(ctx); err != nil {
			return nil, err
		}
		sendErr = x.send()
	}
	h, err := x.readHead(sendErr)
	if err == nil {
		x.body.begin(x, h)
		x.answer = Answer{Status: h.status, Header: h.header, Body: &x.body, x: x}
		x.request = nil
		return &x.answer, nil
	}
	if sendErr != nil {
		err = sendErr
	}
	failed := x.fail(x.lostBeforeAnswer(err), err)
	if x.conn.reused && x.lostAtOnce(failed) {
		c.pool.purge() // the server has most likely closed its idle neighbours too
	}
	return nil, failed
}

// earlyAnswer is how long to wait for an answer after sending has failed.
const earlyAnswer = time.Second

// staleWindow is how soon it shows that a server had closed a connection: a round
// trip. A connection that is lost later was lost while the model worked.
const staleWindow = time.Second

// lostAtOnce reports whether a connection was closed, most likely, before the request
// came to it. What was sent whole may have been read nevertheless, so that it is never
// sent again.
func (x *exchange) lostAtOnce(failed *engine.Error) bool {
	stale := failed.Failure == engine.StaleConn || failed.Failure == engine.LostInAnswer && !x.answered
	return stale && x.sinceStart()-x.sentAt < staleWindow
}

// readHead reads heads up to the final one. After a failed send it waits
// only briefly: a server may refuse a request early and close, and its reason is
// worth more than our write error.
func (x *exchange) readHead(sendErr error) (head, error) {
	first := x.client.options.FirstByte
	if sendErr != nil {
		first = min(first, earlyAnswer)
	}
	for range maxInterim {
		x.conn.silence = first
		if x.unanswered != nil {
			return head{}, x.unanswered
		}
		if _, err := x.conn.r.Peek(1); err != nil {
			return head{}, err
		}
		if !x.answered {
			x.answered = true
			x.timing.FirstByte = x.sinceStart()
		}
		x.conn.silence = x.client.options.Idle
		h, err := readHead(x.conn.r, x.request.Room)
		if err != nil {
			return head{}, err
		}
		if h.status >= 200 {
			h.keepAlive = h.keepAlive && sendErr == nil
			return h, nil
		}
		if h.status == 101 {
			return head{}, malformed("an upgrade that was not asked for")
		}
	}
	return head{}, malformed("too many interim answers")
}

// lostBeforeAnswer names a failure that came before the head was complete.
func (x *exchange) lostBeforeAnswer(err error) engine.Failure {
	f := failureOf(err)
	switch {
	case x.answered || x.sent:
		return f
	case f == engine.LostInAnswer && x.conn.reused:
		return engine.StaleConn
	default:
		return engine.NotSent
	}
}

// failureOf names the failure behind an error of reading from a connection.
func failureOf(err error) engine.Failure {
	var m malformed
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &m):
		return engine.Corrupt
	case errors.As(err, &timeout) && timeout.Timeout():
		return engine.TimedOut
	default:
		return engine.LostInAnswer
	}
}

// malformed is an answer that is not HTTP as this client accepts it. It never
// quotes the answer, which may contain a caller's text.
type malformed string

func (m malformed) Error() string { return "malformed answer: " + string(m) }

// cutShort turns io.EOF into the error that it is inside a message.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
