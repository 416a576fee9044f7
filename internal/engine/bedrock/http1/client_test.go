package http1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/lifetime"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestRequestBytes(t *testing.T) {
	heard := make(chan string, 1)
	endpoint := serve(t, func(_ int, p *peer) {
		upToEnd, _ := p.r.ReadString('!')
		heard <- upToEnd
		p.say(ok(""))
		p.gone()
	})
	_, _, err := call(t.Context(), newClient(t, defaults(endpoint)), &Request{
		Method: "POST", Target: "/model/a%3Ab%2Fc/../x?q=%20&r",
		Header: wire.Header{{Name: "X-Odd-CASE", Value: "v"}, {Name: "b", Value: ""}, {Name: "X-Odd-CASE", Value: "w"}},
		Body:   []byte(`{"a":1}!`),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "POST /model/a%3Ab%2Fc/../x?q=%20&r HTTP/1.1\r\nHost: " + endpoint.Host +
		"\r\nX-Odd-CASE: v\r\nb: \r\nX-Odd-CASE: w\r\nContent-Length: 8\r\n\r\n{\"a\":1}!"
	if diff := cmp.Diff(want, <-heard); diff != "" {
		t.Error(diff)
	}
}

// TestRequestInParts arrives as one body, twice on the same connection, whatever the sizes of its parts.
func TestRequestInParts(t *testing.T) {
	heard := make(chan *http.Request, 1)
	c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
		for req := p.request(); req != nil; req = p.request() {
			heard <- req
			p.say(ok(""))
		}
	})))
	f := func(body string, sizes ...int) {
		t.Helper()
		want, parts := body, [][]byte(nil)
		for i, n := range sizes {
			part := strings.Repeat(string(rune('a'+i)), n)
			want, parts = want+part, append(parts, []byte(part))
		}
		for range 2 {
			req := &Request{Method: "POST", Target: "/x", Body: []byte(body), Parts: parts}
			if _, _, err := call(t.Context(), c, req); err != nil {
				t.Fatal(err)
			}
			got := <-heard
			if text, _ := io.ReadAll(got.Body); string(text) != want || got.ContentLength != int64(len(want)) {
				t.Errorf("parts of %v: %d bytes, %d announced, want %d", sizes, len(text), got.ContentLength, len(want))
			}
		}
	}
	f("", 1)
	f("", 100, 3, 20)
	f("", 60, 4, maxJoined, 0, 1)
	f("", maxJoined-1, 2, maxJoined+1, 5, writePiece+7, 1)
	f("", 1, 3*writePiece, 2)
	f("begin", 20<<10, 3)
}

func TestRequestWithoutBody(t *testing.T) {
	heard := make(chan *http.Request, 2)
	c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
		for req := p.request(); req != nil; req = p.request() {
			heard <- req
			p.say(ok(""))
		}
	})))
	f := func(method, want string) {
		t.Helper()
		if _, _, err := call(t.Context(), c, &Request{Method: method, Target: "/x"}); err != nil {
			t.Fatal(err)
		}
		req := <-heard
		if got := req.Header.Get("Content-Length"); got != want {
			t.Errorf("%s: content length %q, want %q", method, got, want)
		}
		req.Header.Del("Content-Length")
		if len(req.Header) != 0 {
			t.Errorf("%s: fields that nobody asked for: %v", method, req.Header)
		}
	}
	f("GET", "")
	f("POST", "0")
}

func TestRequestThatCannotBeWritten(t *testing.T) {
	c := newClient(t, defaults(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}))
	f := func(method, target string, h wire.Header) {
		t.Helper()
		_, err := c.Do(t.Context(), &Request{Method: method, Target: target, Header: h})
		mustFail(t, method+target, err, engine.Error{Failure: engine.Misconfigured})
	}
	f("PO ST", "/", nil)
	f("", "/", nil)
	f("POST", "", nil)
	f("POST", "*", nil)
	f("POST", "http://evil/", nil)
	f("POST", "/a b", nil)
	f("POST", "/a\r\nX: y", nil)
	f("POST", "/\x7f", nil)
	f("POST", "/", wire.Header{{Name: "a", Value: "b\r\nc: d"}})
	f("POST", "/", wire.Header{{Name: "a", Value: "b\x00"}})
	f("POST", "/", wire.Header{{Name: "a b", Value: "c"}})
	f("POST", "/", wire.Header{{Name: "", Value: "c"}})
	f("POST", "/", wire.Header{{Name: "host", Value: "evil"}})
	f("POST", "/", wire.Header{{Name: "CONTENT-LENGTH", Value: "5"}})
	f("POST", "/", wire.Header{{Name: "transfer-encoding", Value: "chunked"}})
}

