package server

import (
	"bufio"
	"io"
	"math"
	"net"
	"net/http"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/internal/server/h2guard"
)

// TestLeaveServesWhatIsOnTheWay (E6): a caller of HTTP/2 is told to leave by a GOAWAY that
// allows every stream, and what it had sent before it heard is served.
func TestLeaveServesWhatIsOnTheWay(t *testing.T) {
	s := start(t, Options{})
	h := dialH2(t, s)
	ask := func() string {
		return h.status("hello", ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/x")
	}
	if got := ask(); got != "200" {
		t.Fatal(got)
	}
	s.Leave(time.Minute)
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if bye, ok := f.(*xhttp2.GoAwayFrame); ok {
			if bye.LastStreamID != math.MaxInt32 || bye.ErrCode != xhttp2.ErrCodeNo {
				t.Errorf("%v", bye)
			}
			break
		}
	}
	if got := ask(); got != "200" { // as if it had been on its way
		t.Errorf("after the GOAWAY: %s", got)
	}
}

// TestLeaveWhileAnswering: a connection that is in the middle of an answer hears after the frame,
// and one that was only beginning hears with the first.
func TestLeaveWhileAnswering(t *testing.T) {
	var to sends
	h := &held{send: to.send, hold: time.Hour}
	h.leave()
	h.leave()
	f := func(p string, whole bool, want string) {
		t.Helper()
		if n, err := h.write([]byte(p), h2guard.Sent{Other: true, Whole: whole}); n != len(p) || err != nil {
			t.Fatalf("%q: %d, %v", p, n, err)
		}
		if got := to.take(); got != want {
			t.Errorf("after %q: %q was sent, want %q", p, got, want)
		}
	}
	f("half of a", false, "half of a")
	f(" frame", true, " frame"+goAway)
	f("more", true, "more")
	h = &held{send: to.send, hold: time.Hour}
	f("a frame", true, "a frame")
	h.leave()
	h.leave()
	if got := to.take(); got != goAway {
		t.Errorf("%q was sent", got)
	}
}

// TestUnread: what came and was not read yet is seen, and stays.
func TestUnread(t *testing.T) {
	near, far := tcpPair(t)
	c := newConn(&Server{}, near)
	if c.unread() {
		t.Error("nothing was sent")
	}
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for !c.unread() {
		time.Sleep(time.Millisecond)
	}
	if n, err := near.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	far.Close()
	if c.unread() {
		t.Error("the end is no request")
	}
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestQuietIsOfAll (E6): a connection that waits is not closed while requests come on others,
// and is after that.
func TestQuietIsOfAll(t *testing.T) {
	s := start(t, Options{})
	ask := func(c net.Conn) {
		t.Helper()
		if _, err := c.Write([]byte("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
	}
	idle, used := dial(t, s), dial(t, s)
	ask(idle)
	ask(used)
	s.quiet.Store(int64(time.Minute))
	ask(used)
	if s.heard.Load() == 0 {
		t.Error("the request was not noted")
	}
	last := time.Now().Add(300 * time.Millisecond) // another one will have come
	s.heard.Store(last.UnixNano())
	s.Leave(time.Millisecond)
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF || time.Now().Before(last) {
		t.Errorf("%v, %v before that", err, time.Until(last))
	}
}

// TestLeaveOfASocketThatBlocks (E6): a socket that several processes have may wait in the system
// for the next caller, whatever this process does. Callers are told to leave all the same, and
// the server ends.
func TestLeaveOfASocketThatBlocks(t *testing.T) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stuck := &stuckListener{Listener: port, next: make(chan net.Conn, 1), end: make(chan struct{})}
	t.Cleanup(func() { close(stuck.end); port.Close() }) // after the server has ended
	s := start(t, Options{Listener: stuck})
	near, far := tcpPair(t)
	stuck.next <- near
	ask := func() (bye bool) {
		t.Helper()
		if _, err := far.Write([]byte("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(far), nil)
		if err != nil {
			t.Fatal(err)
		}
		return res.Close
	}
	if ask() {
		t.Error("told to leave too early")
	}
	s.Leave(time.Second)
	if !ask() {
		t.Error("not told to leave")
	}
	if near, far = tcpPair(t); true { // who comes while others are told to leave is served
		stuck.next <- near
	}
	if !ask() {
		t.Error("the last one is not told to leave")
	}
}

// stuckListener accepts what it is given, and does not notice that it is closed.
type stuckListener struct {
	net.Listener
	next chan net.Conn
	end  chan struct{}
}

func (l *stuckListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.next:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}

func (l *stuckListener) Close() error {
	<-l.end
	return nil
}
