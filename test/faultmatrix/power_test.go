package faultmatrix

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestPowerLoss cuts off the end of the journal behind the last record that the
// ledger has, at a record and inside one, as the loss of a machine does with what
// was not synced. The books stay equal among themselves; calls whose START is
// gone are missing, no more than were made since. The invocation log has them
// under their record ids, with their tenants: after `resolve` all are equal.
func TestPowerLoss(t *testing.T) {
	var y tally
	s, r := startStandIn(t), redistest.NewServer(t)
	for seed := range max(4, share(50)) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			began := time.Now()
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
			// Callers got answers whose END is gone.
			w.answered, w.broken, w.mayLose = map[string]bool{}, made, made
			g.start("")
			g.traffic(5, 2, anything)
			y.done(w.prove(), time.Since(began))
		})
	}
	t.Logf("power loss: %s", &y)
	if y.total.lost == 0 {
		t.Error("no case lost a START")
	}
}
