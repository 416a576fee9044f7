package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/server/h2guard"
)

// sends records what a held sends.
type sends struct {
	mu  sync.Mutex
	all [][]byte
	err error
}

func (s *sends) send(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, bytes.Clone(p))
	return len(p), s.err
}

func (s *sends) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := string(bytes.Join(s.all, []byte("|")))
	s.all = nil
	return got
}

func TestHeld(t *testing.T) {
	var to sends
	h := &held{send: to.send, hold: time.Hour}
	f := func(p string, sent h2guard.Sent, want string) {
		t.Helper()
		if n, err := h.write([]byte(p), sent); n != len(p) || err != nil {
			t.Fatalf("%q: %d, %v", p, n, err)
		}
		if got := to.take(); got != want {
			t.Errorf("after %q: %q was sent, want %q", p, got, want)
		}
	}
	head, credit, other := h2guard.Sent{Heads: 1}, h2guard.Sent{Credit: 4096}, h2guard.Sent{Other: true}
	f("h1", head, "")
	f("d1", other, "h1d1")
	f("w1", credit, "")
	f("h2", head, "")
	f("w2", credit, "")
	f("d2", other, "w1h2w2d2")
	f("d3", other, "d3")
	f("w3", h2guard.Sent{Credit: holdCredit}, "")
	f("w4", credit, "w3w4") // too much
	f("w5", h2guard.Sent{Credit: 983041}, "w5")
	f("h6", head, "")
	long := strings.Repeat("d", joinBytes)
	f(long, other, "h6|"+long)
	many := strings.Repeat("h", holdBytes)
	f(many, head, "")
	f("h7", head, many+"h7")

	h.prompt.Add(1)
	f("h8", head, "h8")
	f("w8", credit, "")
	f("h9", head, "w8h9")
	h.prompt.Add(-1)

	h.hold = holdTime
	f("h10", head, "")
	deadline := time.Now().Add(10 * time.Second)
	for got := ""; got != "h10"; got = to.take() {
		if time.Now().After(deadline) {
			t.Fatal("the head never left")
		}
		time.Sleep(time.Millisecond)
	}
	to.err = errors.New("broken")
	f("h11", head, "")
	if _, err := h.write([]byte("d11"), other); err == nil {
		t.Error("a failed write succeeded")
	}
}

// TestOneWriteForAnAnswer: the head and a body that fits arrive together, unless
// the body takes longer than a head may wait.
func TestOneWriteForAnAnswer(t *testing.T) {
	s := start(t, Options{})
	s.holdTime = time.Hour // a busy machine may take any time between head and body
	c := &readSizes{Conn: dial(t, s)}
	io.WriteString(c, xhttp2.ClientPreface)
	h := newH2(t, c)
	for acked := false; !acked; { // an acknowledgement takes a head along
		f, err := h.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		settings, ok := f.(*xhttp2.SettingsFrame)
		acked = ok && settings.IsAck()
	}
	for range 20 {
		if got := h.status("hello", ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/x"); got != "200" {
			t.Fatal(got)
		}
		if !c.joined {
			t.Error("an answer came in several pieces")
		}
		if f, err := h.framer.ReadFrame(); err != nil || f.Header().Type != xhttp2.FrameData {
			t.Fatalf("%v, %v", f, err)
		}
	}
}

// TestHeadsThatDoNotWait: a head that no body follows at once is not kept back: of an
// answer without one, to HEAD, of a stream whose first frame takes time, and the
// interim one that a body waits for. One in a hold of an hour would never come.
func TestHeadsThatDoNotWait(t *testing.T) {
	first := make(chan struct{}) // ends without a frame
	s := start(t, Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
		_, _ = r.Body.ReadAll()
		r.Body.Release()
		res := &gateway.Response{Status: 200}
		if r.Target == "/stream" {
			f := newFrames(io.EOF)
			go func() { <-first; close(f.next) }()
			res.Stream = f
		}
		return res
	})})
	s.holdTime = time.Hour
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	defer close(first)
	for _, c := range []struct{ method, target, expect, body string }{
		{"POST", "/empty", "", "x"}, {"HEAD", "/x", "", ""}, {"POST", "/stream", "", "x"},
		{"POST", "/x", "100-continue", strings.Repeat("x", 100<<10)}, {"POST", "/stream", "100-continue", "x"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		req, err := http.NewRequestWithContext(ctx, c.method, "http://"+s.Addr().String()+c.target, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.expect != "" {
			req.Header.Set("Expect", c.expect)
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Errorf("%s %s %s: %v", c.method, c.target, c.expect, err)
		} else {
			res.Body.Close()
		}
		cancel()
	}
}

// readSizes gives the framer what one read of the socket brought, and notes
// whether the last one had a head and its body.
type readSizes struct {
	net.Conn
	rest   []byte
	joined bool
}

func (r *readSizes) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		buf := make([]byte, 64<<10)
		n, err := r.Conn.Read(buf)
		if err != nil {
			return 0, err
		}
		r.rest = buf[:n]
		types := frameTypes(r.rest)
		r.joined = slices.Contains(types, xhttp2.FrameHeaders) && slices.Contains(types, xhttp2.FrameData)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func frameTypes(b []byte) (types []xhttp2.FrameType) {
	for len(b) >= 9 {
		types = append(types, xhttp2.FrameType(b[3]))
		b = b[min(len(b), 9+(int(b[0])<<16|int(b[1])<<8|int(b[2]))):]
	}
	return types
}

// TestHeadWithoutWindow: a caller whose window is closed gets the head, and the
// body when the window opens.
func TestHeadWithoutWindow(t *testing.T) {
	s := start(t, Options{})
	h := dialH2(t, s)
	h.framer.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 0})
	if got := h.status("hello", ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/x"); got != "200" {
		t.Fatal(got) // the connection's deadline, when the head waits for the window
	}
	h.framer.WriteWindowUpdate(1, 100)
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*xhttp2.DataFrame); ok {
			if string(d.Data()) != "hello" || !d.StreamEnded() {
				t.Errorf("body %q, ended %v", d.Data(), d.StreamEnded())
			}
			return
		}
	}
}
