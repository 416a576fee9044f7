package faultmatrix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// during keeps every gateway under load while fault runs.
func (w *world) during(fault func()) {
	w.t.Helper()
	var stop atomic.Bool
	var wg sync.WaitGroup
	for _, g := range w.gates {
		load := w.load(20_000, anything)
		wg.Go(func() {
			for len(load) > 0 && !stop.Load() {
				g.sendAll(load[:4], 2)
				load = load[4:]
			}
		})
	}
	fault()
	stop.Store(true)
	wg.Wait()
}

func (w *world) pause(least, most time.Duration) {
	time.Sleep(least + time.Duration(w.rng.Int64N(int64(most-least))))
}

// run starts so many gateways and keeps them until the case ends.
func (w *world) run(n int) {
	w.t.Helper()
	for range n {
		w.gate().start("")
	}
}

// healed demands equal books within ten seconds while the gateways run, and
// then the whole proof.
func (w *world) healed(y *tally, began time.Time) {
	w.t.Helper()
	w.equal(10 * time.Second)
	y.done(w.prove(), time.Since(began))
}

// regressions counts how often the gateways saw that the ledger had forgotten
// records.
func (w *world) regressions() (n int) {
	for _, g := range w.gates {
		n += strings.Count(g.log(), "ledger has forgotten records")
	}
	return n
}

// share is a part of SEEDS, at least one.
func share(n int) int {
	all, _ := seeds()
	return max(1, all/n)
}

// TestRow2KillRedis kills Redis under load, ten times a case, and starts it
// again: with a log that keeps everything, one that may lose the last second,
// and none, which loses all.
func TestRow2KillRedis(t *testing.T) {
	modes := [...][]string{
		{"--appendonly", "yes", "--appendfsync", "always"}, {"--appendonly", "yes", "--appendfsync", "everysec"},
		{"--appendonly", "no"},
	}
	const killsPerCase = 10
	var y tally
	var cases atomic.Int64
	most := int64(max(len(modes), share(5*killsPerCase)+1))
	t.Run("workers", func(t *testing.T) {
		for i := range workers {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				s := startStandIn(t)
				for seed := cases.Add(1); seed <= most && !t.Failed(); seed = cases.Add(1) {
					mode := modes[int(seed)%len(modes)]
					t.Run(fmt.Sprintf("seed%d%s", seed, strings.Join(mode[1:], "")), func(t *testing.T) {
						began := time.Now()
						r := redistest.NewServer(t, mode...)
						w := newWorld(t, uint64(seed), s, r.URL())
						within, measured := keeps(mode, seed)
						if measured {
							w.watch()
						}
						w.run(2)
						w.during(func() {
							if measured {
								defer func() { w.recovers(&y, "restarts, "+strings.Join(mode[1:], " "), within) }()
							}
							for range killsPerCase {
								w.pause(20*time.Millisecond, 200*time.Millisecond)
								r.Kill()
								w.pause(1*time.Millisecond, 100*time.Millisecond)
								r.Start()
								y.kill(strings.Join(mode[1:], " "))
							}
						})
						w.healed(&y, began)
						if w.broken > 0 {
							t.Errorf("%d requests failed because Redis died", w.broken)
						}
					})
				}
			})
		}
	})
	t.Logf("row 2: %s", &y)
}

// keeps is how long a restart of Redis in a mode may keep a budgeted tenant from being
// served, and whether the case of a seed measures it: where writes are lost, it stops a
// third of the load for a while.
func keeps(mode []string, seed int64) (within time.Duration, measured bool) {
	if mode[len(mode)-1] == "always" {
		return whole, true
	}
	_, long := seeds()
	return lossy, long && seed <= 6
}

// TestRow3Failover loses acknowledged writes: the replica stands still while
// the master takes records, and then takes the dead master's place.
func TestRow3Failover(t *testing.T) {
	t.Parallel() // it mostly waits
	n := 1
	if _, long := seeds(); long {
		n = share(200)
	}
	var y tally
	s := startStandIn(t)
	for seed := range n {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			began := time.Now()
			set := redistest.NewSentinelSet(t)
			w := newWorld(t, uint64(seed), s, set.URL())
			w.watch()
			w.run(2 + seed%3)
			for _, g := range w.gates {
				g.traffic(10, 4, anything)
			}
			w.equal(10 * time.Second)
			set.Replica.Pause()
			set.Master.CLI("client", "kill", "type", "replica") // what it has not read yet would arrive
			for _, g := range w.gates {
				g.traffic(30, 4, anything)
			}
			w.during(func() {
				w.pause(100*time.Millisecond, 300*time.Millisecond)
				set.Master.Kill()
				set.Replica.Resume()
				set.Failover()
				if _, long := seeds(); long && seed < 2 {
					w.recovers(&y, "a failover that forgot writes", lossy)
				}
			})
			y.kill("failover")
			w.healed(&y, began)
			if w.regressions() == 0 {
				t.Error("no gateway noticed that acknowledged records were gone")
			}
		})
	}
	t.Logf("row 3: %s", &y)
}

