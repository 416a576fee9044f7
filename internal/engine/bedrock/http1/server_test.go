package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script plays one accepted connection; n counts connections from 1.
type script func(n int, c *peer)

// peer is the server's end of one connection.
type peer struct {
	net.Conn
	r *bufio.Reader
}

// request reads one request; it returns nil at the end of the connection.
func (p *peer) request() *http.Request {
	req, err := http.ReadRequest(p.r)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil
	}
	req.Body = io.NopCloser(strings.NewReader(string(body)))
	return req
}

// say writes text; errors show on the client's side.
func (p *peer) say(text string) { _, _ = io.WriteString(p, text) }

// gone waits until the client has closed.
func (p *peer) gone() { _, _ = io.Copy(io.Discard, p.r) }

// reset closes with RST.
func (p *peer) reset() {
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	_ = p.Close()
}

// serve plays s for each connection and waits for all of them at the end.
func serve(t testing.TB, s script) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				s(n, &peer{c, bufio.NewReader(c)})
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

// clock is the real clock plus what a test adds.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func defaults(endpoint *url.URL) Options {
	const long = 20 * time.Second
	return Options{
		Endpoint: endpoint, Route: route(endpoint, outbound.Settings{}),
		Connect: long, FirstByte: long, Idle: long, Write: long, KeepAlive: 50 * time.Second,
		MaxIdle: 8, MaxConns: 64, Now: time.Now,
	}
}

// route is the way to an endpoint without what the environment says of proxies.
func route(endpoint *url.URL, s outbound.Settings) *outbound.Route {
	s.Getenv = func(string) string { return "" }
	calls, err := outbound.New(s)
	if err == nil {
		var r *outbound.Route
		if r, err = calls.Route(endpoint); err == nil {
			return r
		}
	}
	panic(err)
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c := New(o)
	// Registered after serve's clean-up, so it runs before it and lets peers go.
	t.Cleanup(c.Close)
	return c
}

func post(body string) *Request {
	return &Request{Method: "POST", Target: "/model/m/converse", Body: []byte(body)}
}

// call sends one request and reads the whole body.
func call(ctx context.Context, c *Client, req *Request) (status int, body string, err error) {
	a, err := c.Do(ctx, req)
	if err != nil {
		return 0, "", err
	}
	b, err := a.Body.ReadAll(1<<20, nil)
	return a.Status, string(b), err
}

// mustFail checks the failure of err.
func mustFail(t *testing.T, name string, err error, want engine.Error) {
	t.Helper()
	var got *engine.Error
	if !errors.As(err, &got) {
		t.Errorf("%s: error %v, want %s", name, err, want.Failure)
		return
	}
	if got.Failure != want.Failure || got.Sent != want.Sent || got.Answered != want.Answered {
		t.Errorf("%s: %v sent=%v answered=%v, want %s sent=%v answered=%v",
			name, got, got.Sent, got.Answered, want.Failure, want.Sent, want.Answered)
	}
}

func ok(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body
}

// nowhere is a connection that is only ever closed.
type nowhere struct{ net.Conn }

func (nowhere) Close() error                    { return nil }
func (nowhere) SetReadDeadline(time.Time) error { return nil }
