package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
)

// connection returns a kept connection or a new one.
func (c *Client) connection(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kept, err := c.pool.take()
	if kept != nil || err != nil {
		return kept, err
	}
	made, err := c.dial(ctx)
	if err != nil {
		c.pool.forget()
		return nil, err
	}
	return made, nil
}

// dial makes a connection that is ready for a request: through the proxy and
// inside TLS when there are any.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Connect)
	defer cancel()
	hop := c.options.Endpoint
	if c.options.Proxy != nil {
		hop = c.options.Proxy
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address(hop))
	if err != nil {
		return nil, err
	}
	secured, err := c.handshake(ctx, raw)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return newConn(raw, secured, c.options.Now), nil
}

// handshake goes through the layers between TCP and our request.
func (c *Client) handshake(ctx context.Context, raw net.Conn) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	layer := raw
	var err error
	if c.proxyTLS != nil {
		if layer, err = secure(ctx, layer, c.proxyTLS); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	if c.tls != nil {
		if c.options.Proxy != nil {
			if err := c.tunnel(layer); err != nil {
				return nil, err
			}
		}
		if layer, err = secure(ctx, layer, c.tls); err != nil {
			return nil, err
		}
	}
	if !stop() {
		return nil, ctx.Err()
	}
	return layer, nil
}

func secure(ctx context.Context, under net.Conn, config *tls.Config) (net.Conn, error) {
	t := tls.Client(under, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// tunnel asks the proxy for a connection to the endpoint (RFC 9110, 9.3.6).
func (c *Client) tunnel(proxy net.Conn) error {
	to := address(c.options.Endpoint)
	request := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n" + c.proxyAuthorization() + "\r\n"
	if _, err := proxy.Write([]byte(request)); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	r := bufio.NewReaderSize(proxy, readBuffer)
	h, err := readHead(r, nil)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	if h.status/100 != 2 {
		return fmt.Errorf("proxy: CONNECT answered with status %d", h.status)
	}
	if r.Buffered() > 0 {
		return fmt.Errorf("proxy: %w", malformed("bytes after the answer to CONNECT"))
	}
	return nil
}

// proxyAuthorization returns a whole field line, or "".
func (c *Client) proxyAuthorization() string {
	if c.options.Proxy == nil || c.options.Proxy.User == nil {
		return ""
	}
	password, _ := c.options.Proxy.User.Password()
	pair := c.options.Proxy.User.Username() + ":" + password
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) + "\r\n"
}

func tlsConfig(u *url.URL, roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		ServerName:         u.Hostname(),
		RootCAs:            roots,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
	}
}

// defaultPorts are the ports that a URL and a Host field leave out.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// address returns host:port to dial.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// authority returns the Host field: a default port is left out, as in the host
// that a signature covers.
func authority(u *url.URL) string {
	if port := u.Port(); port != "" && port == defaultPorts[u.Scheme] {
		return u.Host[:len(u.Host)-len(port)-1]
	}
	return u.Host
}
