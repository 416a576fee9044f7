package server

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/lifetime"
	"github.com/sluice-gateway/sluice/internal/server/h1guard"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// http1 serves HTTP/1.1 (and 1.0) by fasthttp. Only fasthttp's framing is used: its
// own targets and hosts are decoded and normalised.
type http1 struct {
	server  *Server
	parsers atomic.Pointer[parsers]
}

// parsers serve connections by one state of the settings.
type parsers struct {
	fast  *fasthttp.Server
	roomy *fasthttp.Server // for heads that do not fit into the reader of the other
}

// readBuffer is the size of a connection's reader. Most heads fit into it.
const readBuffer = 4 << 10

func newHTTP1(s *Server) *http1 {
	h := &http1{server: s}
	h.use()
	return h
}

// use serves connections from now on by the server's settings.
func (h *http1) use() {
	h.parsers.Store(&parsers{fast: h.reading(readBuffer), roomy: h.reading(maxHeaderBytes)})
}

// reading returns a server whose connections have readers of that size.
func (h *http1) reading(size int) *fasthttp.Server {
	s := h.server
	timeouts := s.settings.Load().Timeouts
	return &fasthttp.Server{
		Handler:       h.handle,
		ErrorHandler:  h.handleError,
		ExpectHandler: h.expect,
		HeaderReceived: func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
			return fasthttp.RequestConfig{ReadTimeout: timeouts.Body}
		},
		ReadTimeout:    timeouts.Header,
		IdleTimeout:    timeouts.KeepAlive,
		ReadBufferSize: size,
		// A stream is read 4 KB at a time: one read, framed, leaves in one write.
		WriteBufferSize: 5 << 10,
		// With StreamRequestBody a larger body is not refused but left to the
		// stream; this only bounds what fasthttp reads before the handler runs.
		// The real limit is in body.go.
		MaxRequestBodySize: 1,
		Concurrency:        math.MaxInt32, // who may stay is for crowd to say: those who have to leave are counted here
		Logger:             quiet{},
		ConnState:          h.trackState,

		StreamRequestBody:             true, // without it, it allocates what is announced
		DisablePreParseMultipartForm:  true, // without it, it writes temporary files
		DisableHeaderNamesNormalizing: true,
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		SecureErrorLogMessage:         true,
	}
}

// quiet drops what fasthttp logs: it may quote requests, and everything in it is
// answered and counted here.
type quiet struct{}

// Printf does nothing.
func (quiet) Printf(string, ...any) {}

// serve serves one connection until it is closed. fasthttp's own accept loop and
// shutdown are not used: they leave a goroutine behind for seconds, and reset
// their state when the time is up.
func (h *http1) serve(c *conn) { h.unpark(&parkable{conn: c, head: longHead{reading: true}}) }

func (h *http1) unpark(p *parkable) {
	p.dismisses = p.turnedAway()
	for more := true; more; more = p.dismisses {
		if p.dismisses && !p.dismiss() {
			drop(p.conn)
			return
		}
		if h.parse(p); !p.parked {
			drop(p.conn)
			return
		}
	}
	// Another goroutine waits: the stack of this one has become as large as requests need.
	h.server.work.Go(func() {
		if p.wait() {
			h.unpark(p)
			return
		}
		drop(p.conn)
	})
}

// parse lets a parser have the connection, until it ends or is parked.
func (h *http1) parse(p *parkable) {
	p.parked, p.dismisses = false, false
	_ = h.parsers.Load().fast.ServeConn(p)
	if p.head.tooLong {
		p.head = longHead{again: p.head.kept, roomy: true}
		_ = h.parsers.Load().roomy.ServeConn(p)
		p.hold(-longHeadBytes)
	}
	p.head = longHead{} // which knows the memory of the reader
}

// parkAfter is how long an idle connection keeps its buffers for the next
// request.
const parkAfter = 100 * time.Millisecond

var errParked = errors.New("parked")

