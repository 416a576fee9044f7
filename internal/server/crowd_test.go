package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/server/h2guard"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// TestConnectionLimits: proven connections stay, and unproven ones make room for those
// that come after them (E2).
func TestConnectionLimits(t *testing.T) {
	f := func(name string, limits config.EdgeLimits, good bool, answered, stay int64) {
		t.Helper()
		s := start(t, Options{Limits: limits, Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
			if good {
				r.Sender.Proven()
			}
			return echo(r)
		})})
		answers := int64(0)
		for range 8 {
			c := dial(t, s)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				answers++
			}
		}
		for range 1000 {
			if s.Stats().Connections == stay {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if open := s.Stats().Connections; answers != answered || open != stay {
			t.Errorf("%s: %d answers and %d connections, want %d and %d", name, answers, open, answered, stay)
		}
	}
	f("all", config.EdgeLimits{MaxConnections: 5}, true, 5, 5)
	f("unproven among all", config.EdgeLimits{MaxConnections: 5}, false, 8, 5)
	f("unproven", config.EdgeLimits{MaxUnprovenConnections: 4}, false, 8, 4)
	f("per address", config.EdgeLimits{MaxConnectionsPerAddress: 3}, false, 8, 3)
	f("per address, proven", config.EdgeLimits{MaxConnectionsPerAddress: 3}, true, 8, 8)
	f("none", config.EdgeLimits{}, false, 8, 8)
}

// TestRoomWhileOthersLeave: who comes in the place of another is served, although that one's request still runs.
func TestRoomWhileOthersLeave(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	first := true
	s := start(t, Options{Limits: config.EdgeLimits{MaxConnections: 1}, Handler: handlerFunc(
		func(r *gateway.Request) *gateway.Response {
			if first {
				first = false
				close(begun)
				<-end
			}
			return echo(r)
		})})
	defer close(end)
	const ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	io.WriteString(dial(t, s), ask)
	<-begun
	c := dial(t, s)
	io.WriteString(c, ask)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestHeadDeadline: one deadline for heads, whatever the protocol and however they
// dawdle (E2, E3).
func TestHeadDeadline(t *testing.T) {
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	frame := func(typ, flags byte, stream byte, payload string) string {
		return string([]byte{0, 0, byte(len(payload)), typ, flags, 0, 0, 0, stream}) + payload
	}
	whole := string(block(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/x"))
	served := h2guard.Preface + settings + frame(1, 4|1, 1, whole)
	for name, sent := range map[string]string{
		"nothing":                      "",
		"a part of a preface":          h2guard.Preface[:10],
		"a preface":                    h2guard.Preface,
		"preface and settings":         h2guard.Preface + settings,
		"a part of a head of a frame":  h2guard.Preface + settings + "\x00\x00",
		"a head of a frame alone":      h2guard.Preface + settings + frame(1, 4, 1, whole)[:9],
		"half a header block":          h2guard.Preface + settings + frame(1, 0, 1, whole),
		"CONTINUATION without end":     h2guard.Preface + settings + frame(1, 0, 1, whole) + frame(9, 0, 1, "\x00"),
		"half a block after a request": served + frame(1, 0, 3, whole),
		"half a frame after a request": served + frame(1, 4, 3, whole)[:14],
		"half a head of HTTP/1.1":      "POST / HTTP/1.1\r\nHo",
		"half a second head":           "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const timeout = 300 * time.Millisecond
			s := start(t, Options{Timeouts: config.Timeouts{Header: timeout}, Handler: handlerFunc(echo)})
			began := time.Now() // before the server's own clock for the connection
			c := dial(t, s)
			io.WriteString(c, sent)
			c.SetReadDeadline(began.Add(20 * time.Second))
			_, err := io.Copy(io.Discard, c)
			if took := time.Since(began); isTimeout(err) || took < timeout*9/10 {
				t.Errorf("closed after %v: %v", took, err)
			}
		})
	}
}

// TestOpenHTTP2Stays: the deadline is for heads, not for what comes after a request.
func TestOpenHTTP2Stays(t *testing.T) {
	t.Parallel()
	const timeout = time.Second // which the first head must keep, on a busy machine too
	s := start(t, Options{Timeouts: config.Timeouts{Header: timeout}, Handler: handlerFunc(echo)})
	c := clients(t, nil)["h2"]
	for range 2 {
		res, err := c.Post("http://"+s.Addr().String()+"/x", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		time.Sleep(timeout * 3 / 2)
	}
	if n := s.Stats().Connections; n != 1 {
		t.Errorf("%d connections, want the first alone", n)
	}
}

// TestFailuresKeepTheConnection: a bad credential does not close its connection (E13),
// what was not read of its body is no request, and who only fails is closed in the end.
func TestFailuresKeepTheConnection(t *testing.T) {
	targets := make(chan string, 3000)
	s := start(t, Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
		targets <- r.Target
		if r.Target == "/good" {
			r.Sender.Proven()
			return echo(r)
		}
		r.Sender.Failed()
		r.Body.Release()
		return errorResponse(wire.Errorf(wire.KindAccessDenied, "no"), r.ID)
	})})
	c := dial(t, s)
	r := bufio.NewReader(c)
	inner := "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
	ask := func(target, body string) (closes bool, err error) {
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return true, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return res.Close, err
	}
	bodies := []string{"", "x", strings.Repeat(inner, 60), strings.Repeat("a", 4090), strings.Repeat(inner, 1900)}
	for i, body := range bodies {
		if closes, err := ask("/bad", body); closes || err != nil {
			t.Fatalf("failure %d: closes %v, %v", i, closes, err)
		}
		if closes, err := ask("/good", "x"); closes || err != nil {
			t.Fatalf("after failure %d: closes %v, %v", i, closes, err)
		}
	}
	for i := 1; i <= failuresHTTP1; i++ {
		closes, err := ask("/bad", "x")
		if err != nil || closes != (i == failuresHTTP1) {
			t.Fatalf("failure %d in a row: closes %v, %v", i, closes, err)
		}
	}
	close(targets)
	for target := range targets {
		if target == "/inner" {
			t.Fatal("a body that was not read became a request")
		}
	}
}

