package session

import (
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

// How many sessions a gateway knows at a time, of all tenants and of one. A session is known until nothing was heard
// of it for as long as its budget's Within.
const (
	maxOpen   = 50_000
	maxTenant = 10_000
)

// Key is one session of one tenant.
type Key struct{ Tenant, Name string }

// Table is what a gateway knows of open sessions. The zero value is empty; it is safe for concurrent use.
type Table struct {
	mu      sync.Mutex // guards the following
	open    map[Key]*state
	tenants map[string]int // open sessions
	swept   time.Time
}

// state is one session.
type state struct {
	until time.Time // when it is forgotten
	calls calls
	spent rate
	first int // tokens of the context of its first call
	turns int // of its last call
}

// Call is what is known of a call before it is made.
type Call struct {
	Tools   uint64 // LastCalls
	Turns   int    // messages
	Context int    // estimated input tokens
}

// Open notes a call of a session, and says what tells of a loop, "" for nothing. It reports false when there are too
// many open sessions for a new one.
func (t *Table) Open(k Key, c Call, b *config.SessionBudget, now time.Time) (signal Signal, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.open[k]
	if s == nil {
		if s = t.add(k, now); s == nil {
			return "", false
		}
		s.first = c.Context
	}
	s.until = now.Add(b.Within)
	return s.note(c, &b.Loop, now), true
}

// add makes a session known, nil when there is no room.
func (t *Table) add(k Key, now time.Time) *state {
	if t.open == nil {
		t.open, t.tenants = map[Key]*state{}, map[string]int{}
	}
	full := len(t.open) >= maxOpen || t.tenants[k.Tenant] >= maxTenant
	if full && now.Sub(t.swept) < time.Second {
		return nil
	}
	if full || now.Sub(t.swept) >= time.Minute {
		t.sweep(now)
	}
	if len(t.open) >= maxOpen || t.tenants[k.Tenant] >= maxTenant {
		return nil
	}
	s := &state{}
	t.open[k] = s
	t.tenants[k.Tenant]++
	return s
}

// sweep forgets the sessions of which nothing was heard for long enough.
func (t *Table) sweep(now time.Time) {
	t.swept = now
	for k, s := range t.open {
		if now.Before(s.until) {
			continue
		}
		delete(t.open, k)
		if t.tenants[k.Tenant]--; t.tenants[k.Tenant] == 0 {
			delete(t.tenants, k.Tenant)
		}
	}
}

// Spent adds what a call of a session came to.
func (t *Table) Spent(k Key, cost money.Pico, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.open[k]; s != nil {
		s.spent.add(cost, now)
	}
}

// Len is how many sessions are open.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}
