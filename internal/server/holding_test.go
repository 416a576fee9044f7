package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/server/h2guard"
)

const someSettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// h2 is what a caller of HTTP/2 sends: frames of a kind, with flags, on stream 1.
func h2(frames ...string) string { return h2guard.Preface + someSettings + strings.Join(frames, "") }

func frameOf(kind, flags byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, 1}) + payload
}

// holder is what can hold memory of one connection before a credential is known, or while its
// request does not read, and what is counted of it.
type holder struct {
	name, sent string
	secure     bool
	counted    int64
}

// holders are all of them: more is not taken from any (E4, E13).
func holders() []holder {
	const http1, http2 = pool.PerConnection, pool.PerConnection + pool.PerHTTP2
	long, frame := strings.Repeat("~", 56<<10), strings.Repeat("~", h2guard.MaxFrame)
	half := string(block(":method", "POST", "x-a", long)) // not shorter than long
	waits := string(block(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/wait"))
	blocks := frameOf(1, 0, half[:16<<10]) + frameOf(9, 0, half[16<<10:32<<10]) + frameOf(9, 0, half[32<<10:48<<10])
	return []holder{
		{"nothing", "", false, http1},
		{"a half head", "GET / HTTP/1.1\r\nHost: a\r\nX: ", false, http1},
		{"a long half head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + long, false, http1 + longHeadBytes},
		{"an answer, kept open", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, http1},
		{"TLS", "", true, http1 + pool.PerTLS},
		{"TLS, a long half head", "GET / HTTP/1.1\r\nHost: a\r\nX: " + long, true, http1 + pool.PerTLS + longHeadBytes},
		{"HTTP/2", h2(), false, http2},
		{"HTTP/2, a long frame", h2(frameOf(0xff, 0, frame)), false, http2 + h2guard.MaxFrame},
		{"HTTP/2, a long half head", h2(blocks), false, http2 + h2guard.MaxFrame + 48<<10*3/2},
		{"HTTP/2, a body that nobody reads", h2(frameOf(1, 4, waits), strings.Repeat(frameOf(0, 0, frame), 15)), false,
			http2 + h2guard.MaxFrame*16 + pool.PerRequest},
	}
}

// TestWhatConnectionsHold: what is counted of each holder is not less than what it holds, and
// nothing is left when it is gone.
func TestWhatConnectionsHold(t *testing.T) {
	files, roots := selfSigned(t, t.TempDir(), "127.0.0.1")
	for _, h := range holders() {
		t.Run(h.name, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			options := Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
				if r.Target == "/wait" {
					<-release
				}
				return echo(r)
			})}
			options.Timeouts.Header = 10 * time.Minute
			slack := 6<<10 + firstStack() // the caller, and what each has a little more or less of
			dialIt := func(s *Server) net.Conn { return dial(t, s) }
			if h.secure {
				options.TLS = &files
				slack += 16 << 10 // the caller's TLS
				dialIt = func(s *Server) net.Conn {
					c := tls.Client(dial(t, s), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
					if err := c.Handshake(); err != nil {
						t.Fatal(err)
					}
					return c
				}
			}
			holds(t, start(t, options), &h, slack, dialIt)
		})
	}
}

// firstStack is how much larger than 2 KB the stack of a new goroutine is: the runtime begins with
// as much as goroutines used on average, so it depends on the tests before this one.
func firstStack() int64 {
	const many = 1000
	stacks := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.StackInuse)
	}
	stop := make(chan struct{})
	var wait sync.WaitGroup
	before := stacks()
	for range many {
		wait.Go(func() { <-stop })
	}
	each := (stacks() - before) / many
	close(stop)
	wait.Wait()
	return max(each-2<<10, 0)
}

// holds opens connections that hold memory, looks how much, and closes them. The program itself
// comes to hold a little more meanwhile, so some come before the first look, and many after it.
func holds(t *testing.T, s *Server, h *holder, slack int64, dialIt func(*Server) net.Conn) {
	const some, many = 10, 200
	var before int64
	within := func(what string, f func() bool) {
		t.Helper()
		for range 600 {
			if f() {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("%s: %d bytes each, %d in all are counted, slack %d", what, (int64(inUse())-before)/many,
			s.fixedBytes(), slack)
	}
	open := func(n, counted int64) {
		for range n {
			io.WriteString(dialIt(s), h.sent)
		}
		within("it is not counted as it should be", func() bool { return s.fixedBytes() == counted*h.counted })
	}
	open(some, some)
	before = int64(inUse())
	open(many, some+many)
	t.Logf("%d bytes each, slack %d", (int64(inUse())-before)/many, slack)
	within("it holds more", func() bool { return (int64(inUse())-before)/many <= h.counted+slack })
	s.closeAll()
	within("something is left", func() bool { return s.held.Load() == 0 && s.Stats().Connections == 0 })
}

// TestLongHeadsWithoutRoom: who is not known yet gets 503 for a long head, or loses the
// connection on HTTP/2, when connections hold a quarter of the memory already; others are
// served (E4).
func TestLongHeadsWithoutRoom(t *testing.T) {
	long := strings.Repeat("~", 56<<10)
	options := Options{Memory: 4 << 20, Handler: handlerFunc(echo)}
	options.Timeouts.Header = 10 * time.Minute
	s := start(t, options)
	for range 100 { // 16 of them fill a quarter
		c := dial(t, s)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX: "+long)
	}
	refused := func() bool {
		c := dial(t, s)
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n", long)
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		status := make([]byte, 12)
		io.ReadFull(c, status)
		return string(status) == "HTTP/1.1 503"
	}
	for tries := 0; !refused(); tries++ {
		if tries > 200 {
			t.Fatal("long heads are taken without end")
		}
	}
	c := dial(t, s)
	half := string(block(":method", "POST", "x-a", long))
	io.WriteString(c, h2(frameOf(1, 0, half[:h2guard.MaxFrame])))
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, c); isTimeout(err) {
		t.Error("a long half head of HTTP/2 is kept")
	}
	if held := s.held.Load(); held > 2<<20 {
		t.Errorf("%d bytes are held", held)
	}
	h := dialH2(t, s)
	head := []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/m"}
	if got := h.status("", head...); got != "200" {
		t.Errorf("a small request: %s", got)
	}
}
