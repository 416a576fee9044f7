// Package quota holds calls to what the accounts of upstreams may use in a minute: requests, and tokens of quota, of
// which a token of an answer takes several. A call is admitted with the most that it can take, which is settled by what
// it took. A call for which there is no room waits in line, for so long and with so many others as the quota says; one
// that may go to several places waits in the lines of all.
//
// Invariant: what was admitted within any minute, with what was settled since, is never more than the quota.
//
// It is the gateway's own opinion: others may use the same account, and each gateway has a minute of its own.
package quota

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits are what a quota allows. The zero value allows everything.
type Limits struct {
	Tokens, Requests int64         // in a minute; 0 is no limit
	Wait             time.Duration // the longest that a call waits in line; 0: none does
	Waiting          int           // the most calls that wait
}

// Key is what a quota is of: models at an upstream, for an account.
type Key struct {
	Upstream string // its name, "" for the default one
	Models   string // patterns that the quota is of, as they are configured
	Role     string // ARN that is assumed in place of the upstream's, "" for none
}

// Outcome is what became of a call that asked for room.
type Outcome uint8

// The outcomes.
const (
	Admitted Outcome = iota
	TooLarge         // it takes more than a minute has
	Full             // nobody may wait, or as many wait as may
	Late             // there was no room within the wait
	Left             // the caller, or the leg, is gone
)

// seconds is how many seconds are counted one by one: a minute, and the one that has begun.
const seconds = 61

// maxGates bounds the quotas that are counted: lines times roles of tenants.
const maxGates = 1024

// Store counts what calls take. It needs Now before it is asked, and is safe for concurrent use.
type Store struct {
	Now func() time.Time

	once  sync.Once
	began time.Time  // seconds are counted from it, so that no step of the machine's clock is seen
	mu    sync.Mutex // guards gates
	gates map[Key]*gate
}

// second is that of a time, from 1.
func (s *Store) second(at time.Time) int64 {
	s.once.Do(func() { s.began = at })
	return int64(max(at.Sub(s.began), 0)/time.Second) + 1
}

// next is when the second of a time ends.
func (s *Store) next(at time.Time) time.Time {
	second := s.second(at)
	return s.began.Add(time.Duration(second) * time.Second)
}

// gate is one quota.
type gate struct {
	mu     sync.Mutex // guards the following
	limits Limits
	slots  [seconds]slot
	line   []place // who waits, the first one first
	sums   Sums
	// least and most are the rates of burn-down of calls that have ended, 0 before the first.
	least, most int64
	// answers are those of all calls that have ended.
	answers answers
}

// slot is what was admitted in one second. Of its tokens, running are what calls hold that have not ended.
type slot struct{ second, tokens, requests, running int64 }

// Sums are what a quota has come to since the start, in tokens of quota and calls.
type Sums struct {
	Held, Used int64 // of calls that have ended: what was held for them, and what they took
	Waited     int64 // calls that were admitted after a wait
	Refused    int64 // calls that were not
}

// Hold is what an admitted call holds. nil holds nothing.
type Hold struct {
	Ask
	Waited time.Duration
	Lines  []string // names of the upstreams in whose lines it waited; nil for none

	store   *Store
	gate    *gate
	second  int64
	settled bool
}

// gate finds the quota of a key, with what it allows now.
func (s *Store) gate(k Key, l Limits) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gates[k]
	if g == nil {
		if k = s.free(k); s.gates[k] != nil {
			return s.gates[k]
		}
		g = &gate{}
		s.gates[k] = g
	}
	g.mu.Lock()
	g.limits = l
	g.mu.Unlock()
	return g
}

// free makes room for a key. Where there is none, all further roles share the quota of the upstream's own.
func (s *Store) free(k Key) Key {
	if s.gates == nil {
		s.gates = map[Key]*gate{}
	}
	if len(s.gates) < maxGates {
		return k
	}
	second := s.second(s.Now())
	maps.DeleteFunc(s.gates, func(_ Key, g *gate) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		_, calls := g.within(second)
		return calls == 0 && len(g.line) == 0
	})
	if len(s.gates) >= maxGates {
		k.Role = ""
	}
	return k
}