// parkable is a connection as fasthttp sees it. fasthttp keeps a reader for as long
// as it serves a connection; one that is idle for a while therefore reports its end
// to fasthttp, waits for its next request without buffers, and is then served anew.
//
// A read deadline is set at the socket only when there is a read that may wait: a
// request sets five, and mostly comes in one packet.
type parkable struct {
	*conn
	parked    bool // the serving goroutine's, as the following
	dismisses bool // requests are refused without a parser
	head      longHead
	frames    h1guard.Guard
	cut       bool      // the connection has ended within a chunked body
	due       time.Time // the read deadline that was asked for
	armed     time.Time // and that of the socket
	said      time.Time // when a request was refused
}

// SetReadDeadline bounds the reads that follow.
func (p *parkable) SetReadDeadline(t time.Time) error {
	p.due = t
	return nil
}

// arm sets the socket's read deadline.
func (p *parkable) arm(t time.Time) error {
	if p.armed == t { //nolint:staticcheck // the same value, not only the same time
		return nil
	}
	p.armed = t
	return p.conn.SetReadDeadline(t)
}

// Read reads the connection, and first what has to be read again. The parser does not see what
// is refused here, and has to leave the connection then: more of that comes.
func (p *parkable) Read(b []byte) (n int, err error) {
	if len(p.head.again) > 0 {
		n = copy(b, p.head.again)
		p.head.again = p.head.again[n:]
	} else {
		before := p.frames.Whole()
		n, err = p.receive(b)
		if err == nil && before >= 0 && p.frames.Whole() == before+1 && p.refused(b[:n]) {
			p.parked, p.dismisses = true, true
			return 0, errParked
		}
	}
	if p.head.reading {
		p.head.note(b, n)
	}
	return n, err
}

// receive ends with errParked when nothing comes on an idle connection for
// parkAfter, or for half of that.
//
// What comes is followed for what the rules let a server refuse.
func (p *parkable) receive(b []byte) (int, error) {
	if p.fault != "" {
		return 0, lenient(p.fault)
	}
	n, err := p.await(b)
	if wrong := p.frames.Received(b[:n]); wrong != "" {
		return 0, lenient(wrong)
	}
	if errors.Is(err, io.EOF) && p.frames.Cut() {
		p.cut, err = true, io.ErrUnexpectedEOF
	}
	return n, err
}

// lenient is something that parsers pass over and a strict server refuses.
type lenient string

// Error implements error.
func (e lenient) Error() string { return string(e) }

func (p *parkable) await(b []byte) (int, error) {
	if p.busy.Load() {
		if err := p.arm(p.due); err != nil {
			return 0, err
		}
		return p.conn.Read(b)
	}
	now := time.Now()
	if left := p.armed.Sub(now); left < parkAfter/2 || left > parkAfter {
		if err := p.arm(now.Add(parkAfter)); err != nil {
			return 0, err
		}
	}
	n, err := p.conn.Read(b)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		p.parked = true
		return 0, errParked
	}
	return n, err
}

// Write drops fasthttp's answer to a head that is read again.
func (p *parkable) Write(b []byte) (int, error) {
	if p.head.tooLong {
		return len(b), nil
	}
	return p.conn.Write(b)
}

// Close leaves a connection open that is parked or whose head is read again.
func (p *parkable) Close() error {
	if p.parked || p.head.tooLong {
		return nil
	}
	return p.conn.Close()
}

// wait waits for the first bytes of the next request and reports whether there
// are any.
func (p *parkable) wait() bool {
	if err := p.arm(time.Now().Add(p.server.settings.Load().Timeouts.KeepAlive)); err != nil {
		return false
	}
	n, err := p.Conn.Read(p.peeked[:])
	p.nPeeked, p.nGiven = n, 0
	p.head = longHead{reading: true}
	p.busy.Store(true)
	return err == nil && n > 0
}

// trackState keeps conn.busy. A connection that becomes idle during a shutdown
// has had its last request.
func (h *http1) trackState(nc net.Conn, state fasthttp.ConnState) {
	p, ok := nc.(*parkable)
	if !ok || state == fasthttp.StateClosed {
		return
	}
	p.busy.Store(state == fasthttp.StateActive)
	if h.server.quiet.Load() != 0 && state == fasthttp.StateActive {
		h.server.heard.Store(time.Now().UnixNano())
	}
	p.head.reading = state == fasthttp.StateIdle && !p.head.roomy || p.head.reading
	if state == fasthttp.StateIdle && h.server.draining() {
		h.server.closeQuiet(p.conn)
	}
}

