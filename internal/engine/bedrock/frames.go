package bedrock

import (
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock/http1"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func isEventStream(h wire.Header) bool {
	return wire.MediaType(h) == "application/vnd.amazon.eventstream"
}

// stream is an answer whose body is frames.
type stream struct {
	body    *http1.Body
	frames  *wire.FrameReader
	breaker breaker
	broken  *engine.Error // what every further frame fails with
}

func newFrameSource(body *http1.Body, b breaker, a *pool.Account) *engine.FrameSource {
	s := &stream{body: body, frames: wire.NewFrameReader(body), breaker: b}
	s.frames.Memory = a
	return engine.NewFrameSource(s.next, s.frames.Ready, body.Close)
}

func (s *stream) next() ([]byte, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	frame, err := s.frames.Next()
	if err == nil || errors.Is(err, io.EOF) {
		return frame, err
	}
	if !errors.As(err, &s.broken) {
		why := engine.Corrupt
		if errors.Is(err, wire.ErrFrameNoRoom) {
			why = engine.NoRoom
		}
		s.broken = s.body.Fail(why, err)
	}
	note(s.breaker, s.broken)
	return nil, s.broken
}
