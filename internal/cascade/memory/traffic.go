package memory

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/certify"
)

// Traffic compares the requests of each route of late with those that a certificate was
// made of, by their lengths. Where they have become others nobody knows what the light
// model's answers to them lose. The zero value is ready; it is safe for concurrent use.
//
// A route that the certificate has too few pairs of is not compared. Each gateway looks at
// its own requests.
type Traffic struct {
	mu     sync.Mutex // guards the following
	hash   string     // of the certificate that routes belong to
	routes map[string]*recent
}

// recent are the requests of a route of late.
type recent struct {
	// weight of all requests, and of those that are at most a little shorter and longer
	// than each of the certificate's ends. The earlier ones fade.
	weight          float64
	seen            int // since the start of the process, or since the certificate
	shorter, longer []float64
	at              time.Time // of the last one
	shifted         bool
}

const (
	// leastSeen is how many requests are looked at before a route can shift or be as
	// before. Requests count half after trafficHalf, or after as many others when those take
	// longer, so that neither a burst nor a night looks like a shift.
	leastSeen   = 500
	fade        = 1 - 1.0/(2*leastSeen)
	trafficHalf = time.Hour

	// A route has shifted when a share of shiftedFrom of its requests has other lengths,
	// until it is below shiftedUntil again. Days and hours always differ by less, and within
	// the log that is calibrated from 0.2 is too much.
	shiftedFrom  = 0.3
	shiftedUntil = 0.2
	// shiftedLevel is the chance of a look to call a shift what is none.
	shiftedLevel = 1e-7
)

// Look adds a request of so many bytes. It returns whether the requests of its route are
// others than those that the certificate is about, and whether that is news.
func (t *Traffic) Look(c *certify.Certificate, route string, bytes int, now time.Time) (shifted, news bool) {
	known := c.Traffic(route)
	if known == nil {
		return false, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hash != c.Hash {
		t.hash, t.routes = c.Hash, nil
	}
	r := t.of(route)
	before := r.shifted
	r.add(known.Ends, bytes, now)
	if r.seen >= leastSeen {
		r.compare(known)
	}
	return r.shifted, r.shifted != before
}

func (t *Traffic) of(route string) *recent {
	if t.routes == nil {
		t.routes = map[string]*recent{}
	}
	r := t.routes[route]
	if r == nil {
		r = &recent{}
		t.routes[route] = r
	}
	return r
}

func (r *recent) add(ends []int, bytes int, now time.Time) {
	if r.shorter == nil {
		r.shorter, r.longer, r.at = make([]float64, len(ends)), make([]float64, len(ends)), now
	}
	keep := max(fade, math.Exp2(-float64(now.Sub(r.at))/float64(trafficHalf)))
	r.at, r.seen, r.weight = now, r.seen+1, r.weight*keep+1
	for i, end := range ends {
		r.shorter[i] *= keep
		r.longer[i] *= keep
		shorter, longer := certify.Around(end)
		if bytes <= shorter {
			r.shorter[i]++
		}
		if bytes <= longer {
			r.longer[i]++
		}
	}
}

// compare is the test of Kolmogorov and Smirnov, with a distance that matters.
func (r *recent) compare(known *certify.Traffic) {
	distance := known.Distance(r.shorter, r.longer, r.weight)
	if r.shifted {
		r.shifted = distance >= shiftedUntil
		return
	}
	n, m := r.weight, float64(known.Pairs)
	r.shifted = distance >= max(shiftedFrom, math.Sqrt(math.Log(2/shiftedLevel)/2*(n+m)/(n*m)))
}

// Shifted returns the routes whose requests are others, ascending, and the certificate
// that this is about.
func (t *Traffic) Shifted() (certificate string, routes []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, r := range t.routes {
		if r.shifted {
			routes = append(routes, name)
		}
	}
	slices.Sort(routes)
	return t.hash, routes
}

// Restore takes routes as shifted, as they were before a restart, until their requests
// say otherwise.
func (t *Traffic) Restore(certificate string, routes []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hash, t.routes = certificate, nil
	for _, name := range routes {
		t.of(name).shifted = true
	}
}
