package capacity

import (
	"context"
	"sync"
	"time"
)

// awake is for how long an imported model stays loaded after a call (AWS, "Custom model import": it scales to no copy
// after five minutes without one).
const awake = 5 * time.Minute

// Sleepers has calls that can wait go to imported models together: while a model sleeps they wait for one another, and
// for a call that wakes it anyway. It knows the calls of this gateway alone. The zero value knows of no call. It is
// safe for concurrent use, and outlives reloads.
type Sleepers struct {
	mu     sync.Mutex // guards models, and what they point to
	models map[string]*sleeper
}

// sleeper is one model.
type sleeper struct {
	called time.Time     // when the last call began or ended
	until  time.Time     // when those that wait go
	woken  chan struct{} // closed when they go; nil while nobody waits
}

// Wait holds a call of a block back while its model sleeps: until another call wakes it, the first of those that wait
// has waited for as long as the block says, or done is closed. It returns how long that was.
func (s *Sleepers) Wait(ctx context.Context, done <-chan struct{}, b *Block, now func() time.Time) time.Duration {
	began := now()
	s.mu.Lock()
	m := s.model(b)
	if !m.called.IsZero() && began.Sub(m.called) < awake {
		s.mu.Unlock()
		return 0
	}
	if m.woken == nil {
		m.woken, m.until = make(chan struct{}), began.Add(b.Gather.Wait)
	}
	woken, until := m.woken, m.until
	s.mu.Unlock()
	timer := time.NewTimer(until.Sub(began))
	defer timer.Stop()
	select {
	case <-woken:
	case <-timer.C:
	case <-done:
	case <-ctx.Done():
	}
	return now().Sub(began)
}

// Called notes a call of a block that begins or has ended: its model is awake, and those that wait go.
func (s *Sleepers) Called(b *Block, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.model(b)
	if at.After(m.called) {
		m.called = at
	}
	if m.woken != nil {
		close(m.woken)
		m.woken = nil
	}
}

func (s *Sleepers) model(b *Block) *sleeper {
	if s.models == nil {
		s.models = map[string]*sleeper{}
	}
	m := s.models[b.ARN]
	if m == nil {
		m = &sleeper{}
		s.models[b.ARN] = m
	}
	return m
}

// Gathers reports whether calls of a tenant wait for others while the model sleeps.
func (b *Block) Gathers(tenant string) bool {
	return b.Gather != nil && within(tenant, b.Gather.Tenants)
}