// Ask is what a call can take at most, in tokens.
type Ask struct {
	Input, Output int64
	Burndown      int64 // tokens of quota that one token of the answer takes
}

// Tokens is the same in tokens of quota.
func (a *Ask) Tokens() int64 { return a.Input + a.Output*a.Burndown }

// fits reports whether a call has room beside what was admitted in the minute before a second's end.
func (g *gate) fits(tokens, second int64) bool {
	in, calls := g.within(second)
	return (g.limits.Tokens == 0 || in+tokens <= g.limits.Tokens) &&
		(g.limits.Requests == 0 || calls+1 <= g.limits.Requests)
}

// within is what was admitted in the minute before a second's end.
func (g *gate) within(second int64) (tokens, requests int64) {
	for i := range g.slots {
		if s := &g.slots[i]; s.second > second-seconds {
			tokens, requests = tokens+s.tokens, requests+s.requests
		}
	}
	return tokens, requests
}

// running is what calls hold that were admitted within the same time and have not ended.
func (g *gate) running(second int64) (tokens int64) {
	for i := range g.slots {
		if s := &g.slots[i]; s.second > second-seconds {
			tokens += s.running
		}
	}
	return tokens
}

func (g *gate) take(tokens, second int64) {
	s := &g.slots[second%seconds]
	if s.second < second {
		*s = slot{second: second}
	}
	s.tokens, s.requests, s.running = s.tokens+tokens, s.requests+1, s.running+tokens
}

// Settle puts what a call took, tokens of input and of its answer, in place of what it holds. Further calls do nothing.
func (h *Hold) Settle(input, output int64) {
	if h == nil || h.settled {
		return
	}
	h.settled = true
	g, held, used := h.gate, h.Tokens(), input+output*h.Burndown
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := &g.slots[h.second%seconds]; s.second == h.second {
		s.tokens, s.running = s.tokens+used-held, s.running-held
	}
	if g.most == 0 {
		g.least = h.Burndown
	}
	g.least, g.most = min(g.least, h.Burndown), max(g.most, h.Burndown)
	g.sums.Held, g.sums.Used = g.sums.Held+held, g.sums.Used+used
	if output > 0 {
		g.answers.add(h.Output, output, h.Burndown)
	}
	g.pump(h.store.second(h.store.Now()))
}

// Keep settles with all that is held: nobody knows what the call took.
func (h *Hold) Keep() {
	if h != nil {
		h.Settle(h.Input, h.Output)
	}
}

// State is how a quota stands.
type State struct {
	Key
	Limits           Limits
	Tokens, Requests int64 // of the last minute
	Running          int64 // of Tokens what calls hold that have not ended
	Waiting          int
	// Least and Most are how many tokens of quota a token of an answer took, 0 before a call has ended.
	Least, Most int64
	// Cap is a limit of output tokens that 99 of 100 answers keep to, and Freed how many tokens of quota it would have
	// freed of all that were held.
	Cap, Freed int64
	Sums
}

// States are how all quotas stand that calls have asked for.
func (s *Store) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	sorted := make([]*State, 0, len(s.gates)) // pointers: a sort of states takes 20 KB of the program
	for k, g := range s.gates {
		g.mu.Lock()
		one := &State{Key: k, Limits: g.limits, Waiting: len(g.line), Least: g.least, Most: g.most, Sums: g.sums}
		second := s.second(s.Now())
		one.Tokens, one.Requests = g.within(second)
		one.Running = g.running(second)
		one.Cap, one.Freed = g.answers.headroom()
		g.mu.Unlock()
		sorted = append(sorted, one)
	}
	slices.SortFunc(sorted, func(a, b *State) int {
		return cmp.Or(strings.Compare(a.Upstream, b.Upstream), strings.Compare(a.Models, b.Models),
			strings.Compare(a.Role, b.Role))
	})
	all := make([]State, len(sorted))
	for i := range sorted {
		all[i] = *sorted[i]
	}
	return all
}
