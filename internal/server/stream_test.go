package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// frames is a response stream fed by a channel.
type frames struct {
	next   chan string
	end    error // after next is closed
	closed chan struct{}
	once   sync.Once
}

func newFrames(end error) *frames {
	return &frames{next: make(chan string), end: end, closed: make(chan struct{})}
}

func (f *frames) Read(p []byte) (int, error) {
	select {
	case s, ok := <-f.next:
		if !ok {
			return 0, f.end
		}
		return copy(p, s), nil
	case <-f.closed:
		return 0, errors.New("closed")
	}
}

func (f *frames) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func streaming(f *frames) Handler {
	return handlerFunc(func(r *gateway.Request) *gateway.Response {
		r.Body.Release()
		return &gateway.Response{Status: 200, Stream: f,
			Header: wire.Header{{Name: "content-type", Value: "application/vnd.amazon.eventstream"}}}
	})
}

// The reader has each frame before the handler makes the next, and the head
// before the first.
func TestEachFrameLeavesAtOnce(t *testing.T) {
	var f *frames
	opts := Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response { return streaming(f).Serve(r) })}
	everywhere(t, opts, func(t *testing.T, c *http.Client, url string, _ *Server) {
		f = newFrames(io.EOF)
		res, err := c.Post(url+"/stream", "", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		for i, size := range []int{1, 100, 3000, 9000, 5} {
			frame := strings.Repeat(fmt.Sprint(i), size)
			sent := 0
			for sent < size { // a Read may take less than a frame
				part := frame[sent:min(size, sent+3000)]
				f.next <- part
				got := make([]byte, len(part))
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != part {
					t.Fatalf("frame %d: %q, %v", i, got[:min(len(got), 20)], err)
				}
				sent += len(part)
			}
		}
		close(f.next)
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
			t.Errorf("after the end: %q, %v", rest, err)
		}
		<-f.closed
	})
}

// A stream that breaks must not look like one that ended.
func TestBrokenStream(t *testing.T) {
	var f *frames
	opts := Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response { return streaming(f).Serve(r) })}
	everywhere(t, opts, func(t *testing.T, c *http.Client, url string, _ *Server) {
		f = newFrames(errors.New("upstream broke"))
		res, err := c.Post(url+"/stream", "", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		f.next <- "frame"
		close(f.next)
		if got, err := io.ReadAll(res.Body); err == nil || string(got) != "frame" {
			t.Errorf("%q, %v", got, err)
		}
		<-f.closed
	})
}

// A caller who leaves is noticed while a handler waits, and while it streams.
func TestCallerLeaves(t *testing.T) {
	noticed := make(chan string, 4)
	var f *frames
	opts := Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
		r.Body.ReadAll()
		r.Body.Release()
		if r.Target == "/stream" {
			return streaming(f).Serve(r)
		}
		select {
		case <-r.Caller.Done():
			noticed <- "wait"
		case <-time.After(10 * time.Second):
			noticed <- "never"
		}
		return &gateway.Response{Status: 200}
	})}
	everywhere(t, opts, func(t *testing.T, c *http.Client, url string, s *Server) {
		ctx, cancel := context.WithCancel(context.Background())
		req, _ := http.NewRequestWithContext(ctx, "POST", url+"/wait", strings.NewReader("x"))
		go func() {
			for s.Stats().InFlight == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		if _, err := c.Do(req); err == nil {
			t.Error("an answer although the caller left")
		}
		if got := <-noticed; got != "wait" {
			t.Error("not noticed while waiting")
		}

		f = newFrames(io.EOF)
		ctx, cancel = context.WithCancel(context.Background())
		defer cancel()
		req, _ = http.NewRequestWithContext(ctx, "POST", url+"/stream", strings.NewReader("x"))
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		f.next <- "frame"
		cancel()
		res.Body.Close()
		timeout := time.After(10 * time.Second)
		for {
			select {
			case f.next <- "frame":
				time.Sleep(5 * time.Millisecond)
				continue
			case <-f.closed:
			case <-timeout:
				t.Error("the stream was not closed")
			}
			break
		}
	})
}

