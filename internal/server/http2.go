package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/server/h2guard"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// http2 serves HTTP/2 by net/http. It gets connections that began with the
// preface, decrypted already when there is TLS, so that frames can be counted
// (package h2guard); to net/http all of them are HTTP/2 with prior knowledge.
type http2 struct {
	server *Server
	std    *http.Server
	// begun serves a connection whose preface was read. An http.Server would read
	// the preface by its HTTP/1.1, whose buffers of 8 KB a connection then keeps.
	begun func(*http.Server, *tls.Conn, http.Handler)
	down  atomic.Bool // no connection is served any more
}

const (
	streamsPerConnection = 100
	receiveWindow        = 1 << 20 // of a connection
	// priorKnowledge is under which name an http.Server has begun.
	priorKnowledge = "unencrypted_http2"
)

func newHTTP2(s *Server) *http2 {
	h := &http2{server: s}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	h.std = &http.Server{
		Protocols:      protocols,
		MaxHeaderBytes: maxHeaderBytes,
		IdleTimeout:    s.settings.Load().Timeouts.KeepAlive,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          streamsPerConnection,
			MaxReadFrameSize:              h2guard.MaxFrame, // net/http makes room for a frame when its head says so
			MaxReceiveBufferPerStream:     256 << 10,
			MaxReceiveBufferPerConnection: receiveWindow,
			// Writing has its own progress deadlines, in conn and below.
		},
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	_ = h.std.Serve(nobody{}) // makes it ready
	if h.begun = h.std.TLSNextProto[priorKnowledge]; h.begun == nil {
		panic("BUG: net/http serves no HTTP/2 with prior knowledge")
	}
	return h
}

// nobody is a listener to which no one comes.
type nobody struct{ net.Listener }

// Accept ends at once.
func (nobody) Accept() (net.Conn, error) { return nil, io.EOF }

// Close does nothing.
func (nobody) Close() error { return nil }

// serve serves a connection until it is closed.
func (h *http2) serve(c *conn) {
	defer drop(c)
	defer func() {
		if v := recover(); v != nil {
			h.server.logPanic("", v)
		}
	}()
	if !h.down.Load() {
		h.begun(h.std, tls.Client(begun{Conn: c}, nil), &http2Conn{h, c})
	}
}

// begun is a connection whose preface was read, in the wrapping in which net/http takes it.
type begun struct{ net.Conn }

// UnencryptedNetConn takes it out again.
func (b begun) UnencryptedNetConn() net.Conn { return b.Conn }

func (h *http2) shutdown(ctx context.Context) error {
	h.down.Store(true)
	return h.std.Shutdown(ctx) // asks the callers to leave, and waits for nobody
}

// http2Conn handles the requests of one connection.
type http2Conn struct {
	*http2
	conn *conn
}

// ServeHTTP is one request: read the head, ask the handler, write the answer.
func (h *http2Conn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s, c := h.server, h.conn
	c.guard.Served()
	received := s.opts.Now()
	id := s.ids.Next(received)
	e := &http2Request{} // all of it at once
	e.out = http2Writer{w: deadlinesOf(w), conn: c, timeout: s.settings.Load().Timeouts.Write}
	if refused := h.readHead(r, &e.head); refused != nil {
		e.out.whole(s.refuse(refused, id, c.caller(e.head.header)), id)
		return
	}
	c.sender.ask()
	s.begin()
	defer s.inFlight.Add(-1)
	h.openBody(r, e)
	defer e.account.Close()
	defer e.source.close()
	hd := &e.head
	e.request = gateway.Request{
		ID: id, Method: hd.method, Target: hd.target, Authority: hd.authority, From: c.caller(hd.header), HTTP2: true,
		Header: hd.header, ContentLength: hd.length, Body: &e.body, Account: &e.account,
		Caller: r.Context(), Received: received, Sender: &c.sender,
	}
	res, _ := s.answer(&e.request, &e.body)
	if res.Stream == nil {
		e.out.whole(res, id)
		if c.sender.spent() {
			c.flooding("bad_credentials")
		}
		return
	}
	in := &stream{server: s, id: id, inner: res.Stream, after: func() {}}
	err := e.out.stream(res, id, in)
	_ = in.Close()
	if err != nil {
		// The caller must not mistake a cut stream for a whole one.
		panic(http.ErrAbortHandler)
	}
}

// http2Request is what a request needs while it is served.
type http2Request struct {
	head    head
	body    body
	source  http2Body
	account pool.Account
	out     http2Writer
	request gateway.Request
}

// deadlines is what net/http's writers of HTTP/2 have beside http.ResponseWriter.
type deadlines interface {
	http.ResponseWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	FlushError() error
}

func deadlinesOf(w http.ResponseWriter) deadlines {
	d, ok := w.(deadlines)
	if !ok {
		panic("BUG: a writer that is not one of net/http's HTTP/2")
	}
	return d
}

