package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// http2 serves HTTP/2 by net/http. It gets connections that began with the
// preface, decrypted already when there is TLS, so that frames can be counted
// (package h2guard); to net/http all of them are HTTP/2 with prior knowledge.
type http2 struct {
	server *Server
	ln     *handover
	std    *http.Server
}

type connKey struct{}

func newHTTP2(s *Server) *http2 {
	h := &http2{server: s, ln: newHandover(s.ln.Addr())}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	h.std = &http.Server{
		Handler:        h,
		Protocols:      protocols,
		MaxHeaderBytes: maxHeaderBytes,
		// otherwise "OPTIONS *" is answered without being checked
		DisableGeneralOptionsHandler: true,
		IdleTimeout:                  s.opts.Timeouts.KeepAlive,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          100,
			MaxReceiveBufferPerStream:     256 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			// Writing has its own progress deadlines, in conn and below.
		},
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	return h
}

// run serves until shutdown. Its only error is that of a listener, and ours has
// none but closing.
func (h *http2) run() { _ = h.std.Serve(h.ln) }

// serve gives c to net/http, which serves it in a goroutine of its own.
func (h *http2) serve(c *conn) {
	if !h.ln.put(c) {
		_ = c.Close()
	}
}

func (h *http2) shutdown(ctx context.Context) error {
	_ = h.ln.Close()
	err := h.std.Shutdown(ctx)
	if err != nil {
		_ = h.std.Close()
	}
	return err
}

// ServeHTTP is one request: read the head, ask the handler, write the answer.
func (h *http2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.server
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		c.guard.Served()
	}
	received := s.opts.Now()
	id := s.ids.next(received)
	out := &http2Writer{w: w, control: http.NewResponseController(w), timeout: s.opts.Timeouts.Write}
	hd, refused := h.head(r)
	if refused != nil {
		out.whole(s.refuse(refused, id), id)
		return
	}
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	res := s.answer(&gateway.Request{
		ID: id, Method: hd.method, Target: hd.target, Authority: hd.authority, HTTP2: true,
		Header: hd.header, ContentLength: hd.length, Body: h.body(r, hd, out),
		Caller: r.Context(), Received: received,
	})
	if res.Stream == nil {
		out.whole(res, id)
		return
	}
	in := &stream{server: s, id: id, inner: res.Stream, after: func() {}}
	err := out.stream(res, id, in)
	_ = in.Close()
	if err != nil {
		// The caller must not mistake a cut stream for a whole one.
		panic(http.ErrAbortHandler)
	}
}

// head reads and checks the head of a request. net/http has checked names and
// values but neither the target nor whether fields contradict each other.
func (h *http2) head(r *http.Request) (*head, *wire.Error) {
	header := make(wire.Header, 0, len(r.Header)+2)
	for name, values := range r.Header {
		for _, v := range values {
			header = append(header, wire.Field{Name: name, Value: v})
		}
	}
	hd := &head{
		http2:     true,
		method:    r.Method,
		target:    r.RequestURI,
		authority: r.Host,
		header:    header,
		maxBody:   h.server.opts.Limits.MaxBodyBytes,
	}
	return hd, hd.check()
}

func (h *http2) body(r *http.Request, hd *head, out *http2Writer) *body {
	if r.Body == http.NoBody {
		b := h.server.newBody(hd, nil)
		return &b
	}
	b := h.server.newBody(hd, http2Body{r.Body, out.control})
	return &b
}

type http2Body struct {
	io.Reader
	control *http.ResponseController
}

// SetReadDeadline bounds the next reads of this stream.
func (b http2Body) SetReadDeadline(t time.Time) error { return b.control.SetReadDeadline(t) }

// http2Writer writes one answer. A stream whose caller does not read ends after
// the write time-out; the connection's own deadline cannot see it, because other
// streams go on.
type http2Writer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	renewed time.Time
}

func (o *http2Writer) head(res *gateway.Response, id string) {
	header := o.w.Header()
	header["Content-Type"] = nil // no guess from the body
	for _, f := range res.Header {
		if wire.NameIn(f.Name, edgeFields) {
			continue
		}
		header.Add(f.Name, f.Value)
	}
	header.Set(requestIDHeader, id)
	if res.Stream == nil {
		header.Set("content-length", strconv.Itoa(len(res.Body)))
	}
	o.w.WriteHeader(res.Status)
}

// whole writes an answer that is complete. An error means that the caller has
// left, which no longer matters to the handler.
func (o *http2Writer) whole(res *gateway.Response, id string) {
	o.head(res, id)
	_ = o.write(res.Body)
}

// stream writes an answer as it comes, head first.
func (o *http2Writer) stream(res *gateway.Response, id string, in io.Reader) error {
	o.head(res, id)
	if err := o.flush(); err != nil {
		return err
	}
	buf := streamBuffers.Get().(*[]byte)
	defer streamBuffers.Put(buf)
	for {
		n, err := in.Read(*buf)
		if n > 0 {
			if err := o.write((*buf)[:n]); err != nil {
				return err
			}
			if err := o.flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

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
	return o.control.Flush()
}

func (o *http2Writer) renewDeadline() {
	now := time.Now()
	if now.Sub(o.renewed) < o.timeout/8 {
		return
	}
	o.renewed = now
	_ = o.control.SetWriteDeadline(now.Add(o.timeout)) // HTTP/2 streams always have one
}
