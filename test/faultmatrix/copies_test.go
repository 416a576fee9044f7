package faultmatrix

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestRow15Copies runs gateways on copies of one data directory: of one that was
// killed with calls in flight, and of one that runs. All serve at once, one is
// killed under load and starts again, and in every third case the ledger loses
// all that it has.
func TestRow15Copies(t *testing.T) {
	var y tally
	sideBySide(t, max(4, share(20)), func(w *world, seed int64, r *redistest.Server) {
		began := time.Now()
		if seed%2 == 0 {
			w.budgeted("25", "20", "12")
		}
		w.copies(r, seed%3 == 0, &y)
		w.healed(&y, began)
		if seed%2 == 0 {
			w.released()
		}
	})
	t.Logf("row 15: %s", &y)
}

// copies is the case itself. It leaves four gateways running, all of one origin.
func (w *world) copies(r *redistest.Server, loses bool, y *tally) {
	w.t.Helper()
	w.run(1)
	first := w.gates[0]
	first.traffic(10, 4, anything)
	killed := func(g *gate) {
		w.during(func() {
			w.pause(20*time.Millisecond, 150*time.Millisecond)
			g.kill()
			y.kill("copied")
		})
	}
	killed(first)
	second := first.copied()
	second.start("")
	first.copied().start("")
	first.start("")
	w.during(func() { w.pause(100*time.Millisecond, 300*time.Millisecond) })
	killed(second)
	second.start("")
	first.copied().start("") // between two calls
	w.during(func() {
		w.pause(50*time.Millisecond, 200*time.Millisecond)
		if loses {
			r.CLI("flushall")
		}
		w.pause(50*time.Millisecond, 200*time.Millisecond)
	})
}
