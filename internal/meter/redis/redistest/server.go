// Package redistest starts real Redis servers for tests: single ones, a
// cluster, a sentinel set, and a proxy that loses replies. Every process
// listens on loopback, lives in a directory of the test and ends with it.
//
// SLUICE_REDIS_SERVER names another binary, such as valkey-server. A test that
// needs a server is skipped, saying so, where there is none.
package redistest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/ports"
)

// Server is one redis-server process. Its methods fail the test on errors.
type Server struct {
	Addr string // 127.0.0.1:port
	Port int
	Dir  string // its data

	tb   testing.TB
	args []string
	proc *exec.Cmd
	done chan struct{} // closed when proc has ended
}

// NewServer starts a server with further arguments ("--appendonly", "yes") and
// waits until it answers. It does not persist unless the arguments ask for it.
func NewServer(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return start(tb, append([]string{"--save", "", "--appendonly", "no"}, args...))
}

func start(tb testing.TB, args []string) *Server {
	tb.Helper()
	port := freePort(tb)
	s := &Server{
		Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Port: port,
		Dir: tempDir(tb), tb: tb, args: args,
	}
	tb.Cleanup(s.Kill)
	s.Start()
	return s
}

// tempDir is not tb.TempDir, whose long path does not suit log lines and whose
// removal fails when a dying server still writes.
func tempDir(tb testing.TB) string {
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Start starts the server again after Kill or Shutdown, on the same port and
// data, and waits until it answers.
func (s *Server) Start() {
	s.tb.Helper()
	binary := lookUp(s.tb)
	args := append([]string{}, s.args...)
	if slices.Contains(args, "--sentinel") { // its configuration file comes first
		args = append([]string{filepath.Join(s.Dir, "sentinel.conf")}, args...)
	}
	args = append(args, "--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.Dir,
		"--logfile", filepath.Join(s.Dir, "log"))
	s.proc = exec.Command(binary, args...)
	if err := s.proc.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.done = make(chan struct{})
	go func(proc *exec.Cmd, done chan struct{}) {
		_ = proc.Wait() // a killed process ends with an error, and that is meant
		close(done)
	}(s.proc, s.done)
	s.wait("an answer to PING", func() bool { return strings.HasPrefix(s.ask("PING"), "+PONG") })
}

// Kill ends the process at once, as a crash does.
func (s *Server) Kill() {
	if s.proc == nil {
		return
	}
	_ = s.proc.Process.Kill() // fails only when it has ended
	<-s.done
	s.proc = nil
}

// Shutdown ends the process in order, saving what its settings say.
func (s *Server) Shutdown() {
	if s.proc == nil {
		return
	}
	_ = s.proc.Process.Signal(syscall.SIGTERM)
	<-s.done
	s.proc = nil
}

// Pause stops the process without ending it; Resume lets it go on.
func (s *Server) Pause() { _ = s.proc.Process.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (s *Server) Resume() { _ = s.proc.Process.Signal(syscall.SIGCONT) }

// URL is the server's address as gateways are configured with it.
func (s *Server) URL() string { return "redis://" + s.Addr + "/0" }

// CLI runs redis-cli against the server and returns what it prints.
func (s *Server) CLI(args ...string) string {
	s.tb.Helper()
	return cli(s.tb, append([]string{"-p", strconv.Itoa(s.Port)}, args...)...)
}

// Keys returns the keys that match the pattern.
func (s *Server) Keys(pattern string) []string {
	s.tb.Helper()
	return strings.Fields(s.CLI("keys", pattern))
}

func cli(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := redisCLI(args...)
	if err != nil {
		tb.Fatalf("redis-cli %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func redisCLI(args ...string) (string, error) {
	out, err := exec.Command("redis-cli", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// ask sends one inline command and returns the first line of the reply, "" on
// any failure.
func (s *Server) ask(command string) string {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintf(conn, "%s\r\n", command)
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}

func (s *Server) wait(what string, ready func() bool) {
	s.tb.Helper()
	if !eventually(ready) {
		log, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
		s.tb.Fatalf("no %s from %s\n%s", what, s.Addr, log)
	}
}

// waitFor asks by redis-cli until the reply is as wanted. A server that changes
// its role closes connections (replicationSetMaster), so a question that fails is
// asked again like one that was answered too early.
func (s *Server) waitFor(what string, wanted func(reply string) bool, command ...string) {
	s.tb.Helper()
	s.wait(what, func() bool {
		reply, err := redisCLI(append([]string{"-p", strconv.Itoa(s.Port)}, command...)...)
		return err == nil && wanted(reply)
	})
}

// eventually polls ready for up to 20 seconds.
func eventually(ready func() bool) bool {
	for range 400 {
		if ready() {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

func lookUp(tb testing.TB) string {
	tb.Helper()
	name := os.Getenv("SLUICE_REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Skipf("SKIPPED: this test needs a real Redis and there is no %s: %v", name, err)
	}
	return path
}

// freePort takes a port, with the cluster's second one free as well. It is this test's until the test ends: while a
// server is down no other test may get its port, or those who wait for it would write into another test's books.
func freePort(tb testing.TB) int {
	tb.Helper()
	port, release, err := ports.Redis.Take(10_000)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)
	return port
}
