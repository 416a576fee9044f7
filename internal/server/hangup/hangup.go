// Package hangup detects that the other end of a socket has closed it while
// nothing reads from it.
//
// A server that answers slowly does not read the connection meanwhile, so it
// does not notice when a caller leaves. One goroutine asks the kernel about all
// watched sockets at once, a few times a second; there is no goroutine per
// request and no byte is read. It looks at the socket itself, so it works under
// TLS. A caller that has closed only its sending half counts as gone, as in
// net/http. Where the kernel cannot be asked (see poll_other.go) it never fires
// and a caller's leaving shows at the next write.
package hangup

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/lifetime"
)

// Watch is the state of one socket, to be kept with its connection. FD must be
// set before the first Add. The zero value otherwise is not watched.
type Watch struct {
	FD int

	watched bool
	index   int               // place in Watcher.watches
	round   uint64            // when it was added
	caller  *lifetime.Context // ended when the other end has left
}

// Watcher watches sockets until Close.
type Watcher struct {
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards the following fields and those of all Watches
	round   uint64
	watches []*Watch
	polls   []pollFD // reused between rounds
}

// New starts a watcher that looks every interval.
func New(interval time.Duration) *Watcher {
	w := &Watcher{stop: make(chan struct{}), done: make(chan struct{})}
	go w.run(interval)
	return w
}

// Close stops the watcher and waits for its goroutine. Contexts that have not
// ended yet never will.
func (w *Watcher) Close() {
	close(w.stop)
	<-w.done
}

// Add watches x until Remove and ends caller when the other end leaves. A socket
// is looked at from the second round on, so that quick requests cost no system
// call.
func (w *Watcher) Add(x *Watch, caller *lifetime.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x.caller = caller
	x.round = w.round
	if !x.watched {
		x.watched = true
		x.index = len(w.watches)
		w.watches = append(w.watches, x)
	}
}

// Remove ends the watch. After it the descriptor may be closed and reused.
// Removing what is not watched does nothing.
func (w *Watcher) Remove(x *Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeLocked(x)
}

// Hangup fires x as if the other end had left. Firing what is not watched does
// nothing.
func (w *Watcher) Hangup(x *Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fireLocked(x)
}

func (w *Watcher) fireLocked(x *Watch) {
	if x.watched {
		x.caller.End(context.Canceled)
		w.removeLocked(x)
	}
}

func (w *Watcher) removeLocked(x *Watch) {
	if !x.watched {
		return
	}
	last := w.watches[len(w.watches)-1]
	w.watches[x.index] = last
	last.index = x.index
	w.watches[len(w.watches)-1] = nil
	w.watches = w.watches[:len(w.watches)-1]
	x.watched = false
	x.caller = nil
}

func (w *Watcher) run(interval time.Duration) {
	defer close(w.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.look()
		}
	}
}

// A socket that was watched for patient rounds is looked at in each seldom-th alone: a
// stream of minutes need not end within a moment, and there may be thousands.
const patient, seldom = 20, 8

// due reports whether a socket is looked at in a round.
func (x *Watch) due(round uint64) bool {
	age := round - x.round
	return age > 1 && (age <= patient || (round+uint64(x.FD))%seldom == 0) //nolint:gosec // not negative
}

// look asks the kernel once about every socket that is due. It holds the lock, because a descriptor must not be closed
// and reused between the question and the answer; the call does not block.
func (w *Watcher) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round++
	w.polls = w.polls[:0]
	for _, x := range w.watches {
		if x.due(w.round) {
			w.polls = append(w.polls, newPollFD(x.FD))
		}
	}
	if len(w.polls) == 0 || !poll(w.polls) {
		return
	}
	gone := make(map[int]bool)
	for _, p := range w.polls {
		if left(p) {
			gone[fdOf(p)] = true
		}
	}
	for i := len(w.watches) - 1; i >= 0; i-- {
		if x := w.watches[i]; gone[x.FD] {
			w.fireLocked(x)
		}
	}
}