// TestRow4LostLedger empties the ledger, takes it back to an old copy, and
// removes one key.
func TestRow4LostLedger(t *testing.T) {
	var y tally
	s := startStandIn(t)
	check := func(name string, fault func(w *world, r *redistest.Server)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			r := redistest.NewServer(t)
			w := newWorld(t, 4, s, r.URL())
			w.watch()
			w.run(2)
			for _, g := range w.gates {
				g.traffic(20, 4, anything)
			}
			fault(w, r)
			if _, long := seeds(); long {
				w.recovers(&y, name, lossy)
			}
			w.healed(&y, began)
			if w.regressions() == 0 {
				t.Error("no gateway noticed the loss")
			}
		})
	}
	check("FLUSHALL", func(w *world, r *redistest.Server) {
		w.during(func() {
			for range 5 {
				w.pause(50*time.Millisecond, 300*time.Millisecond)
				r.CLI("flushall")
			}
		})
	})
	check("FLUSHALL while idle", func(w *world, r *redistest.Server) {
		w.equal(10 * time.Second)
		r.CLI("flushall")
	})
	check("old RDB", func(w *world, r *redistest.Server) {
		r.CLI("save")
		w.during(func() { w.pause(500*time.Millisecond, 700*time.Millisecond) })
		w.equal(10 * time.Second)
		r.Kill() // what was not saved is gone, as with a copy of that time
		r.Start()
	})
	t.Run("one key", func(t *testing.T) { lostKey(t, s) })
	t.Logf("row 4: %s", &y)
}

// lostKey: a counter that vanishes leaves the watermark as it is, so nothing
// recovers by itself. The audit names it and a rebuild restores it.
func lostKey(t *testing.T, s *standIn) {
	r := redistest.NewServer(t)
	w := newWorld(t, 5, s, r.URL())
	w.run(2)
	for _, g := range w.gates {
		g.traffic(30, 4, anything)
	}
	w.equal(10 * time.Second)
	for _, g := range w.gates {
		g.stop()
	}
	key, _, _ := strings.Cut(r.CLI("keys", "sl:{acme}:r:*"), "\n")
	r.CLI("del", key)
	if out, code := w.gates[1].audited("verify"); code != 1 || !strings.Contains(out, "DIFFERENCE ") {
		t.Fatalf("verify: exit code %d after %s was deleted\n%s", code, key, out)
	}
	for _, wipe := range [...][]string{{"--wipe"}, nil} {
		out, code := w.gates[0].audited("rebuild", wipe...)
		if _, n := differencesIn(out); code != 0 || n != 0 {
			t.Fatalf("rebuild: exit code %d\n%s", code, out)
		}
	}
	w.prove()
}

// TestRow5Cut stops Redis in the middle of commands, which it then carries out
// when everybody has given up on them, and loses replies of what it did.
func TestRow5Cut(t *testing.T) {
	var y tally
	s := startStandIn(t)
	for seed := range max(2, share(100)) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			began := time.Now()
			r := redistest.NewServer(t)
			p := redistest.NewProxy(t, r.Addr)
			w := newWorld(t, uint64(seed), s, p.URL())
			w.watch()
			w.run(2)
			w.during(func() {
				defer func() { w.recovers(&y, "lost replies and stops", whole) }()
				for i := range 6 {
					w.pause(20*time.Millisecond, 200*time.Millisecond)
					if i%2 == 0 {
						p.LoseReplies(w.rng.IntN(10))
						w.pause(100*time.Millisecond, 700*time.Millisecond)
						p.Heal()
						y.kill("replies lost")
						continue
					}
					r.Pause()
					w.pause(100*time.Millisecond, 2500*time.Millisecond)
					r.Resume()
					y.kill("stopped")
				}
			})
			if p.Lost() == 0 {
				t.Error("no reply was lost")
			}
			w.healed(&y, began)
		})
	}
	t.Logf("row 5: %s", &y)
}

// TestRow6Batches sends what gateways asked Redis again, late, in another order
// and over another connection: batches twice, batches that overlap, grants and
// returns of leases that are long over. Others it holds back until the gateways
// have given up on them.
func TestRow6Batches(t *testing.T) {
	var y tally
	s := startStandIn(t)
	for seed := range max(2, share(50)) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			began := time.Now()
			r := redistest.NewServer(t)
			p := redistest.NewProxy(t, r.Addr)
			w := newWorld(t, uint64(seed), s, p.URL())
			w.budgeted("2.5", "2", "1.2")
			w.watch()
			w.run(2)
			w.during(func() {
				defer func() { w.recovers(&y, "batches and grants sent again", whole) }()
				for i := range 12 {
					w.pause(20*time.Millisecond, 120*time.Millisecond)
					for range p.Replay(t, 1+w.rng.IntN(16), w.rng.IntN) {
						y.kill("sent again")
					}
					switch i % 4 {
					case 1:
						p.Delay(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
						y.kill("held back")
					case 2:
						p.Delay(0)
						p.LoseReplies(w.rng.IntN(10))
						y.kill("replies lost")
					case 3:
						p.Heal()
					}
				}
			})
			w.equal(10 * time.Second)
			p.Replay(t, 64, w.rng.IntN)
			w.healed(&y, began)
			w.within() // a grant that comes after its gateway's last word stays held
		})
	}
	t.Logf("row 6: %s", &y)
}

