// Package gossip carries facts between gateways: small observations about
// requests that make a decision better and that nothing depends on. The ledger's
// batches take them along, so they cost no call of their own.
//
// A fact may arrive late, twice, in any order, or never. Whoever receives it
// merges it, so that receiving it again changes nothing. A gateway without gossip
// goes on with what it knows itself.
//
// What a fact means is decided by those who put and receive it, how it travels by
// the ledger: docs/format/redis.md.
package gossip

import (
	"maps"
	"sync"
	"time"
)

// Kind is what a fact is about. Each kind has bounds of its own, so that a busy
// one does not push out another.
type Kind uint8

// The kinds. Their numbers are in the ledger: none may change its meaning.
const (
	Session Kind = iota // a conversation reached the escalation model
	Guard               // how much a gateway escalates
	Watch               // a certificate was tightened
)

// Kinds is how many kinds there are.
const Kinds = 3

// MaxBytes bounds a fact's Key and Value together.
const MaxBytes = 240

// Bounds of what waits and of what one call takes along.
const (
	maxWaiting  = 4096             // facts of a root and kind
	maxInAll    = 65_536           // facts of all roots: some 20 MB when they are as long as may be
	maxPerCall  = 256              // facts of a kind in one call
	repeatAfter = 10 * time.Minute // after which a repeated fact is sent again
)

// Fact is one fact. The zero value is none.
type Fact struct {
	Kind Kind
	// Key says what the fact is about. A fact that waits is replaced by a later
	// one with its kind and key.
	Key   string
	Value string
	Until time.Time // when it is of no more use, in whole seconds
}

func (f *Fact) id() id { return id{f.Kind, f.Key} }

// id is what replaces what.
type id struct {
	kind Kind
	key  string
}

// Board holds the facts that wait to be carried, by root tenant, and hands those
// of other gateways to its receiver. A nil Board carries nothing: that is a
// gateway with a ledger of its own. It is safe for concurrent use.
type Board struct {
	received func(Fact)
	now      func() time.Time

	mu       sync.Mutex // guards the following
	roots    map[string]*waiting
	repeated map[id]Fact
	total    int // of the roots' facts
	dropped  int64
}

// waiting is what a root's next call takes along.
type waiting struct {
	facts map[id]Fact
	count [Kinds]int
	sent  map[id]sending // repeated facts that the root's log has
}

type sending struct {
	fact Fact
	at   time.Time
}

// New returns a board. received is called with every fact that arrives, also with
// this gateway's own when it reads them again; it must not block.
func New(now func() time.Time, received func(Fact)) *Board {
	return &Board{received: received, now: now, roots: map[string]*waiting{}, repeated: map[id]Fact{}}
}

// Put lets the root's next call take a fact along. One that is too long, or for
// which there is no room, is dropped and counted.
func (b *Board) Put(root string, f Fact) {
	if b == nil {
		return
	}
	f.Until = f.Until.UTC().Truncate(time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.of(root)
	_, known := w.facts[f.id()]
	if !f.fits() || !known && (w.count[f.Kind] >= maxWaiting || b.total >= maxInAll) {
		b.dropped++
		return
	}
	if !known {
		w.count[f.Kind]++
		b.total++
	}
	w.facts[f.id()] = f
}

// Repeat sends a fact to every root that this gateway serves, and again every ten
// minutes until it ends. A later one of its kind and key
// replaces it. It is meant for the few facts that must outlast a log.
func (b *Board) Repeat(f Fact) {
	if b == nil {
		return
	}
	f.Until = f.Until.UTC().Truncate(time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.repeated[f.id()]; !f.fits() || !known && len(b.repeated) >= maxPerCall {
		b.dropped++
		return
	}
	b.repeated[f.id()] = f
}

// Waiting returns what a call on the root should take along. It goes on waiting
// until Carried.
func (b *Board) Waiting(root string) []Fact {
	if b == nil {
		return nil
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.of(root)
	var along []Fact
	var count [Kinds]int
	take := func(f Fact) {
		if count[f.Kind] < maxPerCall {
			count[f.Kind]++
			along = append(along, f)
		}
	}
	for i, f := range w.facts {
		if !f.Until.After(now) {
			b.drop(w, i)
			continue
		}
		take(f)
	}
	maps.DeleteFunc(b.repeated, func(_ id, f Fact) bool { return !f.Until.After(now) })
	for i, f := range b.repeated {
		if last := w.sent[i]; last.fact != f || now.Sub(last.at) >= repeatAfter {
			take(f)
		}
	}
	return along
}

// Carried ends the waiting of facts that the root's log now has.
func (b *Board) Carried(root string, facts []Fact) {
	if b == nil || len(facts) == 0 {
		return
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.of(root)
	for _, f := range facts {
		if w.facts[f.id()] == f {
			b.drop(w, f.id())
		}
		if b.repeated[f.id()] == f {
			w.sent[f.id()] = sending{f, now}
		}
	}
	maps.DeleteFunc(w.sent, func(i id, _ sending) bool { _, still := b.repeated[i]; return !still })
}

// Receive hands on the facts of other gateways, but not those that have ended
// meanwhile.
func (b *Board) Receive(facts []Fact) {
	if b == nil {
		return
	}
	now := b.now()
	for _, f := range facts {
		if f.Until.After(now) {
			b.received(f)
		}
	}
}

// Stats are for metrics.
type Stats struct {
	Waiting int   // facts that no call has taken along yet
	Dropped int64 // facts that were too long or found no room
}

// Stats returns how the board is doing.
func (b *Board) Stats() Stats {
	if b == nil {
		return Stats{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{Waiting: b.total, Dropped: b.dropped}
}

// of returns what waits for a root. Configuration bounds the roots.
func (b *Board) of(root string) *waiting {
	w := b.roots[root]
	if w == nil {
		w = &waiting{facts: map[id]Fact{}, sent: map[id]sending{}}
		b.roots[root] = w
	}
	return w
}

func (b *Board) drop(w *waiting, i id) {
	delete(w.facts, i)
	w.count[i.kind]--
	b.total--
}
