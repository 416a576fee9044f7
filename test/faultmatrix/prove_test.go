package faultmatrix

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// outcome is what a case found, for the tally.
type outcome struct {
	calls, unknown, resolved int
	lost                     int // calls without a record, entered from the invocation log
	used                     tokens
}

// prove stops what still runs and demands equal books, once as the gateways left
// them and once after the unknown attempts were resolved, and calls that no
// journal has entered, from the invocation log.
func (w *world) prove() outcome {
	w.t.Helper()
	for _, g := range w.gates {
		if g.process != nil && g.alive() {
			g.stop()
		}
	}
	before := w.equal(10 * time.Second)
	if n := len(before.suspense); n > w.broken {
		w.t.Fatalf("%d unknown attempts, but only %d requests were broken off: %v", n, w.broken, before.suspense)
	}
	w.verify()
	o := outcome{calls: len(before.billed), unknown: len(before.suspense), lost: len(before.lost)}
	if o.unknown+o.lost > 0 {
		w.lists(before.suspense)
		var entered int
		if o.resolved, entered = w.resolve(); entered != o.lost {
			w.t.Fatalf("%d calls entered from the invocation log, %d lost: %v", entered, o.lost, before.lost)
		}
		w.mayLose = 0
		w.verify()
	}
	after := w.equal(10 * time.Second)
	o.used = after.ledger.total()
	billed := map[string]bool{}
	for _, s := range after.billed {
		billed[recordOf(&s)] = s.Status < 400 // what was refused is in no invocation log
	}
	for id := range after.suspense {
		if billed[id] {
			w.t.Fatalf("record %s was billed and is still unknown after the invocation log was read", id)
		}
	}
	return o
}

// command runs the program with the gateway's configuration and returns what it
// prints and its exit code.
func (g *gate) command(name string, args ...string) (out string, code int) {
	return g.commandOf(harness.Binary(g.w.t), name, args...)
}

// commandOf is command of another program.
func (g *gate) commandOf(program, name string, args ...string) (out string, code int) {
	cmd := exec.Command(program, append([]string{name, "--config", g.config()}, args...)...)
	cmd.Env = append(os.Environ(), "SLUICE_ROOT_SECRET="+harness.RootSecret)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		g.w.t.Fatalf("%s: %v", name, err)
	}
	if code = cmd.ProcessState.ExitCode(); code != 0 {
		return stdout.String() + stderr.String(), code
	}
	return stdout.String(), 0
}

// audited is like command, over the journals of all gateways of the case.
func (g *gate) audited(name string, args ...string) (out string, code int) {
	return g.auditedBy(harness.Binary(g.w.t), name, args...)
}

// auditedBy is audited by another program.
func (g *gate) auditedBy(program, name string, args ...string) (out string, code int) {
	for _, other := range g.w.gates {
		if other != g {
			args = append(args, "--data-dir", other.data())
		}
	}
	return g.commandOf(program, name, append(args, "--all")...)
}

// differencesIn reads what verify or rebuild printed.
func differencesIn(out string) (found []string, n int) {
	n = -1
	for text := range strings.Lines(out) {
		if strings.HasPrefix(text, "DIFFERENCE ") {
			found = append(found, text)
		}
		var last int
		if k, _ := fmt.Sscanf(text, "%d differences\n", &last); k == 1 {
			n = last
		}
	}
	return found, n
}

// verify demands that `gateway verify` finds nothing.
func (w *world) verify() {
	w.t.Helper()
	out, code := w.gates[0].audited("verify")
	if _, n := differencesIn(out); n != 0 || code != 0 {
		w.t.Fatalf("verify: exit code %d, %d differences\n%s", code, n, out)
	}
}

// lists demands that `gateway resolve` lists the unknown attempts, each by its
// id, and nothing else.
func (w *world) lists(unknown map[string]bool) {
	w.t.Helper()
	listed := map[string]bool{}
	for _, g := range w.gates {
		out, code := g.command("resolve")
		if code != 0 {
			w.t.Fatalf("resolve: exit code %d\n%s", code, out)
		}
		for text := range strings.Lines(out) {
			if id := strings.Fields(text)[0]; id != "RECORD" {
				listed[id] = true
			}
		}
	}
	for id := range unknown {
		if !listed[id] {
			w.t.Fatalf("resolve does not list %s, which is unknown", id)
		}
	}
	if len(listed) != len(unknown) {
		w.t.Fatalf("resolve lists %d attempts, %d are unknown", len(listed), len(unknown))
	}
}

// resolve reads the stand-in's invocation log into the books of every gateway,
// and returns how many attempts became known and how many calls were entered
// that no journal had.
func (w *world) resolve() (made, entered int) {
	w.t.Helper()
	log := filepath.Join(w.dir, "invocations.jsonl")
	w.write(log, w.standIn.invoked(w.t))
	for _, g := range w.gates {
		out, code := g.audited("resolve", "--invocation-log", log)
		sums := lastLines(out, 2)
		var n, before, open, lost, left, untagged int
		_, err := fmt.Sscanf(sums, "%d resolved, %d resolved before, %d still unknown\n%d lost calls entered, %d without "+
			"a record not entered, %d untagged",
			&n, &before, &open, &lost, &left, &untagged)
		if code != 0 || err != nil || left+untagged > 0 {
			w.t.Fatalf("resolve: exit code %d, %v\n%s", code, err, out)
		}
		made, entered = made+n, entered+lost
	}
	return made, entered
}

func lastLines(text string, n int) string {
	all := strings.SplitAfter(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-n):], "")
}
