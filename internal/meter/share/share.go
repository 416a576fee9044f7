// Package share carries hints between gateways: small facts about requests that
// make a decision better and that nothing depends on. The ledger's batches take
// them along, so they cost no call of their own.
//
// A hint may come late, twice, in any order, or not at all. It holds no truth:
// whoever takes it merges it, so that taking it again changes nothing. A gateway
// that cannot share goes on with what it knows itself.
//
// What hints say is the business of those who put and take them, how they travel
// that of the ledger: docs/format/redis.md.
package share

import (
	"maps"
	"sync"
	"time"
)

// Kind is what a hint is about. Each kind has bounds of its own, so that a busy
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

// MaxBytes bounds a hint's Key and Value together.
const MaxBytes = 240

// Bounds of what waits and of what one call takes along.
const (
	maxWaiting  = 4096             // hints of a root and kind
	maxInAll    = 65_536           // hints of all roots: some 20 MB when they are as long as may be
	maxTaken    = 256              // hints of a kind in one call
	standsAgain = 10 * time.Minute // after which a standing hint is told again
)

// Hint is one fact. The zero value is none.
type Hint struct {
	Kind Kind
	// Key tells what the hint is about. A hint that waits is replaced by a later
	// one with its kind and key.
	Key   string
	Value string
	Until time.Time // when it is of no use any more, in whole seconds
}

func (h *Hint) id() id { return id{h.Kind, h.Key} }

// id is what replaces what.
type id struct {
	kind Kind
	key  string
}

// Board holds the hints that wait to be carried, by root tenant, and hands those
// of other gateways to Take. A nil Board shares nothing: that is a gateway with
// books of its own. It is safe for concurrent use.
type Board struct {
	take func(Hint)
	now  func() time.Time

	mu       sync.Mutex // guards the following
	roots    map[string]*waiting
	standing map[id]Hint
	total    int // of the roots' hints
	dropped  int64
}

// waiting is what a root's next call takes along.
type waiting struct {
	hints map[id]Hint
	count [Kinds]int
	told  map[id]telling // standing hints that the root's log has
}

type telling struct {
	hint Hint
	at   time.Time
}

// New returns a board. take is called with every hint that comes, also with this
// gateway's own when it reads them again; it must not block.
func New(now func() time.Time, take func(Hint)) *Board {
	return &Board{take: take, now: now, roots: map[string]*waiting{}, standing: map[id]Hint{}}
}

// Put lets the root's next call take a hint along. One that is too long, or for
// which there is no room, is dropped and counted.
func (b *Board) Put(root string, h Hint) {
	if b == nil {
		return
	}
	h.Until = h.Until.UTC().Truncate(time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.of(root)
	_, known := w.hints[h.id()]
	if !h.fits() || !known && (w.count[h.Kind] >= maxWaiting || b.total >= maxInAll) {
		b.dropped++
		return
	}
	if !known {
		w.count[h.Kind]++
		b.total++
	}
	w.hints[h.id()] = h
}

// Stand makes a hint known in every root that this gateway has to do with, and
// again every ten minutes until it ends. A later one of its kind and key
// replaces it. It is meant for the few facts that must outlast a log.
func (b *Board) Stand(h Hint) {
	if b == nil {
		return
	}
	h.Until = h.Until.UTC().Truncate(time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.standing[h.id()]; !h.fits() || !known && len(b.standing) >= maxTaken {
		b.dropped++
		return
	}
	b.standing[h.id()] = h
}

// Waiting returns what a call on the root should take along. It goes on waiting
// until Carried.
func (b *Board) Waiting(root string) []Hint {
	if b == nil {
		return nil
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.of(root)
	var taken []Hint
	var count [Kinds]int
	take := func(h Hint) {
		if count[h.Kind] < maxTaken {
			count[h.Kind]++
			taken = append(taken, h)
		}
	}
	for i, h := range w.hints {
		if !h.Until.After(now) {
			b.drop(w, i)
			continue
		}
		take(h)
	}
	maps.DeleteFunc(b.standing, func(_ id, h Hint) bool { return !h.Until.After(now) })
	for i, h := range b.standing {
		if told := w.told[i]; told.hint != h || now.Sub(told.at) >= standsAgain {
			take(h)
		}
	}
	return taken
}

// Carried ends the waiting of hints that the root's log now has.
func (b *Board) Carried(root string, hints []Hint) {
	if b == nil || len(hints) == 0 {
		return
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.of(root)
	for _, h := range hints {
		if w.hints[h.id()] == h {
			b.drop(w, h.id())
		}
		if b.standing[h.id()] == h {
			w.told[h.id()] = telling{h, now}
		}
	}
	maps.DeleteFunc(w.told, func(i id, _ telling) bool { _, stands := b.standing[i]; return !stands })
}

// Take hands on what other gateways told, but not what has ended meanwhile.
func (b *Board) Take(hints []Hint) {
	if b == nil {
		return
	}
	now := b.now()
	for _, h := range hints {
		if h.Until.After(now) {
			b.take(h)
		}
	}
}

// Stats are for metrics.
type Stats struct {
	Waiting int   // hints that no call has taken along yet
	Dropped int64 // hints that were too long or found no room
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
		w = &waiting{hints: map[id]Hint{}, told: map[id]telling{}}
		b.roots[root] = w
	}
	return w
}

func (b *Board) drop(w *waiting, i id) {
	delete(w.hints, i)
	w.count[i.kind]--
	b.total--
}
