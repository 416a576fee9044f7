package lifetime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// told counts how often it was told.
type told struct{ times int }

func (h *told) ContextEnded() { h.times++ }

func TestHooks(t *testing.T) {
	defer goleak.VerifyNone(t)
	var g Group
	var c Context
	g.Begin(&c, time.Hour)
	var kept, stopped, late told
	Watching(&c, &kept)
	w := Watching(&c, &stopped)
	if !w.Stop() || w.Stop() {
		t.Error("a watch can be stopped once")
	}
	if c.Err() != nil {
		t.Errorf("it ended with %v", c.Err())
	}
	c.End(context.Canceled)
	c.End(context.DeadlineExceeded)
	Watching(&c, &late)
	if kept.times != 1 || stopped.times != 0 || late.times != 1 {
		t.Errorf("told %d, %d and %d times", kept.times, stopped.times, late.times)
	}
	if !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("it ended with %v", c.Err())
	}
	<-c.Done()
}

func TestDeadline(t *testing.T) {
	defer goleak.VerifyNone(t)
	var g Group
	var waited, looked Context
	g.Begin(&waited, 20*time.Millisecond)
	g.Begin(&looked, 20*time.Millisecond)
	derived, cancel := context.WithCancel(&waited)
	defer cancel()
	<-derived.Done()
	if !errors.Is(derived.Err(), context.DeadlineExceeded) || !errors.Is(looked.Err(), context.DeadlineExceeded) {
		t.Errorf("ended with %v and %v", derived.Err(), looked.Err())
	}
}

// What is derived ends with its parent, and needs no goroutine for that.
func TestDerived(t *testing.T) {
	defer goleak.VerifyNone(t)
	var c Context
	derived, cancel := context.WithTimeout(&c, time.Hour)
	defer cancel()
	c.End(context.Canceled)
	<-derived.Done()
	again, cancelAgain := context.WithCancel(&c)
	defer cancelAgain()
	<-again.Done()
}

func TestGroup(t *testing.T) {
	var g Group
	contexts := make([]Context, 4)
	for i := range contexts {
		g.Begin(&contexts[i], time.Hour)
	}
	contexts[2].End(context.DeadlineExceeded)
	contexts[0].End(context.DeadlineExceeded)
	g.End()
	for i, want := range []error{
		context.DeadlineExceeded, context.Canceled, context.DeadlineExceeded, context.Canceled,
	} {
		if err := contexts[i].Err(); !errors.Is(err, want) {
			t.Errorf("context %d ended with %v, want %v", i, err, want)
		}
	}
	var late Context
	if g.Begin(&late, time.Hour); late.Err() == nil {
		t.Error("a context begins in a group that has ended")
	}
}

// A request that nobody waits for costs nothing.
func TestAllocations(t *testing.T) {
	var g Group
	type request struct {
		Context
		told
	}
	r := make([]request, 300)
	i := 0
	if n := testing.AllocsPerRun(100, func() {
		c := &r[i].Context
		i++
		g.Begin(c, time.Hour)
		w := Watching(c, &r[i].told)
		_ = c.Err()
		w.Stop()
		c.End(context.Canceled)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestStopTwice stops a hook again when its context may be somebody else's.
func TestStopTwice(t *testing.T) {
	var c Context
	stop := c.AfterFunc(func() { t.Error("it was stopped") })
	if !stop() || !c.End(context.Canceled) {
		t.Fatal("the context is not alone")
	}
	c.mu.Lock() // whoever touches it now waits for ever
	defer c.mu.Unlock()
	if stop() {
		t.Error("it was stopped twice")
	}
}

// TestDraining: what has lost its caller ends a drain bound later, and its memory is
// not used again.
func TestDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		var stays, leaves Draining
		caller, leave := context.WithCancel(t.Context())
		g.BeginDraining(t.Context(), &stays, time.Hour, time.Second)
		g.BeginDraining(caller, &leaves, time.Hour, time.Second)
		leave()
		time.Sleep(time.Second - 1)
		if leaves.Err() != nil {
			t.Errorf("it ended with %v before its drain bound", leaves.Err())
		}
		time.Sleep(time.Millisecond)
		if leaves.Err() == nil || leaves.End() {
			t.Error("it goes on behind its drain bound, or its memory is used again")
		}
		var seen Draining // E1: another noticed first
		g.BeginDraining(t.Context(), &seen, time.Hour, time.Second)
		seen.Leave()
		time.Sleep(time.Millisecond)
		seen.Leave()
		time.Sleep(time.Second)
		if seen.Err() == nil || seen.End() {
			t.Error("it goes on although somebody saw its caller leave, or its memory is used again")
		}
		if stays.Err() != nil || !stays.End() {
			t.Error("one whose caller stays ends, or its memory is lost")
		}
	})
}
