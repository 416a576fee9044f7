//go:build linux

package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/bench/proc"
	"github.com/sluice-gateway/sluice/bench/report"
)

// measureCalls counts all system calls of some subjects by strace, which slows
// them down: only the counts are of use.
func (b *bench) measureCalls(ctx context.Context) error {
	if _, err := exec.LookPath("strace"); err != nil {
		return fmt.Errorf("%w: strace", errMissing)
	}
	l := load{body: "2k", path: "/model/auto/converse", connections: 64}
	for _, name := range []string{yardstick, "reverse", "minimal", "full"} {
		r, err := b.get(ctx, name)
		if err != nil {
			return err
		}
		n, err := b.calls(ctx, r, l)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b.note(name+"/2k", 1, sample{report.Calls: n})
		log.Printf("%-16s %.1f system calls per request", name+"/2k", n)
	}
	return nil
}

// calls is how many system calls each request took.
func (b *bench) calls(ctx context.Context, r *running, l load) (float64, error) {
	table := filepath.Join(b.dir, "strace.txt")
	cmd := exec.Command("strace", "-c", "-f", "-o", table, "-p", strconv.Itoa(r.Pid))
	tracer, err := proc.Start(cmd, b.loadCPU)
	if err != nil {
		return 0, err
	}
	time.Sleep(500 * time.Millisecond) // it has attached to all threads
	n, err := b.wrk(ctx, r, l, r.headers, 2*time.Second)
	tracer.Signal(syscall.SIGINT)
	tracer.Wait()
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(table)
	if err != nil {
		return 0, err
	}
	calls, err := parseStrace(string(text))
	return float64(calls) / float64(n), err
}

// The last line has the share of time, seconds, µs per call, calls, and errors
// where there were some.
var straceTotal = regexp.MustCompile(`(?m)^\s*100\.00\s+[\d.]+\s+(?:\d+\s+)?(\d+)\s+(?:\d+\s+)?total$`)

func parseStrace(text string) (int, error) {
	m := straceTotal.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("strace: no total in %q", text)
	}
	return strconv.Atoi(m[1])
}

// measurePages takes the time of each page of the admin port, with counters of every hour of two
// months of 200 tenants. It shows the month.
func (b *bench) measurePages(ctx context.Context) error {
	if err := b.build(ctx, ".", b.dir, "./test/browser/stand"); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, b.program("stand"), "-times", "-hours", "24").Output()
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		var view string
		var first, later float64
		if _, err := fmt.Sscan(line, &view, &first, &later); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		b.note(view+"/page", 1, sample{report.First: first, report.P50: later})
		log.Printf("%-16s %.1f ms, at first %.1f ms", view+"/page", later/1000, first/1000)
	}
	return nil
}
