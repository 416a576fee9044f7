package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/ports"
)

// Upstream credentials that every gateway under test signs with.
const (
	UpstreamKeyID  = "AKIDUPSTREAM"
	UpstreamSecret = "upstream-secret"
)

// RootSecret is the root secret of every gateway under test.
const RootSecret = "a root secret for tests"

// Key is a tenant's key, as `gateway keys` prints it.
type Key struct {
	KeyID           string `json:"key_id"`
	Bearer          string `json:"bearer"`
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
}

// NewKey issues a key for a tenant.
func NewKey(t testing.TB, tenant string) Key {
	t.Helper()
	out := Run(t, 0, nil, "keys", "new", "--tenant", tenant, "--json")
	var k Key
	if err := json.Unmarshal([]byte(out), &k); err != nil {
		t.Fatalf("gateway keys new: %v in %s", err, out)
	}
	return k
}

// Config is a gateway to start. Its YAML must not name listen, admin or
// data_dir: the harness chooses them.
type Config struct {
	Files  []*os.File // that it inherits, from descriptor 3 on
	Prefix []string   // of the command line, before the program
	YAML   string
	Env    []string
	// Dir is reused when set, so that a restarted gateway finds its data.
	Dir string
	// Listen is reused when set.
	Listen string
	// Program runs instead of the program under test when set.
	Program string
	// AdminToken is the token of the admin port, "" for none.
	AdminToken string
	// Args are further arguments of the command.
	Args []string
	// OIDC is admin.oidc of the configuration as YAML in one line, "" for none.
	OIDC string
}

// Gateway is a running gateway process.
type Gateway struct {
	Addr, Admin string // host:port
	Dir         string // holds sluice.yaml and data
	Log         *Buffer

	t     testing.TB
	token string
	oidc  string // of the configuration, with its name
	cmd   *exec.Cmd
	done  chan struct{}
}

