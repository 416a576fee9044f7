// Package quiet keeps log lines few that would be written over and over: for each of
// many requests while a disk is full, for each connection of a flood.
//
// Lines are of one kind when they say the same about the same: a message, and whom
// or what it is about. The first lines of a kind are written; of a storm, those that
// follow are counted, how many is written now and then, and once more when it is over.
package quiet

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// window is the time in which lines of a kind may be a storm, and in which there
	// must be few for one to be over.
	window = 10 * time.Second
	// burst is how many lines of a kind are written in a window.
	burst = 3
	// burstOfAll is how many are written in a window altogether. Beyond it, kinds with
	// the same message are one, as they are beyond maxKinds.
	burstOfAll = 100
	maxKinds   = 1000
	// countEvery is how often a storm's lines are counted aloud.
	countEvery = 30 * time.Second
	// many is whom a kind is about that stands for several.
	many = "(many)"
)

// Kind is what lines are alike in.
type Kind struct {
	What  string // the message
	Type  string // "" where the message says all
	Whose string // whom or what it is about, "" for nobody in particular
}

// Verdict is what to do with one line.
type Verdict uint8

// The verdicts.
const (
	Write   Verdict = iota // write it
	Last                   // write it, and that those which follow are counted
	Counted                // do not write it
)

// Storms knows how often lines of each kind came. Make it with New; it is safe for
// concurrent use. While there is a storm it has a timer; Close stops it.
type Storms struct {
	out slog.Handler
	now func() time.Time

	mu      sync.Mutex // guards the following
	kinds   map[Kind]*storm
	began   time.Time // of the window of all lines
	written int       // lines in it
	timer   *time.Timer
	closed  bool
}

// storm is what is known of the lines of one kind.
type storm struct {
	level    slog.Level
	began    time.Time // of the window, or of the storm
	recent   int       // lines in the window
	raging   bool
	total    int64     // of a storm, beyond those that were written
	told     int64     // of them, at the last report
	reported time.Time // when that was
}

// New returns what has seen no line yet. It writes what it counted to out.
func New(out slog.Handler, now func() time.Time) *Storms {
	return &Storms{out: out, now: now, kinds: map[Kind]*storm{}}
}

// Take says what to do with a line that is about to be written.
func (s *Storms) Take(level slog.Level, k Kind) Verdict { return s.take(level, k, 1) }

func (s *Storms) take(level slog.Level, k Kind, n int64) Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.began) >= window {
		s.began, s.written = now, 0
	}
	of := s.of(k, now)
	of.level = level
	if of.raging {
		of.recent++
		of.total += n
		return Counted
	}
	if now.Sub(of.began) >= window {
		of.began, of.recent = now, 0
	}
	of.recent++
	s.written++
	if of.recent < burst {
		return Write
	}
	of.raging, of.recent, of.reported = true, 0, now
	s.arm()
	return Last
}

// of finds the storm to which a line belongs: that of its kind, or that of all kinds
// with its message.
func (s *Storms) of(k Kind, now time.Time) *storm {
	all := s.kinds[Kind{What: k.What, Type: k.Type, Whose: many}]
	crowded := s.written >= burstOfAll || all != nil && all.raging
	if of := s.kinds[k]; of != nil && (of.raging || !crowded) {
		return of
	}
	if len(s.kinds) >= maxKinds {
		s.forget(now)
	}
	if crowded || len(s.kinds) >= maxKinds {
		k.Whose = many
	}
	if s.kinds[k] == nil {
		s.kinds[k] = &storm{}
	}
	return s.kinds[k]
}

// forget drops kinds of which no line came for a while.
func (s *Storms) forget(now time.Time) {
	for k, of := range s.kinds {
		if !of.raging && now.Sub(of.began) >= window {
			delete(s.kinds, k)
		}
	}
}

func (s *Storms) arm() {
	if s.timer == nil && !s.closed {
		s.timer = time.AfterFunc(window, s.look)
	}
}

// look reports on the storms, and goes on while there are any.
func (s *Storms) look() {
	s.mu.Lock()
	now := s.now()
	s.timer = nil
	var lines []slog.Record
	for k, of := range s.kinds {
		switch {
		case !of.raging:
			continue
		case of.recent < burst:
			lines = of.end(lines, k, now)
			delete(s.kinds, k)
			continue
		case now.Sub(of.reported) >= countEvery:
			lines = append(lines, of.report(k, now))
		}
		of.recent = 0
		s.arm()
	}
	s.mu.Unlock()
	s.write(lines)
}

// end adds what is left to say of a storm. Of one without a line that was not written
// there is nothing.
func (of *storm) end(lines []slog.Record, k Kind, now time.Time) []slog.Record {
	if of.total == 0 {
		return lines
	}
	r := of.report(k, now)
	r.AddAttrs(slog.Bool("over", true), slog.Int64("total", of.total), slog.Duration("lasted", now.Sub(of.began)))
	return append(lines, r)
}

func (of *storm) report(k Kind, now time.Time) slog.Record {
	r := slog.NewRecord(now, of.level, k.What, 0)
	if k.Type != "" {
		r.AddAttrs(slog.String("type", k.Type))
	}
	if k.Whose != "" {
		r.AddAttrs(slog.String("of", k.Whose))
	}
	r.AddAttrs(slog.Int64("repeated", of.total-of.told), slog.Duration("within", now.Sub(of.reported)))
	of.told, of.reported = of.total, now
	return r
}

func (s *Storms) write(lines []slog.Record) {
	for i := range lines {
		s.out.Handle(context.Background(), lines[i]) //nolint:errcheck // as package slog does
	}
}

// Close reports what was counted and not told yet. Later lines are judged as before,
// and those that are counted are told no more.
func (s *Storms) Close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	now := s.now()
	var lines []slog.Record
	for k, of := range s.kinds {
		if of.raging {
			lines = of.end(lines, k, now)
		}
	}
	clear(s.kinds)
	s.mu.Unlock()
	s.write(lines)
}
