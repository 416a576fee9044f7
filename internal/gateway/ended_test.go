package gateway

import (
	"reflect"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// ended keeps the memory of requests that are over, in place of the line, and finds
// out whether anybody still has it. What is left there is of no use: most of whoever
// reads it meets a nil pointer, the race detector finds the others, and a write
// shows in the end.
type ended struct {
	mu       sync.Mutex // guards the following
	calls    []*call
	attempts []*leg.Attempt
}

// keep has a line leave its memory here.
func (e *ended) keep(l *Line) {
	l.recycle = func(c *call) {
		e.mu.Lock()
		defer e.mu.Unlock()
		spoil(c)
		e.calls = append(e.calls, c)
	}
}

// attempt takes one whose request is over.
func (e *ended) attempt(a *leg.Attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	spoilAttempt(a)
	e.attempts = append(e.attempts, a)
}

func spoil(c *call) {
	c.ID, c.Method, c.Cascade, c.reason, c.path, c.status = "ended", "ended", "ended", "ended", "ended", -1
	c.Target, c.Facts = wire.Target{Op: wire.OpUnknown, Model: "ended"}, wire.Facts{InputTokens: -1, Turns: -1}
	c.users.Store(-1 << 20)
}

func spoilAttempt(a *leg.Attempt) {
	a.Fault, a.Took, a.End = "ended", -1, record.End{ID: "ended", Status: -1}
}

// want fails when less than so many requests are over, or somebody wrote to one.
func (e *ended) want(t *testing.T, least int) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.calls) < least {
		t.Errorf("%d requests are over, want %d", len(e.calls), least)
	}
	spoilt := &call{}
	spoil(spoilt)
	for _, c := range e.calls {
		if !reflect.DeepEqual(c, spoilt) {
			t.Errorf("somebody wrote to a request that is over: %+v", c)
		}
	}
	var attempt leg.Attempt
	spoilAttempt(&attempt)
	for _, a := range e.attempts {
		if !reflect.DeepEqual(a.End, attempt.End) || a.Fault != attempt.Fault || a.Took != attempt.Took || a.Closed() ||
			a.Plan != nil || a.Response != nil || a.Err != nil || a.Start != nil {
			t.Errorf("somebody wrote to an attempt whose request is over: %+v", a)
		}
	}
}
