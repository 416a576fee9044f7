package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/server/proxied"
)

func TestAdmin(t *testing.T) {
	ready := true
	a, err := NewAdmin(AdminOptions{
		Listen: "127.0.0.1:0", Token: "s3cret", Log: discard(),
		Ready:   func() (bool, any) { return ready, map[string]string{"redis": "away"} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") }),
		Pages:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") }),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.Serve() }()
	c := clients(t, nil)["h1"]
	f := func(path, authorization string, status int, want string) {
		t.Helper()
		req, _ := http.NewRequest("GET", "http://"+a.ln.Addr().String()+path, nil)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != status || !strings.Contains(string(body), want) {
			t.Errorf("%s %q: %d %s", path, authorization, res.StatusCode, body)
		}
	}
	f("/healthz", "", 200, "alive")
	f("/readyz", "", 200, "away")
	ready = false
	f("/readyz", "", 503, "away")
	f("/metrics", "", 401, "token")
	f("/metrics", "Bearer wrong", 401, "token")
	f("/metrics", "Basic s3cret", 401, "token")
	f("/metrics", "bearer s3cret", 200, "metrics")
	f("/reports", "", 200, "page") // which asks for a credential itself
	if err := a.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := NewAdmin(AdminOptions{Listen: "0.0.0.0:0", Log: discard()}); err == nil {
		t.Error("the admin port opened to the world without a token")
	}
}

// TestAdminBehindProxies is issue 14's trusted_proxies at the admin port: who asks is who a
// trusted proxy says, on the connection or in the request, and nobody else is believed.
func TestAdminBehindProxies(t *testing.T) {
	refused := make(chan string, 100)
	a, err := NewAdmin(AdminOptions{
		Listen: "127.0.0.1:0", Proxies: loopback, Log: discard(),
		OnRefused: func(from netip.Addr, at string) { refused <- from.String() + " " + at },
		Ready:     func() (bool, any) { return true, nil },
		Metrics:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") }),
		Pages:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	go a.Serve()
	defer a.Shutdown(context.Background())
	f := func(introduced, path, want string, forwarded ...string) {
		t.Helper()
		for _, size := range []int{1, 13, 1 << 20} {
			c := through(introduced, size, false, false, nil)
			req, _ := http.NewRequest("GET", "http://"+a.Addr().String()+path, nil)
			req.Header["X-Forwarded-For"] = forwarded
			got := ""
			if res, err := c.Do(req); err == nil {
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				got = fmt.Sprint(res.StatusCode, " ", string(body))
			}
			c.CloseIdleConnections()
			refused := got == "" || strings.HasPrefix(got, "400 ") // perhaps reset before that is read
			if want == "" && !refused || !strings.HasPrefix(got, want) {
				t.Errorf("%q, %q, %s: %q, want %q", introduced, forwarded, path, got, want)
			}
		}
	}
	const other, third = "203.0.113.7", "198.51.100.1"
	f("", "/", "200 127.0.0.1:")
	f("", "/", "200 "+other+":", other)
	f("", "/", "200 "+other+":", third+", "+other)
	f("", "/", "200 "+other+":", third, other)
	f("", "/", "200 127.0.0.1:", other+", unknown")
	f(introduction(other), "/", "200 "+other+":")
	f(introduction("2001:db8::7"), "/", "200 [2001:db8::7]:")
	f(introduction(other), "/", "200 "+other+":", third)
	f(introduction("127.0.0.1"), "/", "200 "+other+":", other)
	f(localHeader, "/", "200 127.0.0.1:")
	f(proxied.Signature+"\x11\x11\x00\x00", "/", "") // version 1
	f("", "/metrics", "200 metrics")
	f("", "/metrics", "401 ", other) // without a token, only callers here may have them
	f(introduction(other), "/metrics", "401 ")

	a.Use("s3cret", nil)
	f("", "/", "200 127.0.0.1:", other)
	f(introduction(other), "/", "")
	f("", "/metrics", "401 ")

	a.Use("s3cret", loopback)
	for name, given := range map[string]string{"nobody": "", "somebody": "Bearer wrong", "the admin": "Bearer s3cret"} {
		req, _ := http.NewRequest("GET", "http://"+a.Addr().String()+"/metrics?token=abc", nil)
		req.Header.Set("X-Forwarded-For", other)
		if given != "" {
			req.Header.Set("Authorization", given)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		got := ""
		select {
		case got = <-refused:
		default:
		}
		if want := map[string]string{"somebody": other + " GET /metrics"}[name]; got != want {
			t.Errorf("%s: noted as %q", name, got)
		}
	}
}