// TestAnswers sends each answer whole, and again one byte per packet.
func TestAnswers(t *testing.T) {
	f := func(answer string, wantStatus int, wantBody string, wantHeader wire.Header) {
		t.Helper()
		for _, step := range []int{len(answer), 1} {
			c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
				p.request()
				for i := 0; i < len(answer); i += step {
					p.say(answer[i:min(i+step, len(answer))])
				}
				if strings.Contains(answer, "until close") {
					return
				}
				p.gone()
			})))
			a, err := c.Do(t.Context(), post("{}"))
			if err != nil {
				t.Errorf("%q: %v", answer, err)
				continue
			}
			body, err := a.Body.ReadAll(1<<20, nil)
			if err != nil || a.Status != wantStatus || string(body) != wantBody {
				t.Errorf("%q: %d %q %v, want %d %q", answer, a.Status, body, err, wantStatus, wantBody)
			}
			if diff := cmp.Diff(wantHeader, a.Header); wantHeader != nil && diff != "" {
				t.Errorf("%q: %s", answer, diff)
			}
			c.Close()
		}
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", nil)
	f("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", nil)
	f("HTTP/1.1 200 \r\nB: 1\r\na:2\r\nB:\t3 \r\nContent-Length: 0\r\n\r\n", 200, "",
		wire.Header{{Name: "B", Value: "1"}, {Name: "a", Value: "2"}, {Name: "B", Value: "3"},
			{Name: "Content-Length", Value: "0"}})
	f("HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 429, "{}", nil)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;ext=\"x\"\r\n!\r\n0\r\n\r\n", 200, "hello!",
		nil)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n00A\r\n0123456789\r\n0\r\nT: v\r\n\r\n", 200, "0123456789",
		nil)
	f("HTTP/1.1 200 OK\r\n\r\nuntil close", 200, "until close", nil)
	f("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", nil)
	f("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		200, "x", nil)
	f("HTTP/1.1 204 No Content\r\n\r\n", 204, "", nil)
	f("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", 302, "", nil)
}

func TestBrokenAnswers(t *testing.T) {
	f := func(name string, want engine.Error, end func(*peer), answer string) {
		t.Helper()
		o := defaults(serve(t, func(_ int, p *peer) {
			p.request()
			p.say(answer)
			end(p)
		}))
		if want.Failure == engine.TimedOut {
			// The bound that is to pass is short, the one that is not to pass is not.
			o.FirstByte, o.Idle = 30*time.Millisecond, 30*time.Millisecond
			if want.Answered {
				o.FirstByte = time.Second
			}
		}
		c := newClient(t, o)
		_, _, err := call(t.Context(), c, post("{}"))
		mustFail(t, name, err, want)
		c.Close()
	}
	closed := func(p *peer) { p.Close() }
	reset := func(p *peer) { p.reset() }
	stays := func(p *peer) { p.gone() }
	const sizedHead = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

	lost := engine.Error{Failure: engine.LostInAnswer, Sent: true}
	f("close before the head", lost, closed, "")
	f("reset before the head", lost, reset, "")
	lost.Answered = true
	f("close in the head", lost, closed, "HTTP/1.1 200 OK\r\nA")
	f("reset in the head", lost, reset, "HTTP/1.1 200 OK\r\nA")
	f("close after an interim answer", lost, closed, "HTTP/1.1 100 Continue\r\n\r\n")
	f("close in a sized body", lost, closed, sizedHead+"12345")
	f("reset in a sized body", lost, reset, sizedHead+"12345")
	f("close in a chunk", lost, closed, chunkedHead+"A\r\n12345")
	f("close after a chunk", lost, closed, chunkedHead+"5\r\n12345\r\n")
	f("close in a chunk size", lost, closed, chunkedHead+"5")
	f("close before the last CRLF", lost, closed, chunkedHead+"0\r\n")

	silent := engine.Error{Failure: engine.TimedOut, Sent: true}
	f("silent before the head", silent, stays, "")
	silent.Answered = true
	f("silent in the head", silent, stays, "HTTP/1.1 200")
	f("silent in the body", silent, stays, sizedHead+"1")
	f("silent in a chunk", silent, stays, chunkedHead+"5\r\n1")
	f("silent after an interim answer", silent, stays, "HTTP/1.1 100 Continue\r\n\r\n")

	corrupt := engine.Error{Failure: engine.Corrupt, Sent: true, Answered: true}
	for _, answer := range []string{
		"\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 200 O\x00K\r\n\r\n",
		"SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA\r\n\r\n", "HTTP/1.1 200 OK\r\n: b\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxLine) + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 80) + "\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxFields+1) + "\r\n",
		strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInterim+1),
		chunkedHead + "x\r\n", chunkedHead + "\r\n", chunkedHead + "-1\r\n", chunkedHead + "0x5\r\nhello\r\n0\r\n\r\n",
		chunkedHead + "5\nhello\r\n0\r\n\r\n",
		chunkedHead + "5\r\nhello!\r\n0\r\n\r\n", chunkedHead + "1000000000000000\r\n", chunkedHead +
			"0\r\nbad trailer\r\n\r\n",
		chunkedHead + "5;" + strings.Repeat("x", maxLine) + "\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n", chunkedHead + "100001\r\n" + strings.Repeat("x", 1<<20+1) +
			"\r\n0\r\n\r\n",
	} {
		f(answer[:min(len(answer), 80)], corrupt, stays, answer)
	}
}

