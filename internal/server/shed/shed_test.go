package shed

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// machine is a processor with one queue, as a process at its limit is, in simulated time.
// Requests are read, and those let through come back to the end of the queue for each of
// their pieces of work.
type machine struct {
	gate     *Gate
	now      time.Duration
	queue    []work
	waiting  []waiter
	inFlight int64
	probed   time.Duration // when the probe that is under way was sent; -1: none
	stall    func(now time.Duration) time.Duration
	again    bool // who is answered asks anew

	good, rejected []answer
}

type work struct {
	arrived time.Duration
	left    int // pieces; -1: it is not read yet, -2: it is the probe
}

// waiter is who waits in the gate's line.
type waiter struct {
	work
	turn <-chan struct{}
}

type answer struct{ arrived, took time.Duration }

const (
	pieces = 5
	piece  = 50 * time.Microsecond
	refuse = 10 * time.Microsecond
	// capacity is how many requests the machine serves in a second.
	capacity = float64(time.Second) / float64(pieces*piece)
)

// run sends requests at a rate until a moment.
func (m *machine) run(until time.Duration, rate float64, random *rand.Rand) {
	next, tock := m.now, m.now
	if rate == 0 {
		next = math.MaxInt64
	}
	for m.now < until {
		for next <= m.now {
			m.queue = append(m.queue, work{arrived: next, left: -1})
			next += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
		}
		if tock <= m.now {
			tock = m.now + m.tick(tock)
		}
		if len(m.queue) == 0 {
			m.now = min(next, tock)
			continue
		}
		m.step()
		m.now += m.stall(m.now)
	}
}

// tick is what Gate.Run does.
func (m *machine) tick(due time.Duration) time.Duration {
	if m.probed >= 0 {
		m.gate.Late(max(m.now-m.probed, m.now-due), m.inFlight)
	} else {
		m.probe()
	}
	return busy
}

func (m *machine) probe() {
	if m.probed < 0 {
		m.probed = m.now
		m.queue = append(m.queue, work{arrived: m.now, left: -2})
	}
}

// back is what the probe's reader does.
func (m *machine) back() {
	late := m.now - m.probed
	m.probed = -1
	if m.gate.back(late, m.inFlight) {
		m.probe()
	}
	for len(m.waiting) > 0 {
		select {
		case <-m.waiting[0].turn:
			m.queue = append(m.queue, m.waiting[0].work)
			m.waiting = m.waiting[1:]
		default:
			return
		}
	}
}

// step does the first piece of work of the queue.
func (m *machine) step() {
	w := m.queue[0]
	m.queue = m.queue[1:]
	switch w.left {
	case -2:
		m.back()
		return
	case -1:
		turn, ok := m.gate.Enter(m.inFlight + 1)
		if !ok {
			m.now += refuse
			m.rejected = append(m.rejected, answer{w.arrived, m.now - w.arrived})
			m.answered()
			return
		}
		m.inFlight++
		w.left = pieces
		if turn != nil {
			m.waiting = append(m.waiting, waiter{w, turn})
			return
		}
	}
	m.now += piece
	if w.left--; w.left > 0 {
		m.queue = append(m.queue, w)
		return
	}
	m.inFlight--
	m.good = append(m.good, answer{w.arrived, m.now - w.arrived})
	m.answered()
}

// answered lets a caller ask anew.
func (m *machine) answered() {
	if m.again {
		m.queue = append(m.queue, work{arrived: m.now, left: -1})
	}
}

func newMachine(stall func(time.Duration) time.Duration) *machine {
	m := &machine{probed: -1, stall: stall}
	m.gate = New(25*time.Millisecond, func() time.Time { return time.Unix(1, 0).Add(m.now) })
	m.gate.start(m.probe)
	return m
}

// never is a machine of its own.
func never(time.Duration) time.Duration { return 0 }

