// Package h2guard counts cheap HTTP/2 frames on one connection and detects floods.
//
// Go's HTTP/2 server answers SETTINGS, PING, PRIORITY, empty DATA and empty
// CONTINUATION frames for as long as they come, and refuses oversized header
// blocks one by one. A guard sees the bytes of a connection as they pass, reads
// nothing but the nine-byte frame heads and by how much windows grow, and never
// changes or keeps a byte. The limits are Envoy's flood defaults with slack for
// callers that ping often.
package h2guard

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// Preface is what an HTTP/2 client sends first (RFC 9113 section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Frame types, RFC 9113 section 6.
const (
	frameData = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
	frameUnknown // and every type above
)

// MaxFrame is the longest frame whose payload is read.
const MaxFrame = 16 << 10

const (
	flagEndStream  = 0x1 // DATA, HEADERS
	flagEndHeaders = 0x4 // HEADERS, CONTINUATION

	headSize = 9
	window   = 10 * time.Second
)

// limits is how many frames of a type one window may have. Types without an
// entry are bounded by flow control.
var limits = [frameUnknown + 1]struct {
	kind string
	max  int64
}{
	framePriority:     {"priority", 200},
	frameReset:        {"reset", 250},
	frameSettings:     {"settings", 50},
	framePushPromise:  {"push_promise", 10},
	framePing:         {"ping", 50},
	frameGoAway:       {"goaway", 10},
	frameWindowUpdate: {"window_update", 2000}, // and windowUpdatesPerData for each DATA frame sent
	frameUnknown:      {"unknown_type", 100},
}

const (
	windowUpdatesPerData = 10
	usualBlock           = 8 << 10
	emptyInARow          = 10  // DATA, HEADERS or CONTINUATION without bytes or an end
	continuations        = 64  // in one header block
	unserved             = 250 // header blocks in one window that never became a request

	// What a connection of a suspect address may send before it is trusted.
	strictFrames, strictBytes = 50, 32 << 10 // bytes of header blocks
)

// Guard counts the frames of one connection. The zero value expects the client's
// preface. Received and HeadBegan are for the reading goroutine alone, Sent for the
// writing one; Served, Requests and Trust may be called from anywhere.
type Guard struct {
	// Suspect allows little until Trust is called. It is set before the first byte.
	Suspect bool

	in, out       frames
	prefaceSeen   int
	since         time.Time
	counts        [frameUnknown + 1]int64
	empty         int
	continuations int
	dataSent      atomic.Int64
	served        atomic.Int64
	requests      atomic.Int64 // served, since the beginning
	headBegan     time.Time    // a header block that has not ended
	trusted       atomic.Bool
	block         int   // bytes of the header block that has not ended
	largest       int   // frame, up to MaxFrame
	data          int64 // bytes of DATA, since Data was called
	frames, bytes int   // of a suspect; bytes are those of header blocks
	blockOpen     bool  // its last frame so far does not end it
	headOpen      bool  // the same of an answer's head
}

// Received reads bytes that came from the caller. It returns the kind of flood
// that they complete, or "".
func (g *Guard) Received(p []byte, now time.Time) (flood string) {
	if skip := min(len(Preface)-g.prefaceSeen, len(p)); skip > 0 {
		g.prefaceSeen += skip
		p = p[skip:]
	}
	if now.Sub(g.since) >= window {
		g.since = now
		g.counts = [frameUnknown + 1]int64{}
		g.dataSent.Store(0)
		g.served.Store(0)
	}
	for len(p) > 0 && flood == "" {
		var head frameHead
		var whole bool
		if p, head, whole = g.in.next(p); whole {
			g.follow(head)
			if flood = g.count(head); flood == "" && g.tooMuch(head) {
				flood = "suspect"
			}
		}
	}
	switch within := g.blockOpen || g.in.payload > 0 && g.in.block; {
	case !within:
		g.headBegan = time.Time{}
	case g.headBegan.IsZero():
		g.headBegan = now
	}
	return flood
}

// follow notes where header blocks begin and end, and what has to be kept.
func (g *Guard) follow(h frameHead) {
	g.largest = max(g.largest, min(h.length, MaxFrame))
	if h.typ == frameData {
		g.data += int64(h.length)
	}
	g.in.block = h.typ == frameHeaders || h.typ == frameContinuation
	if !g.in.block {
		return
	}
	if g.block += h.length; h.typ == frameHeaders {
		g.block = h.length
	}
	if g.blockOpen = h.flags&flagEndHeaders == 0; !g.blockOpen {
		g.block = 0
	}
}

// Kept is how many bytes their reader keeps of frames and header blocks, for which it makes more
// room than they need while they grow.
func (g *Guard) Kept() int64 { return int64(g.largest + g.block + g.block/2) }

