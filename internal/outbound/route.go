package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

// Route is the way to one host: TCP, perhaps a proxy, perhaps TLS. It is safe for
// concurrent use.
type Route struct {
	dial          func(ctx context.Context, network, address string) (net.Conn, error)
	target, proxy *url.URL  // proxy is nil for a direct way
	inner, outer  *security // TLS with the target and with the proxy, nil for cleartext
}

// Route returns the way to a host. Only scheme, host and port of the URL count.
// It fails on a scheme other than http and https.
func (c *Calls) Route(target *url.URL) (*Route, error) {
	if target.Scheme != "http" && target.Scheme != "https" || target.Hostname() == "" {
		return nil, fmt.Errorf("%q: need http:// or https:// and a host", target.Redacted())
	}
	through, err := c.proxy(target)
	if err != nil {
		return nil, err
	}
	r := &Route{dial: c.dial, target: target, proxy: through}
	if target.Scheme == "https" {
		r.inner = &security{host: target.Hostname(), trusted: c.trusted}
	}
	if through != nil && through.Scheme == "https" {
		r.outer = &security{host: through.Hostname(), trusted: c.trusted}
	}
	return r, nil
}

// Forward reports whether requests go to the proxy itself, in absolute form (RFC
// 9112, 3.2.2), and returns the line that proves who asks it, "" for none.
func (r *Route) Forward() (authorization string, yes bool) {
	if r.proxy == nil || r.inner != nil || r.socks() {
		return "", false
	}
	return r.authorization(), true
}

// Dial makes a connection that is ready for a request. raw is the TCP connection
// under it; closing it ends whatever waits. ctx bounds the dialling alone.
func (r *Route) Dial(ctx context.Context) (raw, ready net.Conn, err error) {
	hop := r.target
	if r.proxy != nil {
		hop = r.proxy
	}
	raw, err = r.dial(ctx, "tcp", address(hop))
	if err != nil {
		return nil, nil, r.blame(err)
	}
	if ready, err = r.handshakes(ctx, raw); err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	return raw, ready, nil
}

// blame names the proxy in what went wrong on the way to it or through it.
func (r *Route) blame(err error) error {
	if r.proxy == nil {
		return err
	}
	return fmt.Errorf("proxy %s: %w", r.proxy.Host, err)
}

// handshakes goes through the layers between TCP and a request.
func (r *Route) handshakes(ctx context.Context, raw net.Conn) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	layer, err := r.past(ctx, raw)
	if err != nil {
		return nil, r.blame(err)
	}
	if r.inner != nil {
		if layer, err = secure(ctx, layer, r.inner); err != nil {
			return nil, err
		}
	}
	if !stop() {
		return nil, ctx.Err()
	}
	return layer, nil
}

// past gets past the proxy, if there is one.
func (r *Route) past(ctx context.Context, layer net.Conn) (net.Conn, error) {
	var err error
	if r.outer != nil {
		if layer, err = secure(ctx, layer, r.outer); err != nil {
			return nil, err
		}
	}
	switch {
	case r.proxy == nil:
		return layer, nil
	case r.socks():
		return r.sock(ctx, layer)
	case r.inner != nil:
		return layer, r.tunnel(layer)
	default:
		return layer, nil
	}
}

func secure(ctx context.Context, under net.Conn, s *security) (net.Conn, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	t := tls.Client(under, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

func (r *Route) socks() bool { return r.proxy.Scheme == "socks5" || r.proxy.Scheme == "socks5h" }

// dialed is a dialer that returns a connection that exists.
type dialed struct{ net.Conn }

// Dial returns the connection.
func (d dialed) Dial(string, string) (net.Conn, error) { return d.Conn, nil }

// DialContext returns the connection.
func (d dialed) DialContext(context.Context, string, string) (net.Conn, error) { return d.Conn, nil }

// sock has a SOCKS5 proxy connect to the target, whose name it resolves (RFC 1928).
func (r *Route) sock(ctx context.Context, under net.Conn) (net.Conn, error) {
	var auth *proxy.Auth
	if user := r.proxy.User; user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", address(r.proxy), auth, dialed{under})
	if err != nil {
		return nil, err
	}
	through, ok := dialer.(proxy.ContextDialer)
	if !ok {
		panic("BUG: the SOCKS5 dialer takes no context")
	}
	if _, err := through.DialContext(ctx, "tcp", address(r.target)); err != nil {
		return nil, err
	}
	return under, nil // the dialer only wraps it
}

const maxProxyHead = 64 << 10

// tunnel asks the proxy for a connection to the target (RFC 9110, 9.3.6).
func (r *Route) tunnel(through net.Conn) error {
	to := address(r.target)
	request := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n" + r.authorization() + "\r\n"
	if _, err := io.WriteString(through, request); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(through, maxProxyHead))
	answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return fmt.Errorf("no answer to CONNECT: %w", err)
	}
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return errors.New("it wants other credentials (407)")
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("CONNECT answered with status %d", answer.StatusCode)
	case in.Buffered() > 0:
		return errors.New("bytes after the answer to CONNECT")
	}
	return nil
}

// authorization returns a whole field line, or "".
func (r *Route) authorization() string {
	if r.proxy.User == nil {
		return ""
	}
	password, _ := r.proxy.User.Password()
	pair := r.proxy.User.Username() + ":" + password
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) + "\r\n"
}

// ports are those that a URL leaves out.
var ports = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// address returns host:port to dial.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