// shared is a machine whose processor others take for a while, now and then.
func shared(random *rand.Rand, every, length time.Duration) func(time.Duration) time.Duration {
	next := every
	return func(now time.Duration) time.Duration {
		if now < next {
			return 0
		}
		next = now + time.Duration(random.ExpFloat64()*float64(every))
		return time.Duration(random.ExpFloat64() * float64(length))
	}
}

func p99(all []answer) time.Duration {
	took := make([]time.Duration, 0, len(all))
	for _, a := range all {
		took = append(took, a.took)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// TestOverload is E11 in simulated time: at many times of what the machine can, it does nearly
// what it can, refuses at once, and is as before when that is over.
func TestOverload(t *testing.T) {
	for _, times := range []float64{1.2, 2, 5} {
		random := rand.New(rand.NewPCG(11, uint64(times*10)))
		m := newMachine(never)
		m.run(time.Second, capacity/2, random)
		if len(m.rejected) > 0 {
			t.Fatalf("%d rejected at half of the capacity", len(m.rejected))
		}
		m.good = nil
		const lasting = 20 * time.Second
		began := m.now
		m.run(began+lasting, capacity*times, random)
		ended, good, rejected := m.now, len(m.good), m.rejected
		m.good, m.rejected = nil, nil
		m.run(ended+4*time.Second, capacity/2, random)
		var again time.Duration
		for _, a := range append(m.rejected, m.good...) {
			if a.arrived > ended && (a.took > 10*time.Millisecond || slices.Contains(m.rejected, a)) {
				again = max(again, a.arrived-ended)
			}
		}
		goodput := float64(good) / lasting.Seconds() / capacity
		t.Logf("%.1f ×: goodput %.2f, %d rejected, p99 %v, normal again after %v", times, goodput, len(rejected),
			p99(rejected), again)
		if goodput < .8 || p99(rejected) > 5*time.Millisecond || again > 2*time.Second {
			t.Errorf("%.1f ×: it is not as it should be", times)
		}
	}
}

// TestSharedProcessor: what others take of the processor now and then is no reason to refuse.
func TestSharedProcessor(t *testing.T) {
	for _, stalls := range []struct{ every, length time.Duration }{
		{20 * time.Millisecond, 4 * time.Millisecond}, {200 * time.Millisecond, 15 * time.Millisecond},
	} {
		random := rand.New(rand.NewPCG(11, 7))
		m := newMachine(shared(random, stalls.every, stalls.length))
		m.run(20*time.Second, capacity/2, random)
		if share := float64(len(m.rejected)) / float64(len(m.good)); share > .005 {
			t.Errorf("stalls of %v: %.4f of the requests were refused", stalls.length, share)
		}
		m.good, m.rejected = nil, nil
		m.run(m.now+20*time.Second, 5*capacity, random)
		goodput := float64(len(m.good)) / 20 / capacity
		t.Logf("stalls of %v each %v: goodput %.2f, rejected p99 %v", stalls.length, stalls.every, goodput, p99(m.rejected))
		if goodput < .5 {
			t.Errorf("stalls of %v: goodput %.2f", stalls.length, goodput)
		}
	}
}

// TestShortLine: once any are refused, who is let in waits for at most twice the bound.
func TestShortLine(t *testing.T) {
	m := newMachine(never)
	random := rand.New(rand.NewPCG(11, 9))
	m.run(2*time.Second, 5*capacity, random) // until what had come before is served
	m.good, m.rejected = nil, nil
	m.run(m.now+5*time.Second, 5*capacity, random)
	t.Logf("good ones p99 %v, rejected p99 %v", p99(m.good), p99(m.rejected))
	if p99(m.good) > 50*time.Millisecond || p99(m.rejected) > 5*time.Millisecond {
		t.Error("the line is too long")
	}
}

// TestCallersWhoWait: up to 1,000 callers who each wait for their answer are all served, also
// where others have most of the processor.
func TestCallersWhoWait(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 8))
	most := shared(random, time.Millisecond, 3*time.Millisecond)
	for _, stall := range []func(time.Duration) time.Duration{never, most} {
		for _, callers := range []int{64, 256, 1000} {
			m := newMachine(stall)
			m.again = true
			for range callers {
				m.queue = append(m.queue, work{left: -1})
			}
			m.run(20*time.Second, 0, random)
			if len(m.good) < callers || len(m.rejected) > 0 {
				t.Errorf("%d callers: %d served, %d refused", callers, len(m.good), len(m.rejected))
			}
		}
	}
}