// TestRow7Cluster moves slots between the nodes of a cluster under load.
func TestRow7Cluster(t *testing.T) {
	var y tally
	began := time.Now()
	c := redistest.NewCluster(t, 6)
	w := newWorld(t, 7, startStandIn(t), c.URL())
	w.watch()
	w.run(2)
	w.during(func() {
		defer func() { w.recovers(&y, "slots moved", whole) }()
		for i, root := range []string{"acme", "beta", "acme", "beta"} {
			moveSlot(t, c, slotOf(t, c, root), i)
			y.kill("slot moved")
		}
	})
	w.healed(&y, began)
	t.Logf("row 7: %s", &y)
}

// TestRow7Replicas moves slots between masters that have replicas, and kills the
// master of a slot, so that its replica takes over with what it had.
func TestRow7Replicas(t *testing.T) {
	t.Parallel() // it mostly waits
	if _, long := seeds(); !long {
		t.Skip("SKIPPED: waits for elections; make test-faults runs it")
	}
	var y tally
	began := time.Now()
	c := redistest.NewReplicatedCluster(t, 3)
	w := newWorld(t, 77, startStandIn(t), c.URL())
	w.watch()
	w.run(4)
	w.during(func() {
		defer func() { w.recovers(&y, "slots moved and a master died", lossy) }()
		for i, root := range []string{"acme", "beta", "acme"} {
			moveSlot(t, c, slotOf(t, c, root), i)
			y.kill("slot moved")
		}
		ownerOf(t, c, slotOf(t, c, "acme")).Kill()
		y.kill("master killed")
		harness.Eventually(t, time.Minute, func() (bool, string) {
			n := len(c.Masters())
			return n == 3, fmt.Sprintf("%d masters", n)
		})
		moveSlot(t, c, slotOf(t, c, "beta"), 1)
		y.kill("slot moved")
	})
	w.equal(30 * time.Second)
	y.done(w.prove(), time.Since(began))
	t.Logf("row 7: %s", &y)
}

func slotOf(t *testing.T, c *redistest.Cluster, root string) int {
	t.Helper()
	slot, err := strconv.Atoi(c.Masters()[0].CLI("cluster", "keyslot", "{"+root+"}"))
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

// ownerOf is the master with keys in the slot: the others have none.
func ownerOf(t *testing.T, c *redistest.Cluster, slot int) *redistest.Server {
	t.Helper()
	for _, n := range c.Masters() {
		if n.CLI("cluster", "countkeysinslot", strconv.Itoa(slot)) != "0" {
			return n
		}
	}
	t.Fatalf("no node has keys in slot %d", slot)
	return nil
}

// moveSlot moves one slot to another master, slowly enough that commands meet it
// half moved.
func moveSlot(t *testing.T, c *redistest.Cluster, slot, salt int) {
	t.Helper()
	from, masters := ownerOf(t, c, slot), c.Masters()
	others := slices.DeleteFunc(slices.Clone(masters), func(n *redistest.Server) bool { return n == from })
	to := others[salt%len(others)]
	fromID, toID, slotText := from.CLI("cluster", "myid"), to.CLI("cluster", "myid"), strconv.Itoa(slot)
	to.CLI("cluster", "setslot", slotText, "importing", fromID)
	from.CLI("cluster", "setslot", slotText, "migrating", toID)
	time.Sleep(50 * time.Millisecond)
	for {
		keys := strings.Fields(from.CLI("cluster", "getkeysinslot", slotText, "1"))
		if len(keys) == 0 {
			break
		}
		from.CLI("migrate", "127.0.0.1", strconv.Itoa(to.Port), keys[0], "0", "1000")
		time.Sleep(10 * time.Millisecond)
	}
	for _, n := range append([]*redistest.Server{to, from}, masters...) {
		n.CLI("cluster", "setslot", slotText, "node", toID)
	}
}

// TestOldDataDir starts a gateway on a copy of its data directory that is older
// than what the ledger has: the numbers in between must not be used twice.
func TestOldDataDir(t *testing.T) {
	var y tally
	began := time.Now()
	s, r := startStandIn(t), redistest.NewServer(t)
	w := newWorld(t, 16, s, r.URL())
	w.run(1)
	g := w.gates[0]
	g.traffic(10, 4, anything)
	w.equal(10 * time.Second)
	g.kill()
	old := g.copied()
	g.start("")
	g.traffic(20, 4, anything)
	g.stop()
	old.start("")
	old.traffic(10, 4, anything)
	w.healed(&y, began)
	t.Logf("old data_dir: %s", &y)
}