// flooded is a server that remembers the test's address for floods.
func flooded(t *testing.T, header time.Duration) *Server {
	s := start(t, Options{Timeouts: config.Timeouts{Header: header}, Handler: handlerFunc(
		func(r *gateway.Request) *gateway.Response {
			r.Sender.Proven()
			return echo(r)
		})})
	for range 10 {
		s.floods.Note(netip.MustParseAddr("127.0.0.1"), time.Now())
	}
	return s
}

// TestFloodingAddressSendsLittle: the system takes little of it before a good credential has
// come, because filling buffers that nobody reads costs the machine more than all else (E5).
func TestFloodingAddressSendsLittle(t *testing.T) {
	s := flooded(t, time.Minute)
	receives := func() (bytes int) {
		socket, err := s.all()[0].raw.(syscall.Conn).SyscallConn()
		if err == nil {
			err = socket.Control(func(fd uintptr) {
				bytes, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	c := dial(t, s)
	for s.pending.Load() == 0 { // accepted, and waiting for its protocol
		time.Sleep(time.Millisecond)
	}
	if got := receives(); got > 4*suspectReceives {
		t.Errorf("%d bytes before a good credential", got)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	if got := receives(); got < provenReceives {
		t.Errorf("%d bytes after it", got)
	}
}

// TestFloodingAddressWaitsInVain: connections of it that have no turn are closed when they
// would be late, not at once: whoever reconnects gains nothing (E5).
func TestFloodingAddressWaitsInVain(t *testing.T) {
	const timeout = 200 * time.Millisecond
	s := flooded(t, timeout)
	for range 50 { // on a slow machine each may get the turn after the one before it
		c := dial(t, s)
		began := time.Now()
		io.WriteString(c, h2guard.Preface)
		c.SetReadDeadline(began.Add(20 * time.Second))
		n, err := io.Copy(io.Discard, c)
		if n > 0 {
			continue
		}
		if took := time.Since(began); isTimeout(err) || took < timeout*9/10 {
			t.Errorf("a connection without a turn was closed after %v: %v", took, err)
		}
		return
	}
	t.Error("each had a turn")
}
