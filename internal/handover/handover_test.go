package handover

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// longDir is a folder whose name does not fit into that of a Unix socket.
func longDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestHandover: the next process gets the same sockets, and the old one goes on until
// the next is ready, also when one ends before it is. E6
func TestHandover(t *testing.T) {
	dir := longDir(t)
	if p, err := Take(dir); p != nil || err != nil {
		t.Fatalf("nobody is there: %v %v", p, err)
	}
	edge, admin := listen(t), listen(t)
	offer, err := NewOffer(dir, Sockets{edge, admin})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, socketName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	died, err := Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	died.conn.Close()
	next, err := Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	if next.Edge.Addr().String() != edge.Addr().String() || next.Admin.Addr().String() != admin.Addr().String() {
		t.Errorf("%v %v", next.Edge.Addr(), next.Admin.Addr())
	}
	select {
	case <-offer.Taken:
		t.Error("taken before the next is ready")
	default:
	}
	if err := next.Ready(); err != nil {
		t.Fatal(err)
	}
	<-offer.Taken
	edge.Close()
	go func() {
		if c, err := net.Dial("tcp", next.Edge.Addr().String()); err == nil {
			c.Close()
		}
	}()
	c, err := next.Edge.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	again, err := NewOffer(dir, next.Sockets)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := next.Gone(soon); err == nil {
		t.Error("the old process is still there")
	}
	offer.kept.Close() // as the end of the process does
	if err := next.Gone(t.Context()); err != nil {
		t.Error(err)
	}
	if third, err := Take(dir); err != nil || third == nil {
		t.Errorf("the second process offers: %v", err)
	}
}

// TestFromSystemd runs this test again with sockets at descriptors 3 and 4.
func TestFromSystemd(t *testing.T) {
	if want := os.Getenv("WANT_ADDRS"); want != "" {
		getenv := func(name string) string { return os.Getenv(strings.Replace(name, "LISTEN", "GIVEN", 1)) }
		s, err := FromSystemd(getenv, 77)
		if err != nil || s.Edge == nil || s.Admin == nil || s.Edge.Addr().String()+" "+s.Admin.Addr().String() != want {
			t.Errorf("%+v %v, want %s", s, err, want)
		}
		return
	}
	a, b := listen(t), listen(t)
	f := func(names, want string) {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run", "^TestFromSystemd$")
		for _, l := range []net.Listener{a, b} {
			file, err := l.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, file)
		}
		cmd.Env = append(os.Environ(), "GIVEN_FDS=2", "GIVEN_PID=77", "GIVEN_FDNAMES="+names, "WANT_ADDRS="+want)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	first, second := a.Addr().String(), b.Addr().String()
	f("", first+" "+second)
	f("sluice.socket:sluice.socket", first+" "+second)
	f("admin:edge", second+" "+first)
	none := []map[string]string{{}, {"LISTEN_FDS": "2", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x", "LISTEN_PID": "77"}}
	for _, env := range none {
		if s, err := FromSystemd(func(name string) string { return env[name] }, 77); s.Edge != nil || err != nil {
			t.Errorf("%v: %+v %v", env, s, err)
		}
	}
}

// TestEnding (E6): a process that ends, or whose sockets are closed already, is nobody to take
// over from.
func TestEnding(t *testing.T) {
	dir := t.TempDir()
	edge, admin := listen(t), listen(t)
	edge.Close()
	offer, err := NewOffer(dir, Sockets{edge, admin})
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"its sockets are closed", "it offers nothing any more"} {
		if p, err := Take(dir); p != nil || err != nil {
			t.Errorf("%s: %v, %v", state, p, err)
		}
		offer.Close()
	}
}
