package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/gateway"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock for the Date field never ends.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

type handlerFunc func(*gateway.Request) *gateway.Response

func (f handlerFunc) Serve(r *gateway.Request) *gateway.Response { return f(r) }

// echo answers with what the edge made of the request.
func echo(r *gateway.Request) *gateway.Response {
	defer r.Body.Release()
	body, err := r.Body.ReadAll()
	if err != nil {
		return errorResponse(err, r.ID)
	}
	return &gateway.Response{
		Status: 200,
		Header: wire.Header{
			{Name: "content-type", Value: "application/json"},
			{Name: "x-target", Value: r.Target},
			{Name: "x-authority", Value: r.Authority},
			{Name: "x-http2", Value: fmt.Sprint(r.HTTP2)},
			{Name: "x-length", Value: fmt.Sprint(r.ContentLength)},
			{Name: "Connection", Value: "upgrade"}, // must not pass
			{Name: "Date", Value: "never"},
		},
		Body: bytes.Clone(body),
	}
}

// start runs a server until the test ends and checks that it stops cleanly.
func start(t testing.TB, opts Options) *Server {
	t.Helper()
	if opts.Handler == nil {
		opts.Handler = handlerFunc(echo)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.Listen = "127.0.0.1:0"
	s, err := New(withDefaults(opts))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := s.pool.InUse(); n != 0 {
			t.Errorf("%d bytes of bodies are still accounted for", n)
		}
		if n := s.Stats(); n.InFlight != 0 || n.Connections != 0 || n.Pending != 0 {
			t.Errorf("left open: %+v", n)
		}
	})
	return s
}

func dial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// raw sends text on a new connection and returns the answer and its body.
func raw(t *testing.T, s *Server, text string) (*http.Response, string) {
	t.Helper()
	c := dial(t, s)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return answer(t, bufio.NewReader(c))
}

func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("answer's body: %v", err)
	}
	return res, string(body)
}

// clients returns one client per protocol for the server's address.
func clients(t *testing.T, roots *x509.CertPool) map[string]*http.Client {
	t.Helper()
	made := map[string]*http.Client{}
	for name, set := range map[string]func(*http.Protocols){
		"h1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"h2": func(p *http.Protocols) { p.SetHTTP2(true); p.SetUnencryptedHTTP2(true) },
	} {
		p := new(http.Protocols)
		set(p)
		tr := &http.Transport{Protocols: p, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
		t.Cleanup(tr.CloseIdleConnections)
		made[name] = &http.Client{Transport: tr, Timeout: 30 * time.Second}
	}
	return made
}

// everywhere runs f over both protocols, in cleartext and over TLS.
func everywhere(t *testing.T, opts Options, f func(t *testing.T, c *http.Client, url string, s *Server)) {
	cert, roots := selfSigned(t, t.TempDir(), "one")
	for _, scheme := range []string{"http", "https"} {
		for _, proto := range []string{"h1", "h2"} {
			t.Run(scheme+"/"+proto, func(t *testing.T) {
				o := opts
				if scheme == "https" {
					o.TLS = &cert
				}
				s := start(t, o)
				f(t, clients(t, roots)[proto], scheme+"://"+s.Addr().String(), s)
			})
		}
	}
}

func selfSigned(t *testing.T, dir, name string) (config.TLS, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, _ := x509.MarshalECPrivateKey(key)
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write := func(path string, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(files.Cert, certPEM)
	write(files.Key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return files, roots
}

func TestRequestAndAnswer(t *testing.T) {
	everywhere(t, Options{}, func(t *testing.T, c *http.Client, url string, s *Server) {
		const target = "/model/us.anthropic.claude%3A0/converse?a=%2F"
		for _, size := range []int{0, 1, 8191, 8192, 8193, 70_000, 3 << 20} {
			sent := strings.Repeat("x", size)
			res, err := c.Post(url+target, "", strings.NewReader(sent))
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(got) != sent || res.StatusCode != 200 {
				t.Fatalf("%d bytes: status %d, %d bytes back, %v", size, res.StatusCode, len(got), err)
			}
			for name, want := range map[string]string{
				"X-Target": target, "X-Authority": s.Addr().String(), "Server": "",
				"X-Http2": fmt.Sprint(res.ProtoMajor == 2), "Content-Type": "application/json",
				"X-Length": fmt.Sprint(size), "Content-Length": fmt.Sprint(size),
			} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%d bytes: %s is %q, want %q", size, name, got, want)
				}
			}
			if len(res.Header.Get("X-Sluice-Request-Id")) != 26 {
				t.Errorf("request id %q", res.Header.Get("X-Sluice-Request-Id"))
			}
			if _, err := http.ParseTime(res.Header.Get("Date")); err != nil {
				t.Errorf("date: %v", err)
			}
		}
	})
}

func TestChunkedBody(t *testing.T) {
	everywhere(t, Options{}, func(t *testing.T, c *http.Client, url string, _ *Server) {
		sent := strings.Repeat("0123456789", 40_000)
		res, err := c.Post(url+"/m", "", io.MultiReader(strings.NewReader(sent))) // no length
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, _ := io.ReadAll(res.Body)
		if string(got) != sent || res.Header.Get("X-Length") != "-1" {
			t.Errorf("%d bytes back, length %s", len(got), res.Header.Get("X-Length"))
		}
	})
}

func TestKeepAliveAndPipelining(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	const n = 200
	go func() {
		var b bytes.Buffer
		for i := range n {
			body := strings.Repeat("b", i*11)
			fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body)
		}
		c.Write(b.Bytes())
	}()
	r := bufio.NewReader(c)
	for i := range n {
		res, body := answer(t, r)
		if res.Header.Get("X-Target") != fmt.Sprintf("/%d", i) || len(body) != i*11 {
			t.Fatalf("answer %d is for %s with %d bytes", i, res.Header.Get("X-Target"), len(body))
		}
	}
}

