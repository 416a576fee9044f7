package memory

import (
	"sync"
	"time"
)

// minRequests is how many requests an escalation rate needs; with fewer it means
// nothing, and only the limit per key applies.
const minRequests = 20

// Bounds on what is kept of other gateways' counts.
const (
	maxGateways     = 256
	maxReceivedKeys = 100_000 // per minute
)

// Guard counts the escalations of one cascade against its budgets: a share of
// the requests, and a number per key and minute. It prevents callers who have
// found out how to make answers look uncertain from turning a cheap route into an
// expensive one. Escalations by the operator's rules and by vetoes count, but are
// never stopped.
//
// The budgets apply to all gateways together. Counts of other gateways come with
// the ledger's batches, so a decision does not know what the others let through
// since the last batch: see docs/cascade-serving.md. The zero value is ready; it
// is safe for concurrent use.
type Guard struct {
	mu       sync.Mutex // guards the following
	here     rates
	others   map[string]rates // by gateway
	minute   int64            // Unix time in minutes, of the following counts
	keys     map[string]int64 // escalations here by key; the configuration bounds the keys
	received map[senderKey]int64
	sums     map[string]int64 // of received, by key
}

// rates are recent requests and escalations of one gateway.
type rates struct {
	requests    fading
	escalations fading
	sent        time.Time // on that gateway's clock
}

// senderKey is one gateway and one key that it counts for.
type senderKey struct{ gateway, key string }

// keyCount is how often a key's requests were escalated in a minute.
type keyCount struct {
	key           string
	minute, count int64
}

// Limits are a cascade's escalation budgets; 0 is no bound.
type Limits struct {
	MaxRate         float64 // share of requests
	PerKeyPerMinute int64
}

// Request counts a request of the cascade.
func (g *Guard) Request(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.here.requests.add(1, now)
}

// Escalate counts an escalation for a key.
func (g *Guard) Escalate(key string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.escalate(key, now)
}

// Allow counts an escalation for a key if the budgets have room for it.
func (g *Guard) Allow(key string, l Limits, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	if l.PerKeyPerMinute > 0 && g.keys[key]+g.sums[key] >= l.PerKeyPerMinute {
		return false
	}
	if l.MaxRate > 0 {
		requests, escalations := g.total(now)
		if requests >= minRequests && escalations+1 > l.MaxRate*requests {
			return false
		}
	}
	g.escalate(key, now)
	return true
}

// total is what all gateways counted recently.
func (g *Guard) total(now time.Time) (requests, escalations float64) {
	requests, escalations = g.here.requests.value(now), g.here.escalations.value(now)
	for _, r := range g.others {
		requests += r.requests.value(now)
		escalations += r.escalations.value(now)
	}
	return requests, escalations
}

func (g *Guard) escalate(key string, now time.Time) {
	g.turn(now)
	g.here.escalations.add(1, now)
	g.keys[key]++
}

// turn resets the counts per key at each new minute.
func (g *Guard) turn(now time.Time) {
	minute := now.Unix() / 60
	if g.keys == nil || minute != g.minute {
		g.minute, g.keys = minute, map[string]int64{}
		g.received, g.sums = map[senderKey]int64{}, map[string]int64{}
	}
}

// own returns what this gateway has counted, as of now.
func (g *Guard) own(key string, now time.Time) (r rates, minute, count int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	g.here.requests.add(0, now)
	g.here.escalations.add(0, now)
	return g.here, g.minute, g.keys[key]
}

// receiveRates replaces what another gateway sent before by its newer counts. A
// gateway that sends nothing fades out, and is dropped first when there are too
// many.
func (g *Guard) receiveRates(gateway string, r rates) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, known := g.others[gateway]
	if known && !r.sent.After(before.sent) {
		return
	}
	if g.others == nil {
		g.others = map[string]rates{}
	}
	if !known && len(g.others) >= maxGateways {
		delete(g.others, g.silent())
	}
	g.others[gateway] = r
}

// silent is the gateway that has sent nothing for the longest time.
func (g *Guard) silent() string {
	oldest := ""
	for gateway, r := range g.others {
		if oldest == "" || r.sent.Before(g.others[oldest].sent) {
			oldest = gateway
		}
	}
	return oldest
}

// receiveKey takes what another gateway has counted for a key in this minute.
func (g *Guard) receiveKey(gateway string, c keyCount, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	k := senderKey{gateway, c.key}
	before, known := g.received[k]
	if c.minute != g.minute || c.count <= before || !known && len(g.received) >= maxReceivedKeys {
		return
	}
	g.received[k] = c.count
	g.sums[c.key] += c.count - before
}
