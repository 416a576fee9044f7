package requestlog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	// maxWaiting is how many bytes of lines may wait for a slow disk: further lines are
	// dropped, and counted.
	maxWaiting = 1 << 20
	// writeEvery is how long lines wait for others, so that many are written at once.
	writeEvery = 50 * time.Millisecond
	// lastWrite is how long a stop waits for the file.
	lastWrite = 2 * time.Second
)

// Stdout is the name of the standard output, in place of a file.
const Stdout = "stdout"

// Access is the access log: a line for each request that is over. Make it with
// OpenAccess; it is safe for concurrent use.
type Access struct {
	open   func() (file, error)
	counts *telemetry.Metrics
	log    *slog.Logger

	wake, stop, done chan struct{}

	mu      sync.Mutex // guards waiting
	waiting []byte     // whole lines

	// What follows is the writer's.
	to     file
	spare  []byte
	torn   bool // the last line in the file has no end
	failed bool // lines are being lost
}

// file is where lines go.
type file interface {
	io.WriteCloser
	// moved reports whether the name that was opened has another file by now.
	moved() bool
}

// OpenAccess opens the access log at a path, or Stdout, and starts its writer. A file
// that is moved away, as by logrotate, is made anew.
func OpenAccess(path string, counts *telemetry.Metrics, log *slog.Logger) (*Access, error) {
	open := func() (file, error) { return openFile(path) }
	if path == Stdout {
		open = func() (file, error) { return stream{os.Stdout}, nil }
	}
	a, err := newAccess(open, counts, log)
	if err == nil {
		go a.run()
	}
	return a, err
}

func newAccess(open func() (file, error), counts *telemetry.Metrics, log *slog.Logger) (*Access, error) {
	a := &Access{
		open: open, counts: counts, log: log,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	var err error
	a.to, err = open()
	return a, err
}

// add takes a request, or drops it when the writer is too slow.
func (a *Access) add(e *telemetry.RequestEnd) {
	a.mu.Lock()
	before := len(a.waiting)
	if before < maxWaiting {
		a.waiting = appendLine(a.waiting, e)
	}
	dropped := len(a.waiting) == before
	a.mu.Unlock()
	if dropped {
		a.counts.AccessDropped(1)
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *Access) run() {
	defer close(a.done)
	for {
		select {
		case <-a.stop:
			a.flush()
			if a.to != nil {
				a.to.Close() //nolint:errcheck // what was written is written
			}
			return
		case <-a.wake:
		}
		select {
		case <-a.stop:
		case <-time.After(writeEvery):
		}
		a.flush()
	}
}

// flush writes what waits.
func (a *Access) flush() {
	a.mu.Lock()
	lines := a.waiting
	a.waiting = a.spare[:0]
	a.mu.Unlock()
	a.spare = lines
	if len(lines) == 0 {
		return
	}
	n, err := a.write(lines)
	if err != nil {
		a.counts.AccessDropped(bytes.Count(lines[n:], []byte{'\n'}))
	}
	switch {
	case err != nil && !a.failed:
		a.log.Warn("the access log cannot be written; its lines are lost and counted", "err", err)
	case err == nil && a.failed:
		a.log.Info("the access log is written again")
	}
	a.failed = err != nil
}

// write returns how many bytes were written. A line of which only a part was is ended
// before the next one.
func (a *Access) write(lines []byte) (int, error) {
	if a.to == nil || a.to.moved() {
		if a.to != nil {
			a.to.Close() //nolint:errcheck // what was written is written
		}
		var err error
		if a.to, err = a.open(); err != nil {
			a.to = nil
			return 0, err
		}
		a.torn = false
	}
	if a.torn {
		if _, err := a.to.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
	}
	n, err := a.to.Write(lines)
	a.torn = n > 0 && lines[n-1] != '\n' || a.torn && n == 0 && err != nil
	return n, err
}

// Close writes what waits and closes the file, within ctx and two seconds: nobody may
// read what is written to a pipe.
func (a *Access) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastWrite)
	defer cancel()
	close(a.stop)
	select {
	case <-a.done:
	case <-ctx.Done():
	}
}

// appendLine appends the line of a request. docs/format/access-log.md has its form.
func appendLine(b []byte, e *telemetry.RequestEnd) []byte {
	b = append(b, `{"time":"`...)
	b = e.Received.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, '"')
	b = appendText(b, "request", e.ID)
	if e.From.IsValid() {
		b = append(e.From.AppendTo(append(appendName(b, "from"), '"')), '"')
	}
	b = appendText(b, "tenant", e.Tenant)
	b = appendText(b, "key", e.Key)
	b = appendText(b, "method", e.Method)
	b = appendText(b, "operation", e.Operation)
	b = appendText(b, "model", e.Asked)
	b = appendText(b, "served", e.Served)
	b = appendText(b, "cascade", e.Cascade)
	b = appendText(b, "path", e.Path)
	b = appendText(b, "reason", e.Reason)
	b = appendNumber(b, "status", int64(e.Status))
	b = appendText(b, "error", e.Error)
	b = appendCount(b, "input_tokens", e.Input)
	b = appendCount(b, "output_tokens", e.Output)
	if e.CostState != "" {
		b = append(e.Cost.Append(append(appendName(b, "cost_usd"), '"')), '"')
		b = appendText(b, "cost_state", e.CostState)
	}
	b = appendNumber(b, "first_byte_us", e.FirstByte.Microseconds())
	b = appendNumber(b, "duration_us", e.Duration.Microseconds())
	return append(b, '}', '\n')
}

func appendName(b []byte, name string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// appendText appends a member, unless it is empty.
func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return wire.AppendJSONString(appendName(b, name), value)
}

func appendNumber(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(b, name), n, 10)
}

// appendCount appends a count of tokens, unless it is not known.
func appendCount(b []byte, name string, n wire.Count) []byte {
	if !n.Known {
		return b
	}
	return appendNumber(b, name, n.N)
}