// A server that stops reading a large request and closes has not had it all.
func TestRequestNotSentWhole(t *testing.T) {
	c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
		_, _ = io.ReadFull(p.r, make([]byte, 1000))
		p.reset()
	})))
	_, _, err := call(t.Context(), c, post(strings.Repeat("x", 32<<20)))
	mustFail(t, "reset while sending", err, engine.Error{Failure: engine.NotSent})
}

// A server that refuses a large request early is heard although it did not read
// the rest. Its connection still owes it that rest, so it is not used again.
func TestEarlyAnswerIsHeard(t *testing.T) {
	conns, done := make(chan int, 4), make(chan struct{})
	o := defaults(serve(t, func(n int, p *peer) {
		conns <- n
		_, _ = io.ReadFull(p.r, make([]byte, 1000))
		p.say("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		<-done
	}))
	o.Write = 50 * time.Millisecond
	c := newClient(t, o)
	defer close(done)
	for range 2 {
		status, body, err := call(t.Context(), c, post(strings.Repeat("x", 32<<20)))
		if err != nil || status != 413 || body != "no" {
			t.Errorf("%d %q %v, want 413", status, body, err)
		}
	}
	if len(conns) != 2 {
		t.Errorf("%d connections, want 2", len(conns))
	}
}

func TestDialFailures(t *testing.T) {
	f := func(name string, u *url.URL) {
		t.Helper()
		c := newClient(t, defaults(u))
		_, err := c.Do(t.Context(), post(""))
		mustFail(t, name, err, engine.Error{Failure: engine.NotSent})
		if c.pool.open != 0 {
			t.Errorf("%s: %d connections counted", name, c.pool.open)
		}
	}
	f("refused", &url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	f("no such name", &url.URL{Scheme: "http", Host: "sluice.invalid"})
	f("no TLS there", &url.URL{Scheme: "https", Host: serve(t,
		func(_ int, p *peer) { p.say("HTTP/1.1 400 x\r\n\r\n") }).Host})
}

func TestConnectBound(t *testing.T) {
	endpoint := serve(t, func(_ int, p *peer) { p.gone() })
	endpoint.Scheme = "https" // the handshake never gets an answer
	o := defaults(endpoint)
	o.Connect = 30 * time.Millisecond
	_, err := newClient(t, o).Do(t.Context(), post(""))
	mustFail(t, "handshake without answer", err, engine.Error{Failure: engine.NotSent})
}

// deadline is a context that, when cancelled, says that its deadline has passed.
type deadline struct{ context.Context }

func (d deadline) Err() error {
	if d.Context.Err() == nil {
		return nil
	}
	return context.DeadlineExceeded
}

// When the context ends, the connection is closed at once: the server sees it
// although every time bound is far away.
func TestCancelCloses(t *testing.T) {
	f := func(name string, want engine.Error, say string, use func(context.Context, *Client) error) {
		t.Helper()
		asked, left := make(chan struct{}), make(chan time.Time, 1)
		c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
			p.request()
			p.say(say)
			close(asked)
			p.gone()
			left <- time.Now()
		})))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if want.Failure == engine.TimedOut {
			ctx = deadline{ctx}
		}
		done := make(chan error, 1)
		go func() { done <- use(ctx, c) }()
		<-asked
		time.Sleep(100 * time.Millisecond) // so that the client has noted it and waits
		start := time.Now()
		cancel()
		mustFail(t, name, <-done, want)
		t.Logf("%s: seen after %v", name, (<-left).Sub(start))
	}
	whole := func(ctx context.Context, c *Client) error {
		_, _, err := call(ctx, c, post("{}"))
		return err
	}
	f("before the head", engine.Error{Failure: engine.Cancelled, Sent: true}, "", whole)
	f("in the head", engine.Error{Failure: engine.Cancelled, Sent: true, Answered: true}, "HTTP/1.1 ", whole)
	f("in the body", engine.Error{Failure: engine.Cancelled, Sent: true, Answered: true},
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", whole)
	f("deadline before the head", engine.Error{Failure: engine.TimedOut, Sent: true}, "", whole)
	f("deadline in the body", engine.Error{Failure: engine.TimedOut, Sent: true, Answered: true},
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", whole)
}

// The deadline of a context without a timer bounds the reads and writes.
func TestDeadlineWithoutTimer(t *testing.T) {
	f := func(name string, want engine.Error, body, say string) {
		t.Helper()
		gone := make(chan struct{})
		c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
			if say != "" {
				p.request()
				p.say(say)
			}
			<-gone
			p.gone()
		})))
		var g lifetime.Group
		var ctx lifetime.Context
		g.Begin(&ctx, 150*time.Millisecond)
		start := time.Now()
		_, _, err := call(&ctx, c, post(body))
		close(gone)
		mustFail(t, name, err, want)
		if took := time.Since(start); took < 150*time.Millisecond || took > time.Minute { // a busy machine may be late
			t.Errorf("%s: it took %v", name, took)
		}
	}
	f("while sending", engine.Error{Failure: engine.TimedOut}, strings.Repeat("x", 32<<20), "")
	f("before the head", engine.Error{Failure: engine.TimedOut, Sent: true}, "{}", "")
	f("in the body", engine.Error{Failure: engine.TimedOut, Sent: true, Answered: true}, "{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
}

