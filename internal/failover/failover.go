// Package failover chooses which member of a pool takes a call: the one that has the prompt in its cache, else each as
// often as its weight says, else the first one of a list. A member that could not take a call is out for a while, and
// then has one call to show that it can again.
//
// A member that is out is still asked when all others are out too: who is out is an opinion, and no reason to refuse.
// Nothing of it outlives the process.
package failover

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config/pools"
)

// Reason is why a member could not take a call.
type Reason string

// The reasons. None of them was billed.
const (
	Throttled     Reason = "throttled"      // too many requests or tokens
	NotReady      Reason = "not_ready"      // an imported model that is being loaded
	Quota         Reason = "quota"          // of the account is used up
	Unavailable   Reason = "unavailable"    // 503
	Broken        Reason = "failed"         // another error of the server
	Breaker       Reason = "breaker_open"   // of the upstream and model
	Unreached     Reason = "not_sent"       // no connection, or it was lost before the request was sent
	Refused       Reason = "refused"        // the gateway itself, or its role
	NoCredentials Reason = "no_credentials" // of the gateway
)

// wide are the reasons that concern all models of an upstream.
var wide = map[Reason]bool{Unreached: true, Refused: true, NoCredentials: true}

const (
	// A member is out for shortest when it could not take a call, and twice as long each further time, up to longest.
	shortest, longest = time.Second, time.Minute
	// maxOut bounds the members and models that are out. Further ones are not noted.
	maxOut = 4096
)

// Store knows which members are out. The zero value knows of none. It is safe for concurrent use.
type Store struct {
	mu    sync.Mutex // guards the following
	out   map[place]*absence
	turns map[turn]int
}

// place is a model at an upstream, "" for all models.
type place struct{ upstream, model string }

// turn is a member of a pool.
type turn struct{ pool, upstream string }

// absence is since when a place is out, and why.
type absence struct {
	why   Reason
	since time.Time
	back  time.Time // when it may be asked again
	until time.Time // the same, or later while one call shows whether it can be
	times int       // that it was put out in a row
}

// Out is a member that is out.
type Out struct {
	Upstream string // its name, "" for the default one
	Model    string // "" for all
	Why      Reason
	Since    time.Time
	Until    time.Time
}

// Call is a call for which a member is sought.
type Call struct {
	Pool, Order string
	Members     []pools.Member
	Model       string
	// Warm is how many tokens of its prompt a member has in its cache; nil for none.
	Warm func(upstream string) int64
}

// Choice is a member, and why it is asked: warm, weight, listed, or out.
type Choice struct{ Upstream, Why string }

// The words of Choice.
const (
	byCache  = "warm"
	byWeight = "weight"
	byList   = "listed"
	isOut    = "out"
)

// Choose is the order in which members are to be asked: those that are not out. When all are, it is the one alone that
// returns first.
func (s *Store) Choose(c *Call, now time.Time) []Choice {
	in := make([]member, len(c.Members))
	for i, m := range c.Members {
		if in[i].Member = m; c.Warm != nil {
			in[i].warm = c.Warm(m.Upstream)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in = slices.DeleteFunc(in, func(m member) bool { return s.until(m.Upstream, c.Model).After(now) })
	if len(in) == 0 {
		soonest := slices.MinFunc(c.Members, func(a, b pools.Member) int {
			return s.until(a.Upstream, c.Model).Compare(s.until(b.Upstream, c.Model))
		})
		return []Choice{{soonest.Upstream, isOut}}
	}
	s.order(c, in)
	s.probe(place{in[0].Upstream, c.Model}, now)
	s.probe(place{in[0].Upstream, ""}, now)
	all := make([]Choice, len(in))
	for i := range in {
		all[i] = Choice{in[i].Upstream, in[i].why}
	}
	return all
}

// member is one that can be asked.
type member struct {
	pools.Member
	why  string
	turn int
	warm int64
}

// order puts members into the order in which they are asked: the warmest one first, then by turns or as listed.
// By turns, each gets its weight more with each call, and whoever gets the call pays what all got: that is as often as
// its weight says, evenly spread.
func (s *Store) order(c *Call, in []member) {
	all := 0
	for i := range in {
		m := &in[i]
		m.why = byList
		if c.Order != pools.AsListed {
			m.why, m.turn = byWeight, s.turns[turn{c.Pool, m.Upstream}]+m.Weight
			all += m.Weight
		}
	}
	slices.SortStableFunc(in, func(a, b member) int { return cmp.Or(cmp.Compare(b.warm, a.warm), b.turn-a.turn) })
	if in[0].warm > 0 {
		in[0].why = byCache
	}
	if all == 0 {
		return
	}
	if s.turns == nil || len(s.turns) > maxOut {
		s.turns = map[turn]int{} // pools of configurations that are gone
	}
	in[0].turn -= all
	for i := range in {
		s.turns[turn{c.Pool, in[i].Upstream}] = min(max(in[i].turn, -maxTurn), maxTurn)
	}
}

// maxTurn bounds what a member may be behind of its turn, or ahead: calls that go where the cache is warm move it.
const maxTurn = 1 << 16

// until is when a model at an upstream is back, the zero time when it is not out.
func (s *Store) until(upstream, model string) time.Time {
	until := time.Time{}
	for _, p := range [...]place{{upstream, model}, {upstream, ""}} {
		if a := s.out[p]; a != nil && a.until.After(until) {
			until = a.until
		}
	}
	return until
}

// probe keeps a place that is back from further calls until one has shown that it is.
func (s *Store) probe(p place, now time.Time) {
	if a := s.out[p]; a != nil {
		a.until = now.Add(a.pause())
	}
}

func (a *absence) pause() time.Duration { return min(shortest<<min(a.times-1, 10), longest) }

// Failed notes that a member could not take a call, and is out for at least so long. It reports whether it was in
// before.
func (s *Store) Failed(upstream, model string, why Reason, least time.Duration, now time.Time) (fresh bool) {
	p := place{upstream, model}
	if wide[why] {
		p.model = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.out[p]
	switch {
	case a == nil && !s.room(now):
		return false
	case a == nil || now.Sub(a.back) > longest: // else it has been out all the time
		a, fresh = &absence{since: now, times: 1}, true
		s.out[p] = a
	case !now.Before(a.back): // else the call began before
		a.times++
	}
	a.why, a.back = why, now.Add(max(a.pause(), least))
	a.until = a.back
	return fresh
}

// room makes room for one more place, and reports false when there is none.
func (s *Store) room(now time.Time) bool {
	if s.out == nil {
		s.out = map[place]*absence{}
	}
	if len(s.out) >= maxOut {
		maps.DeleteFunc(s.out, func(_ place, a *absence) bool { return now.Sub(a.back) > longest })
	}
	return len(s.out) < maxOut
}

// Answered notes that a member has taken a call. It reports whether it was out before.
func (s *Store) Answered(upstream, model string) (wasOut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range [...]place{{upstream, model}, {upstream, ""}} {
		wasOut = wasOut || s.out[p] != nil
		delete(s.out, p)
	}
	return wasOut
}

// Out lists the members that are out, by upstream and model.
func (s *Store) Out(now time.Time) []Out {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Out
	for p, a := range s.out {
		if a.until.After(now) {
			all = append(all, Out{p.upstream, p.model, a.why, a.since, a.until})
		}
	}
	slices.SortFunc(all, func(a, b Out) int {
		return cmp.Or(strings.Compare(a.Upstream, b.Upstream), strings.Compare(a.Model, b.Model))
	})
	return all
}
