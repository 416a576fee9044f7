package shed

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// busy is how far moments are apart while there are requests, and idle else.
	busy = 10 * time.Millisecond
	idle = 100 * time.Millisecond
)

// Run lets requests wait where it is needed, until stop is closed. inFlight returns how many there
// are; rest gets how many were refused and not listed, when none are any more.
func (g *Gate) Run(inFlight func() int64, rest func(int64), stop <-chan struct{}) error {
	p, err := newProbe(g, inFlight)
	if err != nil {
		return err
	}
	defer p.close()
	g.start(p.send)
	defer g.stop()
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
		if late := p.late(now); late > 0 {
			g.Late(max(late, now.Sub(due)), n)
		} else if n > 0 || g.closed.Load() {
			p.send()
		}
		if !g.Limits() {
			g.Rest(rest)
		}
		if pause = idle; n > 0 {
			pause = busy
		}
		due = now.Add(pause)
		timer.Reset(pause)
	}
}

// probe is a pipe through which a byte goes now and then. It is read like a connection: the
// reader waits with them until the runtime has looked whose bytes have come, and then for a
// processor.
type probe struct {
	gate     *Gate
	inFlight func() int64
	r, w     *os.File
	sent     atomic.Int64 // Unix nanoseconds, of the byte that is under way; 0: none
	done     chan struct{}
}

func newProbe(g *Gate, inFlight func() int64) (*probe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &probe{gate: g, inFlight: inFlight, r: r, w: w, done: make(chan struct{})}
	go p.receive()
	return p, nil
}

func (p *probe) receive() {
	defer close(p.done)
	raw, err := p.r.SyscallConn()
	for more := false; err == nil; {
		var b [1]byte
		n := 0
		err = raw.Read(func(fd uintptr) bool {
			if more { // sent here, or else the byte would be read without having waited
				if more = false; p.sends() {
					return false
				}
			}
			n, _ = syscall.Read(int(fd), b[:]) //nolint:gosec // fits
			return n >= 0
		})
		if n == 0 {
			return
		}
		took := p.late(time.Now())
		p.sent.Store(0)
		more = p.gate.back(took, p.inFlight())
	}
}

// send sends a byte, unless one is under way.
func (p *probe) send() { p.sends() }

// sends reports whether it did.
func (p *probe) sends() bool {
	if !p.sent.CompareAndSwap(0, time.Now().UnixNano()) {
		return false
	}
	_, _ = p.w.Write([]byte{0}) // it fails when the pipe is closed
	return true
}

// late is how long a byte has been under way, 0 when none is.
func (p *probe) late(now time.Time) time.Duration {
	if sent := p.sent.Load(); sent != 0 {
		return time.Duration(max(now.UnixNano()-sent, 1))
	}
	return 0
}

func (p *probe) close() {
	_ = p.w.Close()
	_ = p.r.Close()
	<-p.done
}
