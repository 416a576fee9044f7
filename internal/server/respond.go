package server

import (
	"bytes"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/server/shed"
	"github.com/sluice-gateway/sluice/internal/server/silence"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// requestIDHeader names the request in every answer, error or not.
const requestIDHeader = "x-sluice-request-id"

// IDs makes ULIDs: unique, sorted by time to the millisecond, not secret. Make it
// with NewIDs; it is safe for concurrent use.
type IDs struct {
	mu     sync.Mutex // guards source
	source *rand.ChaCha8
}

// NewIDs begins with a random seed.
func NewIDs() *IDs {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails, see crypto/rand
	return &IDs{source: rand.NewChaCha8(seed)}
}

// Next returns an id of this moment.
func (i *IDs) Next(now time.Time) string {
	var id ulid.ULID
	_ = id.SetTime(uint64(now.UnixMilli())) // fails after the year 10889
	i.mu.Lock()
	_, _ = i.source.Read(id[6:]) // never fails
	i.mu.Unlock()
	return id.String()
}

// errorResponse is e in Bedrock's form. Every SDK reads the header first and
// needs a JSON body.
func errorResponse(e *wire.Error, id string) *gateway.Response {
	res := &gateway.Response{
		Status: e.Status(),
		Header: wire.Header{
			{Name: "content-type", Value: "application/json"},
			{Name: "x-amzn-ErrorType", Value: e.Type()},
			{Name: "x-amzn-RequestId", Value: id},
		},
		Body: e.AppendJSON(nil),
	}
	if e.RetryAfterMillis > 0 {
		seconds := (e.RetryAfterMillis + 999) / 1000
		res.Header = append(res.Header, wire.Field{Name: "retry-after", Value: strconv.FormatInt(seconds, 10)})
	}
	return res
}

// refuse is the answer to a request that does not reach the handler.
func (s *Server) refuse(e *wire.Error, id string, from netip.Addr) *gateway.Response {
	s.opts.OnRefusal(id, from, e)
	return errorResponse(e, id)
}

// shedding is the gate, and what becomes of requests that it refuses.
type shedding struct {
	*shed.Gate
	opts *Options
	ids  *IDs
}

// answer is the answer to a request that is not begun, because there are too many. Its connection
// stays: another would cost more than the request.
func (s *shedding) answer(req *gateway.Request) *gateway.Response {
	res := errorResponse(errOverloaded(), req.ID)
	if s.opts.Translate == nil {
		return res
	}
	return s.opts.Translate(req, res)
}

// list reports a request that was refused, or counts it.
func (s *shedding) list(id string, from netip.Addr, now time.Time) {
	if more, ok := s.List(now); ok {
		s.opts.OnShed(id, from, errOverloaded(), more)
	}
}

// rest reports how many were refused and are not listed, when no more are refused.
func (s *shedding) rest(n int64) {
	s.opts.OnShed(s.ids.Next(s.opts.Now()), netip.Addr{}, errOverloaded(), n-1)
}

func errOverloaded() *wire.Error {
	const pause = time.Second
	return &wire.Error{
		Kind: wire.KindServiceUnavailable, Message: "The gateway has more requests than it can serve. Try again.",
		RetryAfterMillis: pause.Milliseconds(),
	}
}

// turnedAway is refused for a connection that no parser has yet, because it is new or has waited.
// What it reads and does not refuse is read again.
func (p *parkable) turnedAway() bool {
	s := p.server
	if !s.shed.Limits() || p.fault != "" {
		return false
	}
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	n := copy(buf[:], p.peeked[p.nGiven:p.nPeeked])
	p.nGiven = p.nPeeked
	before := p.frames.Whole()
	wrong := p.frames.Received(buf[:n])
	if wrong == "" && p.frames.Whole() < 0 && p.arm(time.Now().Add(parkAfter)) == nil {
		more, _ := p.Conn.Read(buf[n:]) // it is there, mostly, and an error comes again
		wrong = p.frames.Received(buf[n : n+more])
		n += more
	}
	if wrong == "" && p.frames.Whole() == before+1 && p.refused(buf[:n]) {
		if p.busy.Store(false); s.draining() {
			s.closeQuiet(p.conn)
		}
		return true
	}
	p.fault, p.head.again = wrong, bytes.Clone(buf[:n])
	return false
}

// dismiss refuses what comes on a connection that no parser has, for one read and one write each: a
// read that does not fill its buffer has taken all there was. It reports whether something has come
// that a parser has to read.
func (p *parkable) dismiss() (more bool) {
	socket, ok := p.Conn.(syscall.Conn)
	if !ok { // TLS
		for p.wait() {
			if !p.turnedAway() {
				return true
			}
		}
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	keep := p.server.settings.Load().Timeouts.KeepAlive
	late := os.ErrDeadlineExceeded
	for err = late; errors.Is(err, late); { // perhaps that of a request before the last
		if due := p.said.Add(keep); !due.After(time.Now()) || p.arm(due) != nil {
			return false
		}
		err = raw.Read(func(fd uintptr) (done bool) {
			more, done = p.dismissed(int(fd)) //nolint:gosec // fits
			return done
		})
	}
	if !more && p.server.draining() { // it was not closed by who drains if it was busy
		p.server.closeQuiet(p.conn)
		return p.wait()
	}
	p.head.reading = true
	return more
}

// dismissed reads once, and refuses what came if it can. It reports whether something came that a
// parser has to read, and whether that was all to do here.
func (p *parkable) dismissed(fd int) (came, done bool) {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	n, err := syscall.Read(fd, buf[:])
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(fd, buf[:])
	}
	if n <= 0 {
		return false, !errors.Is(err, syscall.EAGAIN)
	}
	p.busy.Store(true)
	before := p.frames.Whole()
	wrong := p.frames.Received(buf[:n])
	if wrong == "" && p.frames.Whole() == before+1 && n < chunk && p.refused(buf[:n]) {
		p.busy.Store(false)
		return false, p.server.draining()
	}
	p.fault, p.head.again = wrong, bytes.Clone(buf[:n])
	return true, true
}

// dismissal is what it takes to refuse a request.
type dismissal struct {
	head   head
	kind   []byte
	answer []byte
}

var dismissals = sync.Pool{New: func() any { return &dismissal{} }}

// refused answers a request that has come whole, and alone, when there are too many, and reports
// whether it did. Nothing is begun for such a request, and no parser has it. Whatever is out of the
// ordinary it leaves to those.
func (p *parkable) refused(b []byte) bool {
	s := p.server
	if !s.shed.Limits() || s.draining() {
		return false
	}
	now := time.Now()
	r := dismissals.Get().(*dismissal)
	defer dismissals.Put(r)
	if !r.read(b) || !s.shed.Full(s.inFlight.Load()+1) {
		return false
	}
	p.sender.ask()
	id := s.ids.Next(now)
	r.answer = s.shed.Pages.Append(r.answer[:0], r.kind, id, now, func() []byte {
		res := s.shed.answer(&gateway.Request{
			ID: shed.Placeholder, Method: r.head.method, Target: r.head.target, Header: r.head.header,
		})
		return appendResponse(nil, res, shed.Placeholder, now)
	})
	s.shed.list(id, p.caller(r.head.header), now)
	p.said = now
	_, err := p.Write(r.answer)
	return err == nil
}

// read reads a whole request, and reports whether it is an ordinary one, of a caller who stays.
func (r *dismissal) read(b []byte) bool {
	const version = " HTTP/1.1"
	end := bytes.Index(b, []byte("\r\n\r\n"))
	line, fields, _ := strings.Cut(string(b[:max(end, 0)+2]), "\r\n")
	line, ok := strings.CutSuffix(line, version)
	method, target, found := strings.Cut(line, " ")
	r.head.proto, r.head.method, r.head.target, r.head.maxBody = version[1:], method, target, math.MaxInt64
	r.head.counts = headCounts{}
	if !ok || !found || method != "POST" || r.head.read(fields) != nil || r.head.header.Get("connection") != "" {
		return false
	}
	path, _, _ := strings.Cut(target, "?")
	r.kind = append(append(r.kind[:0], path...), " "...)
	r.kind = append(r.kind, r.head.header.Get("anthropic-version")...) // the dialect
	return true
}

// appendResponse appends an answer as HTTP/1.1.
func appendResponse(to []byte, res *gateway.Response, id string, now time.Time) []byte {
	field := func(name, value string) {
		to = append(append(append(append(to, name...), ": "...), value...), "\r\n"...)
	}
	to = append(strconv.AppendInt(append(to, "HTTP/1.1 "...), int64(res.Status), 10), ' ')
	to = append(append(to, fasthttp.StatusMessage(res.Status)...), "\r\nDate: "...)
	to = append(fasthttp.AppendHTTPDate(to, now), "\r\n"...)
	for _, f := range res.Header {
		if !wire.NameIn(f.Name, edgeFields) {
			field(f.Name, f.Value)
		}
	}
	field(requestIDHeader, id)
	field("Content-Length", strconv.Itoa(len(res.Body)))
	return append(append(to, "\r\n"...), res.Body...)
}

// answer calls the handler. A panic in it fails this request only, and is reported.
func (s *Server) answer(req *gateway.Request, b *body) (res *gateway.Response, panicked bool) {
	defer func() {
		if v := recover(); v != nil {
			s.logPanic(req.ID, v)
			b.forsake()
			e := wire.Errorf(wire.KindInternal, "The gateway failed on this request. Request id: %s", req.ID)
			res, panicked = errorResponse(e.Final(), req.ID), true // nobody knows how far it got
		}
	}()
	turn, ok := s.shed.Enter(s.inFlight.Load())
	if !ok {
		b.Release()
		s.shed.list(req.ID, req.From, req.Received)
		return s.shed.answer(req), false
	}
	if turn != nil {
		<-turn
	}
	if res = s.opts.Handler.Serve(req); res == nil {
		panic("BUG: the handler returned no response")
	}
	return res, false
}

// logPanic does not print the value itself, which may quote a request; only errors
// of the Go runtime are known not to.
func (s *Server) logPanic(id string, v any) {
	what := fmt.Sprintf("%T", v)
	var fault runtime.Error
	if err, ok := v.(error); ok && errors.As(err, &fault) {
		what = fault.Error()
	}
	s.opts.Log.Error("panic while serving a request", "request_id", id, "panic", what, "stack", string(debug.Stack()))
}

// edgeFields are fields of an answer that only the edge sets: framing, connection,
// date. Those of the handler or of an upstream are dropped.
var edgeFields = []string{
	"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length", "upgrade", "trailer", "te",
	"date", "server", requestIDHeader,
}

// stream is a handler's stream whose panics end it and whose Close happens once.
type stream struct {
	server *Server
	id     string
	inner  io.ReadCloser
	once   sync.Once
	after  func() // runs after the handler's Close
}

var errStreamPanic = errors.New("stream failed")

// Read reads the handler's stream.
func (s *stream) Read(p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.server.logPanic(s.id, v)
			n, err = 0, errStreamPanic
		}
	}()
	return s.inner.Read(p)
}

