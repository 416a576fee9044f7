package http1

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
)

// private is an HTTPS server with its own authority; it answers with the Host
// field, the target and the body.
func private(t *testing.T) (*url.URL, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Host, r.RequestURI, body)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return u, roots
}

func TestTLSWithPrivateAuthority(t *testing.T) {
	endpoint, roots := private(t)
	o := defaults(endpoint)
	o.Roots = roots
	c := newClient(t, o)
	large := strings.Repeat("x", 3*maxJoined)
	for _, body := range []string{"", "small", large} {
		_, got, err := call(t.Context(), c, post(body))
		if want := endpoint.Host + " /model/m/converse " + body; err != nil || got != want {
			t.Errorf("%.60q %v, want %.60q", got, err, want)
		}
	}
	a, err := c.Do(t.Context(), post(""))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if !a.Body.Timing().Reused {
		t.Error("the TLS connection was not kept")
	}
}

func TestTLSRefusals(t *testing.T) {
	endpoint, roots := private(t)
	o := defaults(endpoint)
	_, err := newClient(t, o).Do(t.Context(), post(""))
	mustFail(t, "unknown authority", err, engine.Error{Failure: engine.NotSent})

	o.Roots = roots
	o.Endpoint = &url.URL{Scheme: "https", Host: "localhost:" + endpoint.Port()}
	_, err = newClient(t, o).Do(t.Context(), post(""))
	mustFail(t, "another name", err, engine.Error{Failure: engine.NotSent})
}

// proxy tunnels CONNECT to the given address, whatever was asked for, and
// answers other requests itself; what it was asked goes to heard.
func proxy(t *testing.T, to string, heard chan<- *http.Request) *url.URL {
	t.Helper()
	return serve(t, func(_ int, p *peer) {
		req := p.request()
		if req == nil {
			return
		}
		heard <- req
		if req.Method != http.MethodConnect {
			p.say(ok("by proxy"))
			return
		}
		if to == "" {
			p.say("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
			return
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer server.Close()
		p.say("HTTP/1.1 200 Connection established\r\n\r\n")
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.Copy(server, p.r); server.Close() })
		_, _ = io.Copy(p.Conn, server)
		p.Close()
		both.Wait()
	})
}

func TestTunnelThroughProxy(t *testing.T) {
	endpoint, roots := private(t)
	heard := make(chan *http.Request, 1)
	o := defaults(&url.URL{Scheme: "https", Host: "example.com"}) // a name in httptest's certificate
	o.Roots = roots
	o.Proxy = proxy(t, endpoint.Host, heard)
	o.Proxy.User = url.UserPassword("ann", "s3cret")
	_, body, err := call(t.Context(), newClient(t, o), post("hi"))
	if want := "example.com /model/m/converse hi"; err != nil || body != want {
		t.Errorf("%q %v, want %q", body, err, want)
	}
	req := <-heard
	if req.RequestURI != "example.com:443" || req.Header.Get("Proxy-Authorization") != "Basic YW5uOnMzY3JldA==" {
		t.Errorf("asked the proxy for %q with %v", req.RequestURI, req.Header)
	}
}

func TestProxyRefuses(t *testing.T) {
	o := defaults(&url.URL{Scheme: "https", Host: "example.com"})
	o.Proxy = proxy(t, "", make(chan *http.Request, 1))
	_, err := newClient(t, o).Do(t.Context(), post("hi"))
	mustFail(t, "407", err, engine.Error{Failure: engine.NotSent})
}

func TestPlainProxyGetsAbsoluteForm(t *testing.T) {
	heard := make(chan *http.Request, 1)
	o := defaults(&url.URL{Scheme: "http", Host: "bedrock.internal:80"})
	o.Proxy = proxy(t, "", heard)
	o.Proxy.User = url.UserPassword("ann", "s3cret")
	_, body, err := call(t.Context(), newClient(t, o), post("hi"))
	if err != nil || body != "by proxy" {
		t.Errorf("%q %v", body, err)
	}
	req := <-heard
	if req.RequestURI != "http://bedrock.internal/model/m/converse" || req.Host != "bedrock.internal" ||
		req.Header.Get("Proxy-Authorization") == "" {
		t.Errorf("asked the proxy for %q, host %q, with %v", req.RequestURI, req.Host, req.Header)
	}
}

func TestNewRefusesOtherSchemes(t *testing.T) {
	f := func(endpoint, proxy string) {
		t.Helper()
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		o := defaults(u)
		if proxy != "" {
			if o.Proxy, err = url.Parse(proxy); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := New(o); err == nil {
			t.Errorf("endpoint %q, proxy %q: no error", endpoint, proxy)
		}
	}
	f("ftp://x", "")
	f("//x", "")
	f("http://", "")
	f("http://x", "socks5://y")
}

func TestAuthority(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := authority(u); got != want {
			t.Errorf("authority(%s) = %q, want %q", in, got, want)
		}
	}
	f("https://h", "h")
	f("https://h:443", "h")
	f("https://h:80", "h:80")
	f("http://h:80/", "h")
	f("http://[::1]:80", "[::1]")
	f("http://[::1]:8080", "[::1]:8080")
}