// LongHead is whether a header block has not ended and is longer than most.
func (g *Guard) LongHead() bool { return g.block > usualBlock }

// Data is how many bytes of DATA have come, or are announced, since it was called last.
func (g *Guard) Data() int64 {
	n := g.data
	g.data = 0
	return n
}

// Trust lifts what a suspect is bound to.
func (g *Guard) Trust() { g.trusted.Store(true) }

// tooMuch counts what a suspect sends.
func (g *Guard) tooMuch(h frameHead) bool {
	if !g.Suspect || g.trusted.Load() {
		return false
	}
	if g.frames++; g.in.block {
		g.bytes += h.length
	}
	return g.frames > strictFrames || g.bytes > strictBytes
}

// HeadBegan is when the header block that is under way began, as far as Received has
// seen; zero when none is.
func (g *Guard) HeadBegan() time.Time { return g.headBegan }

// Requests is how many header blocks became requests.
func (g *Guard) Requests() int64 { return g.requests.Load() }

// Sent is what bytes for the caller are.
type Sent struct {
	// Heads is how many frames are heads of answers whose bodies are to follow.
	Heads int
	// Credit is how many bytes the connection's window grows by.
	Credit int64
	// Other is whether there is anything else, or a part of a frame.
	Other bool
	// Whole is whether they end where any other frame may follow.
	Whole bool
}

// Sent reads bytes that go to the caller.
func (g *Guard) Sent(p []byte) Sent {
	sent := Sent{Other: g.out.inFrame()}
	for len(p) > 0 {
		var head frameHead
		var whole bool
		if p, head, whole = g.out.next(p); !whole {
			continue
		}
		if head.typ == frameHeaders || head.typ == frameContinuation {
			g.headOpen = head.flags&flagEndHeaders == 0
		}
		switch {
		case head.typ == frameHeaders && head.flags&(flagEndStream|flagEndHeaders) == flagEndHeaders:
			sent.Heads++
		case head.typ == frameWindowUpdate && head.stream == 0 && len(p) >= 4:
			sent.Credit += int64(binary.BigEndian.Uint32(p))
		case head.typ == frameData:
			g.dataSent.Add(1)
			sent.Other = true
		default:
			sent.Other = true
		}
	}
	sent.Other = sent.Other || g.out.inFrame()
	sent.Whole = !g.out.inFrame() && !g.headOpen
	return sent
}

// Served notes that a header block became a request.
func (g *Guard) Served() {
	g.served.Add(1)
	g.requests.Add(1)
}

func (g *Guard) count(h frameHead) string {
	typ := min(h.typ, frameUnknown)
	g.counts[typ]++
	if flood := g.countBlocks(h); flood != "" {
		return flood
	}
	limit := limits[typ]
	if limit.max == 0 {
		return ""
	}
	if typ == frameWindowUpdate {
		limit.max += windowUpdatesPerData * g.dataSent.Load()
	}
	if g.counts[typ] > limit.max {
		return limit.kind
	}
	return ""
}

// countBlocks looks at the frames that carry a request: they are bounded by what
// they fail to bring, not by their number.
func (g *Guard) countBlocks(h frameHead) string {
	switch h.typ {
	case frameHeaders:
		g.continuations = 0
		if g.counts[frameHeaders]-g.served.Load() > unserved {
			return "unserved_headers"
		}
	case frameContinuation:
		g.continuations++
		if g.continuations > continuations {
			return "continuation"
		}
	case frameData:
	default:
		return ""
	}
	if h.length > 0 || h.ends() {
		g.empty = 0
		return ""
	}
	g.empty++
	if g.empty > emptyInARow {
		return "empty_frames"
	}
	return ""
}

type frameHead struct {
	length int
	typ    byte
	flags  byte
	stream uint32
}

func (h frameHead) ends() bool {
	if h.typ == frameData {
		return h.flags&flagEndStream != 0
	}
	return h.flags&flagEndHeaders != 0
}

// frames finds frame heads in a byte stream that comes in pieces.
type frames struct {
	head    [headSize]byte
	have    int  // bytes of head
	payload int  // bytes of the current payload that are still to come
	block   bool // they are of a header block
}

// next consumes p up to and with the next frame head, or all of it. whole is
// whether head is a frame head.
func (f *frames) next(p []byte) (rest []byte, head frameHead, whole bool) {
	skip := min(f.payload, len(p))
	f.payload -= skip
	p = p[skip:]
	n := copy(f.head[f.have:], p)
	f.have += n
	if f.have < headSize {
		return p[n:], frameHead{}, false
	}
	f.have = 0
	f.payload = int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
	return p[n:], frameHead{f.payload, f.head[3], f.head[4], binary.BigEndian.Uint32(f.head[5:])}, true
}

// inFrame is whether the bytes so far end within a frame.
func (f *frames) inFrame() bool { return f.have > 0 || f.payload > 0 }
