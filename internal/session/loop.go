package session

import (
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

// Signal is what tells that a session goes round in circles, "" for nothing.
type Signal string

// The signals.
const (
	SameTool Signal = "same_tool"      // one tool with the same arguments, again and again
	Velocity Signal = "usd_per_minute" // it spends fast
	Growth   Signal = "context_growth" // its context has become large
)

// Says puts the signal into words for the agent.
func (s Signal) Says() string {
	switch s {
	case SameTool:
		return "it calls the same tool with the same arguments again and again"
	case Velocity:
		return "it spends more in a minute than it may"
	case Growth:
		return "its context has grown too far"
	}
	return ""
}

// note takes a call in and says what tells of a loop.
func (s *state) note(c Call, l *config.Loop, now time.Time) Signal {
	if c.Tools != 0 && (c.Turns != s.turns || c.Tools != s.calls.newest()) { // else the same request was sent again
		s.calls.add(c.Tools)
	}
	s.turns = c.Turns
	switch {
	case l.Repeats > 0 && c.Tools != 0 && s.calls.count(c.Tools) >= l.Repeats:
		return SameTool
	case l.USDPerMinute > 0 && s.spent.at(now) > l.USDPerMinute:
		return Velocity
	case l.Growth > 0 && s.first > 0 && int64(c.Context) >= l.Growth*int64(s.first):
		return Growth
	}
	return ""
}

// calls are hashes of the last calls of tools, a ring.
type calls struct {
	last [16]uint64
	n    int
}

func (c *calls) add(sum uint64) {
	c.last[c.n%len(c.last)] = sum
	c.n++
}

func (c *calls) newest() uint64 {
	if c.n == 0 {
		return 0
	}
	return c.last[(c.n-1)%len(c.last)]
}

func (c *calls) count(sum uint64) (n int64) {
	for _, one := range c.last {
		if one == sum {
			n++
		}
	}
	return n
}

// rate is what was spent in a minute: in that of the clock that runs, and as much of the one before as a minute up to
// now has of it.
type rate struct {
	minute       int64
	now, earlier money.Pico
}

func (r *rate) turn(now time.Time) {
	at := now.Unix() / 60
	switch at - r.minute {
	case 0:
		return
	case 1:
		r.earlier = r.now
	default:
		r.earlier = 0
	}
	r.minute, r.now = at, 0
}

func (r *rate) add(cost money.Pico, now time.Time) {
	r.turn(now)
	r.now += cost
}

// at is what was spent in the minute up to now.
func (r *rate) at(now time.Time) money.Pico {
	r.turn(now)
	left := money.Pico(60 - now.Unix()%60)
	return r.now + r.earlier/60*left + r.earlier%60*left/60
}
