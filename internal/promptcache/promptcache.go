// Package promptcache knows which prompts a model has in its cache, and puts points into
// those whose callers set none where that pays.
//
// A point makes a model keep what is before it: writing costs more than plain input, reading
// far less. So a point pays when prompts that begin alike come often enough. A Store keeps, of
// each prefix in its space (a tenant, a model, an upstream and a region), when a prompt last
// began with it, until when the model has it, and what its points cost and spared. It puts a
// point behind a prefix when a prompt has begun with it before, within the lifetime of the
// point, and the gaps so far say that this pays.
//
// What that may cost in vain is bounded: a prefix owes one write at most, is left alone after a
// write that nobody read, and a tenant's prefixes together owe a hundredth of what the tenant
// has spent in the week at most. Usage that answers report is what counts.
//
// All of it is in bounded memory, and nothing of a prompt is kept but hashes with a seed of the
// process, and the heads of a few that differ, which never leave it.
//
// Facts: AWS user guide, "Prompt caching"; the catalogue has what is so of each model.
package promptcache

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const (
	// maxKept bounds the prefixes that are known, maxTenants whose they are.
	maxKept    = 1 << 16
	maxTenants = 1 << 12
	// margin is how long before its end a prefix no longer counts as kept: a request needs
	// time to reach its model.
	margin = 5 * time.Second
)

// Prompt is a request to a model as far as its cache is concerned.
type Prompt struct {
	Tenant, Model, Upstream, Region string
	Facts                           *wire.Facts
	Body                            []byte
	Price                           *record.Price
	Cache                           *config.PromptCache // of the model; nil: none that is known
	// Inject is whether points may be put into it.
	Inject bool
}

// Store is what is known of prefixes. Make it with New; it is safe for concurrent use.
type Store struct {
	seed maphash.Seed

	mu      sync.Mutex // guards the following, and all that they point to
	kept    map[uint64]*prefix
	ring    []uint64 // the keys of kept, in the order of their coming
	next    int      // where the ring goes on
	tenants map[string]*tenant
	heads   []head // of prompts that began as none before, a ring
	oldest  int    // in heads
}

// prefix is what is known of what prompts begin with.
type prefix struct {
	chain *chain
	seen  time.Time // when a prompt last began with it
	fresh bool      // it was seen since the ring last came by
	// most is a number of tokens that it does not exceed, near how many they probably are.
	most, near int64
	until      time.Time // until when the model keeps it
	life       int
	dull       time.Time // until when it is left alone because a point behind it did nothing
}

// New returns a store that knows nothing.
func New() *Store {
	return &Store{seed: maphash.MakeSeed(), kept: map[uint64]*prefix{}, tenants: map[string]*tenant{}}
}

// Placed is a prompt on its way: what was put into it, and what it may cost. It belongs to
// one goroutine at a time, and to Ended in the end.
type Placed struct {
	// Splices put the points into the body, none where there are none.
	Splices []wire.Splice
	// TTL is the lifetime that the last point asks for, Warm whether the model should have
	// what is before it, with so many tokens.
	TTL  time.Duration
	Warm bool

	why    string // no point was put into it, "" with one
	began  time.Time
	ends   ends
	rates  rates
	model  string
	own    bool // the caller has set points
	target *prefix
	base   *prefix // what is read or written before target, nil for nothing
	life   int
	// baseLife is the lifetime of base.
	baseLife int
	pending  money.Pico
	tenant   *tenant
}

// ratesOf are what a model's cache costs, and false where that is not known.
func ratesOf(p *Prompt) (r rates, ok bool) {
	if p.Cache == nil || p.Price == nil {
		return r, false
	}
	of := p.Price.Rates()
	r.input, r.read = of.Input, of.CacheRead
	r.write = [lifetimes]money.Price{of.CacheWrite5m, of.CacheWrite1h}
	listed := [lifetimes]bool{of.HasCacheWrite5m, of.HasCacheWrite1h}
	for _, ttl := range p.Cache.TTLs {
		for life := range ttls {
			r.can[life] = r.can[life] || ttl == ttls[life] && listed[life]
		}
	}
	return r, of.HasInput && of.HasCacheRead && r.read < r.input && r.can[fiveMinutes]
}

