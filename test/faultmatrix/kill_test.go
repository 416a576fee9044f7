package faultmatrix

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// seeds is how many seeded kills of gateways a run makes; a fifth of it is how
// many of Redis. Without SEEDS a run is short.
func seeds() (n int, long bool) {
	n, err := strconv.Atoi(os.Getenv("SEEDS"))
	if err != nil || n < 1 {
		return 60, false
	}
	return n, true
}

// tally counts over the cases of a test.
type tally struct {
	mu     sync.Mutex
	kills  map[string]int // by point
	cases  int
	total  outcome
	longer time.Duration // of the longest case
	back   map[string]recovery
}

// recovery is how long it took from the end of faults of one kind until a budgeted
// tenant was served.
type recovery struct {
	n       int
	late    int // longer than they may take
	longest time.Duration
}

// recovered notes that a budgeted tenant was served so long after the end of a fault, and
// within what time it should be.
func (y *tally) recovered(from string, took, within time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.back == nil {
		y.back = map[string]recovery{}
	}
	b := y.back[from]
	if took > within {
		b.late++
	}
	y.back[from] = recovery{b.n + 1, b.late, max(b.longest, took)}
}

func (y *tally) kill(point string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.kills == nil {
		y.kills = map[string]int{}
	}
	y.kills[point]++
}

func (y *tally) done(o outcome, took time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.cases++
	y.total.calls += o.calls
	y.total.unknown += o.unknown
	y.total.resolved += o.resolved
	y.total.lost += o.lost
	y.total.used = y.total.used.plus(o.used)
	y.longer = max(y.longer, took)
}

// named is how many kills there were at named points.
func (y *tally) named() (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, k := range y.kills {
		n += k
	}
	return n
}

func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	var points []string
	for p, n := range y.kills {
		points = append(points, fmt.Sprintf("%s %d", p, n))
	}
	sort.Strings(points)
	var back []string
	for from, b := range y.back {
		back = append(back, fmt.Sprintf("%v after %s (of %d, %d late)",
			b.longest.Round(time.Millisecond), from, b.n, b.late))
	}
	sort.Strings(back)
	again := ""
	if len(back) > 0 {
		again = "; served again at most: " + strings.Join(back, ", ")
	}
	return fmt.Sprintf("%d cases, kills: %s; %d calls, %d tokens, %d unknown before and %d resolved, %d without a "+
		"START and entered from the invocation log; lost 0, doubled 0; longest case %v%s",
		y.cases, strings.Join(points, ", "), y.total.calls, y.total.used.total(), y.total.unknown,
		y.total.resolved, y.total.lost, y.longer.Round(time.Millisecond), again)
}

// points are where gateways are killed.
var points = [...]string{
	meter.BeforeStart, meter.AfterStart, meter.AfterReserve, meter.AfterDispatch, meter.FirstByte, meter.UsageFrame,
	meter.AfterEnd, meter.ApplySent, meter.ApplyReply,
}

// workers is how many cases run at once.
const workers = 2

// sideBySide runs cases of the seeds 1 to most, workers of them at a time. The
// cases of a worker share a stand-in and a Redis, which is empty when one begins.
func sideBySide(t *testing.T, most int, one func(w *world, seed int64, r *redistest.Server)) {
	t.Helper()
	var runs atomic.Int64
	t.Run("workers", func(t *testing.T) {
		for i := range workers {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				s, r := startStandIn(t), redistest.NewServer(t)
				for seed := runs.Add(1); seed <= int64(most) && !t.Failed(); seed = runs.Add(1) {
					t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
						r.CLI("flushall")
						one(newWorld(t, uint64(seed), s, r.URL()), seed, r)
					})
				}
			})
		}
	})
}

// TestRow1KillGateway kills gateways at every named point and restarts them on
// the same data: 1 to 3 gateways per case, two rounds of kills each, then a
// round in peace. Every eighth case has one gateway with the embedded ledger.
func TestRow1KillGateway(t *testing.T) {
	n, _ := seeds()
	var y tally
	var next sync.Mutex
	seed := uint64(0)
	t.Run("workers", func(t *testing.T) {
		for i := range workers {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				s, r := startStandIn(t), redistest.NewServer(t, "--appendonly", "yes", "--appendfsync", "everysec")
				for y.named() < n && !t.Failed() {
					next.Lock()
					seed++
					mine := seed
					next.Unlock()
					t.Run(fmt.Sprintf("seed%d", mine), func(t *testing.T) { killCase(t, mine, s, r, &y) })
				}
			})
		}
	})
	t.Logf("row 1: %s", &y)
	if y.named() < n {
		t.Fatalf("%d kills, want %d", y.named(), n)
	}
}

func killCase(t *testing.T, seed uint64, s *standIn, r *redistest.Server, y *tally) {
	began := time.Now()
	r.CLI("flushall")
	w := newWorld(t, seed, s, r.URL())
	w.journal = "{fsync: " + [...]string{"group", "group", "always", "os"}[w.rng.IntN(4)] + ", every: 2ms}"
	gates := 1 + w.rng.IntN(3)
	if seed%8 == 0 {
		gates, w.redis = 1, "" // the embedded ledger
	}
	for range gates {
		w.gate()
	}
	for range 2 {
		w.killRound(y, anything)
	}
	for _, g := range w.gates {
		g.start("")
		g.traffic(4, 2, anything)
	}
	y.done(w.prove(), time.Since(began))
}

// killRound starts every gateway with an appointment, sends traffic until it has
// died, and kills those that missed it.
func (w *world) killRound(y *tally, next func(*rand.Rand) ask) {
	var wg sync.WaitGroup
	for _, g := range w.gates {
		point := points[w.rng.IntN(len(points))]
		times := 1 + w.rng.IntN(8)
		if point == meter.ApplySent || point == meter.ApplyReply {
			times = 1 + w.rng.IntN(3)
		}
		if !g.start(fmt.Sprintf("%s:%d", point, times)) {
			y.kill(point)
			continue
		}
		load := w.load(12, next)
		wg.Go(func() {
			g.sendAll(load, 4)
			if g.ended(250 * time.Millisecond) {
				y.kill(point)
				return
			}
			g.kill() // idle, or posting
		})
	}
	wg.Wait()
}

// TestKillAtAnyTime kills the shipped program, which has no points to die at, at
// moments drawn from the seed. Every fourth case has the embedded ledger.
func TestKillAtAnyTime(t *testing.T) {
	n, _ := seeds()
	var y tally
	sideBySide(t, max(8, n/20), func(w *world, seed int64, r *redistest.Server) {
		began := time.Now()
		if seed%4 == 0 {
			w.redis = ""
		}
		g := w.gate()
		for range 3 {
			if !g.start("") {
				w.t.Fatalf("the gateway was killed before its time:\n%s", g.log())
			}
			load, after := w.load(200, anything), time.Duration(1+w.rng.IntN(150))*time.Millisecond
			var wg sync.WaitGroup
			wg.Go(func() { g.sendAll(load, 8) })
			time.Sleep(after)
			g.kill()
			y.kill("any time")
			wg.Wait()
		}
		g.start("")
		g.traffic(4, 2, anything)
		y.done(w.prove(), time.Since(began))
	})
	t.Logf("row 1, shipped program: %s", &y)
}
