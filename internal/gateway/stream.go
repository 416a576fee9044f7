package gateway

import (
	"io"

	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// stream is the accepted leg's event stream on its way to the caller. The edge
// reads it, so a slow caller slows the upstream. Frames pass as they came, and
// END is journalled before the frame that completes the usage leaves.
type stream struct {
	line    *Line
	call    *call
	attempt *leg.Attempt
	frame   []byte // what is left of the current frame
	ended   bool   // no frame will follow
	freed   bool
	how     leg.Disposition
}

// Read returns bytes of one frame, waiting for it when none is left.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.frame) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		s.next()
	}
	n := copy(p, s.frame)
	s.frame = s.frame[n:]
	return n, nil
}

// next takes the next frame, or ends the stream. When the upstream broke, the
// caller gets an exception frame: without one, some SDKs report a clean end.
func (s *stream) next() {
	raw, err := s.attempt.Next()
	if err == nil {
		s.frame = raw
		s.call.sample.Keep(raw)
		if s.attempt.Known() {
			s.attempt.Close(s.how)
		}
		return
	}
	s.ended = true
	s.attempt.Close(s.how)
	if !s.attempt.Whole() {
		s.frame = wire.AppendException(nil, wire.Errorf(wire.KindModelStream, "the upstream's stream ended before the answer did"))
	}
}

// Close ends the exchange. Closing before the end means that the caller has
// left: the rest is read in the background, because it is billed and its usage
// frame comes last.
func (s *stream) Close() error {
	if s.ended || s.attempt.Closed() {
		return s.free()
	}
	s.how = leg.Drained
	s.line.drains.Go(func() {
		for !s.ended && !s.attempt.Closed() {
			s.next()
		}
		s.free() //nolint:errcheck // nobody is left to read it
	})
	return nil
}

// free gives back what the exchange holds and reports it, once.
func (s *stream) free() error {
	if s.freed {
		return nil
	}
	s.freed, s.ended = true, true
	err := s.attempt.Response.Frames.Close()
	s.attempt.Close(s.how)
	s.line.close(s.call, s.attempt.Response.Status)
	return err
}

// replay serves a stream that was held back. Its END is journalled before the
// first frame leaves.
func (l *Line) replay(c *call, s *leg.Side) *Response {
	c.sample.KeepAll(s.Frames())
	s.Close(c.servedOrDrained())
	return &Response{
		Status: s.Response.Status, Header: c.answerHeader(s.Attempt),
		Stream: &replayed{line: l, call: c, side: s, frames: s.Frames()},
	}
}

// replayed yields held frames at once, exactly as they came.
type replayed struct {
	line   *Line
	call   *call
	side   *leg.Side
	frames [][]byte // that are left, behind frame
	frame  []byte   // what is left of the current frame
	freed  bool
}

// Read returns bytes of one frame.
func (s *replayed) Read(p []byte) (int, error) {
	for len(s.frame) == 0 {
		if len(s.frames) == 0 {
			return 0, io.EOF
		}
		s.frame, s.frames = s.frames[0], s.frames[1:]
	}
	n := copy(p, s.frame)
	s.frame = s.frame[n:]
	return n, nil
}

// Close ends the exchange.
func (s *replayed) Close() error {
	if s.freed {
		return nil
	}
	s.freed = true
	s.frames, s.frame = nil, nil
	s.side.Release()
	s.line.close(s.call, s.side.Response.Status)
	return nil
}
