// Command proxy is the yardstick: it passes requests on by fasthttp and does
// nothing else. What it costs is what two sockets cost.
package main

import (
	"bytes"
	"flag"
	"io"
	"log"
	"time"

	"github.com/valyala/fasthttp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8100", "address to listen at")
	upstream := flag.String("upstream", "127.0.0.1:8200", "address to pass requests on to")
	flag.Parse()
	whole, streamed := client(*upstream, false), client(*upstream, true)
	server := &fasthttp.Server{
		MaxRequestBodySize: 64 << 20, ReadBufferSize: 8 << 10, NoDefaultServerHeader: true, NoDefaultDate: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Request.Header.Del(fasthttp.HeaderConnection)
			if bytes.HasSuffix(ctx.RequestURI(), []byte("-stream")) {
				stream(ctx, streamed)
			} else if err := whole.Do(&ctx.Request, &ctx.Response); err != nil {
				ctx.Error(err.Error(), fasthttp.StatusBadGateway)
			}
		},
	}
	log.Fatal(server.ListenAndServe(*listen))
}

func client(addr string, stream bool) *fasthttp.HostClient {
	return &fasthttp.HostClient{
		Addr: addr, StreamResponseBody: stream, MaxConns: 4096, MaxIdleConnDuration: time.Minute, ReadBufferSize: 8 << 10,
		NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
	}
}

func stream(ctx *fasthttp.RequestCtx, c *fasthttp.HostClient) {
	answer := fasthttp.AcquireResponse()
	if err := c.Do(&ctx.Request, answer); err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadGateway)
		return
	}
	ctx.SetStatusCode(answer.StatusCode())
	ctx.SetContentTypeBytes(answer.Header.ContentType())
	ctx.SetBodyStream(body{answer.BodyStream(), answer}, -1) // each read of the upstream leaves in one write
}

type body struct {
	io.Reader
	answer *fasthttp.Response
}

func (b body) Close() error {
	defer fasthttp.ReleaseResponse(b.answer)
	return b.answer.CloseBodyStream()
}
