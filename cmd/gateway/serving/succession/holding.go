package succession

import (
	"errors"
	"net"
	"sync"
	"time"
)

// mostHeld is how many connections wait here; further ones wait in the system's queue.
const mostHeld = 8192

// holding takes connections of a socket and keeps them until somebody accepts them: the
// system's own queue is short, and refuses callers when it is full.
type holding struct {
	net.Listener
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
	done  sync.WaitGroup
}

func newHolding(of net.Listener) *holding {
	h := &holding{Listener: of, conns: make(chan net.Conn, mostHeld), ended: make(chan struct{})}
	h.done.Go(h.take)
	return h
}

func (h *holding) take() {
	const pause = 50 * time.Millisecond // out of descriptors, most likely
	for {
		c, err := h.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-time.After(pause):
				continue
			case <-h.ended:
				return
			}
		}
		h.push(c)
	}
}

// push keeps a connection, and closes it when this one ends while too many wait.
func (h *holding) push(c net.Conn) {
	select {
	case h.conns <- c:
		return
	default:
	}
	select {
	case h.conns <- c:
	case <-h.ended:
		c.Close() //nolint:errcheck // nobody takes it any more
	}
}

// Accept implements net.Listener. After Close it returns first those who wait.
func (h *holding) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.ended:
	}
	select {
	case c := <-h.conns:
		return c, nil
	default:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *holding) Close() error {
	err := h.Listener.Close()
	h.once.Do(func() { close(h.ended) })
	h.done.Wait()
	return err
}
