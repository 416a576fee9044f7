package faultmatrix

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestOldAndNew serves by the program of the last release and by this one in turn, on one data directory, each taking
// over what the other left behind, after a stop or after a kill under load. On Redis a second gateway always runs the
// other one of the two programs, as in a rolling upgrade. The books must be equal at the end, for both programs.
func TestOldAndNew(t *testing.T) {
	programs := [2]string{harness.OldBinary(t), harness.Binary(t)}
	s := startStandIn(t)
	f := func(name, redis string, gates int) {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			w := newWorld(t, 1, s, redis)
			w.budgeted("2500", "2000", "1200")
			for range gates {
				w.gate()
			}
			for round := range 5 {
				for i, g := range w.gates {
					g.program = programs[(round+i)%2]
					g.start("")
				}
				end := (*gate).stop
				if round < 2 {
					end = func(g *gate) { g.kill() }
				}
				w.during(func() {
					w.pause(50*time.Millisecond, 200*time.Millisecond)
					for _, g := range w.gates {
						end(g)
					}
				})
			}
			o := w.prove()
			for _, program := range programs {
				if out, code := w.gates[0].auditedBy(program, "verify"); code != 0 {
					t.Errorf("verify by %s: exit code %d\n%s", program, code, out)
				}
			}
			t.Logf("%d calls, %d unknown before and %d resolved, in %v", o.calls, o.unknown, o.resolved, time.Since(began))
		})
	}
	f("embedded", "", 1)
	f("redis", redistest.NewServer(t).URL(), 2)
}
