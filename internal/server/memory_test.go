package server

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
)

// heldBody holds the memory of a body for a moment.
func heldBody(t *testing.T, s *Server, n int64) {
	t.Helper()
	var a pool.Account
	s.pool.Open(&a)
	if !a.Take(n, pool.Large) {
		t.Fatal("no room for bodies")
	}
	touch(n)
	a.Give(n, pool.Large)
}

// heldRequests are as many at once as hold that much.
func heldRequests(_ *testing.T, s *Server, n int64) {
	for range n / pool.PerRequest {
		s.begin()
	}
	touch(n)
	s.inFlight.Add(-n / pool.PerRequest)
}

// touch makes the process hold n bytes and drop them.
func touch(n int64) {
	big := make([]byte, n)
	for i := 0; i < len(big); i += 4096 {
		big[i] = 1
	}
	runtime.KeepAlive(big)
}

// The memory of large bodies, and of many requests at once, is back with the system soon
// after they are gone, and nothing is collected for less.
func TestMemoryGoesBack(t *testing.T) {
	t.Run("bodies", func(t *testing.T) { goesBack(t, heldBody) })
	t.Run("requests", func(t *testing.T) { goesBack(t, heldRequests) })
}

func goesBack(t *testing.T, hold func(t *testing.T, s *Server, n int64)) {
	s := start(t, Options{Handler: handlerFunc(echo)})
	forced := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumForcedGC
	}
	before := forced()
	hold(t, s, worthReturning-1)
	time.Sleep(3 * memoryInterval)
	if forced() != before {
		t.Error("a collection for what is not worth it")
	}
	hold(t, s, worthReturning)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(memoryInterval) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		kept := m.HeapIdle - m.HeapReleased
		if m.NumForcedGC > before && kept < worthReturning/2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d MB are kept, after %d collections", kept>>20, m.NumForcedGC-before)
		}
	}
}

// TestReturning: memory goes back when many requests are gone, and once while many go on
// and none begins, but not for few and not while others begin.
func TestReturning(t *testing.T) {
	const many = worthReturning/pool.PerRequest + 1
	f := func(name string, looks [][2]int64, want string) { // requests in flight and begun, at each look
		t.Helper()
		var r returning
		got := ""
		for _, l := range looks {
			got += map[bool]string{true: "x", false: "."}[r.due(l[0]*pool.PerRequest, l[1])]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	f("gone", [][2]int64{{many, many}, {many, many}, {0, many}, {0, many}}, "..x.")
	f("few", [][2]int64{{5, 1e6}, {5, 1e6}, {5, 1e6}, {5, 1e6}, {5, 1e6}, {5, 1e6}, {5, 1e6}, {0, 1e6}}, "........")
	going := [][2]int64{{many, many}, {many, many}, {many, many}, {many, many}, {many, many}, {many, many}}
	f("going on", append(going, [][2]int64{{many, many}, {many, many}, {0, many}, {0, many}}...), ".....x..x.")
	f("one more", append(going, [][2]int64{{many, many + 1}, {many, many + 1}, {many, many + 1}, {many, many + 1},
		{many, many + 1}, {many, many + 1}, {many, many + 1}}...), ".....x.......")
	f("begin", [][2]int64{{many, 1e6}, {many, 2e6}, {many, 3e6}, {many, 4e6}, {many, 5e6}, {many, 6e6}, {many, 7e6}},
		".......")
}

// TestIdleConnectionsAreSmall is E2's memory: what a connection costs that waits, with the
// stacks of its goroutines and what its caller in this process has, some 600 bytes.
func TestIdleConnectionsAreSmall(t *testing.T) {
	s := start(t, Options{Handler: handlerFunc(echo)})
	const ask = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na"
	f := func(what, say string, most int) {
		t.Helper()
		const n = 300
		before, open := inUse(), make([]net.Conn, n)
		for i := range open {
			open[i] = dial(t, s)
			io.WriteString(open[i], say)
		}
		time.Sleep(5 * parkAfter)
		if each := (inUse() - before) / n; each > most {
			t.Errorf("%s: %d bytes each, want at most %d", what, each, most)
		}
		runtime.KeepAlive(open)
	}
	f("silent", "", 6<<10)                                                           // 4.2 KB when this was written
	f("kept, after a request", ask, 7<<10)                                           // 4.6
	f("HTTP/2", xhttp2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00", 24<<10) // 19
}

// inUse is what heap and stacks take after all garbage is gone, that of pools too.
func inUse() int {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