// A quick request never has its caller end by the next one's caller.
func TestGoneBelongsToOneRequest(t *testing.T) {
	var first atomic.Pointer[context.Context]
	s := start(t, Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
		if r.Target == "/first" {
			first.Store(&r.Caller)
			return echo(r)
		}
		<-r.Caller.Done()
		return echo(r)
	})})
	c := dial(t, s)
	io.WriteString(c, "GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
	answer(t, bufio.NewReader(c))
	io.WriteString(c, "GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
	for s.Stats().InFlight == 0 {
		time.Sleep(time.Millisecond)
	}
	c.Close()
	for s.Stats().InFlight != 0 {
		time.Sleep(time.Millisecond)
	}
	if (*first.Load()).Err() != nil {
		t.Error("the first request's caller has left")
	}
}

// A caller who does not read is dropped after the write time-out; one who reads
// slowly is not, however long the whole takes.
func TestSlowReaders(t *testing.T) {
	const timeout = 700 * time.Millisecond
	ended := make(chan struct{}, 4)
	opts := Options{Timeouts: config.Timeouts{Write: timeout},
		Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
			r.Body.Release()
			return &gateway.Response{Status: 200, Stream: &endless{left: 64 << 20, ended: ended}}
		})}
	everywhere(t, opts, func(t *testing.T, c *http.Client, url string, _ *Server) {
		res, err := c.Post(url+"/m", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("a caller who does not read keeps its stream")
		}
		res.Body.Close()
	})
	t.Run("slow but alive", func(t *testing.T) {
		f := newFrames(io.EOF)
		s := start(t, Options{Timeouts: config.Timeouts{Write: timeout, Header: timeout, Body: timeout, KeepAlive: timeout},
			Handler: streaming(f)})
		res, err := clients(t, nil)["h1"].Post("http://"+s.Addr().String(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		for range 3 {
			time.Sleep(timeout)
			f.next <- "x"
		}
		close(f.next)
		if got, err := io.ReadAll(res.Body); err != nil || string(got) != "xxx" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

type endless struct {
	left  int
	ended chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	e.left -= len(p)
	return len(p), nil
}

func (e *endless) Close() error {
	if e.left > 0 {
		e.ended <- struct{}{}
	}
	return nil
}

// Silent and slow callers are closed in their time, whatever they speak.
func TestSilentCallers(t *testing.T) {
	const timeout = time.Second // enough for a handshake on a busy machine
	files, roots := selfSigned(t, t.TempDir(), "one")
	plain := start(t, Options{Timeouts: config.Timeouts{Header: timeout, KeepAlive: timeout}})
	secure := start(t, Options{Timeouts: config.Timeouts{Header: timeout, KeepAlive: timeout}, TLS: &files})
	var all sync.WaitGroup
	f := func(name string, c net.Conn, text string) {
		all.Go(func() {
			io.WriteString(c, text)
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				t.Errorf("%s: still open", name)
			}
		})
	}
	f("silent", dial(t, plain), "")
	f("half a preface", dial(t, plain), "PRI * HTTP")
	f("preface alone", dial(t, plain), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f("half a head", dial(t, plain), "POST / HTTP/1.1\r\nHo")
	f("idle after a request", dial(t, plain), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f("no handshake", dial(t, secure), "")
	handshaken := func(protocols ...string) net.Conn {
		c, err := tls.Dial("tcp", secure.Addr().String(), &tls.Config{RootCAs: roots, NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	f("silent after the handshake", handshaken("http/1.1"), "")
	f("silent after h2", handshaken("h2"), "")
	all.Wait()
}

// A connection that has been idle for a while holds no buffers and is served as
// before, also after several pauses.
func TestParkedConnections(t *testing.T) {
	const n = 500
	s := start(t, Options{})
	conns := make([]net.Conn, n)
	readers := make([]*bufio.Reader, n)
	ask := func(i, round int) {
		body := strings.Repeat("b", round*100)
		fmt.Fprintf(conns[i], "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", round, len(body), body)
		if res, got := answer(t, readers[i]); got != body || res.Header.Get("X-Target") != fmt.Sprintf("/%d", round) {
			t.Fatalf("connection %d, round %d: %d %q", i, round, res.StatusCode, got)
		}
	}
	before := heapInUse()
	for i := range conns {
		conns[i] = dial(t, s)
		readers[i] = bufio.NewReaderSize(conns[i], 16)
		ask(i, 0)
	}
	const most = 8 << 10
	each := int64(most + 1)
	for late := time.Now().Add(20 * time.Second); each > most && time.Now().Before(late); {
		time.Sleep(3 * parkAfter)
		heapInUse() // empties the pools
		each = (heapInUse() - before) / n
	}
	t.Logf("%d bytes of heap per idle connection, both ends", each)
	if each > most {
		t.Errorf("%d bytes of heap per idle connection", each)
	}
	for round := range 3 {
		ask(7, round)
		ask(7, round)
		time.Sleep(parkAfter * 3 / 2)
	}
	conns[8].Close()
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// Shutdown lets requests in flight finish, closes idle connections at once, and
// takes no new ones.
func TestDrain(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			release := make(chan struct{})
			f := newFrames(io.EOF)
			s, err := New(withDefaults(Options{Listen: "127.0.0.1:0", Log: discard(),
				Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
					switch r.Target {
					case "/wait":
						<-release
					case "/stream":
						return streaming(f).Serve(r)
					}
					return echo(r)
				})}))
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- s.Serve(context.Background()) }()
			idle := dial(t, s)
			io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			idleReader := bufio.NewReader(idle)
			answer(t, idleReader)
			silent := dial(t, s)

			c := clients(t, nil)[proto]
			url := "http://" + s.Addr().String()
			streamed, err := c.Post(url+"/stream", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			waited := make(chan error, 1)
			go func() {
				res, err := c.Post(url+"/wait", "", strings.NewReader("x"))
				if err == nil {
					body, _ := io.ReadAll(res.Body)
					res.Body.Close()
					if res.StatusCode != 200 || string(body) != "x" {
						err = fmt.Errorf("status %d, %q", res.StatusCode, body)
					}
				}
				waited <- err
			}()
			for s.Stats().InFlight < 2 {
				time.Sleep(time.Millisecond)
			}
			down := make(chan error, 1)
			go func() { down <- s.Shutdown(context.Background()) }()
			if _, err := idleReader.ReadByte(); err == nil || isTimeout(err) {
				t.Errorf("idle connection: %v", err)
			}
			if _, err := silent.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				t.Errorf("silent connection: %v", err)
			}
			if nc, err := net.Dial("tcp", s.Addr().String()); err == nil {
				nc.Close()
				t.Error("a new connection was taken")
			}
			select {
			case err := <-down:
				t.Fatalf("Shutdown did not wait: %v", err)
			default:
			}
			close(release)
			if err := <-waited; err != nil {
				t.Errorf("request in flight: %v", err)
			}
			f.next <- "last"
			close(f.next)
			if got, err := io.ReadAll(streamed.Body); err != nil || string(got) != "last" {
				t.Errorf("stream in flight: %q, %v", got, err)
			}
			streamed.Body.Close()
			if err := <-down; err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

// When the time is up, handlers learn that their callers are gone.
func TestForcedShutdown(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		s, err := New(withDefaults(Options{Listen: "127.0.0.1:0", Log: discard(),
			Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
				<-r.Caller.Done()
				r.Body.Release()
				return &gateway.Response{Status: 200}
			})}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		go clients(t, nil)[proto].Post("http://"+s.Addr().String(), "", nil)
		for s.Stats().InFlight == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-served; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Serve: %v", proto, err)
		}
		if now := s.Stats(); now.InFlight != 0 || now.Connections != 0 {
			t.Errorf("%s: left: %+v", proto, now)
		}
	}
}
