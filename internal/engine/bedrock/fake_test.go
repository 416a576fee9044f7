package bedrock

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/sigv4"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Only the benchmark uses fasthttp, whose goroutines end late or never.
func TestMain(m *testing.M) {
	const fasthttp = "github.com/valyala/fasthttp."
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction(fasthttp+"(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction(fasthttp+"(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction(fasthttp+"(*TCPDialer).tcpAddrsClean"),
		goleak.IgnoreAnyFunction(fasthttp+"updateServerDate.func1"))
}

// keys are what test upstreams sign with.
var keys = sigv4.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	SessionToken: "session"}

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
	req.Body = io.NopCloser(bytes.NewReader(body))
	return req
}

// say writes text; errors show on the client's side.
func (p *peer) say(text string) { _, _ = io.WriteString(p, text) }

// gone waits until the client has closed.
func (p *peer) gone() { _, _ = io.Copy(io.Discard, p.r) }

// serve plays s for each connection and returns the server's URL.
func serve(t testing.TB, s func(n int, p *peer)) string {
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
	return "http://" + l.Addr().String()
}

// settings is an upstream at a test server.
func settings(endpoint string) config.Upstream {
	return config.Upstream{
		Region: "us-east-1", Endpoint: endpoint,
		Retry:   config.Retry{MaxAttempts: 3, BudgetPercent: 20},
		Breaker: config.Breaker{Failures: 10, OpenFor: time.Minute},
	}
}

// newEngine makes an engine whose only upstream is the default one.
func newEngine(t testing.TB, up config.Upstream, change ...func(*Options)) *Engine {
	t.Helper()
	o := Options{
		Upstreams:   map[string]config.Upstream{"": up},
		Credentials: map[string]sigv4.Credentials{"": keys},
		Getenv:      func(string) string { return "" },
	}
	for _, c := range change {
		c(&o)
	}
	e, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func request() *engine.Request {
	return &engine.Request{
		Model: "m", Op: wire.OpConverse, Method: "POST", Target: "/model/a%3Ab%2Fc/converse",
		Header: wire.Header{{Name: "Content-Type", Value: "application/json"}}, Body: []byte(`{"a":1}`),
	}
}

func answer(status, header, body string) string {
	return "HTTP/1.1 " + status + " x\r\n" + header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body
}

// frame encodes one event with AWS's own encoder.
func frame(t testing.TB, payload string) []byte {
	t.Helper()
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers.Set(":event-type", eventstream.StringValue("chunk"))
	m.Headers.Set(":message-type", eventstream.StringValue("event"))
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: " +
	"chunked\r\n\r\n"

func chunk(b []byte) string {
	const hex = "0123456789abcdef"
	size := ""
	for n := len(b); n > 0; n >>= 4 {
		size = string(hex[n&15]) + size
	}
	return size + "\r\n" + string(b) + "\r\n"
}

// mustFail checks the failure of err.
func mustFail(t *testing.T, name string, err error, want engine.Failure) {
	t.Helper()
	var got *engine.Error
	if !errors.As(err, &got) || got.Failure != want {
		t.Errorf("%s: error %v, want %s", name, err, want)
	}
}

// attempt makes one attempt and reads all frames of a stream.
func attempt(ctx context.Context, e *Engine, req *engine.Request) (*engine.Response, [][]byte, error) {
	res, err := e.Attempt(ctx, req)
	if err != nil || res.Frames == nil {
		return res, nil, err
	}
	defer res.Frames.Close()
	var frames [][]byte
	for {
		f, err := res.Frames.Next()
		if errors.Is(err, io.EOF) {
			return res, frames, nil
		}
		if err != nil {
			return res, frames, err
		}
		frames = append(frames, bytes.Clone(f))
	}
}
