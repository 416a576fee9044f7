package bedrock

import (
	"bytes"
	"errors"
	"io"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Sizes of what is held of a stream of server-sent events.
const (
	firstEvents    = 4 << 10
	uncountedEvent = 16 << 10 // up to which nobody is asked for memory
	mostEvent      = 16 << 20 // of one event; the last one of Responses has the whole answer
)

// sentEvents reads server-sent events as frames, each of one event.
type sentEvents struct {
	body    io.Reader
	memory  *pool.Account
	raw     []byte // what came, as far as it is no whole event
	scanned int    // how much of raw is known to have no end of an event
	frames  []byte
	left    []byte // of frames, what nobody has read
	err     error
}

// Read returns frames of the events that have come, and waits for one when there is none.
func (e *sentEvents) Read(p []byte) (int, error) {
	for len(e.left) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		e.err = e.more()
	}
	n := copy(p, e.left)
	e.left = e.left[n:]
	return n, nil
}

// more reads once, and makes frames of what is whole. The last event may end with its line.
func (e *sentEvents) more() error {
	if err := e.room(); err != nil {
		return err
	}
	n, err := e.body.Read(e.raw[len(e.raw):cap(e.raw)])
	e.raw = e.raw[:len(e.raw)+n]
	e.frames = e.frames[:0]
	rest := e.raw
	for {
		end := endOfEvent(rest, e.scanned)
		if end < 0 {
			break
		}
		e.frames, rest, e.scanned = wire.AppendEvent(e.frames, rest[:end]), rest[end:], 0
	}
	if errors.Is(err, io.EOF) && bytes.HasSuffix(rest, []byte("\n")) {
		e.frames, rest = wire.AppendEvent(e.frames, append(rest, '\n')), nil
	}
	e.scanned = max(0, len(rest)-3)
	e.raw = e.raw[:copy(e.raw, rest)]
	e.left = e.frames
	if errors.Is(err, io.EOF) && len(rest) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// room makes place for a read.
func (e *sentEvents) room() error {
	have := cap(e.raw)
	if len(e.raw) < have {
		return nil
	}
	size := max(firstEvents, 2*have)
	if size > mostEvent {
		return wire.ErrFrameTooLarge
	}
	if size > uncountedEvent && e.memory != nil && !e.memory.Grow(int64(size)) {
		return wire.ErrFrameNoRoom
	}
	e.raw = append(make([]byte, 0, size), e.raw...)
	return nil
}

// endOfEvent is where the first event of b ends, behind its empty line; -1 when it does not. The first from bytes are
// known to have no such line.
func endOfEvent(b []byte, from int) int {
	for i := from; i < len(b); i++ {
		switch rest := b[i:]; {
		case rest[0] != '\n' && rest[0] != '\r':
		case bytes.HasPrefix(rest, []byte("\n\n")), bytes.HasPrefix(rest, []byte("\r\r")):
			return i + 2
		case bytes.HasPrefix(rest, []byte("\n\r\n")):
			return i + 3
		}
	}
	return -1
}
