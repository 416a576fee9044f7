package bedrock

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/engine/bedrock/http1"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// The frame of an event stream: total length, length of the headers, CRC of
// these eight bytes, headers, payload, CRC of all before it; big endian
// (Smithy, "Amazon Event Stream Specification").
const (
	preludeSize = 12
	overhead    = preludeSize + 4
	maxHeaders  = 128 << 10 // bounds of botocore's decoder
	maxPayload  = 24 << 20
	// growStep bounds what an announced length makes us allocate ahead.
	growStep = 64 << 10
)

var errFrame = errors.New("malformed event stream")

func isEventStream(h wire.Header) bool {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/vnd.amazon.eventstream")
}

// stream is an answer whose body is frames.
type stream struct {
	body    *http1.Body
	frames  frameReader
	breaker breaker
}

func newFrameSource(body *http1.Body, b breaker) *engine.FrameSource {
	s := &stream{body: body, frames: frameReader{r: body, buf: make([]byte, 0, 4<<10)}, breaker: b}
	return engine.NewFrameSource(s.next, body.Close)
}

func (s *stream) next() ([]byte, error) {
	frame, err := s.frames.next()
	if err == nil || errors.Is(err, io.EOF) {
		return frame, err
	}
	var failed *engine.Error
	if !errors.As(err, &failed) {
		failed = s.body.Fail(engine.Corrupt, err)
	}
	note(s.breaker, failed)
	return nil, failed
}

// frameReader cuts bytes into frames, each returned as soon as it is whole. It
// never reads beyond a frame.
type frameReader struct {
	r   io.Reader
	buf []byte
}

// next returns io.EOF at an end between two frames, the reader's own error when
// that is what happened, and another error for what is no frame.
func (r *frameReader) next() ([]byte, error) {
	if err := r.fill(0, preludeSize); err != nil {
		return nil, err
	}
	total := int64(binary.BigEndian.Uint32(r.buf))
	headers := int64(binary.BigEndian.Uint32(r.buf[4:]))
	if crc32.ChecksumIEEE(r.buf[:8]) != binary.BigEndian.Uint32(r.buf[8:]) {
		return nil, errFrame
	}
	payload := total - headers - overhead
	if headers > maxHeaders || payload < 0 || payload > maxPayload {
		return nil, errFrame
	}
	for have := int64(preludeSize); have < total; have = int64(len(r.buf)) {
		upTo := min(total, max(have+growStep, int64(cap(r.buf))))
		if err := r.fill(int(have), int(upTo)); err != nil {
			return nil, inside(err)
		}
	}
	if crc32.ChecksumIEEE(r.buf[:total-4]) != binary.BigEndian.Uint32(r.buf[total-4:]) {
		return nil, errFrame
	}
	return r.buf, nil
}

// fill reads until the buffer, which holds from bytes, holds upTo.
func (r *frameReader) fill(from, upTo int) error {
	if cap(r.buf) < upTo {
		r.buf = append(make([]byte, 0, max(upTo, 2*cap(r.buf))), r.buf[:from]...)
	}
	r.buf = r.buf[:upTo]
	_, err := io.ReadFull(r.r, r.buf[from:])
	return err
}

// inside turns the end of the body into the error that it is inside a frame.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