// Start starts a gateway and waits until it is ready. It is killed when the
// test ends.
func Start(t testing.TB, c Config) *Gateway {
	t.Helper()
	g := &Gateway{t: t, Dir: c.Dir, Addr: c.Listen, Admin: FreeAddr(t), Log: &Buffer{}, token: c.AdminToken}
	if c.OIDC != "" {
		g.oidc = ", oidc: " + c.OIDC
	}
	if g.Dir == "" {
		g.Dir = t.TempDir()
	}
	if g.Addr == "" {
		g.Addr = FreeAddr(t)
	}
	g.Write(c.YAML)
	program := c.Program
	if program == "" {
		program = Binary(t)
	}
	args := append(append(c.Prefix, program, "serve", "--config", g.ConfigFile()), c.Args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.ExtraFiles = c.Files
	g.launch(cmd, c.Env)
	g.waitReady()
	return g
}

// Next starts a process that takes over from this one, with the same configuration and at
// the same addresses. It does not wait until that serves. With prefix, that is its command
// line up to the program.
func (g *Gateway) Next(files []*os.File, prefix ...string) *Gateway {
	g.t.Helper()
	next := &Gateway{t: g.t, Dir: g.Dir, Addr: g.Addr, Admin: g.Admin, Log: &Buffer{}, token: g.token, oidc: g.oidc}
	args := append(prefix, Binary(g.t), "serve", "--take-over", "--config", g.ConfigFile())
	cmd := exec.Command(args[0], args[1:]...)
	cmd.ExtraFiles = files
	next.launch(cmd, nil)
	return next
}

// launch starts the process.
func (g *Gateway) launch(cmd *exec.Cmd, env []string) {
	g.t.Helper()
	g.cmd = cmd
	g.cmd.Env = environment(env)
	g.cmd.Stdout, g.cmd.Stderr = g.Log, g.Log
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.done = make(chan struct{})
	go func() {
		g.cmd.Wait()
		close(g.done)
	}()
	g.t.Cleanup(g.cleanup)
}

// ConfigFile is the gateway's configuration file.
func (g *Gateway) ConfigFile() string { return filepath.Join(g.Dir, "sluice.yaml") }

// Write replaces the configuration file, under the addresses that the gateway has.
func (g *Gateway) Write(yaml string) {
	g.t.Helper()
	head := fmt.Sprintf("listen: %s\nadmin: {listen: %s, token: %q%s}\ndata_dir: ./data\n",
		g.Addr, g.Admin, g.token, g.oidc)
	if err := os.WriteFile(g.ConfigFile(), []byte(head+yaml), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// URL is where callers reach the gateway.
func (g *Gateway) URL() string { return "http://" + g.Addr }

// Signal sends a signal.
func (g *Gateway) Signal(s syscall.Signal) { g.cmd.Process.Signal(s) }

// Pid is the process's id.
func (g *Gateway) Pid() int { return g.cmd.Process.Pid }

// Kill kills the process with SIGKILL and waits until it is gone.
func (g *Gateway) Kill() {
	g.Signal(syscall.SIGKILL)
	<-g.done
}

// Stop sends SIGTERM, waits, and fails the test unless the exit code is 0.
func (g *Gateway) Stop() {
	g.t.Helper()
	g.Signal(syscall.SIGTERM)
	select {
	case <-g.done:
	case <-time.After(30 * time.Second):
		g.t.Fatalf("the gateway does not stop\n%s", g.Log)
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		g.t.Fatalf("exit code %d after SIGTERM\n%s", code, g.Log)
	}
}

// Wait waits until the process has ended by itself, and fails the test unless the exit code
// is 0.
func (g *Gateway) Wait(within time.Duration) {
	g.t.Helper()
	select {
	case <-g.done:
	case <-time.After(within):
		g.t.Fatalf("the gateway does not end\n%s", g.Log)
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		g.t.Fatalf("exit code %d\n%s", code, g.Log)
	}
}

// Exited reports whether the process has ended.
func (g *Gateway) Exited() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// Row is one row of `gateway report --format json`.
type Row struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Tenant     string `json:"tenant"`
	Model      string `json:"model"`
	Path       string `json:"path"`
	Requests   int64  `json:"requests"`
	Legs       int64  `json:"legs"`
	Escalated  int64  `json:"escalated"`
	Input      int64  `json:"input_tokens"`
	Output     int64  `json:"output_tokens"`
	CacheRead  int64  `json:"cache_read_tokens"`
	CacheWrite int64  `json:"cache_write_tokens"`
	Cost       string `json:"cost_usd"`
	Fixed      string `json:"fixed_usd"` // part of Cost
	Unpriced   int64  `json:"unpriced"`
	Unknown    int64  `json:"unknown"`
}

// Report runs `gateway report` over the gateway's configuration.
func (g *Gateway) Report(by string) []Row {
	g.t.Helper()
	out := Run(g.t, 0, nil, "report", "--config", g.ConfigFile(), "--by", by, "--format", "json")
	var rows []Row
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		g.t.Fatalf("report: %v in %s", err, out)
	}
	return rows
}

func (g *Gateway) waitReady() {
	g.t.Helper()
	for range 1200 {
		if g.Exited() {
			g.t.Fatalf("the gateway stopped with exit code %d\n%s", g.cmd.ProcessState.ExitCode(), g.Log)
		}
		res, err := http.Get("http://" + g.Admin + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(25 * time.Millisecond)
	}
	g.t.Fatalf("the gateway does not become ready\n%s", g.Log)
}

func (g *Gateway) cleanup() {
	if !g.Exited() {
		g.Kill()
	}
	if strings.Contains(g.Log.String(), "WARNING: DATA RACE") { // SLUICE_BIN may be built with -race
		g.t.Error("the gateway has a data race")
	}
	if g.t.Failed() {
		g.t.Logf("gateway log:\n%s", g.Log)
	}
}

func environment(extra []string) []string {
	env := []string{
		"SLUICE_ROOT_SECRET=" + RootSecret,
		"AWS_ACCESS_KEY_ID=" + UpstreamKeyID, "AWS_SECRET_ACCESS_KEY=" + UpstreamSecret, "AWS_REGION=us-east-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent",
		"HOME=" + os.Getenv("HOME"), "PATH=" + os.Getenv("PATH"),
	}
	return append(env, extra...)
}

// FreeAddr returns a loopback address that is free, and no other test's before this one ends.
func FreeAddr(t testing.TB) string {
	t.Helper()
	port, release, err := ports.Servers.Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return ports.Addr(port)
}

// Eventually calls f every 20 ms until it reports true, and fails the test with the state that f last reported when
// that takes longer than within: a minute, so that a busy machine fails no test, or the time that is promised.
func Eventually(t testing.TB, within time.Duration, f func() (ok bool, state string)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		ok, state := f()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Buffer collects a process's output.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.ToValidUTF8(b.buf.String(), "?")
}
