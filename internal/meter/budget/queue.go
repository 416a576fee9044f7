package budget

import (
	"slices"
	"time"
)

// maxWaiting bounds the reservations of one root that wait for a grant, maxGroup
// those that one grant is for.
const (
	maxWaiting = 10_000
	maxGroup   = 512
)

// waiter is a claim that waits for a grant.
type waiter struct {
	claim   *Claim // its caller's; nobody reads it once the waiter has ended
	now     time.Time
	res     *Reservation
	refusal *Refusal
	done    chan struct{} // closed when either is set
	gone    bool          // its caller has left
}

func (w *waiter) ended() bool { return w.gone || w.res != nil || w.refusal != nil }

func (w *waiter) end(res *Reservation, refusal *Refusal) {
	w.res, w.refusal = res, refusal
	close(w.done)
}

// queue is the waiters of one root, the oldest first. The root's lock guards it.
type queue []*waiter

// sweep forgets the waiters that have ended.
func (q *queue) sweep() { *q = slices.DeleteFunc(*q, (*waiter).ended) }

// group is the waiters that one grant serves; none when the grant only finds out
// what an earlier one without an answer has granted.
type group struct {
	class   Class
	waiters []*waiter
	wants   []want
}

// want is what a group needs of one account.
type want struct {
	account *account
	pool    Class
	limit   int64
	first   int64 // what the first waiter is short of
	all     int64 // what all need
	ask     int64 // how much is welcome
}

// group makes one of the first waiter and those behind it of its class, as far as
// leases do not cover what they need.
func (q queue) group(s *accounts, now time.Time) group {
	if len(q) == 0 {
		return group{}
	}
	g := group{class: q[0].claim.Class}
	for _, w := range q {
		if w.claim.Class == g.class && len(g.waiters) < maxGroup {
			g.waiters = append(g.waiters, w)
			g.add(s, w)
		}
	}
	g.wants = slices.DeleteFunc(g.wants, func(w want) bool { return w.all <= w.account.free[w.pool] })
	for i := range g.wants {
		w := &g.wants[i]
		w.ask = max(w.first, w.all-w.account.free[w.pool]+w.account.ahead(w.limit, w.all, now))
	}
	return g
}

// add adds what a waiter needs to what its group does.
func (g *group) add(s *accounts, w *waiter) {
	limits := s.limits(w.claim, w.now)
	for i := range limits {
		l := &limits[i]
		p := s.part(l, w.claim, w.now)
		if !p.covered {
			continue
		}
		k := slices.IndexFunc(g.wants, func(o want) bool { return o.account == p.account && o.pool == p.pool })
		if k < 0 {
			k = len(g.wants)
			g.wants = append(g.wants, want{account: p.account, pool: p.pool, limit: unlimited})
		}
		o := &g.wants[k]
		o.limit = min(o.limit, l.of(w.claim.Class))
		o.all += p.left
		if w == g.waiters[0] {
			o.first = max(0, p.left-p.account.free[p.pool])
		}
	}
}

// needOf is how much of an account a waiter needs.
func (w *waiter) needOf(s *accounts, a *account) int64 {
	limits := s.limits(w.claim, w.now)
	for i := range limits {
		if p := s.part(&limits[i], w.claim, w.now); p.account == a {
			return p.left
		}
	}
	return 0
}
