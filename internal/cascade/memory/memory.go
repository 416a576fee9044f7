// Package memory keeps what a gateway knows of its cascades from one request to
// the next: which conversations the escalation model has answered, how often
// requests were escalated, what the legs cost of late, and how far certificates
// were stepped back from. Sessions, counts and steps back are shared with other
// gateways over the ledger. It decides nothing about answers; package cascade
// does.
package memory

import (
	"math"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
)

// Store is the state of all cascades of this gateway, by name. It survives
// reloads. The zero value is ready and shares nothing; it is safe for concurrent
// use.
type Store struct {
	board *gossip.Board // nil shares nothing
	self  string        // names this gateway in facts
	now   func() time.Time

	mu     sync.Mutex // guards states
	states map[string]*State
}

// New returns a store that shares sessions and escalation counts with those of
// other gateways, over its Board. self identifies this process among all others,
// earlier ones included; it must be short and without zero bytes.
func New(self string, now func() time.Time) *Store {
	m := &Store{self: self, now: now}
	m.board = gossip.New(now, m.receive)
	return m
}

// Board is what the ledger carries for this store, nil for the zero value.
func (m *Store) Board() *gossip.Board { return m.board }

// State is what is remembered of one cascade. Sessions, Guard and Watch contain
// what other gateways sent. Costs do not: they tell which of two calls is cheaper
// for the requests that come here, are known after ten of them, and a wrong one
// costs cents.
type State struct {
	Sessions Sessions
	Guard    Guard
	Costs    Costs
	Shadow   Allowance
	Watch    Watch
	Traffic  Traffic
	// Strangers are the response schemas that no certificate covers, logged once.
	Strangers Once
}

// Of returns the state of the cascade with this name.
func (m *Store) Of(name string) *State {
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
