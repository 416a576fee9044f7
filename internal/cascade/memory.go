package cascade

import (
	"math"
	"sync"
	"time"
)

// Memory is what this gateway remembers of its cascades, by name. It outlives
// reloads. Gateways do not share it: a session that moves to another gateway
// may be asked of the light model once more, and each gateway keeps its own
// escalation rate. The zero value is ready; it is safe for concurrent use.
type Memory struct {
	mu     sync.Mutex // guards states
	states map[string]*State
}

// State is what is remembered of one cascade.
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
