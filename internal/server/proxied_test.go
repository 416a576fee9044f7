package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/network"
	"github.com/sluice-gateway/sluice/internal/server/proxied"
)

// introduction is a header of the PROXY protocol for TCP from an address.
func introduction(from string) string {
	a := netip.MustParseAddr(from)
	family, addresses := byte(0x11), a.AsSlice()
	if a.Is6() {
		family = 0x21
	}
	addresses = append(addresses, a.AsSlice()...)
	addresses = append(addresses, 1, 2, 3, 4) // ports
	head := append([]byte(proxied.Signature), 0x21, family)
	return string(append(binary.BigEndian.AppendUint16(head, uint16(len(addresses))), addresses...))
}

const localHeader = proxied.Signature + "\x20\x00\x00\x00"

// whose answers with the address whose the request is.
func whose(r *gateway.Request) *gateway.Response {
	r.Body.Release()
	return &gateway.Response{Status: 200, Body: []byte(r.From.String())}
}

// loopback is where the tests are from.
var loopback = network.Set{netip.MustParsePrefix("127.0.0.1/32")}

// through is a client whose connections begin with a header, in pieces of a size.
func through(header string, size int, secure, http2 bool, roots *x509.CertPool) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2 && secure)
	p.SetUnencryptedHTTP2(http2 && !secure)
	return &http.Client{Transport: &http.Transport{
		Protocols: p, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				c = inPieces{c, size}
				_, err = io.WriteString(c, header)
			}
			return c, err
		},
	}}
}

// TestProxied is issue 14's trusted_proxies: who calls is who a trusted proxy says, by the
// PROXY protocol for the connection and by X-Forwarded-For for the request, over both
// protocols, with and without TLS, however the bytes come.
func TestProxied(t *testing.T) {
	files, roots := selfSigned(t, t.TempDir(), "127.0.0.1")
	options := Options{Handler: handlerFunc(whose), Proxies: loopback}
	open := start(t, options)
	options.TLS = &files
	secure := start(t, options)
	f := func(header, forwarded, want string) {
		t.Helper()
		for _, c := range []struct {
			name  string
			s     *Server
			http2 bool
		}{{"http", open, false}, {"http", open, true}, {"https", secure, false}, {"https", secure, true}} {
			for _, size := range []int{1, 13, 1 << 20} {
				client := through(header, size, c.name == "https", c.http2, roots)
				req, _ := http.NewRequest("GET", c.name+"://"+c.s.Addr().String()+"/", nil)
				if forwarded != "" {
					req.Header.Set("X-Forwarded-For", forwarded)
				}
				res, err := client.Do(req)
				if err != nil {
					t.Errorf("%s, HTTP/2 %v, %q: %v", c.name, c.http2, header, err)
					continue
				}
				got, _ := io.ReadAll(res.Body)
				res.Body.Close()
				client.CloseIdleConnections()
				if string(got) != want {
					t.Errorf("%s, HTTP/2 %v, %q, %q: it is of %s, want %s", c.name, c.http2, header, forwarded, got, want)
				}
			}
		}
	}
	f("", "", "127.0.0.1")
	f(introduction("203.0.113.7"), "", "203.0.113.7")
	f(introduction("2001:db8::7"), "", "2001:db8::7")
	f(localHeader, "", "127.0.0.1")
	f("", "198.51.100.1, 203.0.113.7", "203.0.113.7")
	f(introduction("203.0.113.7"), "198.51.100.1", "203.0.113.7") // who is not trusted says so
	f(introduction("127.0.0.1"), "203.0.113.7", "203.0.113.7")    // one proxy behind another
}

// TestBadIntroductions: a header that is wrong, or of somebody who is not trusted, is
// answered with 400 as other bad input is (E10), and the connection closes.
func TestBadIntroductions(t *testing.T) {
	trusting, strict := start(t, Options{Proxies: loopback}), start(t, Options{})
	f := func(s *Server, what, sent string) {
		t.Helper()
		c := dial(t, s)
		io.WriteString(c, sent+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		r := bufio.NewReader(c)
		res, body := answer(t, r)
		if res.StatusCode != 400 || !res.Close {
			t.Errorf("%s: %d %s", what, res.StatusCode, body)
		}
		if _, err := r.ReadByte(); err == nil {
			t.Errorf("%s: the connection goes on", what)
		}
	}
	good := introduction("203.0.113.7")
	f(strict, "not trusted", good)
	f(strict, "not trusted, LOCAL", localHeader)
	f(trusting, "another version", strings.Replace(good, "\x21\x11", "\x31\x11", 1))
	f(trusting, "UDP", strings.Replace(good, "\x21\x11", "\x21\x12", 1))
	f(trusting, "two headers", good+good)
	f(trusting, "version 1", "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n")
	f(trusting, "almost the signature", strings.Replace(good, "QUIT", "QUIX", 1))
}

// TestHalfIntroduction: one that does not come whole in time is closed as other silent
// connections are.
func TestHalfIntroduction(t *testing.T) {
	s := start(t, Options{Proxies: loopback, Timeouts: config.Timeouts{Header: 200 * time.Millisecond}})
	good := introduction("203.0.113.7")
	for _, n := range []int{0, 1, 12, 15, 16, len(good) - 1} {
		c := dial(t, s)
		io.WriteString(c, good[:n])
		if got, err := io.ReadAll(c); len(got) > 0 || isTimeout(err) {
			t.Errorf("%d bytes: %q, %v", n, got, err)
		}
	}
}

// TestProxiedAddressesCount: connections count by whose they are, and a trusted proxy's own
// do not count against its address.
func TestProxiedAddressesCount(t *testing.T) {
	const most = 3
	limits := config.EdgeLimits{MaxConnectionsPerAddress: most}
	s := start(t, Options{Handler: handlerFunc(whose), Proxies: loopback, Limits: limits})
	var all []*bufio.Reader
	open := func(header string) {
		c := dial(t, s)
		io.WriteString(c, header+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		r := bufio.NewReader(c)
		if res, _ := answer(t, r); res.StatusCode != 200 {
			t.Fatalf("%q: %d", header, res.StatusCode)
		}
		all = append(all, r)
	}
	for range 2 * most {
		open("")
		open(introduction("2001:db8::7"))
		open(introduction("2001:db8::8")) // of the same /64
		open(introduction("2001:db8:0:1::7"))
	}
	// That of the proxy, and most of either network.
	want := int64(2*most + most + most)
	for deadline := time.Now().Add(20 * time.Second); s.Stats().Connections != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open, want %d", s.Stats().Connections, want)
		}
	}
	if len(all) != 8*most {
		t.Fatal(len(all))
	}
}

// TestProxiesAreReloaded: whom to trust changes for open connections too.
func TestProxiesAreReloaded(t *testing.T) {
	s := start(t, Options{Handler: handlerFunc(whose), Log: slog.New(slog.DiscardHandler)})
	c := dial(t, s)
	r := bufio.NewReader(c)
	f := func(proxies network.Set, want string) {
		t.Helper()
		next := *s.settings.Load()
		next.Proxies = proxies
		if err := s.Use(next); err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")
		if _, got := answer(t, r); got != want {
			t.Errorf("it is of %s, want %s", got, want)
		}
	}
	f(nil, "127.0.0.1")
	f(loopback, "203.0.113.7")
	f(nil, "127.0.0.1")
}
