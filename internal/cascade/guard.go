package cascade

import (
	"sync"
	"time"
)

// minRequests is how many requests the escalation rate is told from; below it a
// rate means nothing, and only the bound per key holds.
const minRequests = 20

// Guard counts the escalations of one cascade against its budgets: a share of
// the requests, and a number per key and minute. It keeps callers who have found
// out how to make answers look unsure from turning a cheap route into a dear
// one. Escalations by the operator's rules and by vetoes count, but are never
// stopped. The zero value is ready; it is safe for concurrent use.
type Guard struct {
	mu          sync.Mutex // guards the following
	requests    fading
	escalations fading
	minute      int64            // Unix time in minutes that keys is about
	keys        map[string]int64 // escalations by key, which configuration bounds
}

// Limits are a cascade's escalation budgets; 0 is no bound.
type Limits struct {
	MaxRate         float64 // share of requests
	PerKeyPerMinute int64
}

// Request counts a request of the cascade.
func (g *Guard) Request(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests.add(1, now)
}

// Escalate counts an escalation for a key.
func (g *Guard) Escalate(key string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.escalate(key, now)
}

// Allow counts an escalation for a key, if its budgets have room for it.
func (g *Guard) Allow(key string, l Limits, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	if l.PerKeyPerMinute > 0 && g.keys[key] >= l.PerKeyPerMinute {
		return false
	}
	requests := g.requests.value(now)
	if l.MaxRate > 0 && requests >= minRequests && g.escalations.value(now)+1 > l.MaxRate*requests {
		return false
	}
	g.escalate(key, now)
	return true
}

// Share returns the share of recent requests that were escalated, and how many
// they were, both with more weight on the latest.
func (g *Guard) Share(now time.Time) (share, requests float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	requests = g.requests.value(now)
	return g.escalations.value(now) / max(requests, 1), requests
}

func (g *Guard) escalate(key string, now time.Time) {
	g.turn(now)
	g.escalations.add(1, now)
	g.keys[key]++
}

// turn starts the counts per key anew with each minute.
func (g *Guard) turn(now time.Time) {
	minute := now.Unix() / 60
	if g.keys == nil || minute != g.minute {
		g.minute, g.keys = minute, map[string]int64{}
	}
}
