// Package crowd decides who may stay connected when connections are many.
//
// A connection is unproven until a request on it had a good credential. Only unproven
// ones are counted by address, and only they have to make room: when there are too
// many, the one that has shown nothing for longest leaves, and the new one stays. So a
// flood pushes itself out, and a caller who proves soon gets through, also behind an
// address that others abuse. A proven connection is never closed for another.
package crowd

import (
	"container/list"
	"net/netip"
	"sync"
)

// Limits bound connections; 0 is no bound.
type Limits struct {
	All        int
	Unproven   int // of them
	PerAddress int // unproven ones of one address; of IPv6, of one /64
}

// Crowd is the open connections of a server. Make it with New.
type Crowd struct {
	mu       sync.Mutex // guards the following and all Guests
	limits   Limits
	all      int
	unproven int
	sources  map[netip.Prefix]*source
	// Unproven connections, longest here first, in the order in which they leave.
	suspect, idle, busy list.List
}

// source is the connections of one address.
type source struct {
	open       int
	idle, busy list.List // unproven
}

// Guest is one connection. Its zero value is none.
type Guest struct {
	evict  func()
	from   netip.Prefix
	source *source
	state  state
	// Where it is: in a list of the crowd and in one of its source; nil once proven.
	all, own *list.Element
}

type state uint8

const (
	left state = iota
	suspect
	idle
	busy
	proven
)

// New returns an empty crowd.
func New(l Limits) *Crowd {
	return &Crowd{limits: l, sources: make(map[netip.Prefix]*source)}
}

// Limit bounds who comes from now on.
func (c *Crowd) Limit(l Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits = l
}

// Of is what addresses are counted by: IPv4 whole, IPv6 by the /64 that one customer has.
func Of(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero prefix for no address
	return p
}

// Arrival is who comes.
type Arrival struct {
	From    netip.Addr
	Exempt  bool   // from the bound for its address, as a trusted proxy is
	Suspect bool   // leaves before others
	Evict   func() // closes it; called from another goroutine, without waiting for it
}

// Enter makes g a guest, perhaps in the place of another. It reports false when there
// is no room.
func (c *Crowd) Enter(g *Guest, a Arrival) bool {
	c.mu.Lock()
	prefix := Of(a.From)
	s := c.sources[prefix]
	if s == nil {
		s = &source{}
	}
	victim, ok := c.room(s, a.Exempt)
	if !ok {
		c.mu.Unlock()
		return false
	}
	if victim != nil {
		c.remove(victim)
	}
	c.sources[prefix] = s // not before: the victim may have been its last
	*g = Guest{evict: a.Evict, from: prefix, source: s, state: idle}
	if a.Suspect {
		g.state = suspect
	}
	c.all++
	s.open++
	c.join(g)
	c.mu.Unlock()
	if victim != nil {
		victim.evict()
	}
	return true
}

// room finds who has to leave for one more of s, nil when nobody has to. It reports
// false when nobody can.
func (c *Crowd) room(s *source, exempt bool) (victim *Guest, ok bool) {
	l := &c.limits
	own := s.idle.Len() + s.busy.Len()
	switch {
	case l.PerAddress > 0 && !exempt && own >= l.PerAddress:
		victim = oldest(&s.idle, &s.busy)
	case l.Unproven > 0 && c.unproven >= l.Unproven, l.All > 0 && c.all >= l.All:
		if victim = oldest(&c.suspect, &c.idle, &c.busy); victim == nil {
			return nil, false
		}
	}
	return victim, true
}

// oldest is the first of the first list that has any.
func oldest(lists ...*list.List) *Guest {
	for _, l := range lists {
		if e := l.Front(); e != nil {
			return e.Value.(*Guest)
		}
	}
	return nil
}

// lists are where an unproven guest is by its state: of the crowd, and of its source.
func (c *Crowd) lists(g *Guest) (all, own *list.List) {
	switch g.state {
	case suspect:
		return &c.suspect, &g.source.idle
	case busy:
		return &c.busy, &g.source.busy
	default:
		return &c.idle, &g.source.idle
	}
}

// join puts an unproven guest into the lists of its state.
func (c *Crowd) join(g *Guest) {
	all, own := c.lists(g)
	g.all, g.own = all.PushBack(g), own.PushBack(g)
	c.unproven++
}

// part takes a guest out of its lists, if it is in any.
func (c *Crowd) part(g *Guest) {
	if g.all == nil {
		return
	}
	all, own := c.lists(g)
	all.Remove(g.all)
	own.Remove(g.own)
	g.all, g.own = nil, nil
	c.unproven--
}

// Asked notes that the head of a first request has come whole: such a connection leaves
// after those that sent less.
func (c *Crowd) Asked(g *Guest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.state == idle {
		c.part(g)
		g.state = busy
		c.join(g)
	}
}

// Prove notes a good credential.
func (c *Crowd) Prove(g *Guest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.state != left {
		c.part(g)
		g.state = proven
	}
}

// Leave ends the stay of a guest, once.
func (c *Crowd) Leave(g *Guest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(g)
}

func (c *Crowd) remove(g *Guest) {
	if g.state == left {
		return
	}
	c.part(g)
	g.state = left
	c.all--
	if g.source.open--; g.source.open == 0 {
		delete(c.sources, g.from)
	}
}
