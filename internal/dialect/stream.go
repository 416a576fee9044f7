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

// source is where native frames come from: a stream of the line's.
type source interface {
	// Next waits for a frame, which is valid until the next call. io.EOF says that there is none.
	Next() (wire.Frame, error)
	// Ready reports whether Next does not wait.
	Ready() bool
	Close() error
}

// stream is the event stream of an answer as the caller's dialect spells it. The edge reads it, and so it reads the
// line's: a slow caller slows the upstream.
type stream struct {
	exchange *exchange
	head     <-chan outcome // of an early stream, nil once it has come
	source   source         // nil until then, or when there is none
	own      caller.Stream
	frame    wire.Frame // that has been waited for and is not translated yet
	broken   error      // what came instead of it
	out      []byte     // memory of what a frame becomes
	counted  int        // the largest frame whose translation is counted
	left     []byte     // what is left of that
	ended    bool       // nothing will follow
}

// usualEvent is a size that most events fit into.
const usualEvent = 512

// newStream translates the stream of an answer.
func (x *exchange) newStream(res *gateway.Response) *stream {
	from, ok := res.Stream.(source)
	if !ok {
		panic("BUG: the line's stream has no frames")
	}
	return &stream{exchange: x, source: from, own: x.own.Stream(x.told(res)), out: make([]byte, 0, usualEvent)}
}

// early answers before the line does, with a ping.
func (x *exchange) early(head <-chan outcome) *gateway.Response {
	s := &stream{exchange: x, head: head, left: x.dialect.AppendPing(nil)}
	return x.finish(&gateway.Response{Status: http.StatusOK, Stream: s})
}

// arrive waits for the head of an early stream.
func (s *stream) arrive() {
	o := <-s.head
	s.head = nil
	if o.panicked != nil {
		panic(o.panicked)
	}
	x := s.exchange
	if o.response.Stream != nil {
		begun := x.newStream(o.response)
		s.source, s.own, s.out = begun.source, begun.own, begun.out
		return
	}
	f := x.failed(o.response)
	f.ID = x.request.ID
	s.left, s.ended = x.own.Stream(x.told(o.response)).Fail(nil, f), true
}

// Silence is what the edge writes whenever the stream says nothing for so long.
func (s *stream) Silence() (ping []byte, after time.Duration) {
	return s.exchange.dialect.AppendPing(nil), s.exchange.handler.opts.Ping
}

// Wait waits until there is something to read. A frame may become nothing, though.
func (s *stream) Wait() {
	if s.head != nil && len(s.left) == 0 {
		s.arrive()
	}
	if len(s.left) == 0 && !s.ended && s.frame.Raw == nil && s.broken == nil {
		s.frame, s.broken = s.source.Next()
	}
}

// Read returns what the next frame becomes, with those behind it that are there already, as far as p has room.
func (s *stream) Read(p []byte) (int, error) {
	n := 0
	for {
		copied := copy(p[n:], s.left)
		n, s.left = n+copied, s.left[copied:]
		switch {
		case n == len(p), n > 0 && (s.ended || !s.ready()):
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		if s.Wait(); len(s.left) == 0 && !s.ended {
			s.translate()
		}
	}
}

// ready reports whether Wait does not wait.
func (s *stream) ready() bool { return s.head == nil && (s.frame.Raw != nil || s.source.Ready()) }

// translate makes what the caller gets of the frame that has come, or of the end.
func (s *stream) translate() {
	if s.out = s.out[:0]; s.broken != nil {
		s.out, s.ended = s.end(), true
	} else {
		failure := s.count()
		if failure == nil {
			failure = caller.ExceptionOf(s.frame)
		}
		if failure == nil {
			s.out, failure = s.own.Frame(s.out, s.frame)
		}
		if failure != nil {
			failure.ID = s.exchange.request.ID
			s.out, s.ended = s.own.Fail(s.out, failure), true
		}
	}
	s.frame, s.left = wire.Frame{}, s.out
}

// usualFrame is a size of frames whose translation counts with the request, and translated how many times a larger one
// is in memory: decoded, as a tree, and as the event that it becomes.
const (
	usualFrame = 8 << 10
	translated = 4
)

// count counts what the frame becomes, when it is larger than those before.
func (s *stream) count() *caller.Failure {
	n := len(s.frame.Raw)
	if n <= max(usualFrame, s.counted) {
		return nil
	}
	if !s.exchange.request.Account.Grow(translated * int64(n-s.counted)) {
		return caller.Broken("there is no memory for the answer")
	}
	s.counted = n
	return nil
}

func (s *stream) end() []byte {
	if errors.Is(s.broken, io.EOF) {
		return s.own.End(s.out)
	}
	return s.own.Fail(s.out, caller.Broken("the stream broke"))
}

// Close ends the exchange.
func (s *stream) Close() error {
	if s.head != nil {
		s.arrive()
	}
	if s.source == nil {
		return nil
	}
	return s.source.Close()
}
