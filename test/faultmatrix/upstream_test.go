package faultmatrix

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestRow11CallersLeave has callers leave before the head, in the middle, and
// behind the last text: their calls are read to the end and counted.
func TestRow11CallersLeave(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 11, s, r.URL())
	w.run(2)
	n := max(60, share(10))
	for _, g := range w.gates {
		g.traffic(n, 8, func(rng *rand.Rand) ask {
			a := anything(rng)
			a.text = "a text #" + [...]string{"slow", "late", "late", "slow"}[rng.IntN(4)]
			a.leave = [...]int{-2, -1, 0, 1, 100, 400, 900}[rng.IntN(7)]
			return a
		})
	}
	v := w.equal(15 * time.Second)
	if len(v.suspense) > 0 {
		t.Errorf("%d calls are unknown because their callers left", len(v.suspense))
	}
	drained := 0
	for _, a := range v.attempts {
		if a.End != nil && a.End.Drained {
			drained++
		}
	}
	if drained == 0 {
		t.Error("no answer was read on behalf of a caller that had left")
	}
	w.healed(&y, began)
	t.Logf("row 11: %d answers drained; %s", drained, &y)
}

// TestRow12UpstreamFaults breaks the upstream's answers. Refusals cost nothing;
// what broke in the middle is unknown until the invocation log is read.
func TestRow12UpstreamFaults(t *testing.T) {
	var y tally
	s, r := startStandIn(t), redistest.NewServer(t)
	check := func(name string, unknown bool, words ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			r.CLI("flushall")
			w := newWorld(t, 12, s, r.URL())
			w.run(1)
			w.gates[0].traffic(30, 4, saying(words...))
			v := w.equal(10 * time.Second)
			if got := len(v.suspense) > 0; got != unknown {
				t.Errorf("%d attempts are unknown", len(v.suspense))
			}
			w.broken = len(v.billed) // each caller learned that the answer broke
			o := w.prove()
			if o.resolved != o.unknown {
				t.Errorf("%d of %d unknown attempts resolved", o.resolved, o.unknown)
			}
			y.done(o, time.Since(began))
		})
	}
	check("refused", false, "#invalid", "#throttle")
	check("broken before the answer", false, "#broken")
	check("connection lost", true, "#cut0", "#cut2", "#cutbody")
	check("frame cut", true, "#cutframe")
	check("frame corrupt", true, "#crc")
	check("exception in the stream", true, "#exception")
	check("no usage", true, "#nousage")
	t.Logf("row 12: %s", &y)
}

// TestRow14Retries has the gateway retry, and callers send everything twice at
// once and leave the slower answer: every attempt has its own record.
func TestRow14Retries(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 14, s, r.URL())
	w.run(2)
	got := w.gates[0].traffic(40, 4, saying("#flaky", "#flaky", ""))
	var wg sync.WaitGroup
	for _, a := range w.load(20, saying("#slow", "#late")) {
		for i, g := range w.gates {
			hedge := a
			if i == 1 && !strings.HasSuffix(a.op, "stream") {
				hedge.leave = -2
			}
			wg.Go(func() { g.send(&hedge) })
		}
	}
	wg.Wait()
	v := w.equal(10 * time.Second)
	retried := 0
	for _, a := range v.attempts {
		if a.Start.Attempt > 1 {
			retried++
		}
	}
	if retried == 0 || got[200] == 0 {
		t.Errorf("%d retries, answers %v", retried, got)
	}
	w.healed(&y, began)
	t.Logf("row 14: %d retries; %s", retried, &y)
}

// TestRow19HugeCounts has the upstream report counts whose sums and cost no
// 32-bit number and no double holds.
func TestRow19HugeCounts(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 19, s, r.URL())
	w.run(2)
	for _, g := range w.gates {
		g.traffic(40, 4, saying("#huge"))
	}
	v := w.equal(10 * time.Second)
	if n := len(v.suspense); n > 0 {
		t.Errorf("%d attempts are unknown", n)
	}
	// What no model can have read is not believed, and so not posted as zero either.
	w.gates[0].traffic(10, 2, saying("#absurd"))
	if n := len(w.equal(10 * time.Second).suspense); n != 10 {
		t.Errorf("%d of 10 attempts with an absurd count are unknown", n)
	}
	y.done(outcome{calls: len(v.billed), used: v.ledger.total()}, time.Since(began))
	t.Logf("row 19: %s", &y)
}

// TestRow20Memory fills Redis up to its limit, and starts on one that evicts.
func TestRow20Memory(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 20, s, r.URL())
	w.watch()
	w.run(2)
	w.during(func() {
		defer func() { w.recovers(&y, "out of memory", whole) }()
		for range 3 {
			r.CLI("config", "set", "maxmemory", "1")
			w.pause(200*time.Millisecond, 400*time.Millisecond)
			r.CLI("config", "set", "maxmemory", "0")
			w.pause(50*time.Millisecond, 100*time.Millisecond)
			y.kill("out of memory")
		}
	})
	w.healed(&y, began)
	t.Logf("row 20: %s", &y)

	r.CLI("config", "set", "maxmemory-policy", "allkeys-lru")
	p := spawn(t, harness.Binary(t), nil, "serve", "--config", w.gates[0].config())
	t.Cleanup(p.kill)
	if !p.ended(10*time.Second) || p.cmd.ProcessState.ExitCode() == 0 {
		t.Fatalf("the gateway starts on a Redis that drops counters:\n%s", p.log())
	}
}
