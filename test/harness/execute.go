package harness

import (
	"bytes"
	"context"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// Execute runs a command line on commands of the gateway, inside the test's own
// process, and returns what it prints.
func Execute(t testing.TB, commands []*cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := execute(t.Context(), &out, commands, args...)
	return out.String(), err
}

func execute(ctx context.Context, out io.Writer, commands []*cobra.Command, args ...string) error {
	root := &cobra.Command{Use: "gateway", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(commands...)
	root.SetOut(out)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

// File writes a file for a command to read and returns its path.
func File(t testing.TB, name, contents string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Noise is n bytes that no program wrote, the same ones each time.
func Noise(n int) []byte {
	b, r := make([]byte, n), rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Golden compares what a command printed with a file in testdata, which it
// writes when SLUICE_UPDATE is set.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("SLUICE_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// Described wants openapi.yaml to have each of the paths that an API routes below a prefix.
func Described(t testing.TB, prefix string, paths iter.Seq[string]) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(t), "internal", "api", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for path := range paths {
		if !bytes.Contains(text, []byte("\n  "+prefix+path+":\n")) {
			t.Errorf("%s is not described", prefix+path)
		}
	}
}

// Serve runs `gateway serve` of the commands inside the test's own process, until
// stop or the end of the test.
func Serve(t testing.TB, commands []*cobra.Command, yaml string) (g *Gateway, stop func()) {
	t.Helper()
	g = &Gateway{t: t, Dir: t.TempDir(), Addr: FreeAddr(t), Admin: FreeAddr(t), Log: &Buffer{}}
	g.Write(yaml)
	return g, g.Restart(commands)
}

// Restart runs `gateway serve` again on the directory and the ports of g.
func (g *Gateway) Restart(commands []*cobra.Command) (stop func()) {
	g.t.Helper()
	_, stop = Background(g.t, commands, "serve", "--config", g.ConfigFile())
	g.waitReady()
	return stop
}

// Background runs a command line inside the test's own process, until stop or the
// end of the test. out gets what it prints.
func Background(t testing.TB, commands []*cobra.Command, args ...string) (out *Buffer, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out = &Buffer{}
	ended := make(chan error, 1)
	go func() { ended <- execute(ctx, out, commands, args...) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%q: %v", args, err)
		}
	})
	t.Cleanup(stop)
	return out, stop
}
