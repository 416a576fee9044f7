package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/internal/outbound/outboundtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, name string, contents []byte) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(name, contents, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// service answers with the Host field and how it was asked.
func service(t *testing.T, secure *tls.Config) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Host, r.RequestURI)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes
	if s.TLS = secure; secure != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// calls are ways that the environment says nothing about.
func calls(t *testing.T, s Settings) *Calls {
	t.Helper()
	if s.Getenv == nil {
		s.Getenv = func(string) string { return "" }
	}
	c, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// byClient asks with a client of package net/http.
func byClient(t *testing.T, c *Calls, to string) (string, error) {
	t.Helper()
	client := c.Client()
	defer client.CloseIdleConnections()
	res, err := client.Get(to)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// byRoute asks on a connection of a Route.
func byRoute(t *testing.T, c *Calls, to string) (string, error) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	route, err := c.Route(u)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	raw, ready, err := route.Dial(ctx)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	target := u.RequestURI()
	authorization, forward := route.Forward()
	if forward {
		target = to
	}
	fmt.Fprintf(ready, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, u.Host, authorization)
	res, err := http.ReadResponse(bufio.NewReader(ready), nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// TestWays asks a service in cleartext and behind a private authority by each kind
// of proxy, by both kinds of client (U3, U4).
func TestWays(t *testing.T) {
	ca := outboundtest.NewAuthority(t)
	caFile := write(t, "ca.pem", ca.PEM())
	secure := ca.Server(t)
	for _, target := range []string{"http", "https"} {
		under := secure
		if target == "http" {
			under = nil
		}
		_, port, _ := net.SplitHostPort(service(t, under))
		to := target + "://service.test:" + port + "/x?y=1"
		for _, proxy := range []string{"http", "https", "socks5", "socks5h"} {
			for name, ask := range map[string]func(*testing.T, *Calls, string) (string, error){
				"client": byClient, "route": byRoute,
			} {
				through := outboundtest.NewRelay(t, proxy, secure)
				got, err := ask(t, calls(t, Settings{Proxy: through.URL, CAFile: caFile}), to)
				if want := "service.test:" + port + " /x?y=1"; err != nil || got != want {
					t.Errorf("%s by %s through %s: %q %v, want %q", target, name, proxy, got, err, want)
				}
				want := map[bool]string{
					true: "CONNECT service.test:" + port, false: "GET " + to,
				}[target == "https"]
				if strings.HasPrefix(proxy, "socks") {
					want = "socks service.test:" + port
				}
				if through.Heard() != want {
					t.Errorf("%s by %s: the %s proxy heard %q, want %q", target, name, proxy, through.Heard(), want)
				}
			}
		}
	}
}

// TestDirect reaches a service without a proxy, and only with its authority.
func TestDirect(t *testing.T) {
	ca := outboundtest.NewAuthority(t)
	to := "https://" + service(t, ca.Server(t)) + "/"
	for _, ask := range []func(*testing.T, *Calls, string) (string, error){byClient, byRoute} {
		var unknown x509.UnknownAuthorityError
		if _, err := ask(t, calls(t, Settings{}), to); !errors.As(err, &unknown) {
			t.Errorf("without the authority: %v", err)
		}
		for name, s := range map[string]Settings{
			"ca_file":       {CAFile: write(t, "ca.pem", ca.PEM())},
			"AWS_CA_BUNDLE": {Getenv: env("AWS_CA_BUNDLE", write(t, "bundle.pem", ca.PEM()))},
			"SSL_CERT_FILE": {Getenv: env("SSL_CERT_FILE", write(t, "certs.pem", ca.PEM()))},
		} {
			if _, err := ask(t, calls(t, s), to); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestAuthorityIsReplaced changes the file of authorities under running calls.
func TestAuthorityIsReplaced(t *testing.T) {
	first, second := outboundtest.NewAuthority(t), outboundtest.NewAuthority(t)
	caFile := write(t, "ca.pem", first.PEM())
	c := calls(t, Settings{CAFile: caFile})
	old, new := "https://"+service(t, first.Server(t))+"/", "https://"+service(t, second.Server(t))+"/"
	f := func(what, to string, want bool) {
		t.Helper()
		if _, err := byRoute(t, c, to); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("old server, old file", old, true)
	f("new server, old file", new, false)
	write(t, caFile, append([]byte("# renewed\n"), second.PEM()...))
	f("old server, new file", old, false)
	f("new server, new file", new, true)
	write(t, caFile, []byte("half a fi"))
	f("new server, broken file", new, true)
	if err := os.Remove(caFile); err != nil {
		t.Fatal(err)
	}
	f("new server, no file", new, true)
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// TestWhichProxy decides by settings and variables; "" is no proxy.
func TestWhichProxy(t *testing.T) {
	const configured, fromEnv = "socks5://configured:1", "http://env:2"
	f := func(what string, s Settings, to, want string) {
		t.Helper()
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		proxy, err := calls(t, s).proxy(u)
		got := ""
		if proxy != nil {
			got = proxy.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: %s goes by %q (%v), want %q", what, to, got, err, want)
		}
	}
	aws := "https://bedrock-runtime.us-east-1.amazonaws.com/"
	f("nothing", Settings{}, aws, "")
	f("configured", Settings{Proxy: configured}, aws, configured)
	f("configured, cleartext", Settings{Proxy: configured}, "http://collector/", configured)
	f("configured, loopback", Settings{Proxy: configured}, "http://127.0.0.1:9/", configured)
	f("HTTPS_PROXY", Settings{Getenv: env("HTTPS_PROXY", fromEnv)}, aws, fromEnv)
	f("https_proxy", Settings{Getenv: env("https_proxy", fromEnv)}, aws, fromEnv)
	f("HTTPS_PROXY, cleartext", Settings{Getenv: env("HTTPS_PROXY", fromEnv)}, "http://collector/", "")
	f("HTTP_PROXY", Settings{Getenv: env("HTTP_PROXY", fromEnv)}, "http://collector/", fromEnv)
	f("configured wins", Settings{Proxy: configured, Getenv: env("HTTPS_PROXY", fromEnv)}, aws, configured)
	exempt := env("HTTPS_PROXY", fromEnv, "NO_PROXY", "amazonaws.com,10.0.0.0/8,127.0.0.1")
	f("NO_PROXY", Settings{Getenv: exempt}, aws, "")
	f("NO_PROXY for a configured one", Settings{Proxy: configured, Getenv: exempt}, aws, "")
	f("NO_PROXY, network", Settings{Proxy: configured, Getenv: exempt}, "http://10.1.2.3/", "")
	f("NO_PROXY, other", Settings{Proxy: configured, Getenv: exempt}, "https://hooks.example.com/", configured)
	f("NO_PROXY, loopback", Settings{Proxy: configured, Getenv: exempt}, "http://127.0.0.1:9/", "")
	f("NO_PROXY, all", Settings{Proxy: configured, Getenv: env("no_proxy", "*")}, aws, "")
	for _, metadata := range []string{
		"http://169.254.169.254/latest", "http://169.254.170.2/v2", "http://169.254.170.23/v1", "http://[fd00:ec2::254]/",
		"http://[fd00:ec2::23]/v1", "http://[fe80::1]/",
	} {
		f("credentials of this machine", Settings{Proxy: configured}, metadata, "")
		f("credentials of this machine", Settings{Getenv: env("HTTP_PROXY", fromEnv)}, metadata, "")
	}
	own := env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost:81/creds",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:82")
	f("agent on this machine", Settings{Proxy: configured, Getenv: own}, "http://localhost:81/creds", "")
	f("agent on this machine", Settings{Proxy: configured, Getenv: own}, "http://127.0.0.1:82/latest/api/token", "")
	f("another port", Settings{Proxy: configured, Getenv: own}, "http://127.0.0.1:83/", configured)
}

// TestRefuses names the key of what no call can leave by, and no password (U4).
func TestRefuses(t *testing.T) {
	empty := write(t, "empty.pem", nil)
	f := func(s Settings, key, part string) {
		t.Helper()
		if s.Getenv == nil {
			s.Getenv = env()
		}
		_, err := New(s)
		var m *SettingError
		if !errors.As(err, &m) || m.Key != key || !strings.Contains(err.Error(), part) ||
			strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v, want key %q and %q", s, err, key, part)
		}
	}
	for _, proxy := range []string{
		"socks4://ann:s3cret@x:1", "ftp://ann:s3cret@x", "http://", "x:1", "http://ann:s3cret@x:y z/", "//x", "unix:/x",
		"quic://x",
	} {
		f(Settings{Proxy: proxy}, "proxy", "socks5h://")
	}
	f(Settings{Getenv: env("HTTPS_PROXY", "socks4://ann:s3cret@x:1")}, "", "HTTPS_PROXY")
	f(Settings{Getenv: env("http_proxy", "ftp://x:1")}, "", "HTTP_PROXY")
	f(Settings{CAFile: empty + ".missing"}, "ca_file", "there is no file")
	f(Settings{CAFile: empty}, "ca_file", "has no certificate")
	f(Settings{Getenv: env("AWS_CA_BUNDLE", empty)}, "", "AWS_CA_BUNDLE")
}

// TestProxyTroubleNamesTheProxy shows who refused.
func TestProxyTroubleNamesTheProxy(t *testing.T) {
	through := outboundtest.NewRelay(t, "http", nil)
	wrong := strings.Replace(through.URL, "s3cret", "wrong", 1)
	_, err := byRoute(t, calls(t, Settings{Proxy: wrong}), "https://service.test/")
	if err == nil || !strings.Contains(err.Error(), "proxy 127.0.0.1") || !strings.Contains(err.Error(), "407") ||
		strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v", err)
	}
	socks := outboundtest.NewRelay(t, "socks5", nil)
	_, err = byRoute(t, calls(t, Settings{Proxy: strings.Replace(socks.URL, "s3cret", "wrong", 1)}),
		"https://service.test/")
	if err == nil || !strings.Contains(err.Error(), "proxy 127.0.0.1") {
		t.Errorf("got %v", err)
	}
	_, err = byRoute(t, calls(t, Settings{Proxy: "http://127.0.0.1:1"}), "https://service.test/")
	if err == nil || !strings.Contains(err.Error(), "proxy 127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}
