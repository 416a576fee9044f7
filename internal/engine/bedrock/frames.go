package bedrock

import (
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock/http1"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// buffered is a body, and how many bytes of it can be read without waiting.
type buffered interface {
	io.Reader
	Buffered() int
}

// framesIn reads the frames of an answer that is a stream, nil for one that is none: frames as they come, and on
// the paths of OpenAI and Anthropic server-sent events.
func framesIn(op wire.Operation, h wire.Header, body buffered, a *pool.Account) *wire.FrameReader {
	var frames *wire.FrameReader
	switch media := wire.MediaType(h); {
	case op.NamesModel() && media == "text/event-stream":
		frames = wire.NewFrameReader(&sentEvents{body: body, memory: a})
	case !op.NamesModel() && media == "application/vnd.amazon.eventstream":
		frames = wire.NewFrameReader(body)
		frames.Buffered = body.Buffered
	default:
		return nil
	}
	frames.Memory = a
	return frames
}

// stream is an answer whose body is frames.
type stream struct {
	body    *http1.Body
	frames  *wire.FrameReader
	breaker breaker
	broken  *engine.Error // what every further frame fails with
}

func newFrameSource(body *http1.Body, frames *wire.FrameReader, b breaker) *engine.FrameSource {
	s := &stream{body: body, frames: frames, breaker: b}
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
