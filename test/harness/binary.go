package harness

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Root returns the directory of go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}

// Shared returns a path in the test data beside the repository, and skips the
// test loudly when it is not there.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	base := os.Getenv("SLUICE_SHARED")
	if base == "" {
		base = filepath.Join(Root(t), "..", "shared")
	}
	path := filepath.Join(append([]string{base}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: test data is not here: %v", err)
	}
	return path
}

var (
	build       = sync.OnceValues(func() (string, error) { return program("SLUICE_BIN") })
	buildFaults = sync.OnceValues(func() (string, error) { return program("SLUICE_FAULTS_BIN", "-tags", "faults") })
)

// program is the gateway's program: the one that an environment variable names,
// else one built with flags.
func program(variable string, flags ...string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "sluice-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gateway")
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "github.com/sluice-gateway/sluice/cmd/gateway")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", &exec.Error{Name: "go build: " + out.String(), Err: err}
	}
	return path, nil
}

// Binary returns the gateway's program as it is shipped: the one that SLUICE_BIN
// names, else one built for this test run.
func Binary(t testing.TB) string {
	t.Helper()
	return must(t, build)
}

// FaultsBinary returns the program built with the tag faults, whose only
// difference is that it obeys SLUICE_CRASH_AT and SLUICE_CLOCK: the one that
// SLUICE_FAULTS_BIN names, else one built for this test run.
func FaultsBinary(t testing.TB) string {
	t.Helper()
	return must(t, buildFaults)
}

func must(t testing.TB, path func() (string, error)) string {
	t.Helper()
	p, err := path()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Run runs a subcommand to its end and returns its standard output. It fails
// the test when the exit code is not want.
func Run(t testing.TB, want int, env []string, args ...string) string {
	t.Helper()
	out, _ := RunBoth(t, want, env, args...)
	return out
}

// RunBoth is Run that returns standard error too.
func RunBoth(t testing.TB, want int, env []string, args ...string) (stdout, stderr string) {
	t.Helper()
	return RunProgram(t, Binary(t), want, env, args...)
}

// RunProgram is RunBoth with another program. It gives it a minute.
func RunProgram(t testing.TB, program string, want int, env []string, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environment(env)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("gateway %v: exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", args, got, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}
