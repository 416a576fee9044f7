package cascade

import (
	"sync"
	"time"
)

// minRequests is how many requests the escalation rate is told from; below it a
// rate means nothing, and only the bound per key holds.
const minRequests = 20

// Bounds of what other gateways may tell.
const (
	maxGateways = 256
	maxToldKeys = 100_000 // per minute
)

// Guard counts the escalations of one cascade against its budgets: a share of
// the requests, and a number per key and minute. It keeps callers who have found
// out how to make answers look unsure from turning a cheap route into a dear
// one. Escalations by the operator's rules and by vetoes count, but are never
// stopped.
//
// The budgets are those of all gateways together. What another one has counted
// comes with the ledger's batches, so each decides without what the others let
// through since: see docs/cascade-serving.md. The zero value is ready; it is safe
// for concurrent use.
type Guard struct {
	mu     sync.Mutex // guards the following
	here   rates
	others map[string]rates // by gateway
	minute int64            // Unix time in minutes that the following are about
	keys   map[string]int64 // escalations by key, which configuration bounds
	told   map[toldKey]int64
	sums   map[string]int64 // of told, by key
}

// rates are recent requests and escalations of one gateway.
type rates struct {
	requests    fading
	escalations fading
	told        time.Time // by that gateway's clock
}

// toldKey names what one gateway counts for one key.
type toldKey struct{ gateway, key string }

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

// Allow counts an escalation for a key, if its budgets have room for it.
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

// total is what all gateways counted of late.
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

// turn starts the counts per key anew with each minute.
func (g *Guard) turn(now time.Time) {
	minute := now.Unix() / 60
	if g.keys == nil || minute != g.minute {
		g.minute, g.keys = minute, map[string]int64{}
		g.told, g.sums = map[toldKey]int64{}, map[string]int64{}
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

// takeRates takes what another gateway has counted in place of what it told
// before. One that is silent fades out, and makes room when there are too many.
func (g *Guard) takeRates(gateway string, r rates) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, known := g.others[gateway]
	if known && !r.told.After(before.told) {
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

// silent is the gateway that told nothing for the longest time.
func (g *Guard) silent() string {
	oldest := ""
	for gateway, r := range g.others {
		if oldest == "" || r.told.Before(g.others[oldest].told) {
			oldest = gateway
		}
	}
	return oldest
}

// takeKey takes what another gateway has counted for a key in this minute.
func (g *Guard) takeKey(gateway string, c keyCount, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turn(now)
	k := toldKey{gateway, c.key}
	before, known := g.told[k]
	if c.minute != g.minute || c.count <= before || !known && len(g.told) >= maxToldKeys {
		return
	}
	g.told[k] = c.count
	g.sums[c.key] += c.count - before
}
