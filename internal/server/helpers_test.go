package server

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net/netip"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/internal/wire"
)

func newReader(b []byte) *bufio.Reader     { return bufio.NewReader(bytes.NewReader(b)) }
func newReader2(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

// readerOf reads frames for ever, so that the other end is never blocked.
func readerOf(f *xhttp2.Framer) io.Reader { return frameReader{f} }

type frameReader struct{ f *xhttp2.Framer }

func (r frameReader) Read([]byte) (int, error) {
	_, err := r.f.ReadFrame()
	return 0, err
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func headers(id uint32, fields ...string) xhttp2.HeadersFrameParam {
	return xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: block(fields...), EndHeaders: true}
}

// withDefaults fills in what a test does not set.
func withDefaults(o Options) Options {
	fallback := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	fallback(&o.Timeouts.Header, 5*time.Second)
	fallback(&o.Timeouts.Body, 30*time.Second)
	fallback(&o.Timeouts.KeepAlive, 75*time.Second)
	fallback(&o.Timeouts.Write, 30*time.Second)
	if o.Limits.MaxBodyBytes == 0 {
		o.Limits.MaxBodyBytes = 25 << 20
	}
	if o.Limits.BufferedBytes == 0 {
		o.Limits.BufferedBytes = 1 << 30
	}
	if o.Limits.MaxConnections == 0 {
		o.Limits.MaxConnections = 10_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnGlitch == nil {
		o.OnGlitch = func(string) {}
	}
	if o.OnRefusal == nil {
		o.OnRefusal = func(string, netip.Addr, *wire.Error) {}
	}
	if o.OnShed == nil {
		o.OnShed = func(string, netip.Addr, *wire.Error, int64) {}
	}
	return o
}