// readHead reads and checks the head of a request. net/http has checked names and
// values but neither the target nor whether fields contradict each other.
func (h *http2) readHead(r *http.Request, hd *head) *wire.Error {
	header := make(wire.Header, 0, len(r.Header)+2)
	for name, values := range r.Header {
		for _, v := range values {
			header = append(header, wire.Field{Name: name, Value: v})
		}
	}
	*hd = head{
		http2:     true,
		method:    r.Method,
		target:    r.RequestURI,
		authority: r.Host,
		header:    header,
		maxBody:   h.server.settings.Load().Limits.MaxBodyBytes,
	}
	return hd.check()
}

func (h *http2) openBody(r *http.Request, e *http2Request) {
	if r.Body == http.NoBody {
		e.body = h.server.newBody(&e.head, nil, &e.account)
		return
	}
	e.source.Reader, e.source.out = r.Body, &e.out
	e.body = h.server.newBody(&e.head, &e.source, &e.account)
}

// http2Body is the body of one request. net/http's own deadlines cost a message to
// the connection's goroutine and a timer each; here one timer does for a body.
type http2Body struct {
	io.Reader
	out *http2Writer

	mu     sync.Mutex // guards the following
	timer  *time.Timer
	due    time.Time
	closed bool // the writer may no longer be used
}

// Read reads the body, for which net/http may have to ask the caller by
// 100 (Continue).
func (b *http2Body) Read(p []byte) (int, error) {
	prompt := &b.out.conn.held.prompt
	prompt.Add(1)
	defer prompt.Add(-1)
	return b.Reader.Read(p)
}

// SetReadDeadline bounds the next reads of this stream.
func (b *http2Body) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	sooner := t.Before(b.due)
	b.due = t
	switch {
	case b.timer == nil:
		b.timer = time.AfterFunc(time.Until(t), b.expire)
	case sooner:
		b.timer.Reset(time.Until(t))
	}
	return nil
}

// expire ends the reading when it is due, which may have become later.
func (b *http2Body) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	if left := time.Until(b.due); left > 0 {
		b.timer.Reset(left)
		return
	}
	_ = b.out.w.SetReadDeadline(time.Unix(1, 0)) // HTTP/2 streams always have one
}

func (b *http2Body) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
}

// http2Writer writes one answer. A stream whose caller does not read ends after
// the write time-out; the connection's own deadline cannot see it, because other
// streams go on.
type http2Writer struct {
	w       deadlines
	conn    *conn
	timeout time.Duration
	renewed time.Time
}

// head writes the head. Names that net/http does not look for are left as they
// are: it sends all in lower case.
func (o *http2Writer) head(res *gateway.Response, id string) {
	header := o.w.Header()
	header["Content-Type"] = nil // no guess from the body
	values := make([]string, 0, len(res.Header)+2)
	set := func(name, value string) {
		values = append(values, value)
		header[name] = slices.Clip(values[len(values)-1:])
	}
	for _, f := range res.Header {
		name := f.Name
		if strings.EqualFold(name, "content-type") {
			name = "Content-Type"
		}
		switch {
		case wire.NameIn(name, edgeFields):
		case header[name] != nil:
			header[name] = append(header[name], f.Value)
		default:
			set(name, f.Value)
		}
	}
	set(requestIDHeader, id)
	if res.Stream == nil {
		set("Content-Length", strconv.Itoa(len(res.Body)))
	}
	o.w.WriteHeader(res.Status)
}

// whole writes an answer that is complete. An error means that the caller has
// left, which no longer matters to the handler.
func (o *http2Writer) whole(res *gateway.Response, id string) {
	o.head(res, id)
	_ = o.write(res.Body)
}

// stream writes an answer as it comes. Its head leaves at once, or with the body
// that is already there.
func (o *http2Writer) stream(res *gateway.Response, id string, in *stream) error {
	prompt := &o.conn.held.prompt
	prompt.Add(1)
	leave := sync.OnceFunc(func() { prompt.Add(-1) })
	defer leave()
	o.head(res, id)
	if !res.Begun {
		if err := o.flush(); err != nil {
			return err
		}
	}
	out, stop := in.writer(writerFunc(o.writeNow))
	defer stop()
	buf := streamBuffers.Get().(*[]byte)
	defer streamBuffers.Put(buf)
	for {
		n, err := in.Read(*buf)
		if n > 0 {
			if _, err := out.Write((*buf)[:n]); err != nil {
				return err
			}
			leave() // the head has left, with what followed it if not before
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// writeNow writes and flushes.
func (o *http2Writer) writeNow(p []byte) (int, error) {
	if err := o.write(p); err != nil {
		return 0, err
	}
	return len(p), o.flush()
}

// writerFunc is a function as a writer.
type writerFunc func(p []byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

var streamBuffers = sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}

// write writes p in slices, each of which must make progress in time.
func (o *http2Writer) write(p []byte) error {
	for len(p) > 0 {
		o.renewDeadline()
		n, err := o.w.Write(p[:min(len(p), writeSlice)])
		p = p[n:]
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *http2Writer) flush() error {
	o.renewDeadline()
	return o.w.FlushError()
}

func (o *http2Writer) renewDeadline() {
	now := time.Now()
	if now.Sub(o.renewed) < o.timeout/8 {
		return
	}
	o.renewed = now
	_ = o.w.SetWriteDeadline(now.Add(o.timeout)) // HTTP/2 streams always have one
}
