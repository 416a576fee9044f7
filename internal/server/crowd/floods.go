package crowd

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

const (
	remembered = time.Minute // after the last flood
	tableSize  = 4096        // addresses; about half a megabyte
	// Bad credentials of one address that are no flood yet: so many at once, and so many
	// a second for ever.
	failureBurst = 2000
	failureRate  = 200
	// A connection of an address that floods begins so long after the one before it of its
	// protocol. On HTTP/2 that grows with each further flood up to mostSpacing: then a flood
	// is still closed within a second.
	spacingHTTP1  = 5 * time.Millisecond
	spacingHTTP2  = 10 * time.Millisecond
	spacingGrowth = 3
	mostSpacing   = 800 * time.Millisecond
)

// Floods remembers addresses whose connections were closed for a flood, for a while and
// in a table of bounded size. The zero value is empty.
type Floods struct {
	mu    sync.Mutex // guards the following
	by    map[netip.Prefix]*list.Element
	order list.List // of *record, the one that was noted longest ago first
}

type record struct {
	from     netip.Prefix
	until    time.Time     // it counts as flooding
	spacing  time.Duration // of HTTP/2
	next     [2]time.Time  // when a further connection may begin, of HTTP/1.1 and of HTTP/2
	failures float64       // bad credentials that the rate has not taken off yet
	failed   time.Time     // the last of them
}

// Note remembers a flood.
func (f *Floods) Note(from netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.record(from)
	if now.Before(r.until) {
		r.spacing = min(spacingGrowth*max(r.spacing, spacingHTTP2), mostSpacing)
	} else {
		r.spacing = spacingHTTP2
	}
	r.until = now.Add(remembered)
}

// Failed notes a bad credential. Too many of them are a flood.
func (f *Floods) Failed(from netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.record(from)
	r.failures = max(0, r.failures-now.Sub(r.failed).Seconds()*failureRate) + 1
	if r.failed = now; r.failures > failureBurst {
		r.until = now.Add(remembered)
	}
}

// Flooding is whether an address counts as flooding.
func (f *Floods) Flooding(from netip.Addr, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.by[Of(from)]
	return e != nil && now.Before(e.Value.(*record).until)
}

// Wait is how long a new connection has to wait before it is served: of an address that
// floods, one begins after the other. ok is false when that is longer than most.
func (f *Floods) Wait(from netip.Addr, http2 bool, most time.Duration, now time.Time) (wait time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.by[Of(from)]
	if e == nil {
		return 0, true
	}
	r := e.Value.(*record)
	if !now.Before(r.until) {
		return 0, true
	}
	spacing, next := spacingHTTP1, &r.next[0]
	if http2 {
		spacing, next = max(r.spacing, spacingHTTP2), &r.next[1]
	}
	wait = max(0, next.Sub(now))
	if wait > most {
		return 0, false
	}
	*next = now.Add(wait + spacing)
	return wait, true
}

// record finds the record of an address, or makes one in the place of the oldest.
func (f *Floods) record(from netip.Addr) *record {
	prefix := Of(from)
	if e := f.by[prefix]; e != nil {
		f.order.MoveToBack(e)
		return e.Value.(*record)
	}
	if f.by == nil {
		f.by = make(map[netip.Prefix]*list.Element)
	}
	if f.order.Len() >= tableSize {
		oldest := f.order.Remove(f.order.Front()).(*record)
		delete(f.by, oldest.from)
	}
	r := &record{from: prefix}
	f.by[prefix] = f.order.PushBack(r)
	return r
}
