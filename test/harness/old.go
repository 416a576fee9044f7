package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// lastRelease is the commit of the release before this one: what OldBinary builds.
const lastRelease = "37061f07dcfcdfbc4a6a8f64068b1b3aebb4be87"

var buildOld struct {
	sync.Once
	path string
	err  error
}

// OldBinary returns the program of the last release, built from the history of this repository into bin. It skips the
// test, loudly, where that history is not there.
func OldBinary(t testing.TB) string {
	t.Helper()
	root := Root(t)
	git := func(args ...string) *exec.Cmd {
		cmd := exec.Command("git", args...)
		cmd.Dir = root
		return cmd
	}
	if out, err := git("cat-file", "-e", lastRelease+"^{commit}").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: the program of the last release, %s, cannot be built: %v %s; is this a shallow clone? (git "+
			"fetch --unshallow)",
			lastRelease[:12], err, bytes.TrimSpace(out))
	}
	buildOld.Do(func() {
		buildOld.path = filepath.Join(root, "bin", "gateway-"+lastRelease[:12])
		if _, err := os.Stat(buildOld.path); err == nil {
			return
		}
		buildOld.err = buildCommit(git("archive", lastRelease), t.TempDir(), buildOld.path)
	})
	if buildOld.err != nil {
		t.Fatal(buildOld.err)
	}
	return buildOld.path
}

// buildCommit unpacks what archive writes into dir and builds the program there. Another test may do the same at the
// same time, so the program appears at path as a whole.
func buildCommit(archive *exec.Cmd, dir, path string) error {
	source, err := archive.Output()
	if err != nil {
		return fmt.Errorf("%v: %w", archive.Args, err)
	}
	unpack := exec.Command("tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(source)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part := fmt.Sprintf("%s.%d", path, os.Getpid())
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", part, "./cmd/gateway")
	build.Dir = dir
	build.Env = append(withoutFlags(os.Environ()), "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return os.Rename(part, path)
}

// withoutFlags leaves out what would build the old program in the way of the new one.
func withoutFlags(env []string) (rest []string) {
	for _, v := range env {
		if !strings.HasPrefix(v, "GOFLAGS=") {
			rest = append(rest, v)
		}
	}
	return rest
}
