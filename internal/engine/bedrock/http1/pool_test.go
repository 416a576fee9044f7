package http1

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
)

// echo answers each request with the number of its connection.
func echo(n int, p *peer) {
	for p.request() != nil {
		p.say(ok(itoa(n)))
	}
}

// ask returns the number of the connection that served the request.
func ask(t *testing.T, c *Client) string {
	t.Helper()
	_, body, err := call(t.Context(), c, post("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestConnectionIsKept(t *testing.T) {
	f := func(answer string, kept bool) {
		t.Helper()
		c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
			for p.request() != nil {
				p.say(answer)
			}
		})))
		if _, _, err := call(t.Context(), c, post("{}")); err != nil {
			t.Fatal(err)
		}
		a, err := c.Do(t.Context(), post("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Body.Timing().Reused; got != kept {
			t.Errorf("%q: reused = %v, want %v", answer, got, kept)
		}
		a.Body.Close()
		c.Close()
	}
	f(ok("x"), true)
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", true)
	f("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", false)
	f("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false)
	f(ok("x")+"more", false)
}

func TestUnreadBodyClosesConnection(t *testing.T) {
	c := newClient(t, defaults(serve(t, echo)))
	a, err := c.Do(t.Context(), post("{}"))
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	a.Body.Close() // twice does no harm
	if got := ask(t, c); got != "2" {
		t.Errorf("connection %s, want a new one", got)
	}
	if c.pool.open != 1 {
		t.Errorf("%d connections counted, want 1", c.pool.open)
	}
}

// A connection that the server closed while it was idle is noticed before use.
func TestClosedIdleConnectionIsNotUsed(t *testing.T) {
	closed := make(chan struct{})
	c := newClient(t, defaults(serve(t, func(n int, p *peer) {
		p.request()
		p.say(ok(itoa(n)))
		if n == 1 {
			p.Close()
			close(closed)
			return
		}
		p.gone()
	})))
	ask(t, c)
	<-closed
	time.Sleep(20 * time.Millisecond) // let the end arrive
	if got := ask(t, c); got != "2" {
		t.Errorf("connection %s, want 2", got)
	}
}

// E9: a connection that is reset when the next request has come may have been lost while
// the model worked; its idle neighbours are closed with it.
func TestStaleConnection(t *testing.T) {
	both := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(2)
	go func() { arrived.Wait(); close(both) }()
	o := defaults(serve(t, func(n int, p *peer) {
		p.request()
		if n <= 2 {
			arrived.Done()
			<-both
		}
		p.say(ok(itoa(n)))
		if n > 2 {
			p.gone()
			return
		}
		p.request()
		p.reset()
	}))
	start := time.Now()
	o.Now = func() time.Time { return start } // however long it takes, no time passes between request and reset
	c := newClient(t, o)
	var first sync.WaitGroup
	for range 2 {
		first.Go(func() { _, _, _ = call(t.Context(), c, post("{}")) })
	}
	first.Wait()
	_, _, err := call(t.Context(), c, post("{}"))
	mustFail(t, "second use", err, engine.Error{Failure: engine.LostInAnswer, Sent: true})
	if got := ask(t, c); got != "3" {
		t.Errorf("connection %s, want 3", got)
	}
}

// A kept connection that is lost late was lost while the model worked.
func TestLateLossIsNotStale(t *testing.T) {
	var clock clock
	sent := make(chan struct{})
	o := defaults(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(ok(""))
		p.request()
		<-sent
		clock.advance(2 * staleWindow)
		p.reset()
	}))
	o.Now = clock.now
	c := newClient(t, o)
	ask(t, c)
	late := post("{}")
	late.Sent = func() { close(sent) }
	_, _, err := call(t.Context(), c, late)
	mustFail(t, "late", err, engine.Error{Failure: engine.LostInAnswer, Sent: true})
}

func TestIdleConnectionExpires(t *testing.T) {
	var time clock
	o := defaults(serve(t, echo))
	o.Now = time.now
	c := newClient(t, o)
	ask(t, c)
	time.advance(o.KeepAlive - 1e9)
	if got := ask(t, c); got != "1" {
		t.Errorf("connection %s, want 1", got)
	}
	time.advance(o.KeepAlive + 1e9)
	if got := ask(t, c); got != "2" {
		t.Errorf("connection %s after the idle bound, want 2", got)
	}
}

// The bound of silence inside an answer does not count between two requests.
func TestIdleConnectionOutlivesSilenceBound(t *testing.T) {
	o := defaults(serve(t, echo))
	o.FirstByte, o.Idle = time.Second, time.Second
	c := newClient(t, o)
	ask(t, c)
	time.Sleep(o.Idle + 50*time.Millisecond)
	if got := ask(t, c); got != "1" {
		t.Errorf("connection %s, want 1", got)
	}
}

