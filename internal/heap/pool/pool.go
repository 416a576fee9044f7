// Package pool is the one budget of the bytes that requests hold: their bodies, the
// copies of these that go to a model, the answers, and the streams that are held back.
// What every connection and every request takes beside those is counted too, by
// whoever knows how many there are.
//
// Not everybody may use all of it. A part is left to small bodies, so that a flood of
// documents does not stop short questions, and a smaller one to answers, which are
// paid for already. Bodies whose signature is not proven yet share a quarter, with a
// part of it for each key id that is claimed; what is proven counts against its tenant.
package pool

import (
	"sync"
	"sync/atomic"
	"time"
)

// Patience is how long Take waits for bytes that others give back.
const Patience = time.Second

// Use is what bytes are for.
type Use uint8

// The uses.
const (
	Small  Use = iota // a body that announces little; it may use all there is
	Large             // any other body
	Answer            // of an upstream, and what was made of a body for it
)

// The parts of a pool, one in so many.
const (
	smallPart    = 8  // which only small bodies may use
	answerPart   = 16 // which small bodies and answers may use
	unprovenPart = 4  // for all bodies whose signature is not proven
	keyPart      = 8  // of these for one key id
	tenantPart   = 2  // for the bodies of one tenant
	extraPart    = 8  // more for its answers
)

// What is counted beside bodies and answers.
const (
	PerConnection = 8 << 10  // of an open connection
	PerHTTP2      = 14 << 10 // more of one of HTTP/2, beside what it has received
	PerTLS        = 24 << 10 // more of one under TLS
	PerRequest    = 32 << 10 // its state, stacks, a small answer, the frames of a stream
)

// slack is what a body may take beside its bytes, while it moves into a larger buffer.
const slack = 2 << 20

// Limits are how large a Pool is.
type Limits struct {
	Bytes int64 // that bodies and answers may hold together
	Total int64 // for them and everything else that is counted; 0 is not bounded
	Body  int64 // the largest body: no share is too small for one
}

// size is what the parts are parts of.
func (l *Limits) size() int64 {
	if l.Total > 0 {
		return min(l.Bytes, l.Total)
	}
	return l.Bytes
}

// owner is against whose share large bodies and answers count: a key id that is only
// claimed, or a tenant. The zero value is nobody.
type owner struct {
	id     string
	proven bool
}

// Pool is the budget. Make it with New; it is safe for concurrent use.
type Pool struct {
	fixed func() int64

	mu             sync.Mutex // guards the following, and what accounts hold
	limits         Limits
	used, unproven int64
	most           int64 // that used was, since Peak was called
	shares         map[owner]int64
	freed          chan struct{} // closed when bytes are given back, nil while nobody waits
	first          *Account      // of the bodies that wait for room the one that has most, nil without
}

// New returns a pool of which nothing is used. fixed returns how many bytes are in use
// beside bodies and answers; nil is none.
func New(l Limits, fixed func() int64) *Pool {
	if fixed == nil {
		fixed = func() int64 { return 0 }
	}
	return &Pool{fixed: fixed, limits: l, shares: make(map[owner]int64)}
}

// Resize changes the limits. Who holds more than they allow keeps it.
func (p *Pool) Resize(l Limits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = l
}

// InUse returns how many bytes bodies and answers hold.
func (p *Pool) InUse() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// ForLarge returns how many bytes may be held for a large body to be taken, as many as
// there are now beside what is fixed.
func (p *Pool) ForLarge() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.room(Large), 0)
}

// Peak returns how many bytes were held at most since it was called last.
func (p *Pool) Peak() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := p.most
	p.most = p.used
	return most
}

// room is how many bytes there are in all for a use.
func (p *Pool) room(u Use) int64 {
	all := p.limits.Bytes
	if p.limits.Total > 0 {
		all = min(all, p.limits.Total-p.fixed())
	}
	switch u {
	case Large:
		return all - all/smallPart
	case Answer:
		return all - all/answerPart
	default:
		return all
	}
}

// share is how many bytes there are for a use by one owner.
func (p *Pool) share(o owner, u Use) int64 {
	size, body := p.limits.size(), p.limits.Body+slack
	switch {
	case !o.proven:
		return max(size/keyPart, body)
	case u == Answer:
		return max(size/tenantPart, body) + size/extraPart
	default:
		return max(size/tenantPart, body)
	}
}

// fits reports whether a may take n bytes now.
func (p *Pool) fits(a *Account, n int64, u Use) bool {
	if p.used+n > p.room(u) || u == Large && p.first != nil && p.first != a && p.first.held > a.held {
		return false
	}
	if u == Small || a.owner.id == "" {
		return true
	}
	if !a.owner.proven && p.unproven+n > max(p.limits.size()/unprovenPart, p.limits.Body+slack) {
		return false
	}
	return p.shares[a.owner]+n <= p.share(a.owner, u)
}

// Spare reports whether connections that hold so many bytes beside what each holds may hold n
// more. Those without a proven credential may together hold what bodies may that are not proven.
func (p *Pool) Spare(n, connections int64, proven bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !proven && connections+n > p.limits.size()/unprovenPart {
		return false
	}
	return p.used+n <= p.room(Small)
}