// waiter is a stream that can wait for what Read then returns at once.
type waiter interface{ Wait() }

// wait waits for what comes next, if the handler's stream can. While it waits, the
// stream has no buffer.
func (s *stream) wait() (err error) {
	w, ok := s.inner.(waiter)
	if !ok {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			s.server.logPanic(s.id, v)
			err = errStreamPanic
		}
	}()
	w.Wait()
	return nil
}

// SupportsBodyWriteTo lets fasthttp use WriteTo.
func (s *stream) SupportsBodyWriteTo() bool { return true }

// pinged is a stream that wants something written whenever it says nothing for a while.
type pinged interface {
	Silence() (ping []byte, after time.Duration)
}

// writer is a writer to w for what the handler's stream says; stop is called when all is written.
func (s *stream) writer(w io.Writer) (out io.Writer, stop func()) {
	if p, ok := s.inner.(pinged); ok {
		ping, after := p.Silence()
		kept := silence.New(w, ping, after)
		return kept, kept.Stop
	}
	return w, func() {}
}

// WriteTo writes the stream as it comes, each Read by one Write.
func (s *stream) WriteTo(w io.Writer) (written int64, err error) {
	w, stop := s.writer(w)
	defer stop()
	for err == nil {
		if err = s.wait(); err == nil {
			var n int
			n, err = s.pass(w)
			written += int64(n)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return written, err
}

// chunk is how much of a stream is read at a time.
const chunk = 4 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// pass writes what one Read brings.
func (s *stream) pass(w io.Writer) (int, error) {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	n, err := s.Read(buf[:])
	if n > 0 {
		if _, err := w.Write(buf[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}

// Close closes the handler's stream.
func (s *stream) Close() (err error) {
	s.once.Do(func() {
		defer s.after()
		defer func() {
			if v := recover(); v != nil {
				s.server.logPanic(s.id, v)
				err = errStreamPanic
			}
		}()
		err = s.inner.Close()
	})
	return err
}

// whole is a large answer, of which somebody has to know when it is written.
type whole struct {
	bytes.Reader
	after func()
}

// SupportsBodyWriteTo lets fasthttp use WriteTo.
func (w *whole) SupportsBodyWriteTo() bool { return true }

// Close is called once, when the answer is written or can no longer be.
func (w *whole) Close() error {
	w.after()
	return nil
}
