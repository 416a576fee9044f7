package leg

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Bounds of stream bytes that are held back, of one answer and of all together.
const (
	MaxHeld    = 4 << 20
	maxHeldAll = 256 << 20
)

// Side is one leg of several. It is asked in a goroutine of its own, which closes
// the attempt too, unless somebody accepts the answer; or, with Here, by whoever
// waits for it.
//
// Whoever starts it reads it only after Wait, and then decides once what becomes
// of it, by Accept or by Discard.
type Side struct {
	*Attempt             // nil when the journal took no record
	Refused  *wire.Error // why there is no attempt
	Overflow bool        // the stream is too large to be held back, or longer than its cap

	asker  *Asker
	here   func()        // asks it, once, when there is no goroutine for that
	broken *engine.Error // the stream failed after its first frame
	frames [][]byte      // of a stream that is held back
	size   int64         // of frames
	read   bool          // the stream is read to its end

	ready    chan struct{}
	shown    bool             // ready is closed
	ended    chan struct{}    // closed when the attempt is in the books, or accepted
	decision chan Disposition // Served is for Accept alone
	discards atomic.Bool      // nobody waits for it: it is not tried again, and nothing is kept
	deadline *time.Timer      // of a leg that is read to its end, nil elsewhere
	cancel   context.CancelFunc
}

// Grow makes the stack of a new goroutine as large as a leg needs it. Grown on the
// way, it would be copied several times.
//
//go:noinline
func Grow() {
	var room [12 << 10]byte
	runtime.KeepAlive(&room)
}

// Reading is how far a side leg reads a stream before it is ready.
type Reading uint8

// The readings.
const (
	ToHead Reading = iota // the first frame
	ToEnd                 // all frames, held back
)

// Beside asks a leg beside whatever else happens.
func (k *Asker) Beside(ctx context.Context, r *Request, p *Plan, f *Funds, far Reading) *Side {
	return k.beside(ctx, r, p, turn{funds: f, from: f.first(), wanted: func() bool { return true }}, far)
}

// beside is Beside for a leg that stands where t says. It is wanted until it is discarded.
func (k *Asker) beside(ctx context.Context, r *Request, p *Plan, t turn, far Reading) *Side {
	s := &Side{
		asker: k, ready: make(chan struct{}), ended: make(chan struct{}), decision: make(chan Disposition, 1),
	}
	ctx, s.cancel = context.WithCancel(ctx)
	t.wanted = func() bool { return !s.discards.Load() }
	r.Host.Go(func() {
		defer close(s.ended)
		s.Attempt, s.Refused = k.ask(ctx, r, p, t)
		if far == ToEnd && s.Streams() {
			s.hold()
		}
		s.show()
		s.end(<-s.decision)
	})
	return s
}

// Here is a leg that the first Wait asks, and reads to its end. It suits answers
// that are no streams, which need nobody to read on when they are discarded.
func (k *Asker) Here(ctx context.Context, r *Request, p *Plan, f *Funds) *Side {
	s := &Side{asker: k, shown: true, cancel: func() {}}
	s.here = func() {
		s.Attempt, s.Refused = k.Ask(ctx, r, p, f)
		if s.Streams() {
			s.hold()
		}
	}
	return s
}

// show closes ready, once. It is called by the leg's own goroutine alone.
func (s *Side) show() {
	if !s.shown {
		s.shown = true
		close(s.ready)
	}
}

// Wait returns when the leg can be looked at.
func (s *Side) Wait() {
	switch {
	case s.ready != nil:
		<-s.ready
	case s.here != nil:
		s.here()
		s.here = nil
	}
}

// Accept waits for the leg and hands its attempt to the caller, who then has to
// close it, and to Release what is held.
func (s *Side) Accept() {
	s.Wait()
	if s.decision != nil {
		s.decision <- Served
	}
}

