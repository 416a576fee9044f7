package bedrock

import (
	"net"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// loopback is a fasthttp server that answers every request with 1 KB.
func loopback(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 1024)
	s := &fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) {
		c.SetContentType("application/json")
		c.SetBody(body)
	}}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	b.Cleanup(func() { _ = s.Shutdown(); <-done })
	return l.Addr().String()
}

// BenchmarkAttempt compares an attempt with a bare exchange by fasthttp's
// HostClient. The signed attempt hashes and signs a body of 2 KB; the one with a
// bearer token does the same work as HostClient.
func BenchmarkAttempt(b *testing.B) {
	address := loopback(b)
	body := make([]byte, 2048)
	header := wire.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Accept", Value: "application/json"}}
	req := &engine.Request{Model: "m", Method: "POST", Target: "/model/m/converse", Header: header, Body: body}
	attempt := func(e *Engine) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if res, err := e.Attempt(b.Context(), req); err != nil || len(res.Body) != 1024 {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("hostclient", func(b *testing.B) {
		c := &fasthttp.HostClient{Addr: address, DisablePathNormalizing: true, NoDefaultUserAgentHeader: true}
		defer c.CloseIdleConnections()
		out, in := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		b.ReportAllocs()
		for b.Loop() {
			out.Reset()
			out.Header.SetMethod(req.Method)
			out.SetRequestURI("http://" + address + req.Target)
			for _, f := range header {
				out.Header.Set(f.Name, f.Value)
			}
			out.SetBodyRaw(body)
			if err := c.Do(out, in); err != nil || len(in.Body()) != 1024 {
				b.Fatal(err)
			}
		}
	})
	bearer := settings("http://" + address)
	bearer.BearerToken = "token"
	b.Run("bearer", attempt(newEngine(b, bearer, func(o *Options) { o.Credentials = nil })))
	b.Run("signed", attempt(newEngine(b, settings("http://"+address))))
}
