package http1

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/outbound"
)

// private is an HTTPS server with its own authority; it answers with the Host
// field, the target and the body.
func private(t *testing.T) (endpoint *url.URL, caFile string) {
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
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return u, caFile
}

func TestTLSWithPrivateAuthority(t *testing.T) {
	endpoint, caFile := private(t)
	o := defaults(endpoint)
	o.Route = route(endpoint, outbound.Settings{CAFile: caFile})
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
	endpoint, caFile := private(t)
	o := defaults(endpoint)
	_, err := newClient(t, o).Do(t.Context(), post(""))
	mustFail(t, "unknown authority", err, engine.Error{Failure: engine.NotSent})

	o.Endpoint = &url.URL{Scheme: "https", Host: "localhost:" + endpoint.Port()}
	o.Route = route(o.Endpoint, outbound.Settings{CAFile: caFile})
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
	endpoint, caFile := private(t)
	heard := make(chan *http.Request, 1)
	o := defaults(&url.URL{Scheme: "https", Host: "example.com"}) // a name in httptest's certificate
	through := proxy(t, endpoint.Host, heard)
	through.User = url.UserPassword("ann", "s3cret")
	o.Route = route(o.Endpoint, outbound.Settings{CAFile: caFile, Proxy: through.String()})
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
	through := proxy(t, "", make(chan *http.Request, 1))
	o.Route = route(o.Endpoint, outbound.Settings{Proxy: through.String()})
	_, err := newClient(t, o).Do(t.Context(), post("hi"))
	mustFail(t, "407", err, engine.Error{Failure: engine.NotSent})
}

func TestPlainProxyGetsAbsoluteForm(t *testing.T) {
	heard := make(chan *http.Request, 1)
	o := defaults(&url.URL{Scheme: "http", Host: "bedrock.internal:80"})
	through := proxy(t, "", heard)
	through.User = url.UserPassword("ann", "s3cret")
	o.Route = route(o.Endpoint, outbound.Settings{Proxy: through.String()})
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