// TestFewBeginAtOnce: standing in line costs probes, and so few requests take little time together.
func TestFewBeginAtOnce(t *testing.T) {
	g := New(25*time.Millisecond, time.Now)
	asked := 0
	g.start(func() { asked++ })
	for _, c := range []struct {
		inFlight int64
		waits    bool
	}{{64, false}, {several, false}, {several + 1, true}} {
		g.Late(time.Second, c.inFlight)
		if turn, ok := g.Enter(c.inFlight); !ok || (turn != nil) != c.waits || (asked > 0) != c.waits {
			t.Errorf("%d in flight: ok %v, waits %v, %d probes", c.inFlight, ok, turn != nil, asked)
		}
	}
}

// TestRun: who waits begins when the probe has come back, and all begin when Run ends.
func TestRun(t *testing.T) {
	g := New(time.Hour, time.Now)
	stop, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- g.Run(func() int64 { return 1 }, func(int64) { t.Error("nothing was refused") }, stop)
	}()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 200 {
				g.Late(time.Second, 1)
				turn, ok := g.Enter(1)
				if !ok {
					t.Error("it is refused")
				}
				if turn != nil {
					<-turn
				}
			}
		})
	}
	all.Wait()
	var turns []<-chan struct{}
	for range 100 {
		g.Late(time.Second, 1)
		if turn, _ := g.Enter(1); turn != nil {
			turns = append(turns, turn)
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, turn := range turns {
		<-turn
	}
	g.Late(time.Second, 1)
	if turn, ok := g.Enter(1); turn != nil || !ok {
		t.Error("somebody waits for a gate that has ended")
	}
}

// TestNever: with a bound of 0 nobody waits, and nobody is refused.
func TestNever(t *testing.T) {
	g := New(0, time.Now)
	g.Late(time.Hour, 1<<20)
	if turn, ok := g.Enter(1 << 20); turn != nil || !ok || g.Full(1<<20) {
		t.Error("it waits, or is refused")
	}
}

// TestList: a few of the refused ones are listed, and all are counted.
func TestList(t *testing.T) {
	g, now := New(0, time.Now), time.Unix(1, 0)
	listed, total := 0, int64(0)
	for range 1000 {
		now = now.Add(3 * time.Millisecond)
		if more, ok := g.List(now); ok {
			listed, total = listed+1, total+1+more
		}
	}
	g.Rest(func(n int64) { total += n })
	g.Rest(func(int64) { t.Error("told twice") })
	if listed < 20 || listed > 40 || total != 1000 {
		t.Errorf("%d listed, %d in all", listed, total)
	}
}

// TestPages: an answer is made once in a second for each kind, and has the id of its request
// wherever one is.
func TestPages(t *testing.T) {
	var p Pages
	made, now := 0, time.Unix(1, 0)
	get := func(kind, id string) string {
		return string(p.Append([]byte("> "), []byte(kind), id, now, func() []byte {
			made++
			return []byte(Placeholder + kind + Placeholder)
		}))
	}
	one, two := "01M8M7YYHSMBXX1G6R3ZAEE3WX", "01M8M7YYHSMBXX1G6R3ZAEE3WY"
	for _, id := range []string{one, two} {
		for _, kind := range []string{"a", "b"} {
			if got := get(kind, id); got != "> "+id+kind+id {
				t.Error(got)
			}
		}
	}
	if made != 2 {
		t.Errorf("made %d times", made)
	}
	now = now.Add(fresh)
	if get("a", one); made != 3 {
		t.Error("an old one is kept")
	}
	for i := range 10 * maxPages {
		get(strconv.Itoa(i), one)
	}
	if len(p.pages) > maxPages {
		t.Errorf("%d are kept", len(p.pages))
	}
}
