package shed

import (
	"os"
	"sync/atomic"
	"time"
)

const (
	// tick is how far moments are apart while requests are refused, busy while there are
	// any, and idle else.
	tick = 5 * time.Millisecond
	busy = 10 * time.Millisecond
	idle = 100 * time.Millisecond
)

// Run observes until stop is closed. inFlight returns how many requests are in flight.
func (g *Gate) Run(inFlight func() int64, stop <-chan struct{}) error {
	p, err := newProbe()
	if err != nil {
		return err
	}
	defer p.close()
	pause := idle
	timer := time.NewTimer(pause)
	defer timer.Stop()
	due := time.Now().Add(pause)
	for {
		select {
		case <-timer.C:
		case <-stop:
			return nil
		}
		now, n := time.Now(), inFlight()
		limited := g.Observe(now, max(p.late(now), now.Sub(due)), n)
		switch {
		case limited:
			pause = tick
		case n > 0:
			pause = busy
		default:
			pause = idle
		}
		if n > 0 || limited {
			p.send(now)
		}
		due = now.Add(pause)
		timer.Reset(pause)
	}
}

// probe is a pipe through which a byte goes now and then. It is read like a connection: the
// reader waits with them until the runtime has looked whose bytes have come, and then for a
// processor.
type probe struct {
	r, w *os.File
	sent atomic.Int64 // Unix nanoseconds, of the byte that is under way; 0: none
	took atomic.Int64 // nanoseconds, of the last one
	done chan struct{}
}

func newProbe() (*probe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &probe{r: r, w: w, done: make(chan struct{})}
	go p.receive()
	return p, nil
}

func (p *probe) receive() {
	defer close(p.done)
	var b [1]byte
	for {
		if _, err := p.r.Read(b[:]); err != nil {
			return
		}
		p.took.Store(time.Now().UnixNano() - p.sent.Load())
		p.sent.Store(0)
	}
}

// send sends a byte, unless one is under way.
func (p *probe) send(now time.Time) {
	if p.sent.CompareAndSwap(0, now.UnixNano()) {
		_, _ = p.w.Write([]byte{0}) // it fails when the pipe is closed
	}
}

// late is how long the last byte took since the last call, or how long one has been under way.
func (p *probe) late(now time.Time) time.Duration {
	took := p.took.Swap(0)
	if sent := p.sent.Load(); sent != 0 {
		took = max(took, now.UnixNano()-sent)
	}
	return time.Duration(max(took, 0))
}

func (p *probe) close() {
	_ = p.w.Close()
	_ = p.r.Close()
	<-p.done
}