// The memory of an answer that was freed serves the next one.
func TestFree(t *testing.T) {
	c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
		for n := 0; p.request() != nil; n++ {
			p.say("HTTP/1.1 200 OK\r\nX-N: " + itoa(n) + "\r\nContent-Length: 2\r\n\r\nok")
		}
	})))
	for n := range 3 {
		a, err := c.Do(t.Context(), post("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := a.Body.ReadAll(10, nil)
		if err != nil || string(body) != "ok" || a.Header.Get("X-N") != itoa(n) || a.Body.Timing().Reused != (n > 0) {
			t.Errorf("answer %d: %q, %v, %v, %v", n, body, err, a.Header, a.Body.Timing())
		}
		a.Free()
	}
}

func TestCancelBeforeAndWhileSending(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reading := make(chan struct{})
	c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
		_, _ = io.ReadFull(p.r, make([]byte, 1000))
		close(reading)
		<-ctx.Done()
		p.gone()
	})))
	go func() { <-reading; cancel() }()
	_, _, err := call(ctx, c, post(strings.Repeat("x", 32<<20)))
	mustFail(t, "while sending", err, engine.Error{Failure: engine.Cancelled})
	_, _, err = call(ctx, c, post(""))
	mustFail(t, "before", err, engine.Error{Failure: engine.Cancelled})
}

// Close from another goroutine ends a Read that waits.
func TestCloseEndsRead(t *testing.T) {
	c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
		p.request()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
		p.gone()
	})))
	a, err := c.Do(t.Context(), post("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go a.Body.Close()
	_, err = a.Body.Read(make([]byte, 1))
	mustFail(t, "read", err, engine.Error{Failure: engine.Cancelled, Sent: true, Answered: true})
	_, again := a.Body.Read(make([]byte, 1))
	if !errors.Is(again, err) {
		t.Errorf("second error %v, want the first one, %v", again, err)
	}
}
