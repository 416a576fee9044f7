package main

import (
	"strings"
	"testing"
	"time"
)

const module = "github.com/sluice-gateway/sluice/"

// play handles events as `go test -json` would write them.
func play(t *testing.T, lines string) (*run, *strings.Builder) {
	t.Helper()
	var out strings.Builder
	r := newRun(&out, "2/5", time.Now())
	events := make(chan event, 100)
	if err := read(strings.NewReader(lines), events); err != nil {
		t.Fatal(err)
	}
	close(events)
	for e := range events {
		e.Package = module + e.Package
		r.handle(e)
	}
	return r, &out
}

func TestSkipsSayWhy(t *testing.T) {
	r, out := play(t, `{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:3: SKIPPED: no Redis here\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a","Elapsed":0.1}
`)
	if !r.summary() {
		t.Error("a skipped test is no failure")
	}
	for _, want := range []string{"ok    a ", "0 tests, 1 skipped", "SKIPPED no Redis here: a TestX"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestFailuresAreShown(t *testing.T) {
	r, out := play(t, `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:3: wrong\n"}
{"Action":"fail","Package":"a","Test":"TestX"}
{"Action":"fail","Package":"a","Elapsed":0.1}
{"Action":"run","Package":"b","Test":"TestNeverEnds"}
`)
	if r.summary() {
		t.Error("passed")
	}
	for _, want := range []string{"x_test.go:3: wrong", "FAIL  a ", "2 FAILED: a b"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// TestParallelTestsWait: what a test waits for its turn is not its own time.
func TestParallelTestsWait(t *testing.T) {
	f := func(want, lines string) {
		t.Helper()
		r, _ := play(t, lines)
		if got, _ := r.packages[module+"a"].longest(); got != want {
			t.Errorf("%q runs, want %q", got, want)
		}
	}
	const waiting = `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"pause","Package":"a","Test":"TestX"}
{"Action":"run","Package":"a","Test":"TestY"}
`
	f("TestY", waiting)
	f("TestX", waiting+`{"Action":"pass","Package":"a","Test":"TestY"}
{"Action":"cont","Package":"a","Test":"TestX"}
`)
}

// TestSlowestAreNamed: the summary says where the time went.
func TestSlowestAreNamed(t *testing.T) {
	r, out := play(t, `{"Action":"pass","Package":"a","Test":"TestX","Elapsed":7}
{"Action":"pass","Package":"a","Test":"TestY","Elapsed":12.5}
{"Action":"pass","Package":"a","Test":"TestY/part","Elapsed":12.5}
{"Action":"pass","Package":"a","Test":"TestZ","Elapsed":4.9}
{"Action":"pass","Package":"a"}
`)
	r.summary()
	if want := "     12.5s  a TestY\n      7.0s  a TestX\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("no %q in\n%s", want, out)
	}
}

// TestCrashes tells a crash of the race detector from a race and from a failure.
func TestCrashes(t *testing.T) {
	f := func(output, action string, crashed int) {
		t.Helper()
		r, _ := play(t, `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"`+output+`\n"}
`+action+`
{"Action":"fail","Package":"a"}
`)
		if got, failed := r.failures(); len(got) != crashed || len(failed) != 1-crashed {
			t.Errorf("%s: crashed %v, failed %v", output, got, failed)
		}
	}
	const failed = `{"Action":"fail","Package":"a","Test":"TestX"}`
	f("FATAL: ThreadSanitizer: CHECK failed: tsan_rtl.cpp", "", 1)
	f("FATAL: ThreadSanitizer: CHECK failed: tsan_rtl.cpp", failed, 0)
	f("WARNING: DATA RACE ThreadSanitizer: CHECK failed", "", 0)
	f("panic: nil", "", 0)
}
