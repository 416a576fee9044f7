package faultmatrix

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// watched is the tenant that has a budget in cases that are not about budgets, so that it
// is seen how long a fault keeps one from being served.
const watched = 2

// watch gives one tenant a budget that is never used up.
func (w *world) watch() {
	if w.limits == nil {
		w.limits = map[string]string{}
	}
	w.limits[tenants[watched]] = "budgets: [{period: month, usd: 300, on_exceed: reject}]"
	w.watched = watched
}

// served is how long it takes from now until each gateway has served a budgeted tenant,
// by a request of 6 dollars: more than a gateway leases ahead of a budget of 300, so that
// the ledger has to grant it.
func (w *world) served() time.Duration {
	w.t.Helper()
	began := time.Now()
	for _, g := range w.gates {
		harness.Eventually(w.t, 100*time.Second, func() (bool, string) {
			a := ask{tenant: w.watched, op: "converse", text: "a request of a tenant with budgets", leave: -1, most: 400_000}
			return g.send(&a) == 200, g.log()
		})
	}
	return time.Since(began)
}

// How long a budgeted tenant may wait after a fault: when nothing was lost, and when
// something was a TTL of leases from when that is noticed.
const (
	whole = 2 * time.Second
	lossy = time.Minute + whole
)

// slack is what a busy machine may add to a wait. It is less than half a TTL of leases, so
// that a wait for leases is still told from none.
const slack = 15 * time.Second

// recovers measures, at the end of a fault, how long it takes until a budgeted tenant is
// served. Longer waits than within are counted, and fail only beyond the slack.
func (w *world) recovers(y *tally, from string, within time.Duration) {
	w.t.Helper()
	took := w.served()
	y.recovered(from, took, within)
	if took > within+slack {
		w.t.Errorf("a budgeted tenant is served %s after %s", took, from)
	}
}

// TestRow23Restart restarts a Redis that keeps all. M18
func TestRow23Restart(t *testing.T) {
	var y tally
	s := startStandIn(t)
	began := time.Now()
	r := redistest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	w := newWorld(t, 23, s, r.URL())
	w.budgeted("500", "400", "300")
	w.run(2)
	for range 3 {
		for _, g := range w.gates {
			g.traffic(20, 4, anything)
		}
		time.Sleep(1200 * time.Millisecond) // what is idle goes back: no lease covers the next request
		r.Kill()
		r.Start()
		y.kill("restart")
		w.recovers(&y, "a restart that lost nothing, without leases", whole)
	}
	w.healed(&y, began)
	t.Logf("row 23: %s", &y)
}

// TestRow24LostKeys takes single keys out of the ledger while gateways run: rows and a
// budget's window, as eviction does. They are restored from the journals. M16 M17
func TestRow24LostKeys(t *testing.T) {
	t.Parallel() // it mostly waits
	var y tally
	s := startStandIn(t)
	began := time.Now()
	r := redistest.NewServer(t)
	w := newWorld(t, 24, s, r.URL())
	w.budgeted("500", "400", "300")
	w.run(2)
	for _, g := range w.gates {
		g.traffic(30, 4, anything)
	}
	w.equal(10 * time.Second)
	for _, key := range append(r.Keys("sl:{acme}:r:*"), r.Keys("sl:{beta}:r:*")...) {
		r.CLI("del", key)
		y.kill("row")
	}
	w.recovers(&y, "rows were lost", whole)
	w.gates[0].traffic(5, 1, anything) // rows come back with less than they had
	harness.Eventually(t, time.Minute, func() (bool, string) {
		log := w.gates[0].log()
		return strings.Contains(log, "the ledger lost keys"), log
	})
	w.equal(20 * time.Second)
	if _, long := seeds(); long {
		for _, key := range r.Keys("sl:{acme}:b:acme|usd|*") {
			r.CLI("del", key)
			y.kill("window")
		}
		w.recovers(&y, "a budget's window was lost", lossy)
	}
	w.healed(&y, began)
	t.Logf("row 24: %s", &y)
}

