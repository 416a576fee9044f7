package gateway

import (
	"io"

	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// stream is the event stream of the accepted leg on its way to the caller. The edge reads it, so a slow caller slows
// the upstream. Frames pass as they came, and END is journalled before the frame that completes the usage leaves.
type stream struct {
	line    *Line
	call    *call
	attempt *leg.Attempt
	held    *leg.Side  // the answer was held back and is in the books; nil when it is read as it comes
	frames  [][]byte   // of held, that are left
	frame   wire.Frame // the current one; Raw is what is left of it
	ended   bool       // no frame will follow
	over    bool       // the caller gets no more frames: the answer has passed its cap
	freed   bool
	how     leg.Disposition
}

// newReplay serves a stream that was held back. Its END is journalled before the first frame leaves.
func newReplay(l *Line, c *call, held *leg.Side) *stream {
	c.sample.KeepAll(held.Frames())
	held.Close(c.servedOrDrained())
	return &stream{line: l, call: c, attempt: held.Attempt, held: held, frames: held.Frames()}
}

// Wait waits for a frame, or the end, when there is none to read.
func (s *stream) Wait() {
	if len(s.frame.Raw) == 0 && !s.ended && !s.over {
		s.next()
	}
}

// Next is the next whole frame, valid until the next call, for who reads frames one by one.
func (s *stream) Next() (wire.Frame, error) {
	s.Wait()
	frame := s.frame
	if s.frame.Raw = nil; len(frame.Raw) == 0 {
		return frame, io.EOF
	}
	return frame, nil
}

// Read waits for a frame when none is left, and returns it with those that are there already, as far as p has room.
func (s *stream) Read(p []byte) (int, error) {
	n := 0
	for {
		copied := copy(p[n:], s.frame.Raw)
		n, s.frame.Raw = n+copied, s.frame.Raw[copied:]
		switch {
		case n == len(p), n > 0 && (s.ended || s.over || !s.Ready()):
			return n, nil
		case s.ended, s.over && len(s.frame.Raw) == 0:
			return 0, io.EOF
		}
		s.next()
	}
}

// Ready reports whether Next does not wait.
func (s *stream) Ready() bool { return s.held != nil || s.attempt.Ready() }

// next takes the next frame, or ends the stream.
func (s *stream) next() {
	if s.held != nil {
		if s.ended = len(s.frames) == 0; !s.ended {
			s.frame, s.frames = wire.SplitFrame(s.frames[0]), s.frames[1:]
		}
		return
	}
	frame, err := s.attempt.Next()
	s.took(frame, err)
}

// took notes what came of the next frame. When the upstream broke, the caller gets an exception frame: without one,
// some SDKs report a clean end. It is apart from the call that waits for the frame, so that waiting needs little stack.
func (s *stream) took(frame wire.Frame, err error) {
	if err == nil {
		s.frame = frame
		s.call.sample.Keep(frame.Raw)
		if s.attempt.Known() {
			s.attempt.Close(s.how)
		}
		if s.attempt.Over() && !s.over {
			s.over = true
			s.frame = wire.ExceptionFrame(wire.Errorf(wire.KindModelStream,
				"the answer was cut off at the limit of %d output tokens", s.attempt.Limit.CutAt))
		}
		return
	}
	s.ended = true
	s.attempt.Close(s.how)
	if !s.attempt.Whole() {
		broken := wire.Errorf(wire.KindModelStream, "the upstream's stream ended before the answer did")
		s.call.bill.refusal, s.frame = broken, wire.ExceptionFrame(broken)
	}
}

// Close ends the exchange. Closing before the end means that the caller has left, or that the answer was cut off: the
// rest is read in the background, because it is billed and its usage frame comes last.
func (s *stream) Close() error {
	if s.ended || s.attempt.Closed() {
		return s.free()
	}
	if !s.over {
		s.how = leg.Drained
	}
	s.call.life.Leave() // a write that failed may be the first sign of it
	s.line.Abandoned.Add(1)
	s.line.drains.Go(func() {
		defer s.line.Abandoned.Add(-1)
		for !s.ended && !s.attempt.Closed() {
			s.next()
		}
		s.free() //nolint:errcheck // nobody is left to read it
	})
	return nil
}

// free gives back what the exchange holds and reports it, once.
func (s *stream) free() (err error) {
	if s.freed {
		return nil
	}
	s.freed, s.ended = true, true
	s.frames, s.frame = nil, wire.Frame{}
	if s.held != nil {
		s.held.Release()
	} else {
		err = s.attempt.Response.Frames.Close()
		s.attempt.Close(s.how)
	}
	s.line.close(s.call, s.attempt.Response.Status)
	return err
}
