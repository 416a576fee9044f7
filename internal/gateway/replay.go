package gateway

import "io"

// replay serves a stream that was held back. Its END is journalled before the
// first frame leaves.
func (l *Line) replay(c *call, r *run) *Response {
	if c.sample != nil {
		c.sample.frames = r.frames
	}
	l.end(c, r.leg, r.leg.streamEnd(&r.usage), c.servedOrDrained())
	return &Response{Status: r.leg.res.Status, Header: c.answerHeader(r.leg), Stream: &replayed{run: r}}
}

// replayed yields the held frames at once, exactly as they came.
type replayed struct {
	run   *run
	next  int    // index of the frame after this one
	rest  []byte // of the current frame
	freed bool
}

// Read returns bytes of one frame.
func (s *replayed) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.next == len(s.run.frames) {
			return 0, io.EOF
		}
		s.rest = s.run.frames[s.next]
		s.next++
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Close ends the exchange.
func (s *replayed) Close() error {
	if s.freed {
		return nil
	}
	s.freed = true
	r := s.run
	s.next, s.rest = 0, nil
	r.free()
	r.cancel()
	r.line.close(r.call, r.leg.res.Status)
	return nil
}