// add counts n bytes of a; less than 0 gives bytes back.
func (p *Pool) add(a *Account, n int64, u Use) {
	p.used += n
	p.most = max(p.most, p.used)
	a.held += n
	if u != Small {
		a.large += n
		p.count(a, n)
	}
}

// count counts n bytes against the owner of a.
func (p *Pool) count(a *Account, n int64) {
	if a.owner.id == "" || n == 0 {
		return
	}
	if !a.owner.proven {
		p.unproven += n
	}
	if p.shares[a.owner] += n; p.shares[a.owner] == 0 {
		delete(p.shares, a.owner)
	}
}

// wake lets those who wait look again.
func (p *Pool) wake() {
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
}

// try calls f with the pool locked, and returns nil when f has done what it was to do,
// or else a channel that is closed when bytes have been given back.
func (p *Pool) try(f func() bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f() {
		return nil
	}
	if p.freed == nil {
		p.freed = make(chan struct{})
	}
	return p.freed
}

// wait calls f until it has done what it was to do, for Patience at most.
func (p *Pool) wait(f func() bool) bool {
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	for {
		freed := p.try(f)
		if freed == nil {
			return true
		}
		select {
		case <-freed:
		case <-patience.C:
			return false
		}
	}
}

// Account is what one request holds. Two parties have it, the edge and the line, and
// when both have closed it, everything goes back. A nil Account has all bytes that
// there are; the zero value must not be used. It is safe for concurrent use, except
// Claim and Prove.
type Account struct {
	pool  *Pool
	owner owner
	open  atomic.Int32 // parties
	held  int64        // guarded by pool.mu
	large int64        // of it, what counts against the owner; guarded by pool.mu
}

// parties have each account.
const parties = 2

// Open begins an account in a's memory.
func (p *Pool) Open(a *Account) {
	a.pool = p
	a.open.Store(parties)
}

// Close is called once by each party. The last one gives back what is still held.
func (a *Account) Close() {
	if a == nil || a.open.Add(-1) > 0 || a.held == 0 {
		return
	}
	p := a.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(a, -a.large, Large)
	p.add(a, -a.held, Small)
	p.wake()
}

// Take takes n bytes, waiting for at most Patience. Of the bodies that wait, the one that has
// most goes first, also before those who need less: else many that come together take
// all room in parts, and none of them is ever whole.
func (a *Account) Take(n int64, u Use) bool {
	if a.Try(n, u) {
		return true
	}
	p := a.pool
	defer p.leave(a)
	return p.wait(func() bool {
		if a.take(n, u) {
			return true
		}
		if u == Large && p.used+n > p.room(u) && (p.first == nil || p.first.held < a.held) {
			p.first = a
		}
		return false
	})
}

// leave says that a waits no longer.
func (p *Pool) leave(a *Account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == a {
		p.first = nil
		p.wake()
	}
}

// Grow takes n bytes more for an answer, waiting for at most Patience.
func (a *Account) Grow(n int64) bool { return a.Take(n, Answer) }

// Try takes n bytes if they are there.
func (a *Account) Try(n int64, u Use) bool {
	if a == nil {
		return true
	}
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	return a.take(n, u)
}

// take takes n bytes; the pool is locked.
func (a *Account) take(n int64, u Use) bool {
	if !a.pool.fits(a, n, u) {
		return false
	}
	a.pool.add(a, n, u)
	return true
}

// Give gives back n bytes that were taken for the same use.
func (a *Account) Give(n int64, u Use) {
	if a == nil {
		return
	}
	p := a.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(a, -n, u)
	p.wake()
}

// Claim says that a request claims to be of a key id, which is not proven.
func (a *Account) Claim(keyID string) {
	if a != nil {
		a.owner = owner{id: keyID}
	}
}

// Prove says that the request is a tenant's, against whose share it counts from now
// on. It waits for at most Patience until there is room in that, and reports whether
// there is.
func (a *Account) Prove(tenant string) bool {
	if a == nil {
		return true
	}
	next := owner{tenant, true}
	if a.large == 0 { // only what runs beside a request changes it from elsewhere, and that is later
		a.owner = next
		return true
	}
	p := a.pool
	return p.wait(func() bool {
		if p.shares[next]+a.large > p.share(next, Large) {
			return false
		}
		p.count(a, -a.large)
		a.owner = next
		p.count(a, a.large)
		p.wake()
		return true
	})
}

// Holds reports whether the pool could hold n bytes for a use if nothing else were in
// it.
func (p *Pool) Holds(n int64, u Use) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holds(n, u)
}

func (p *Pool) holds(n int64, u Use) bool {
	size := p.limits.size()
	return n <= size-size/smallPart || u == Small && n <= size
}

// CouldGrow reports whether Grow would take n bytes if nobody else held any.
func (a *Account) CouldGrow(n int64) bool {
	if a == nil {
		return true
	}
	p := a.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holds(a.held+n, Answer) && (a.owner.id == "" || a.large+n <= p.share(a.owner, Answer))
}
