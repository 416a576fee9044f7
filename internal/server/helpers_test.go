package server

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"

	xhttp2 "golang.org/x/net/http2"
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
