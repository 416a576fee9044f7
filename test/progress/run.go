package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// silence is how long nothing may be printed.
const silence = 9 * time.Second

// run is one run of `go test`, as its events tell it.
type run struct {
	out     io.Writer
	part    string
	started time.Time
	printed time.Time // when something was last printed

	packages map[string]*pkg
	skipped  map[string][]string // tests by the reason
	slow     []timed             // the slowest top-level tests, the slowest first
	exit     error               // of `go test`
}

// pkg is what is known of a package under test.
type pkg struct {
	name    string
	tests   map[string]*test // those that run
	passed  int
	skipped int
	failed  []string // tests
	output  strings.Builder
	done    string // "pass", "fail" or "skip" at the end
}

// test is a test that runs, with what it has printed.
type test struct {
	since  time.Time
	waits  bool // for its turn
	output strings.Builder
}

// timed is a test that has ended, and how long it took.
type timed struct {
	name    string
	seconds float64
}

// mostSlow is how many of the slowest tests the summary names, and slow what a test takes at least to be among them.
const (
	mostSlow = 10
	slow     = 5.0 // seconds
)

func newRun(out io.Writer, part string, started time.Time) *run {
	return &run{out: out, part: part, started: started, packages: map[string]*pkg{}, skipped: map[string][]string{}}
}

func (r *run) print(format string, args ...any) {
	r.printed = time.Now()
	elapsed := r.printed.Sub(r.started).Round(time.Second)
	fmt.Fprintf(r.out, "[%s %v] %s\n", r.part, elapsed, fmt.Sprintf(format, args...))
}

func (r *run) handle(e event) {
	if e.Action == "build-output" {
		fmt.Fprint(r.out, e.Output)
		return
	}
	if e.Package == "" {
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		_, name, _ := strings.Cut(e.Package, "/sluice/")
		p = &pkg{name: name, tests: map[string]*test{}}
		r.packages[e.Package] = p
	}
	if e.Test == "" {
		r.handlePackage(p, e)
	} else {
		r.handleTest(p, e)
	}
}

func (r *run) handlePackage(p *pkg, e event) {
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
	case "skip": // no test files
		p.done = e.Action
	case "pass":
		p.done = e.Action
		cached := ""
		if strings.Contains(p.output.String(), "(cached)") {
			cached = " (cached)"
		}
		r.print("ok    %-36s %6.1fs  %d tests%s%s", p.name, e.Elapsed, p.passed, count(p.skipped, " skipped"), cached)
	case "fail":
		p.done = e.Action
		for _, name := range slices.Sorted(maps.Keys(p.tests)) { // a crash ended them
			fmt.Fprint(r.out, p.tests[name].output.String())
		}
		fmt.Fprint(r.out, p.output.String())
		r.print("FAIL  %-36s %6.1fs  %s", p.name, e.Elapsed, strings.Join(p.failed, " "))
	}
}

func (r *run) handleTest(p *pkg, e event) {
	t := p.tests[e.Test]
	if t == nil {
		t = &test{since: time.Now()}
		p.tests[e.Test] = t
	}
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
		return
	case "pause", "cont": // a parallel test waits for those before it
		t.waits, t.since = e.Action == "pause", time.Now()
		return
	case "pass":
		p.passed++
	case "skip":
		p.skipped++
		why := reason(t.output.String())
		r.skipped[why] = append(r.skipped[why], p.name+" "+e.Test)
	case "fail":
		p.failed = append(p.failed, e.Test)
		fmt.Fprint(r.out, t.output.String())
		r.printed = time.Now()
	default:
		return
	}
	if e.Elapsed >= slow && !strings.Contains(e.Test, "/") {
		r.slow = append(r.slow, timed{p.name + " " + e.Test, e.Elapsed})
	}
	delete(p.tests, e.Test)
}

// reason is what a skipped test printed, without the testing package's own lines.
func reason(output string) string {
	var reasons []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, text, ok := strings.Cut(line, "_test.go:"); ok { // drops the place
			if _, after, ok := strings.Cut(text, ": "); ok {
				line = after
			}
		}
		reasons = append(reasons, strings.TrimPrefix(line, "SKIPPED: "))
	}
	return cmp.Or(strings.Join(reasons, " "), "no reason given")
}

// beat prints what runs when nothing was printed for a while.
func (r *run) beat(now time.Time) {
	if now.Sub(r.printed) < silence {
		return
	}
	var running []string
	done := 0
	for _, name := range slices.Sorted(maps.Keys(r.packages)) {
		p := r.packages[name]
		if p.done != "" {
			done++
			continue
		}
		text := p.name
		if test, since := p.longest(); test != "" {
			text += fmt.Sprintf(" %s (%v)", test, now.Sub(since).Round(time.Second))
		}
		running = append(running, text)
	}
	if len(running) == 0 {
		running = []string{"compiling"}
	}
	r.print("...   %d packages done; now %s", done, strings.Join(running, ", "))
}

// longest is the top-level test that has run for the longest time.
func (p *pkg) longest() (name string, since time.Time) {
	for _, n := range slices.Sorted(maps.Keys(p.tests)) {
		if t := p.tests[n]; !t.waits && !strings.Contains(n, "/") && (name == "" || t.since.Before(since)) {
			name, since = n, t.since
		}
	}
	return name, since
}

// failures are the packages that failed, parted into those where only the race detector crashed and the others.
func (r *run) failures() (crashed, failed []string) {
	for _, name := range slices.Sorted(maps.Keys(r.packages)) {
		p := r.packages[name]
		switch {
		case p.done != "fail":
		case len(p.failed) == 0 && p.crashed():
			crashed = append(crashed, name)
		default:
			failed = append(failed, name)
		}
	}
	return crashed, failed
}

// crashed reports whether the detector's own check failed. A race that it found, or a panic, is no such crash.
func (p *pkg) crashed() bool {
	text := p.output.String()
	for _, t := range p.tests {
		text += t.output.String()
	}
	return strings.Contains(text, "ThreadSanitizer: CHECK failed") && !strings.Contains(text, "DATA RACE")
}

func (r *run) forget(packages []string) {
	for _, name := range packages {
		delete(r.packages, name)
	}
}

// summary prints what failed and what was skipped, and reports whether all is well.
func (r *run) summary() (ok bool) {
	passed, tests := 0, 0
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(r.packages)) {
		p := r.packages[name]
		tests += p.passed
		switch p.done {
		case "pass":
			passed++
		case "skip": // no test files
		default:
			failed = append(failed, p.name)
		}
	}
	r.print("%d packages passed, %d tests%s", passed, tests, count(len(failed), " FAILED: "+strings.Join(failed, " ")))
	slices.SortFunc(r.slow, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, t := range r.slow[:min(len(r.slow), mostSlow)] {
		fmt.Fprintf(r.out, "    %5.1fs  %s\n", t.seconds, t.name)
	}
	for _, why := range slices.Sorted(maps.Keys(r.skipped)) {
		names := r.skipped[why]
		more := ""
		if len(names) > 3 {
			names, more = names[:3], fmt.Sprintf(" and %d more", len(names)-3)
		}
		fmt.Fprintf(r.out, "    SKIPPED %s: %s%s\n", why, strings.Join(names, ", "), more)
	}
	return len(failed) == 0 && r.exit == nil
}

// count is ", n text", and nothing for 0.
func count(n int, text string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d%s", n, text)
}
