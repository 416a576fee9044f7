package decision

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxWaiting is how many bytes of decisions may wait for a slow disk: further ones are
	// dropped, and counted.
	maxWaiting = 8 << 20
	// writeEvery is how long decisions wait for others, so that many are written at once,
	// and writeSoon how many bytes do not wait that long.
	writeEvery = time.Second
	writeSoon  = 512 << 10
	// lastWrite is how long a stop waits for the disk.
	lastWrite = 5 * time.Second
)

// Options are what a Log needs.
type Options struct {
	// File is where decisions are kept.
	File string
	// Keep and MaxBytes are how old they may become, and how much all together may take.
	// The file takes somewhat more: room that is free again stays in it.
	Keep     time.Duration
	MaxBytes int64
	// Dropped is told how many decisions were lost.
	Dropped func(n int)
	Log     *slog.Logger
	Now     func() time.Time
}

// Log takes decisions in and writes them. Make it with Open; it is safe for concurrent use.
type Log struct {
	opts  Options
	store atomic.Pointer[store] // replaced by flush
	sums  sums

	wake, stop, done chan struct{}

	mu      sync.Mutex // guards the following
	waiting []byte     // what appendDecision wrote
	count   int        // decisions in waiting

	turn   sync.Mutex // held by flush; guards the following
	spare  []byte
	failed bool // decisions are being lost
}

// Open opens the store of a gateway, which alone may have it open, and starts its writer. What
// is in the file and cannot be used is moved out of the way.
func Open(o Options) (*Log, error) {
	if err := os.MkdirAll(filepath.Dir(o.File), 0o700); err != nil {
		return nil, err
	}
	s, err := openStore(o)
	if err != nil {
		return nil, err
	}
	l := &Log{opts: o, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	l.store.Store(s)
	go l.run()
	return l, nil
}

// Add takes a decision in, or drops it when the writer is too slow. It keeps nothing of d.
func (l *Log) Add(d *Decision) {
	l.mu.Lock()
	before := len(l.waiting)
	if before < maxWaiting {
		l.waiting = appendDecision(l.waiting, d)
		l.count++
	}
	after := len(l.waiting)
	l.mu.Unlock()
	l.sums.add(l.opts.Now(), d)
	switch {
	case after == before:
		l.dropped(1)
	case before == 0, before < writeSoon && after >= writeSoon:
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

func (l *Log) dropped(n int) {
	if l.opts.Dropped != nil {
		l.opts.Dropped(n)
	}
}

func (l *Log) run() {
	defer close(l.done)
	wait := time.NewTimer(writeEvery)
	defer wait.Stop()
	for {
		select {
		case <-l.stop:
			l.flush(true)
			return
		case <-l.wake:
		}
		wait.Reset(writeEvery)
		select {
		case <-l.stop:
		case <-l.wake: // there is much
		case <-wait.C:
		}
		l.flush(false)
	}
}

// flush writes what waits, and the minutes that are over, or all at a stop.
func (l *Log) flush(all bool) {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.Lock()
	batch, n := l.waiting, l.count
	l.waiting, l.count = l.spare[:0], 0
	l.mu.Unlock()
	const kept = 2 << 20 // what a burst needed is not kept
	if l.spare = batch; cap(batch) > kept {
		l.spare = nil
	}
	now := l.opts.Now()
	minutes := l.sums.take(now, all)
	err := l.write(batch, minutes, now)
	if err != nil {
		l.dropped(n)
	}
	switch {
	case err != nil && !l.failed:
		l.opts.Log.Warn("decisions cannot be written; they are lost and counted", "err", err)
	case err == nil && l.failed:
		l.opts.Log.Info("decisions are written again")
	}
	l.failed = err != nil
}

// write writes to the file, or to another one when it is not whole any more. The caller
// holds turn.
func (l *Log) write(batch []byte, minutes []minute, now time.Time) error {
	store := l.store.Load()
	why := store.whole()
	if why == nil {
		if len(batch) == 0 && len(minutes) == 0 {
			return nil
		}
		if err := store.write(batch, minutes, now); !errors.Is(err, errDamaged) {
			return err
		}
		why = errDamaged
	}
	if err := l.renew(why); err != nil {
		return err
	}
	return l.store.Load().write(batch, minutes, now)
}

// Close writes what waits and closes the store, within ctx and five seconds.
func (l *Log) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastWrite)
	defer cancel()
	close(l.stop)
	select {
	case <-l.done:
		l.store.Load().close()
	case <-ctx.Done():
	}
}