// handle is one request: read the head, ask the handler, write the answer.
func (h *http1) handle(ctx *fasthttp.RequestCtx) {
	s := h.server
	c := connOf(ctx)
	c.head.reading, c.head.kept = false, nil
	received := s.opts.Now()
	id := s.ids.Next(received)
	r := &http1Request{} // all of it at once
	if refused := h.readHead(ctx, &r.head); refused != nil {
		h.refuse(ctx, refused, id, c.caller(r.head.header))
		return
	}
	c.sender.ask()
	s.begin()
	h.openBody(ctx, r)
	hd, q := &r.head, &r.request // set in place: the stack is to stay small while streams are sent
	q.ID, q.Method, q.Target, q.Authority, q.From = id, hd.method, hd.target, hd.authority, c.caller(hd.header)
	q.Header, q.ContentLength, q.Body = hd.header, hd.length, &r.body
	q.Account, q.Caller, q.Received, q.Sender = &r.account, &r.caller, received, &c.sender
	s.watcher.Add(&c.watch, &r.caller)
	res, panicked := s.answer(q, &r.body)
	if panicked || mustClose(&r.body) || c.sender.spent() {
		h.end(ctx)
	}
	if s.draining() {
		ctx.Response.SetConnectionClose()
	}
	h.send(ctx, res, id, &r.account)
}

// send writes the answer of the handler. What it holds in a is held until it is
// written.
func (h *http1) send(ctx *fasthttp.RequestCtx, res *gateway.Response, id string, a *pool.Account) {
	c := connOf(ctx)
	h.writeHead(ctx, res, id)
	switch {
	case res.Stream != nil:
		after := func() { h.done(c.conn); a.Close() }
		ctx.Response.ImmediateHeaderFlush = !res.Begun
		ctx.Response.SetBodyStream(&stream{server: h.server, id: id, inner: res.Stream, after: after}, -1)
		return
	case len(res.Body) > pool.PerRequest:
		whole := &whole{after: a.Close}
		whole.Reset(res.Body)
		ctx.Response.SetBodyStream(whole, len(res.Body))
	default:
		ctx.Response.SetBodyRaw(res.Body)
		a.Close()
	}
	h.done(c.conn)
}

// http1Request is what a request needs while it is served.
type http1Request struct {
	head    head
	body    body
	source  http1Body
	account pool.Account
	caller  lifetime.Context // ends when the caller has left
	request gateway.Request
}

func (h *http1) done(c *conn) {
	h.server.watcher.Remove(&c.watch)
	h.server.inFlight.Add(-1)
}

// mustClose reports whether the connection must close because too much of the body
// is unread.
func mustClose(b *body) bool {
	return !b.complete && (b.begun || b.announced < 0 || b.announced > unreadLimit)
}

func connOf(ctx *fasthttp.RequestCtx) *parkable {
	p, ok := ctx.Conn().(*parkable)
	if !ok {
		panic("BUG: a connection that did not come from the sniffer")
	}
	return p
}

// readHead reads and checks the head of the current request.
func (h *http1) readHead(ctx *fasthttp.RequestCtx, hd *head) *wire.Error {
	raw := &ctx.Request.Header
	hd.proto, hd.method, hd.target = known(raw.Protocol()), known(raw.Method()), string(raw.RequestURI())
	hd.maxBody = h.server.settings.Load().Limits.MaxBodyBytes
	return hd.read(string(raw.RawHeaders()))
}

// known is string(b), without a copy for what almost every request has.
func known(b []byte) string {
	for _, s := range [...]string{"POST", "HTTP/1.1", "GET"} {
		if string(b) == s {
			return s
		}
	}
	return string(b)
}

func (h *http1) openBody(ctx *fasthttp.RequestCtx, r *http1Request) {
	stream := ctx.RequestBodyStream()
	if stream == nil || !r.head.hasBody() {
		r.body = h.server.newBody(&r.head, nil, &r.account)
		return
	}
	chunked := r.head.counts[fieldTransferEncoding].n > 0
	r.source = http1Body{stream: stream, conn: connOf(ctx), chunked: chunked}
	r.body = h.server.newBody(&r.head, &r.source, &r.account)
}

