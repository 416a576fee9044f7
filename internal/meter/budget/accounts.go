package budget

import (
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// accounts are what this writer holds of one root's windows. The root's lock
// guards them.
type accounts struct {
	byWindow map[record.Window]*account
	current  map[limitKey]*account // the newest window of each limit
	parked   parked
	clock    time.Time // the latest time seen, so that windows never come back
	measured time.Time
	swept    time.Time // parked
}

func newAccounts() accounts {
	return accounts{
		byWindow: make(map[record.Window]*account), current: make(map[limitKey]*account), parked: parked{},
	}
}

// at moves the clock and returns the latest time seen. Time does not go back: a
// window that has ended and was forgotten must not be opened again, because its
// totals would start from nothing.
func (s *accounts) at(now time.Time) time.Time {
	if now.After(s.clock) {
		s.clock = now
	}
	return s.clock
}

// of returns the account of a limit's window at a time.
func (s *accounts) of(l *limit, now time.Time) *account {
	now = s.at(now)
	a := s.current[l.limitKey]
	if a == nil || a.over(now) {
		w := l.windowOf(now)
		if a = s.byWindow[w]; a == nil {
			a = s.parked.take(w, now)
			s.byWindow[w] = a
		}
		s.current[l.limitKey] = a
	}
	a.limit = l
	return a
}

// part returns what a claim needs of one limit; its left is 0 when that is nothing.
func (s *accounts) part(l *limit, c *Claim, now time.Time) part {
	need := c.Cost[l.unit]
	if need == 0 {
		return part{}
	}
	return part{account: s.of(l, now), pool: l.pool(c.Class), covered: l.of(c.Class) != unlimited, left: need}
}

// limits are those that a claim comes under, one for each account.
func (s *accounts) limits(c *Claim, now time.Time) []limit { return c.Policy.at(s.at(now)) }

// take takes a claim out of the leases, or reports false and changes nothing.
func (s *accounts) take(parts []part, c *Claim, now time.Time) ([]part, bool) {
	limits := s.limits(c, now)
	for i := range limits {
		p := s.part(&limits[i], c, now)
		if p.left == 0 {
			continue
		}
		if p.covered && p.account.free[p.pool] < p.left {
			return nil, false
		}
		parts = append(parts, p)
	}
	for i := range parts {
		if p := &parts[i]; p.covered {
			p.account.hold(p.pool, p.left, now)
		}
	}
	return parts, true
}

// uncovered lists what a claim needs, without taking it out of any lease.
func (s *accounts) uncovered(parts []part, c *Claim, now time.Time) []part {
	limits := s.limits(c, now)
	for i := range limits {
		if p := s.part(&limits[i], c, now); p.left > 0 {
			p.covered = false
			parts = append(parts, p)
		}
	}
	return parts
}

// tend measures all accounts twice a second, gives back what was not used for a
// while, and forgets windows that are over and done with. It reports whether the
// ledger should get it soon.
func (s *accounts) tend(now time.Time, idleFor time.Duration) (urgent bool) {
	now = s.at(now)
	elapsed := now.Sub(s.measured)
	measure := elapsed >= time.Second/2
	if measure {
		s.measured = now
	}
	for _, a := range s.byWindow {
		if measure {
			a.measure(elapsed)
		}
		urgent = a.tend(now, idleFor) || urgent
		if a.over(now) && !a.needsRenewal() || s.parked.park(a, now) {
			s.forget(a)
		}
	}
	if now.Sub(s.swept) >= time.Minute {
		s.swept = now
		s.parked.sweep(now)
	}
	return urgent
}

func (s *accounts) forget(a *account) {
	delete(s.byWindow, a.window)
	if a.limit != nil && s.current[a.limit.limitKey] == a {
		delete(s.current, a.limit.limitKey)
	}
}

// all lists the accounts, in no order, those that are parked too.
func (s *accounts) all() []*account {
	return slices.AppendSeq(s.parked.all(s.clock), maps.Values(s.byWindow))
}

// speaking lists those that have something to say, and reports whether there are others.
func (s *accounts) speaking() (some []*account, others bool) {
	for _, a := range s.byWindow {
		if a.needsRenewal() {
			some = append(some, a)
		}
	}
	return some, len(some) < len(s.byWindow)+len(s.parked)
}

// any reports whether one of the accounts is so.
func (s *accounts) any(is func(*account) bool) bool {
	for _, a := range s.byWindow {
		if is(a) {
			return true
		}
	}
	return false
}

// giveBack returns all that is idle, for good.
func (s *accounts) giveBack() {
	for _, a := range s.byWindow {
		a.giveBack()
		a.touched = true
	}
}
