package dialect

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// stream is the event stream of an answer as the caller's dialect spells it. Frames are read
// by a goroutine, one at a time and only when the edge asks for more, so that a slow caller
// slows the upstream; while it waits, the caller gets pings.
type stream struct {
	exchange *exchange
	ping     *time.Timer
	asks     chan struct{}  // one for each piece that the edge waits for
	pieces   chan piece     // what has come of it
	done     chan struct{}  // closed when the goroutine has ended
	inner    io.ReadCloser  // of native frames; set by the goroutine of an early stream
	head     <-chan outcome // of an early stream
	out      []byte         // what is left for the caller
	asked    bool           // a piece is being waited for
	ended    bool
	buffer   []byte // of the goroutine, while a piece is asked for
}

// piece is what one read brings.
type piece struct {
	bytes    []byte
	last     bool
	panicked any
}

// newStream translates the frames of inner.
func newStream(inner io.ReadCloser, x *exchange, own caller.Stream) *stream {
	s := begin(x)
	s.inner = inner
	go s.run(func() { s.translate(own) })
	return s
}

// early answers before the line does.
func (x *exchange) early(head <-chan outcome) *gateway.Response {
	s := begin(x)
	s.head = head
	s.asked = true
	s.out = x.dialect.AppendPing(nil)
	go s.run(s.wait)
	s.asks <- struct{}{}
	res := &gateway.Response{Status: http.StatusOK, Stream: s}
	return x.finish(res)
}

func begin(x *exchange) *stream {
	return &stream{
		exchange: x, asks: make(chan struct{}, 1), pieces: make(chan piece, 1), done: make(chan struct{}),
		ping: time.NewTimer(x.handler.opts.Ping),
	}
}

// run is the goroutine: f answers what is asked for until nothing more will come.
func (s *stream) run(f func()) {
	defer close(s.done)
	defer func() {
		if v := recover(); v != nil {
			s.pieces <- piece{panicked: v, last: true}
		}
	}()
	f()
}

// wait waits for the head of an early stream, and then translates the rest.
func (s *stream) wait() {
	o := <-s.head
	x := s.exchange
	if o.panicked != nil {
		panic(o.panicked)
	}
	if o.response.Stream == nil {
		f := x.failed(o.response)
		f.ID = x.request.ID
		s.pieces <- piece{bytes: x.own.Stream(x.told(o.response)).Fail(nil, f), last: true}
		return
	}
	s.inner = o.response.Stream
	s.translate(x.own.Stream(x.told(o.response)))
}

// translate answers each question with what the next frames become.
func (s *stream) translate(own caller.Stream) {
	frames := wire.NewFrameReader(s.inner)
	for range s.asks {
		out, last := s.next(frames, own)
		s.pieces <- piece{bytes: out, last: last}
		if last {
			return
		}
	}
}

// batch is how much is translated at a time of what is there already.
const batch = 4 << 10

// next translates the next frame, and those behind it that are there already. A frame may
// become nothing.
func (s *stream) next(frames *wire.FrameReader, own caller.Stream) (out []byte, last bool) {
	out = s.buffer[:0]
	defer func() { s.buffer = out }()
	for {
		raw, err := frames.Next()
		if err != nil {
			return end(out, own, err), true
		}
		frame := wire.SplitFrame(raw)
		failure := caller.ExceptionOf(frame)
		if failure == nil {
			out, failure = own.Frame(out, frame)
		}
		if failure != nil {
			failure.ID = s.exchange.request.ID
			return own.Fail(out, failure), true
		}
		if len(out) > 0 && (len(out) >= batch || !frames.Ready()) {
			return out, false
		}
	}
}

func end(out []byte, own caller.Stream, err error) []byte {
	if errors.Is(err, io.EOF) {
		return own.End(out)
	}
	return own.Fail(out, caller.Broken("the stream broke"))
}

// Wait waits until there is something to read.
func (s *stream) Wait() {
	if len(s.out) > 0 || s.ended {
		return
	}
	if !s.asked {
		s.asked = true
		s.asks <- struct{}{}
	}
	s.ping.Reset(s.exchange.handler.opts.Ping)
	select {
	case p := <-s.pieces:
		s.take(p)
	case <-s.ping.C:
		s.out = s.exchange.dialect.AppendPing(nil) // the goroutine has the buffer
	}
}

func (s *stream) take(p piece) {
	if p.panicked != nil {
		s.ended = true
		panic(p.panicked)
	}
	s.asked, s.ended, s.out = false, p.last, p.bytes
}

// Read returns what there is, and waits when there is nothing.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.out) == 0 {
		s.Wait()
	}
	if len(s.out) == 0 && s.ended {
		return 0, io.EOF
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// Close ends the exchange. It waits for the frame that is being read, as the edge does without
// a dialect.
func (s *stream) Close() error {
	s.ping.Stop()
	close(s.asks)
	<-s.done
	if s.inner != nil {
		return s.inner.Close()
	}
	return nil
}
