package gateway

import (
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// stream is the accepted leg's event stream on its way to the caller. The edge
// reads it, so a slow caller slows the upstream. Frames pass as they came;
// usage is read from them on the way, and END is journalled before the frame
// that told it leaves.
type stream struct {
	line  *Line
	call  *call
	leg   *leg
	usage wire.StreamUsage
	frame []byte // what is left of the current frame
	ended bool   // no frame will follow
	freed bool
	how   disposition
}

func newStream(l *Line, c *call, g *leg) *stream {
	s := &stream{line: l, call: c, leg: g, how: served}
	s.usage.Op = c.target.Op
	s.pass(g.head)
	return s
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
	raw, err := s.leg.res.Frames.Next()
	if err == nil {
		s.pass(raw)
		return
	}
	s.ended = true
	whole := errors.Is(err, io.EOF) && (s.usage.End() || s.call.unfamiliar())
	s.settle()
	if !whole {
		s.frame = wire.AppendException(nil, wire.Errorf(wire.KindModelStream, "the upstream's stream ended before the answer did"))
	}
}

// unfamiliar reports whether the stream is of a family that the gateway does not
// know, whose last event may look like any other.
func (c *call) unfamiliar() bool {
	return c.target.Op == wire.OpInvokeStream && c.facts.Dialect == nil
}

// pass makes raw the current frame and reads usage from it. The source has
// checked it, so a frame that cannot be parsed cannot come.
func (s *stream) pass(raw []byte) {
	s.frame = raw
	s.call.sample.keep(raw)
	frame, err := wire.ParseFrame(raw)
	if err == nil && s.usage.Observe(frame) {
		s.settle()
	}
}

// settle records how the leg ended, once.
func (s *stream) settle() {
	if s.leg.start == nil {
		return
	}
	s.line.end(s.call, s.leg, s.leg.streamEnd(&s.usage), s.how)
}

// streamEnd is the END of a leg whose stream was read, as far as it went.
func (g *leg) streamEnd(u *wire.StreamUsage) *record.End {
	end := &record.End{Status: g.res.Status, Usage: u.Usage()}
	end.AWSRequestID = g.res.Header.Get("x-amzn-requestid")
	end.Outcome = known(&end.Usage)
	if end.Outcome == record.Unknown && g.fault != "" {
		end.Outcome = faultOutcome(g.fault)
	}
	return end
}

// Close ends the exchange. Closing before the end means that the caller has
// left: the rest is read in the background, because it is billed and its usage
// frame comes last.
func (s *stream) Close() error {
	if s.ended || s.leg.start == nil {
		return s.free()
	}
	s.how = drained
	s.line.drains.Go(func() {
		for !s.ended && s.leg.start != nil {
			s.next()
		}
		s.free() //nolint:errcheck // nobody is left to tell
	})
	return nil
}

// free gives back what the exchange holds and reports it, once.
func (s *stream) free() error {
	if s.freed {
		return nil
	}
	s.freed, s.ended = true, true
	err := s.leg.res.Frames.Close()
	s.settle()
	s.line.close(s.call, s.leg.res.Status)
	return err
}
