// Command progress runs `go test` and shows how far it is: a line for each package, a line at least every ten
// seconds, the output of what failed, and at the end what was skipped and why.
//
//	progress -part 3/5 -what "tests beside the code" -- -timeout 20m ./...
//
// The time that it shows is counted from SLUICE_STARTED (Unix seconds), so that the parts of one `make test` count
// on, or from its own start.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	part := flag.String("part", "1/1", "which part of the whole this is")
	what := flag.String("what", "tests", "what is tested, in a few words")
	flag.Parse()
	r := newRun(os.Stdout, *part, started(time.Now()))
	r.print("%s", *what)
	ok, err := r.do(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "progress:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// started is when the first part began.
func started(now time.Time) time.Time {
	if unix, err := strconv.ParseInt(os.Getenv("SLUICE_STARTED"), 10, 64); err == nil {
		return time.Unix(unix, 0)
	}
	return now
}

// do runs the tests, and once more the packages in which the race detector crashed.
func (r *run) do(args []string) (ok bool, err error) {
	if err := r.test(args); err != nil {
		return false, err
	}
	crashed, failed := r.failures()
	if len(crashed) > 0 && len(failed) == 0 {
		r.print("the race detector itself crashed (golang/go#78156), no test failed: running again %v", crashed)
		r.forget(crashed)
		if err := r.test(append(slices.DeleteFunc(args, isPackage), crashed...)); err != nil {
			return false, err
		}
	}
	return r.summary(), nil
}

// isPackage tells an argument of `go test` that names packages from a flag or its value.
func isPackage(arg string) bool {
	return strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "github.com/")
}

// test runs `go test -json` with args and handles its events until it ends. The exit code is not looked at: a
// failure has events of its own.
func (r *run) test(args []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM) // go test gets it too, and its end is ours
	defer signal.Stop(signals)
	events := make(chan event)
	var broken error
	go func() {
		defer close(events)
		broken = read(out, events)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case e, more := <-events:
			if !more {
				r.exit = cmd.Wait()
				return broken
			}
			r.handle(e)
		case <-tick.C:
			r.beat(time.Now())
		}
	}
}

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build's output
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

func read(out io.Reader, events chan<- event) error {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				e = event{Action: "build-output", Output: string(line)}
			}
			events <- e
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
