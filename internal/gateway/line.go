package gateway

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/lifetime"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/shadow"
	"github.com/sluice-gateway/sluice/internal/snapshot"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Options are what a Line needs.
type Options struct {
	leg.Options
	Snapshots *snapshot.Store // nil: a new one
	// Random returns numbers in [0, 1) for samples; nil is that of math/rand/v2.
	Random func() float64
	// PairsDir is where labelled pairs are logged; "" logs none.
	PairsDir string
	// Tightened keeps how far certified thresholds were stepped back; nil keeps
	// nothing beyond the process.
	Tightened *memory.Tightened
	Observer  Observer  // nil: nobody
	Decisions Decisions // nil: nobody
	// Memory is what is remembered of cascades; nil is a new one of this line's own.
	Memory *memory.Store
}

// Line is the request line. Make it with New, give it a snapshot with Use.
type Line struct {
	asker     *leg.Asker
	snapshots *snapshot.Store
	cascades  cascades
	shadows   *shadow.Shadows
	tally     saving.Tally
	observer  Observer  // nil: nobody
	decisions Decisions // nil: nobody

	calls   sync.Pool   // of *call, for those to come
	recycle func(*call) // takes those whose request has ended; for tests that look whether anybody still has them

	drains sync.WaitGroup // what runs beside requests, and answers still read after their caller has left
	open   atomic.Int64   // requests that hold something
	// Abandoned is how many streams are still read although nobody gets them.
	Abandoned atomic.Int64
	// requests, and stop for what runs after them, end when Close cuts off what is left.
	requests lifetime.Group
	stop     context.Context //nolint:containedctx // it lasts as long as the line
	halt     context.CancelFunc
}

// New returns a line without a snapshot.
func New(o Options) *Line {
	if o.Random == nil {
		o.Random = rand.Float64
	}
	o.Snapshots = cmp.Or(o.Snapshots, &snapshot.Store{})
	o.Tightened = cmp.Or(o.Tightened, &memory.Tightened{})
	o.Memory = cmp.Or(o.Memory, &memory.Store{})
	l := &Line{
		asker: leg.NewAsker(o.Options), snapshots: o.Snapshots, observer: o.Observer, decisions: o.Decisions,
	}
	schemas := &answer.Schemas{} // of requests whose answers are checked
	l.cascades = cascades{asker: l.asker, memory: o.Memory, schemas: schemas, tightened: o.Tightened}
	l.shadows = &shadow.Shadows{
		Asker: l.asker, Memory: o.Memory, Tightened: o.Tightened, Schemas: schemas, Random: o.Random,
		Pairs: pairs.Log{Dir: o.PairsDir},
	}
	l.recycle = func(c *call) { l.calls.Put(c) }
	var halt context.CancelFunc
	l.stop, halt = context.WithCancel(context.Background())
	l.halt = func() { l.requests.End(); halt() }
	return l
}

// Use makes s the configuration of all requests that come from now on.
func (l *Line) Use(s *snapshot.Snapshot) {
	l.snapshots.Use(s)
	l.shadows.ShowSteps(s)
}

// Restore steps certified thresholds back as far as they were before a restart.
// It belongs before the first request.
func (l *Line) Restore() error { return l.shadows.Restore(l.snapshots.Load()) }

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

// CutOff ends the requests that are left, which still are answered: a caller whose
// connection only breaks would send the request again.
func (l *Line) CutOff() { l.halt() }

// Serve takes one request down the line.
func (l *Line) Serve(req *Request) *Response { return l.rest(l.begin(req)) }

// Begin takes a request as far as its native one is known. Whoever begins it has to call rest once, on any goroutine:
// it is the rest of the line.
func (l *Line) Begin(req *Request) (rest func() *Response) {
	c, err := l.begin(req)
	return func() *Response { return l.rest(c, err) }
}

func (l *Line) begin(req *Request) (c *call, err *wire.Error) {
	c = l.accept(req)
	whole := false
	defer l.giveUp(c, &whole)
	c.step = "authenticate"
	if err = l.authenticate(c); err == nil {
		c.step = "read"
		err = c.native()
	}
	whole = true
	return c, err
}

func (l *Line) rest(c *call, err *wire.Error) (res *Response) {
	whole := false
	defer l.giveUp(c, &whole)
	if err == nil {
		res, err = l.answer(c)
	}
	if err != nil {
		res = l.refuse(c, err)
	}
	if res.Stream == nil {
		l.close(c, res.Status)
	}
	whole = true
	return res
}

// giveUp is for a request in which the line has panicked, before it was whole: its legs end, and what it holds goes
// back. Its memory is not used again, and its body is left to the edge.
func (l *Line) giveUp(c *call, whole *bool) {
	if *whole {
		return
	}
	c.life.End()
	c.funds.Release()
	l.open.Add(-1)
}

// answer is the line as docs/ARCHITECTURE.md draws it, from where begin has come to.
func (l *Line) answer(c *call) (*Response, *wire.Error) {
	if err := l.read(c); err != nil {
		return nil, err
	}
	if c.Target.Op.Control() {
		return c.describe(l.asker.Now())
	}
	c.step = "plan"
	if err := l.plan(c); err != nil {
		return nil, err
	}
	c.step = "reserve"
	if err := l.reserve(c); err != nil {
		return nil, err
	}
	c.step = "ask"
	l.asker.Crash.At(meter.AfterReserve)
	if len(c.Further) > 0 {
		return l.respondParts(c)
	}
	if c.checked() {
		return l.try(c)
	}
	for i, plan := range c.legs {
		attempt, err := l.ask(c, plan)
		if err != nil {
			return nil, err
		}
		if l.check(c, attempt, i == len(c.legs)-1) {
			return l.respond(c, attempt)
		}
	}
	panic("BUG: the last leg was not accepted")
}

// ask asks a leg while the caller waits.
func (l *Line) ask(c *call, p *leg.Plan) (*leg.Attempt, *wire.Error) {
	a, err := l.asker.Ask(&c.life.Context, &c.Request, p.As(c.path, c.reason), &c.funds)
	c.answered = l.asker.Now()
	if a != nil {
		c.waited += a.Took
	}
	return a, err
}

// close notes how the answer ended, once, and starts what follows it.
func (l *Line) close(c *call, status int) {
	c.status, c.over = status, l.asker.Now()
	l.cascades.learn(c)
	l.shadow(c)
	l.release(c)
}

// shadow asks, beside the line, the models that did not serve a sampled request.
func (l *Line) shadow(c *call) {
	if c.sample == nil || c.served == nil || c.status != 200 {
		return
	}
	crowded := l.open.Load() > int64(c.Snapshot.Config.Limits.MaxConnections)/2
	ask := l.shadows.Follow(&shadow.Finished{
		Request: &c.Request, Route: c.route, Sample: c.sample, Served: c.served, Checked: c.checked(),
		Reason: c.reason, Risk: c.risk, At: c.over, Busy: crowded || l.asker.Crowded(),
	})
	if ask != nil {
		c.funds.Release() // the caller's request is over, only its body is needed on
		c.Go(func() { ask(l.stop) })
	}
}

// release lets go of a request. The last one reports it and gives back what it holds.
func (l *Line) release(c *call) {
	if c.users.Add(-1) > 0 {
		return
	}
	l.observe(c)
	again := c.finish()
	l.asker.Recycle(&c.Request)
	if again {
		*c = call{}
		l.recycle(c)
	}
	l.open.Add(-1)
}
