package leg

import (
	"sync"

	"github.com/sluice-gateway/sluice/internal/router"
)

// room is memory for what almost every request needs, kept with its state so that
// the steps allocate none of it.
type room struct {
	input router.Input
	plans [2]Plan // those of NewPlans
	list  [3]*Plan

	mu       sync.Mutex // guards the following: legs are asked side by side
	attempts []*Attempt // all that were made
	first    [2]*Attempt
}

// plan is memory for the n-th of the plans that NewPlans makes.
func (m *room) plan(n int) *Plan {
	if n < len(m.plans) {
		return &m.plans[n]
	}
	return new(Plan)
}

// attempt begins an attempt, in memory that is the request's until Recycle.
func (k *Asker) attempt(r *Request, p *Plan) *Attempt {
	a, ok := k.attempts.Get().(*Attempt)
	if !ok {
		a = new(Attempt)
	}
	a.Plan, a.asker, a.request = p, k, r
	m := &r.room
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.attempts == nil {
		m.attempts = m.first[:0]
	}
	m.attempts = append(m.attempts, a)
	return a
}

// Recycle gives the memory of a request's plans and attempts to other requests.
// Nobody may look at any of them afterwards.
func (k *Asker) Recycle(r *Request) {
	for _, a := range r.room.attempts {
		*a = Attempt{charges: a.charges[:0]}
		if k.Ended != nil {
			k.Ended(a)
			continue
		}
		k.attempts.Put(a)
	}
	*r = Request{}
}
