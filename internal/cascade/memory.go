package cascade

import (
	"math"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/share"
)

// Memory is what this gateway remembers of its cascades, by name. It outlives
// reloads. The zero value is ready and shares nothing; it is safe for concurrent
// use.
type Memory struct {
	board *share.Board // nil shares nothing
	self  string       // names this gateway in hints
	now   func() time.Time

	mu     sync.Mutex // guards states
	states map[string]*State
}

// NewMemory returns a memory that shares sessions and escalation counts with
// those of other gateways, over its Board. self tells this process apart from
// all others, earlier ones included; it must be short and without zero bytes.
func NewMemory(self string, now func() time.Time) *Memory {
	m := &Memory{self: self, now: now}
	m.board = share.New(now, m.take)
	return m
}

// Board is what the ledger carries for this memory, nil for the zero value.
func (m *Memory) Board() *share.Board { return m.board }

// State is what is remembered of one cascade. Sessions and Guard contain what
// other gateways told. Costs do not: they say which of two calls is cheaper for
// the requests that come here, are known after ten of them, and err by cents.
type State struct {
	Sessions Sessions
	Guard    Guard
	Costs    Costs
	Shadow   Allowance
	Watch    Watch
	// Strangers are the response schemas that a certificate was not about.
	Strangers Once
}

// Of returns the state of the cascade with this name.
func (m *Memory) Of(name string) *State {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.states == nil {
		m.states = map[string]*State{}
	}
	s, ok := m.states[name]
	if !ok {
		s = &State{}
		m.states[name] = s
	}
	return s
}

// fading is a sum whose parts lose half of their weight every halfLife.
type fading struct {
	sum float64
	at  time.Time
}

const halfLife = 5 * time.Minute

func (f *fading) add(x float64, now time.Time) { f.sum, f.at = f.value(now)+x, now }

func (f *fading) value(now time.Time) float64 {
	if f.sum == 0 {
		return 0
	}
	return f.sum * math.Exp2(-float64(now.Sub(f.at))/float64(halfLife))
}
