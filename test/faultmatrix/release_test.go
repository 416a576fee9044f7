package faultmatrix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestOldAndNew upgrades from the program of the last release to this one, on one data directory, after a stop or after
// a kill under load. On Redis a second gateway runs the old program for two rounds more, as in a rolling upgrade. The
// way back is closed: the old program refuses records of version 4 and changes none of them. The books must be equal at
// the end.
func TestOldAndNew(t *testing.T) {
	before, now := harness.OldBinary(t), harness.Binary(t)
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
					g.program = now
					if round < 1+2*i {
						g.program = before
					}
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
				if round > 0 {
					w.gates[0].refused(before)
				}
			}
			o := w.prove()
			t.Logf("%d calls, %d unknown before and %d resolved, in %v", o.calls, o.unknown, o.resolved, time.Since(began))
		})
	}
	f("embedded", "", 1)
	f("redis", redistest.NewServer(t).URL(), 2)
}

// refused demands that a program does not serve on the gateway's journal, and leaves all records as they are. It begins
// a segment without records and writes identity, which is for people, before it reads them.
func (g *gate) refused(program string) {
	g.w.t.Helper()
	journal := func() map[string]string {
		all, err := filepath.Glob(g.data("journal", "*"))
		if err != nil || len(all) == 0 {
			g.w.t.Fatalf("no journal: %v", err)
		}
		files := map[string]string{}
		for _, name := range all {
			if data, err := os.ReadFile(name); err == nil {
				files[name] = string(data)
			}
		}
		return files
	}
	found := journal()
	out, code := g.commandOf(program, "serve")
	if code != 1 || !strings.Contains(out, "usage record cannot be read") {
		g.w.t.Fatalf("the old program ended with code %d:\n%s", code, out)
	}
	after := journal()
	for name, data := range found {
		if after[name] != data && filepath.Base(name) != "identity" {
			g.w.t.Fatalf("the old program changed %s", name)
		}
	}
}