// Place looks a prompt up, and puts points into it where that pays. It returns nil for a
// prompt that nothing is to be learned of.
func (s *Store) Place(p *Prompt, now time.Time) *Placed {
	own := p.Facts.CachePoints > 0
	if !own && !p.Inject || formOf(p.Facts) == noForm {
		return nil
	}
	rates, ok := ratesOf(p)
	if !ok {
		return nil
	}
	at := &Placed{began: now, rates: rates, model: p.Model, own: own}
	s.read(&at.ends, p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.tenant = s.tenant(p.Tenant); at.tenant == nil {
		return nil
	}
	at.tenant.roll(now)
	known := s.note(at, now)
	switch {
	case own:
		at.why = whyOwn
	case known:
		at.why = whyShort
		s.inject(at, p, now)
	default:
		at.why = whyNew
		s.differs(at, p, now)
	}
	return at
}

// Chance says whether a prompt may get points, before anything is known of others.
func Chance(p *Prompt) string {
	switch _, ok := ratesOf(p); {
	case p.Facts.CachePoints > 0:
		return "none, as the caller has set points"
	case formOf(p.Facts) == noForm:
		return "none, as bodies of this form have no place for them"
	case p.Cache == nil:
		return "none, as the catalogue knows no prompt cache of the model"
	case !ok:
		return "none, as no price book has what reading and writing the model's prompt cache cost"
	}
	return fmt.Sprintf("where a beginning of %d tokens comes again, and often enough that they pay", p.Cache.Minimum)
}

// read finds the prefixes of a prompt in its space.
func (s *Store) read(e *ends, p *Prompt) {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, name := range [...]string{p.Tenant, p.Model, p.Upstream, p.Region} {
		h.WriteString(name)
		h.WriteByte(0)
	}
	e.read(&h, p.Facts, p.Body)
}

func (s *Store) tenant(id string) *tenant {
	t := s.tenants[id]
	if t == nil && len(s.tenants) < maxTenants {
		t = &tenant{id: id}
		s.tenants[id] = t
	}
	return t
}

// note counts the gap to the prompt before in the chains of a prompt. It reports whether any
// of its prefixes is known.
func (s *Store) note(at *Placed, now time.Time) (known bool) {
	for i := range at.ends.all[:at.ends.n] {
		p := s.kept[at.ends.all[i].hash]
		if p == nil {
			continue
		}
		known = true
		if c := p.chain; c.last.Before(now) {
			c.gaps.add(now.Sub(c.last))
			c.last = now
		}
	}
	return known
}

// Warm is about how many tokens of a prompt the model has in its cache; known is whether
// a prompt has begun as this one before.
func (s *Store) Warm(p *Prompt, now time.Time) (tokens int64, known bool) {
	var e ends
	s.read(&e, p)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := e.n - 1; i >= 0; i-- {
		x := s.kept[e.all[i].hash]
		if x == nil {
			continue
		}
		known = true
		if x.until.After(now.Add(margin)) {
			return x.near, true
		}
	}
	return 0, known
}

// Fate is what became of a prompt.
type Fate uint8

// The fates.
const (
	Unknown Fate = iota // it may have been billed, and nobody knows what
	Answered
	Failed  // nothing was billed
	Refused // nothing was billed, and the points may be why
)

// Answer is how a prompt went.
type Answer struct {
	Fate  Fate
	Usage *wire.Usage // of one that was answered
	Cost  money.Pico
}

// Ended takes in how a prompt went, and says what its points came to.
func (s *Store) Ended(at *Placed, a *Answer, now time.Time) Effect {
	if at == nil {
		return Effect{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at.tenant.roll(now)
	at.tenant.spent += a.Cost
	var e Effect
	if at.target != nil {
		e = at.land(a, now)
	}
	if a.Fate == Answered && a.Usage.Complete() {
		s.learn(at, a.Usage)
	}
	return e
}

// Effect is what the points of a prompt came to.
type Effect struct {
	Paid, Saved money.Pico
	Wasted      money.Pico // of earlier ones of the same prefix, that is known to be in vain since
}

// land books what the points of a prompt came to.
func (at *Placed) land(a *Answer, now time.Time) (e Effect) {
	x, c := at.target, at.target.chain
	wasted := c.wasted
	c.settle(now)
	e.Wasted = c.wasted - wasted
	at.tenant.change(c, func() {
		c.pending -= at.pending
		c.flying--
		switch {
		case a.Fate == Refused:
			x.dull, c.risk = at.began.Add(pause), 0
		case a.Fate == Failed:
			c.risk = 0
			if at.Warm && c.balance > 0 {
				c.risk = at.pending // it can be tried again
			}
		case a.Fate == Unknown || !a.Usage.Complete():
			e.Paid = at.pending
			at.wrote(e.Paid)
		default:
			at.book(a.Usage, &e)
		}
		c.balance, c.debt = c.balance+e.Paid-e.Saved, max(0, c.debt+e.Paid-e.Saved)
		c.paid, c.saved = c.paid+e.Paid, c.saved+e.Saved
		c.tenant.paid, c.tenant.saved = c.tenant.paid+e.Paid, c.tenant.saved+e.Saved
	})
	return e
}

// book books what an answer says of the points.
func (at *Placed) book(u *wire.Usage, e *Effect) {
	x, c := at.target, at.target.chain
	read, wrote := u.CacheRead.N, u.CacheWrite5m.N+u.CacheWrite1h.N
	e.Paid = at.rates.premium(u.CacheWrite5m.N, fiveMinutes) + at.rates.premium(u.CacheWrite1h.N, anHour)
	e.Saved = at.rates.spared(read)
	if read+wrote == 0 {
		x.dull, c.risk = at.began.Add(pause), 0
		return
	}
	x.most, x.near = read+wrote, read+wrote
	x.until, x.life = at.began.Add(ttls[at.life]), at.life
	if at.base != nil {
		at.base.until, at.base.life = at.began.Add(ttls[at.baseLife]), at.baseLife
	}
	if read > 0 {
		c.hits++
		c.unread, c.misses, c.risk = false, 0, 0
	}
	if wrote > 0 {
		at.wrote(e.Paid)
	}
	if wrote > 0 && !at.Warm {
		c.risk = at.rates.premium(x.most, at.life)
	}
}

// wrote notes that something was written that nobody has read yet.
func (at *Placed) wrote(paid money.Pico) {
	c := at.target.chain
	c.unread, c.kept, c.life, c.once, c.risk = true, at.began.Add(ttls[at.life]), ttls[at.life], paid, 0
}

// learn keeps what the prompt began with, and how many tokens that is.
func (s *Store) learn(at *Placed, u *wire.Usage) {
	all := u.Input.N + u.CacheRead.N + u.CacheWrite5m.N + u.CacheWrite1h.N
	cached := u.CacheRead.N + u.CacheWrite5m.N + u.CacheWrite1h.N
	life := fiveMinutes
	if u.CacheWrite1h.N > 0 {
		life = anHour
	}
	of := s.conversation(at)
	for i := range at.ends.all[:at.ends.n] {
		e := &at.ends.all[i]
		x := s.kept[e.hash]
		if x == nil {
			c := of
			if c == nil || e.part != inMessages {
				c = &chain{tenant: at.tenant, model: at.model, id: e.hash, part: e.part, last: at.began, week: weekOf(at.began)}
			}
			if e.part == inMessages {
				of = c
			}
			x = &prefix{chain: c, most: all}
			s.keep(e.hash, x)
		}
		x.seen, x.fresh = at.began, true
		if x.most >= all {
			x.most = all
		}
		if x.until.IsZero() {
			x.near = all * int64(e.bytes) / int64(max(at.ends.bytes, 1))
		}
		if at.own && cached > 0 && x.near <= cached+cached/50 {
			x.until, x.life = at.began.Add(ttls[life]), life
		}
	}
}

// conversation is the chain of the longest prefix with messages that is known, nil without one.
func (s *Store) conversation(at *Placed) *chain {
	for i := at.ends.n - 1; i >= 0 && at.ends.all[i].part == inMessages; i-- {
		if p := s.kept[at.ends.all[i].hash]; p != nil {
			return p.chain
		}
	}
	return nil
}

// keep adds a prefix. When there is no room, the oldest one goes that no prompt has begun with
// since the ring last came by.
func (s *Store) keep(hash uint64, x *prefix) {
	if len(s.ring) < maxKept {
		s.ring = append(s.ring, hash)
		s.kept[hash] = x
		return
	}
	for {
		old := s.kept[s.ring[s.next]]
		if !old.fresh {
			break
		}
		old.fresh = false
		s.next = (s.next + 1) % len(s.ring)
	}
	delete(s.kept, s.ring[s.next])
	s.ring[s.next], s.kept[hash] = hash, x
	s.next = (s.next + 1) % len(s.ring)
}

// Decided is Use, or "none: " and why there is no point, by a word of docs/prompt-cache.md.
func (at *Placed) Decided() string {
	if use := at.Use(); use != "" {
		return use
	}
	return "none: " + at.why
}

// Use is what the points that were put into a prompt are for, in words: "read 5m", "write 1h";
// "" without points.
func (at *Placed) Use() string {
	switch {
	case at.target == nil:
		return ""
	case at.Warm:
		return [lifetimes]string{"read 5m", "read 1h"}[at.life]
	}
	return [lifetimes]string{"write 5m", "write 1h"}[at.life]
}
