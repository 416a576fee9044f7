package gateway

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade"
	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Bounds of stream bytes that are held back, of one answer and of all together.
const (
	maxHeld    = 4 << 20
	maxHeldAll = 256 << 20
)

// run is one leg that is asked on the side, in a goroutine of its own. Its END
// is journalled there too, unless somebody takes the answer over.
//
// Whoever starts it reads it only after ready is closed, and then decides its
// fate once, by take or by leave.
type run struct {
	line *Line
	call *call
	leg  *leg

	ready   chan struct{}
	refused *wire.Error   // the journal took no record; nothing was sent
	broken  *engine.Error // the stream failed after its first frame
	frames  [][]byte      // of a stream that is held back
	usage   wire.StreamUsage
	whole   bool // the stream came to its proper end
	over    bool // it is too large to be held back

	ended chan struct{} // closed when the leg is in the books, or taken

	fate   chan disposition
	cancel context.CancelFunc
	size   int64 // of frames
	told   bool  // ready is closed
}

// reading is how far a run reads a stream before it is ready.
type reading uint8

const (
	toHead reading = iota // the first frame
	toEnd                 // all frames, held back
)

// start asks a leg on the side. g.path and g.reason must stand.
func (l *Line) start(c *call, g *leg, far reading) *run {
	r := &run{line: l, call: c, leg: g, ready: make(chan struct{}), fate: make(chan disposition, 1), ended: make(chan struct{})}
	r.usage.Op = c.target.Op
	g.ctx, r.cancel = context.WithCancel(g.ctx)
	l.shape(c, g)
	c.users.Add(1)
	l.drains.Go(func() {
		defer l.release(c)
		defer close(r.ended)
		r.refused = l.call(c, g)
		if far == toEnd && r.streams() {
			r.hold()
		}
		r.tell()
		r.end(<-r.fate)
	})
	return r
}

// tell closes ready, once. It is called by the run's goroutine alone.
func (r *run) tell() {
	if !r.told {
		r.told = true
		close(r.ready)
	}
}

// take hands the answer to the caller of take, which then has to record it.
func (r *run) take() {
	<-r.ready
	r.fate <- served
}

// leave gives the answer up. What still comes is read for its usage, within the
// time given; then the connection is closed, and the leg is unknown.
func (r *run) leave(how disposition, within time.Duration) {
	r.leg.unwanted.Store(true)
	if within <= 0 {
		r.cancel()
	} else {
		stop := time.AfterFunc(within, r.cancel)
		context.AfterFunc(r.leg.ctx, func() { stop.Stop() })
	}
	r.fate <- how
}

// end records a leg that was left. A stream of which only the head was read is
// read on first.
func (r *run) end(how disposition) {
	if how == served {
		return
	}
	defer r.cancel()
	defer r.free()
	switch {
	case r.refused != nil:
	case !r.streams():
		r.line.record(r.call, r.leg, how)
	default:
		r.hold()
		r.line.end(r.call, r.leg, r.leg.streamEnd(&r.usage), how)
	}
}

func (r *run) streams() bool { return r.refused == nil && r.leg.res != nil && r.leg.res.Frames != nil }

// hold reads the leg's stream to its end and keeps its frames, as long as they
// are wanted and there is room. It does nothing on a stream that is read.
func (r *run) hold() {
	if r.whole || r.broken != nil {
		return
	}
	raw, err := r.leg.head, error(nil)
	for ; err == nil; raw, err = r.leg.res.Frames.Next() {
		if f, bad := wire.ParseFrame(raw); bad == nil {
			r.usage.Observe(f)
		}
		r.keep(raw)
	}
	r.leg.res.Frames.Close()
	r.whole = errors.Is(err, io.EOF) && (r.usage.End() || r.call.unfamiliar()) && r.usage.Exception() == ""
	if !r.whole {
		r.broken = asEngineError(err)
	}
}

func (r *run) keep(raw []byte) {
	n := int64(len(raw))
	switch {
	case r.over || r.leg.unwanted.Load():
		return
	case r.size+n > maxHeld || !r.line.room(n):
		r.over = true
		r.free()
		r.tell()
		return
	}
	r.size += n
	r.frames = append(r.frames, append([]byte(nil), raw...))
}

// room takes n bytes of what all streams may hold, and reports false when they
// are not there.
func (l *Line) room(n int64) bool {
	if l.held.Add(n) <= maxHeldAll {
		return true
	}
	l.held.Add(-n)
	return false
}

// free gives the held bytes back.
func (r *run) free() {
	r.line.held.Add(-r.size)
	r.frames, r.size = nil, 0
}

// failure is why the run brought no answer to look at, "" when it did.
func (r *run) failure() string {
	g := r.leg
	o := cascade.Outcome{}
	switch {
	case g.err != nil:
		o.Failure = g.err.Failure
	case r.over:
		return cascade.ReasonBuffer
	case g.fault != "":
		o.Status = statusOfFault
	case r.broken != nil:
		o.Failure = r.broken.Failure
	default:
		o.Status = g.res.Status
	}
	if !o.Answered() {
		return cascade.ReasonLightError
	}
	return ""
}

// said is what a run brought, apart from the run: a check that is late may
// still read it when the run has let go of it.
type said struct {
	op     wire.Operation
	frames [][]byte
	body   []byte
}

// said returns what the leg answered, nil when it brought no answer.
func (r *run) said() *said {
	if r.refused != nil || r.failure() != "" || r.leg.err != nil {
		return nil
	}
	return &said{r.call.target.Op, r.frames, r.leg.res.Body}
}

// answer reads what was said, nil when that cannot be read.
func (s *said) answer() *answer.Answer {
	if s == nil {
		return nil
	}
	a, ok := parts.Answer(s.op, s.body)
	if s.frames != nil {
		a, ok = parts.Stream(s.op, s.frames)
	}
	if !ok {
		return nil
	}
	return a
}