// Discard gives the answer up. What still comes is read for its usage, within the
// time given; then the connection is closed, and the outcome is unknown.
func (s *Side) Discard(how Disposition, within time.Duration) {
	if s.decision == nil {
		s.end(how)
		return
	}
	s.discards.Store(true)
	if within <= 0 {
		s.cancel()
	} else {
		s.deadline = time.AfterFunc(within, s.cancel)
	}
	s.decision <- how
}

// Ended returns when the attempt is in the books, or accepted.
func (s *Side) Ended() { <-s.ended }

// end closes a leg that was discarded. A stream of which only the head was read
// is read on first.
func (s *Side) end(how Disposition) {
	if how == Served {
		return
	}
	defer s.Release()
	if s.deadline != nil {
		defer s.deadline.Stop()
	}
	if s.Refused != nil {
		return
	}
	if s.Streams() {
		s.hold()
	}
	s.Close(how)
}

// Streams reports whether there is an answer that is a stream.
func (s *Side) Streams() bool { return s.Refused == nil && s.Attempt.Streams() }

// hold reads the stream to its end and keeps its frames, as long as they are
// wanted and there is room. It does nothing on a stream that is read.
func (s *Side) hold() {
	if s.read {
		return
	}
	s.read = true
	frame, err := s.Next()
	for ; err == nil; frame, err = s.Next() {
		s.keep(frame.Raw)
	}
	s.Response.Frames.Close()
	if !s.whole || s.usage.Exception() != "" {
		s.broken = asEngineError(err)
	}
}

func (s *Side) keep(raw []byte) {
	n := int64(len(raw))
	switch {
	case s.Overflow || s.discards.Load():
		return
	case s.Over() || s.size+n > MaxHeld || !s.asker.room(s.request.Account, n):
		s.Overflow = true
		s.free()
		s.show()
		return
	}
	s.size += n
	s.frames = append(s.frames, append([]byte(nil), raw...))
}

// room takes n bytes of what all streams may hold, and reports false when they
// are not there.
func (k *Asker) room(a *pool.Account, n int64) bool {
	if k.held.Add(n) <= maxHeldAll && a.Try(n, pool.Answer) {
		return true
	}
	k.held.Add(-n)
	return false
}

func (s *Side) free() {
	if s.size > 0 {
		s.asker.held.Add(-s.size)
		s.request.Account.Give(s.size, pool.Answer)
	}
	s.frames, s.size = nil, 0
}

// Release gives back the held frames and ends the call.
func (s *Side) Release() {
	s.free()
	s.cancel()
}

// Result is Attempt.Result, and that of a stream that broke while it was held
// back.
func (s *Side) Result() (status int, failure engine.Failure) {
	status, failure = s.Attempt.Result()
	if s.broken != nil && failure == 0 && s.Fault == "" {
		return 0, s.broken.Failure
	}
	return status, failure
}

// Frames are those of a stream that is held back, until Release.
func (s *Side) Frames() [][]byte { return s.frames }

// Reply is what a model replied, apart from the leg: a check that is late may
// still read it when the leg is gone.
type Reply struct {
	Op     wire.Operation
	Frames [][]byte // of a stream
	Body   []byte   // of any other answer
}

// Reply returns what the model replied, nil when it brought no answer.
func (s *Side) Reply() *Reply {
	if s.Refused != nil || s.Err != nil || s.Overflow {
		return nil
	}
	status, failure := s.Result()
	if failure != engine.Cancelled && (failure != 0 || status < 200 || status >= 300) {
		return nil
	}
	return &Reply{s.request.Target.Op, s.frames, s.Response.Body}
}

// Answer reads the reply, nil when there is none or its form is not known.
func (r *Reply) Answer() *answer.Answer {
	switch {
	case r == nil:
		return nil
	case r.Frames != nil:
		return parts.Stream(r.Op, r.Frames)
	}
	return parts.Answer(r.Op, r.Body)
}