// Idle connections are closed also when no further request comes.
func TestReaperClosesIdleConnections(t *testing.T) {
	gone := make(chan struct{})
	o := defaults(serve(t, func(n int, p *peer) { echo(n, p); close(gone) }))
	o.KeepAlive = 20 * time.Millisecond
	ask(t, newClient(t, o))
	<-gone
}

func TestPoolBounds(t *testing.T) {
	release := make(chan struct{})
	o := defaults(serve(t, func(n int, p *peer) {
		for p.request() != nil {
			<-release
			p.say(ok(itoa(n)))
		}
	}))
	o.MaxIdle, o.MaxConns = 2, 4
	c := newClient(t, o)
	var all sync.WaitGroup
	for range 4 {
		a := make(chan struct{})
		all.Go(func() { close(a); ask(t, c) })
		<-a
	}
	for open := 0; open < 4; time.Sleep(time.Millisecond) {
		c.pool.mu.Lock()
		open = c.pool.open
		c.pool.mu.Unlock()
	}
	_, err := c.Do(t.Context(), post(""))
	mustFail(t, "fifth", err, engine.Error{Failure: engine.NotSent})
	close(release)
	all.Wait()
	if c.pool.open != 2 || len(c.pool.idle) != 2 {
		t.Errorf("%d open, %d idle, want 2 and 2", c.pool.open, len(c.pool.idle))
	}
	newest := c.pool.idle[1]
	ask(t, c)
	if c.pool.idle[1] != newest {
		t.Error("the connection that was used last was not used next")
	}
	c.Close()
	if c.pool.open != 0 {
		t.Errorf("%d open after Close", c.pool.open)
	}
	_, err = c.Do(t.Context(), post(""))
	mustFail(t, "after Close", err, engine.Error{Failure: engine.NotSent})
}

// A connection in use at Close is closed when its exchange ends.
func TestCloseDuringExchange(t *testing.T) {
	proceed := make(chan struct{})
	c := newClient(t, defaults(serve(t, func(_ int, p *peer) {
		var req *http.Request
		for req = p.request(); req != nil; req = p.request() {
			<-proceed
			p.say(ok("done"))
		}
	})))
	done := make(chan string)
	go func() {
		_, body, _ := call(t.Context(), c, post("{}"))
		done <- body
	}()
	proceed <- struct{}{} // the request is there
	c.Close()
	if body := <-done; body != "done" {
		t.Errorf("answer %q after Close, want it whole", body)
	}
	if c.pool.open != 0 {
		t.Errorf("%d open", c.pool.open)
	}
}

// A kept connection gives an answer as long as a new one does, and no longer.
func TestSilenceOnKeptConnection(t *testing.T) {
	const bound = 200 * time.Millisecond
	o := defaults(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(ok("first"))
		p.request()
		p.gone()
	}))
	o.FirstByte, o.Idle = bound, bound
	c := newClient(t, o)
	ask(t, c)
	time.Sleep(2 * bound) // what bounded the first answer is over
	begun := time.Now()
	_, _, err := call(t.Context(), c, post("{}"))
	mustFail(t, "silent", err, engine.Error{Failure: engine.TimedOut, Sent: true})
	if took := time.Since(begun); took < bound || took > time.Minute { // a busy machine may be late
		t.Errorf("gave up after %v, want about %v", took, bound)
	}
}

// On a kept connection, too, the time until the answer counts from the end of the
// request: a large body over a slow link takes its own time.
//
// The clock is behind until the body is read: what was bound before ends soon, and what is
// bound from then on does not end although this machine is slow.
func TestSlowUploadOnKeptConnection(t *testing.T) {
	const soon = 500 * time.Millisecond
	var clock clock
	o := defaults(serve(t, func(_ int, p *peer) {
		p.request()
		p.say(ok("first"))
		p.r.Peek(1)
		time.Sleep(2 * soon) // while the body does not fit into the sockets' buffers
		clock.ahead.Store(0)
		p.request()
		p.say(ok("second"))
	}))
	o.Now, o.Write = clock.now, time.Hour
	c := newClient(t, o)
	ask(t, c)
	clock.advance(soon - o.FirstByte*9/8) // bounds are set up to an eighth later
	_, body, err := call(t.Context(), c, post(strings.Repeat("x", 16<<20)))
	if err != nil || body != "second" {
		t.Errorf("got %q, %v", body, err)
	}
}
