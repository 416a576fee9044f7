package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/server/h2guard"
)

// held joins the writes of net/http, which sends the head of an answer before it
// asks for the body, and gives windows back in writes of their own. It keeps
// back what is of no use to the caller alone and sends it with what comes next.
//
//   - A head of an answer waits for the body, which is complete and follows at
//     once; when the caller's window does not let it, the head goes alone after
//     holdTime.
//   - Credit for the connection's window waits for any write, up to holdCredit.
//     The window is 16 times as large, so that no caller waits for it.
//
// One connection of HTTP/2 has one.
type held struct {
	send func([]byte) (int, error)
	hold time.Duration // holdTime, but in tests

	// prompt counts the answers and bodies of this connection whose heads must
	// not wait: those of streams, and 100 (Continue).
	prompt atomic.Int32

	mu     sync.Mutex // guards the following, and is held while sending
	bytes  []byte
	credit int64       // in bytes
	timer  *time.Timer // nil until a head waits for the first time
	armed  bool        // a head waits
	whole  bool        // a frame may follow what was written
	bye    farewell
}

// farewell is how far the caller was told to leave.
type farewell uint8

const (
	stays farewell = iota
	due            // with the end of the frame that is being sent
	said
)

// goAway allows no further streams and refuses none: those that are on their way are served.
// The one that net/http sends later names the last stream, and drops what comes above it.
const goAway = "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x7f\xff\xff\xff" + "\x00\x00\x00\x00"

// leave tells the caller to leave, as soon as no frame is under way.
func (h *held) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.bye != stays:
	case h.whole:
		h.bye = said
		h.bytes = append(h.bytes, goAway...)
		_ = h.flush() // the next write reports it
	default:
		h.bye = due
	}
}

const (
	holdTime   = 5 * time.Millisecond
	holdCredit = 64 << 10
	// holdBytes is how much may be kept back, joinBytes how long a joined write
	// may be: longer ones are not worth the copy.
	holdBytes = 2 << 10
	joinBytes = 8 << 10
)

// write sends p, which is what sent says, or keeps it back.
func (h *held) write(p []byte, sent h2guard.Sent) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.whole = sent.Whole; h.whole && h.bye == due {
		h.bye = said
		n, err := h.pass(slices.Concat(p, []byte(goAway)), h2guard.Sent{Other: true})
		return min(n, len(p)), err
	}
	return h.pass(p, sent)
}

// pass is write for whoever has the lock.
func (h *held) pass(p []byte, sent h2guard.Sent) (int, error) {
	if h.waits(len(p), sent) {
		h.bytes = append(h.bytes, p...)
		h.credit += sent.Credit
		if sent.Heads > 0 && !h.armed {
			h.arm()
		}
		return len(p), nil
	}
	if len(h.bytes) == 0 {
		return h.send(p)
	}
	if len(h.bytes)+len(p) > joinBytes {
		if err := h.flush(); err != nil {
			return 0, err
		}
		return h.send(p)
	}
	h.bytes = append(h.bytes, p...)
	if err := h.flush(); err != nil {
		return 0, err // how much of p has gone no longer matters: the connection is broken
	}
	return len(p), nil
}

func (h *held) waits(n int, sent h2guard.Sent) bool {
	if sent.Other || sent.Heads > 0 && h.prompt.Load() > 0 {
		return false
	}
	return len(h.bytes)+n <= holdBytes && h.credit+sent.Credit <= holdCredit
}

// flush sends what was kept back. Its caller has the lock.
func (h *held) flush() error {
	if h.armed {
		h.armed = false
		h.timer.Stop()
	}
	_, err := h.send(h.bytes)
	h.bytes, h.credit = h.bytes[:0], 0
	return err
}

func (h *held) arm() {
	h.armed = true
	if h.timer == nil {
		h.timer = time.AfterFunc(h.hold, h.late)
		return
	}
	h.timer.Reset(h.hold)
}

// late sends heads that have waited for long enough. It does not wait for the
// lock, which a writer may have for long: the time-out of a write.
func (h *held) late() {
	if !h.mu.TryLock() {
		time.AfterFunc(h.hold, h.late) // h.timer belongs to who has the lock
		return
	}
	defer h.mu.Unlock()
	if h.armed {
		_ = h.flush() // the next write reports it
	}
}
