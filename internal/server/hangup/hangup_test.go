package hangup

import (
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/internal/lifetime"
)

func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func watchOf(t *testing.T, c *net.TCPConn) *Watch {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	x := &Watch{}
	if err := raw.Control(func(fd uintptr) { x.FD = int(fd) }); err != nil {
		t.Fatal(err)
	}
	return x
}

// caller adds x and returns what is closed when the other end has left.
func caller(w *Watcher, x *Watch) <-chan struct{} {
	c := &lifetime.Context{}
	w.Add(x, c)
	return c.Done()
}

func TestLeaving(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := New(5 * time.Millisecond)
	defer w.Close()
	f := func(name string, leave func(*net.TCPConn), want bool) {
		t.Helper()
		client, server := pair(t)
		x := watchOf(t, server)
		gone := caller(w, x)
		defer w.Remove(x)
		leave(client)
		wait := 5 * time.Second
		if !want {
			wait = 60 * time.Millisecond
		}
		select {
		case <-gone:
			if !want {
				t.Errorf("%s: reported as gone", name)
			}
		case <-time.After(wait):
			if want {
				t.Errorf("%s: not noticed", name)
			}
		}
	}
	f("close", func(c *net.TCPConn) { c.Close() }, true)
	f("reset", func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, true)
	f("half close", func(c *net.TCPConn) { c.CloseWrite() }, true)
	f("close behind unread data", func(c *net.TCPConn) { c.Write([]byte("GET /")); c.Close() }, true)
	f("close after long", func(c *net.TCPConn) { time.Sleep(2 * patient * 5 * time.Millisecond); c.Close() }, true)
	f("stay", func(*net.TCPConn) {}, false)
	f("unread data", func(c *net.TCPConn) { c.Write([]byte("GET /")) }, false)
}

func TestOnlyTheOneThatLeft(t *testing.T) {
	w := New(5 * time.Millisecond)
	defer w.Close()
	const n = 20
	var clients [n]*net.TCPConn
	var watches [n]*Watch
	var gone [n]<-chan struct{}
	for i := range n {
		var server *net.TCPConn
		clients[i], server = pair(t)
		watches[i] = watchOf(t, server)
		gone[i] = caller(w, watches[i])
	}
	w.Remove(watches[0]) // moves the last into its place
	clients[0].Close()
	clients[n-1].Close()
	<-gone[n-1]
	time.Sleep(30 * time.Millisecond)
	for i := range n - 1 {
		select {
		case <-gone[i]:
			t.Errorf("watch %d fired", i)
		default:
		}
	}
	w.Remove(watches[0])
	<-caller(w, watches[0]) // a second request
}

// TestLongWatchedIsLookedAtSeldom, each socket in another round.
func TestLongWatchedIsLookedAtSeldom(t *testing.T) {
	for fd := range 2 * seldom {
		x := Watch{FD: fd, round: 3}
		for round, looks := uint64(3), 0; round < 3+patient+5*seldom; round++ {
			due := x.due(round)
			if early := round < 5; round <= 3+patient && due == early {
				t.Fatalf("round %d: due %v", round, due)
			}
			if round > 3+patient && due {
				looks++
			}
			if round == 3+patient+4*seldom && looks != 4 {
				t.Errorf("descriptor %d: %d looks", fd, looks)
			}
		}
	}
}
