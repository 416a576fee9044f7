// Package silence keeps streams of server-sent events alive that say nothing for a while: a model may think for
// minutes, and clients and proxies take a connection without bytes for a broken one.
package silence

import (
	"io"
	"sync"
	"time"
)

// Writer passes on what is written to it, and writes a ping itself whenever nothing has come for a while. Make it with
// New. Write and Stop are called by one goroutine; the writer below is called by one at a time.
type Writer struct {
	ping  []byte
	after time.Duration

	mu      sync.Mutex // held while something is written; guards the following
	out     io.Writer
	tail    [2]byte // the last bytes of what was written: two line feeds where an event ends
	err     error   // of a ping
	stopped bool
	timer   *time.Timer
}

// New returns a writer to out, whose silence begins now.
func New(out io.Writer, ping []byte, after time.Duration) *Writer {
	w := &Writer{out: out, ping: ping, after: after, tail: betweenEvents}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(after, w.sign)
	return w
}

var betweenEvents = [2]byte{'\n', '\n'}

// Write writes p, which may end within an event. It fails when a ping has failed before.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	for _, b := range p[max(0, len(p)-2):] {
		w.tail = [2]byte{w.tail[1], b}
	}
	n, err := w.out.Write(p)
	w.timer.Reset(w.after)
	return n, err
}

// sign writes a ping. A write that takes long is no silence: the time begins anew behind it.
func (w *Writer) sign() {
	if !w.mu.TryLock() {
		return
	}
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	if w.tail == betweenEvents {
		_, w.err = w.out.Write(w.ping)
	}
	if w.err == nil {
		w.timer.Reset(w.after)
	}
}

// Stop waits for a ping that is being written. None comes after it.
func (w *Writer) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}