// TestRow27StricterFile kills a gateway while its file limits a tenant that the other
// gateway's file does not: the other goes on to hold the limit for the dead one's lease,
// and no longer. M20
func TestRow27StricterFile(t *testing.T) {
	t.Parallel() // it mostly waits
	const lease = 30 * time.Second
	var y tally
	began := time.Now()
	w := newWorld(t, 27, startStandIn(t), redistest.NewServer(t).URL())
	w.budgeted("500", "400", "0.4")
	strict := w.gate()
	strict.start("")
	w.limits = nil
	other := w.gate()
	other.start("")
	mine := func(rng *rand.Rand) ask {
		a := anything(rng)
		a.tenant, a.text = 0, "a request of the limited tenant"
		return a
	}
	w.during(func() { w.pause(time.Second, 2*time.Second) })
	usedUp := func() bool { return other.traffic(20, 4, mine)[200] == 0 }
	harness.Eventually(t, time.Minute, func() (bool, string) { return usedUp(), other.log() })
	var killed time.Time
	w.during(func() {
		w.pause(100*time.Millisecond, 300*time.Millisecond)
		strict.kill()
		killed = time.Now()
		y.kill("with a stricter file")
		w.pause(lease/3, lease/2)
	})
	if !usedUp() {
		t.Error("the limit of a gateway that died is not held for its lease")
	}
	w.within()
	ask := mine(w.rng)
	harness.Eventually(t, lease, func() (bool, string) { return other.send(&ask) == 200, other.log() })
	y.recovered("the dead gateway's limit", time.Since(killed), lease+whole)
	strict.start("")
	harness.Eventually(t, time.Minute, func() (bool, string) { return usedUp(), other.log() })
	w.healed(&y, began)
	t.Logf("row 27: %s", &y)
}

// keyKinds are the kinds of keys that a ledger has, as docs/format/redis.md lists them,
// those of a root for one with budgets. loud is whether people are told that one is gone;
// a window, as the only one, is never free for less than half a TTL.
var keyKinds = []struct {
	pattern string
	loud    bool
	within  time.Duration // from the loss to the first served request
}{
	{"sl:{acme}:w", true, whole}, {"sl:{acme}:s", true, whole},
	{"sl:{acme}:d", true, whole}, {"sl:{acme}:i:*", true, whole},
	{"sl:{acme}:b", true, whole}, {"sl:{acme}:r:*", true, whole},
	{"sl:{acme}:l", false, whole}, {"sl:{acme}:x", false, whole},
	{"sl:{acme}:k:*", false, whole}, {"sl:{acme}:h:*", false, whole},
	{"sl:{acme}:c:*", false, whole}, {"sl:meta", false, lossy},
	{"sl:roots", false, whole}, {"sl:{[*]}:*", false, whole},
	{"sl:{acme}:b:acme|usd|*", true, lossy},
}

// TestRow28EachKey deletes each kind of key, one kind after the other, under load and
// while nobody asks for anything. M16 M17
func TestRow28EachKey(t *testing.T) {
	t.Parallel() // it mostly waits
	var y tally
	_, long := seeds()
	began := time.Now()
	r := redistest.NewServer(t)
	w := newWorld(t, 28, startStandIn(t), r.URL())
	w.budgeted("500", "400", "300")
	w.run(2)
	for _, g := range w.gates {
		g.traffic(30, 4, anything)
	}
	for _, kind := range keyKinds {
		for _, idle := range []bool{false, true} {
			if !long && (idle || kind.within > whole) {
				continue
			}
			told := w.told()
			gone := func() {
				for _, key := range r.Keys(kind.pattern) {
					r.CLI("del", key)
					y.kill(kind.pattern)
				}
			}
			if idle {
				w.equal(10 * time.Second)
				time.Sleep(5 * time.Second) // leases go back, and all have seen that nothing is lost any more
				gone()
			} else {
				w.during(func() {
					w.pause(300*time.Millisecond, 600*time.Millisecond)
					gone()
					w.pause(300*time.Millisecond, 600*time.Millisecond)
				})
			}
			w.recovers(&y, fmt.Sprintf("%s was deleted, idle %t", kind.pattern, idle), kind.within)
			if kind.loud {
				harness.Eventually(t, time.Minute, func() (bool, string) {
					return w.told() > told, kind.pattern + " is gone and nobody says so"
				})
			}
			w.equal(20 * time.Second)
		}
	}
	w.healed(&y, began)
	t.Logf("row 28: %s", &y)
}

// told counts how often gateways said that keys are gone.
func (w *world) told() (n int) {
	for _, g := range w.gates {
		n += strings.Count(g.log(), "the ledger lost keys")
	}
	return n
}
