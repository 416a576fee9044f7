package faultmatrix

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestPowerLoss cuts off the end of the journal behind the last record that the
// ledger has, at a record and inside one, as the loss of a machine does with what
// was not synced. The books stay equal among themselves; calls whose START is
// gone are missing, no more than were made since, and each of them is in the
// invocation log under its record id.
func TestPowerLoss(t *testing.T) {
	s, r := startStandIn(t), redistest.NewServer(t)
	for seed := range max(4, share(50)) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			r.CLI("flushall")
			w := newWorld(t, uint64(seed), s, r.URL())
			w.run(1)
			g := w.gates[0]
			g.traffic(10, 4, anything)
			w.equal(10 * time.Second)
			_, before := g.newestSegment()
			r.CLI("save")
			r.Kill() // what follows does not reach the ledger, so it need not have been synced
			const made = 20
			g.traffic(made, 4, anything)
			g.kill()
			file, places := g.newestSegment()
			tail := places[len(before)-1:]
			i := w.rng.IntN(len(tail) - 1)
			cut := tail[i] + w.rng.Int64N(2)*w.rng.Int64N(tail[i+1]-tail[i])
			if err := os.Truncate(file, cut); err != nil {
				t.Fatal(err)
			}
			r.Start()
			w.answered = map[string]bool{}
			g.start("")
			g.traffic(5, 2, anything)
			g.stop()
			w.lostCalls(made)
			w.verify()
		})
	}
}

// lostCalls demands that nothing differs but calls without a START, at most so
// many, all of them in the invocation log.
func (w *world) lostCalls(most int) {
	w.t.Helper()
	v, err := w.look(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	log, err := os.ReadFile(w.standIn.invocations)
	if err != nil {
		w.t.Fatal(err)
	}
	lost := 0
	for i := 0; i < len(v.billed); {
		id := v.billed[i].Metadata[meter.TagKey]
		if a := v.attempts[id]; a != nil && a.Start != nil {
			i++
			continue
		}
		lost++
		if !strings.Contains(string(log), id) {
			w.t.Errorf("the invocation log does not have record %s", id)
		}
		v.billed = append(v.billed[:i:i], v.billed[i+1:]...)
	}
	if found := w.problems(v); lost > most || len(found) > 0 {
		w.t.Errorf("%d calls lost of %d made; %s", lost, most, strings.Join(found, "\n"))
	}
	w.t.Logf("power loss: %d of %d calls lost, %d unknown", lost, most, len(v.suspense))
}
