package gateway

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Recorder keeps the books. *meter.Meter is the real one.
type Recorder interface {
	// Begin journals that a call is about to leave. Without it no call leaves.
	Begin(s *record.Start) error
	// End journals how the call ended, priced by the book, and posts it.
	End(s *record.Start, e *record.End, prices *record.PriceBook) (record.Costs, error)
}

// Jobs remembers which tenant started an asynchronous job.
type Jobs interface {
	Own(ctx context.Context, invocationARN, tenant string) error
	Owner(ctx context.Context, invocationARN string) (tenant string, err error)
}

// Options are what a Line needs.
type Options struct {
	Snapshots *snapshot.Store // nil: a new one
	Meter     Recorder
	Jobs      Jobs
	Budgets   Budgets         // nil: nothing is reserved
	Estimates *estimate.Table // nil: a new one
	Telemetry *telemetry.Telemetry
	Log       *slog.Logger
	Now       func() time.Time
	// NewID returns a ULID for an attempt's record.
	NewID func() string
	// Crash is called with the points of the line that fault tests kill at, named
	// in package meter. Nil does nothing.
	Crash func(point string)
	// Random returns numbers in [0, 1) for samples; nil is that of math/rand/v2.
	Random func() float64
	// PairsDir is where labelled pairs are logged; "" logs none.
	PairsDir string
	// Tightened keeps how far certified thresholds were stepped back; nil keeps
	// nothing beyond the process.
	Tightened *memory.Tightened
	// Memory is what is remembered of cascades; nil is a new one of this line's own.
	Memory *memory.Store
}

// Line is the request line. Make it with New, give it a snapshot with Use.
type Line struct {
	Options
	drains  sync.WaitGroup // legs on the side, and answers still read after their caller has left
	held    atomic.Int64   // bytes of streams that are held back
	schemas answer.Schemas // of requests whose answers are checked
	memory  *memory.Store
	open    atomic.Int64 // requests that hold something
	shadows atomic.Int64 // requests that are shadowed now
	pairs   pairs.Log
	tally   saving.Tally
	stop    context.Context //nolint:containedctx // ends when Close cuts off what is left
	halt    context.CancelFunc
}

// New returns a line without a snapshot.
func New(o Options) *Line {
	if o.Estimates == nil {
		o.Estimates = &estimate.Table{}
	}
	if o.Snapshots == nil {
		o.Snapshots = &snapshot.Store{}
	}
	stop, halt := context.WithCancel(context.Background())
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Tightened == nil {
		o.Tightened = &memory.Tightened{}
	}
	if o.Memory == nil {
		o.Memory = &memory.Store{}
	}
	return &Line{Options: o, stop: stop, halt: halt, memory: o.Memory, pairs: pairs.Log{Dir: o.PairsDir}}
}

// Use makes s the configuration of all requests that come from now on.
func (l *Line) Use(s *snapshot.Snapshot) {
	l.Snapshots.Use(s)
	l.showSteps(s)
}

// Snapshot returns the configuration in use.
func (l *Line) Snapshot() *snapshot.Snapshot { return l.Snapshots.Load() }

// Close waits until the last answer is drained, or until ctx ends: then the
// remaining ones are cut off and recorded as unknown.
func (l *Line) Close(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		l.drains.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		l.halt()
		<-done
	}
	l.halt()
}

// passes tells a fault test where the line is.
func (l *Line) passes(point string) {
	if l.Crash != nil {
		l.Crash(point)
	}
}

// Serve takes one request down the line.
func (l *Line) Serve(req *Request) *Response {
	c := l.accept(req)
	res, err := l.answer(c)
	if err != nil {
		res = l.refuse(c, err)
	}
	if res.Stream == nil {
		l.close(c, res.Status)
	}
	return res
}

// answer is the line as design.md draws it.
func (l *Line) answer(c *call) (*Response, *wire.Error) {
	if err := l.authenticate(c); err != nil {
		return nil, err
	}
	if err := l.read(c); err != nil {
		return nil, err
	}
	if err := l.plan(c); err != nil {
		return nil, err
	}
	if err := l.reserve(c); err != nil {
		return nil, err
	}
	l.passes(meter.AfterReserve)
	if c.tried() {
		return l.try(c)
	}
	for _, leg := range c.legs {
		if err := l.ask(c, leg); err != nil {
			return nil, err
		}
		if l.check(c, leg) {
			return l.respond(c, leg)
		}
	}
	panic("BUG: the last leg was not accepted")
}

// ask shapes a leg and calls it while the caller waits.
func (l *Line) ask(c *call, g *leg) *wire.Error {
	g.path, g.reason = c.path, c.reason
	l.shape(c, g)
	err := l.call(c, g)
	c.answered = l.Now()
	c.waited += g.took
	return err
}

// close notes how the answer ended, once.
func (l *Line) close(c *call, status int) {
	c.status, c.over = status, l.Now()
	l.learn(c)
	l.shadow(c)
	l.release(c)
}

// release lets go of a request. The last one reports it and gives back what it
// holds.
func (l *Line) release(c *call) {
	if c.users.Add(-1) > 0 {
		return
	}
	l.observe(c)
	c.finish()
	l.open.Add(-1)
}