// http1Body bounds what chunked framing may cost beside the bytes that it
// brings: an extension of a chunk may have any length by the rules.
type http1Body struct {
	stream  io.Reader
	conn    *parkable
	chunked bool
	payload int64
}

// Read reads the body.
func (b *http1Body) Read(p []byte) (int, error) {
	if !b.chunked {
		return b.stream.Read(p)
	}
	const slack = 2 * maxHeaderBytes // what fasthttp buffers, and some framing
	b.conn.limitBody(2*b.payload + slack)
	n, err := b.stream.Read(p)
	b.payload += int64(n)
	if errors.Is(err, io.EOF) && b.conn.cut {
		err = io.ErrUnexpectedEOF // the parser takes every end within the trailers for theirs
	}
	if err != nil {
		b.conn.limitBody(0)
	}
	return n, err
}

// SetReadDeadline bounds the next reads.
func (b *http1Body) SetReadDeadline(t time.Time) error { return b.conn.SetReadDeadline(t) }

// refuse hands a refusal to fasthttp, which sends it after handle has returned, and ends
// the connection.
func (h *http1) refuse(ctx *fasthttp.RequestCtx, e *wire.Error, id string, from netip.Addr) {
	res := h.server.refuse(e, id, from)
	h.writeHead(ctx, res, id)
	ctx.Response.SetBodyRaw(res.Body)
	h.end(ctx)
}

// end closes the connection after the answer, gently: the caller may still be sending.
func (h *http1) end(ctx *fasthttp.RequestCtx) {
	ctx.Response.SetConnectionClose()
	connOf(ctx).linger.Store(true)
}

func (h *http1) writeHead(ctx *fasthttp.RequestCtx, res *gateway.Response, id string) {
	out := &ctx.Response
	out.SetStatusCode(res.Status)
	for _, f := range res.Header {
		if !wire.NameIn(f.Name, edgeFields) {
			out.Header.Add(f.Name, f.Value)
		}
	}
	out.Header.Add(requestIDHeader, id)
}

// handleError answers what fasthttp could not parse or read. It closes the
// connection afterwards.
func (h *http1) handleError(ctx *fasthttp.RequestCtx, err error) {
	s, c := h.server, connOf(ctx)
	var tooBig *fasthttp.ErrSmallBuffer
	var strict lenient
	if errors.As(err, &tooBig) && c.head.reading && len(c.head.kept) == readBuffer {
		if c.spare(longHeadBytes) {
			c.hold(longHeadBytes)
			c.head.tooLong = true
			return
		}
		ctx.Response.Reset()
		h.refuse(ctx, leg.NoRoom(), s.ids.Next(s.opts.Now()), c.from)
		return
	}
	e := wire.Errorf(wire.KindValidation, "The request is not valid HTTP/1.1.")
	switch {
	case errors.As(err, &tooBig):
		e = wire.Errorf(wire.KindHeaderTooLarge, "The request's header is larger than 64 KB.")
	case errors.As(err, &strict):
		e = wire.Errorf(wire.KindValidation, "The request is not valid HTTP/1.1: %s.", string(strict))
	case errors.Is(err, os.ErrDeadlineExceeded):
		e = wire.Errorf(wire.KindRequestTimeout, "The request came too slowly.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		e = wire.Errorf(wire.KindValidation, "The request ended early.")
	}
	ctx.Response.Reset()
	h.refuse(ctx, e, s.ids.Next(s.opts.Now()), c.from)
}

// expect decides on Expect: 100-continue before the caller sends a body: a
// request that would be refused anyway is refused now.
func (h *http1) expect(ctx *fasthttp.RequestCtx) int {
	hd := head{}
	refused := h.readHead(ctx, &hd)
	if refused == nil {
		return fasthttp.StatusContinue
	}
	h.refuse(ctx, refused, h.server.ids.Next(h.server.opts.Now()), connOf(ctx).caller(hd.header))
	return refused.Status()
}