func TestPanicCostsOneRequest(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	opts := Options{
		Log: slog.New(slog.NewTextHandler(lockedWriter{&log, &mu}, nil)),
		Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
			if r.Target == "/ok" {
				return echo(r)
			}
			body, _ := r.Body.ReadAll()
			panic(string(body))
		}),
	}
	everywhere(t, opts, func(t *testing.T, c *http.Client, url string, _ *Server) {
		for _, target := range []string{"/panic", "/ok"} {
			res, err := c.Post(url+target, "", strings.NewReader("canary-7d1"))
			if err != nil {
				t.Fatal(err)
			}
			var e struct{ Message string }
			if target == "/panic" {
				if err := json.NewDecoder(res.Body).Decode(&e); err != nil || res.StatusCode != 424 ||
					!strings.Contains(e.Message, res.Header.Get("X-Sluice-Request-Id")) {
					t.Errorf("status %d, message %q, %v", res.StatusCode, e.Message, err)
				}
			} else if res.StatusCode != 200 {
				t.Errorf("after the panic: %d", res.StatusCode)
			}
			res.Body.Close()
		}
	})
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), "panic while serving") {
		t.Errorf("log: %s", log.String())
	}
}

type lockedWriter struct {
	io.Writer
	mu *sync.Mutex
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Writer.Write(p)
}

func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	files, first := selfSigned(t, dir, "one")
	s := start(t, Options{TLS: &files})
	f := func(roots *x509.CertPool, want bool) {
		t.Helper()
		_, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: roots})
		if (err == nil) != want {
			t.Errorf("handshake: %v, want ok %v", err, want)
		}
	}
	f(first, true)
	_, second := selfSigned(t, dir, "two")
	f(second, false)
	if changed, err := s.certs.reload(); !changed || err != nil {
		t.Fatalf("reload: %v, %v", changed, err)
	}
	f(second, true)
	f(first, false)
	os.WriteFile(files.Cert, []byte("nonsense"), 0o600)
	if changed, err := s.certs.reload(); !changed || err == nil {
		t.Fatalf("bad reload: %v, %v", changed, err)
	}
	f(second, true)
	if changed, err := s.certs.reload(); changed || err != nil {
		t.Fatalf("the same bad files again: %v, %v", changed, err)
	}
}

func TestALPN(t *testing.T) {
	files, roots := selfSigned(t, t.TempDir(), "one")
	s := start(t, Options{TLS: &files})
	f := func(offer []string, text, want string) {
		t.Helper()
		c, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: roots, NextProtos: offer})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, text)
		got := make([]byte, 8)
		n, _ := io.ReadFull(c, got)
		if string(got[:n]) != want {
			t.Errorf("%v %q: %q, want %q", offer, text, got[:n], want)
		}
	}
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	f(nil, request, "HTTP/1.1")
	f([]string{"http/1.1"}, request, "HTTP/1.1")
	f([]string{"h2"}, request, "")
	f([]string{"http/1.1"}, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "")
}

// What a handler that panicked has left running may still read the body: its memory
// goes to no other request.
func TestBodyOutlivesPanic(t *testing.T) {
	var kept []byte
	s := start(t, Options{Handler: handlerFunc(func(r *gateway.Request) *gateway.Response {
		if r.Target != "/panic" {
			return echo(r)
		}
		kept, _ = r.Body.ReadAll()
		panic("on purpose")
	})})
	c := clients(t, nil)["h1"]
	for i := range 20 {
		one, two := strings.Repeat("1", 100), strings.Repeat("2", 100)
		for _, call := range [][2]string{{"/panic", one}, {"/ok", two}} {
			res, err := c.Post("http://"+s.Addr().String()+call[0], "", strings.NewReader(call[1]))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
		if string(kept) != one {
			t.Fatalf("round %d: the body is now %q", i, kept)
		}
	}
}
