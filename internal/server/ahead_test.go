package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
)

// inPieces writes so many bytes at once.
type inPieces struct {
	net.Conn
	size int
}

func (c inPieces) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = c.Conn.Write(p[n:min(n+c.size, len(p))])
		n += more
	}
	return n, err
}

// TestFramesInPieces: frames are read the same however they come: in bytes, around the size
// of the buffer, and many at once.
func TestFramesInPieces(t *testing.T) {
	files, roots := selfSigned(t, t.TempDir(), "127.0.0.1")
	open, secure := start(t, Options{}), start(t, Options{TLS: &files})
	f := func(s *Server, scheme string, size int) {
		t.Helper()
		p := new(http.Protocols)
		p.SetHTTP2(scheme == "https")
		p.SetUnencryptedHTTP2(scheme == "http")
		tr := &http.Transport{
			Protocols: p, TLSClientConfig: &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return inPieces{c, size}, err
			},
		}
		defer tr.CloseIdleConnections()
		for _, n := range []int{0, 1, frameBuffer - headOfFrame, frameBuffer, frameBuffer + 1, 5 * frameBuffer} {
			body := bytes.Repeat([]byte("b"), n)
			res, err := (&http.Client{Transport: tr}).Post(scheme+"://"+s.Addr().String()+"/x", "", bytes.NewReader(body))
			if err != nil {
				t.Fatalf("%s, %d bytes in pieces of %d: %v", scheme, n, size, err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.ProtoMajor != 2 || !bytes.Equal(got, body) {
				t.Errorf("%s, %d bytes in pieces of %d: %d bytes back by %s, %v", scheme, n, size, len(got), res.Proto, err)
			}
		}
	}
	for _, size := range []int{1, headOfFrame, frameBuffer - 1, frameBuffer, frameBuffer + 1, 1 << 20} {
		f(open, "http", size)
		f(secure, "https", size)
	}
}

// headOfFrame is the size of the head of each frame.
const headOfFrame = 9
