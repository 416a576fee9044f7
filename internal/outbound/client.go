package outbound

import (
	"context"
	"net"
	"net/http"
	"net/url"
)

// Apply makes a transport of package net/http leave as all calls do.
func (c *Calls) Apply(t *http.Transport) { apply(t, func() *Calls { return c }) }

// apply makes a transport leave as the calls that hold at that moment do.
func apply(t *http.Transport, now func() *Calls) {
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme == "https" {
			return nil, nil //nolint:nilnil // DialTLSContext goes through it
		}
		return now().proxy(r.URL)
	}
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return now().dialTLS(ctx, network, addr)
	}
	t.ForceAttemptHTTP2 = false
}

// dialTLS connects to a host, or to the proxy for requests in cleartext.
func (c *Calls) dialTLS(ctx context.Context, _, addr string) (net.Conn, error) {
	to := &url.URL{Scheme: "https", Host: addr}
	route, err := c.Route(to)
	if err != nil {
		return nil, err
	}
	if c.forwards(addr) {
		route = &Route{dial: c.dial, target: to, inner: route.inner}
	}
	_, ready, err := route.Dial(ctx)
	return ready, err
}

// forwards reports whether an address is that of the proxy for requests in
// cleartext, which is not asked by way of another one.
func (c *Calls) forwards(addr string) bool {
	proxy, err := c.proxies(&url.URL{Scheme: "http", Host: "example.com"})
	return err == nil && proxy != nil && address(proxy) == addr
}

// Client returns a client of package net/http that leaves as all calls do and
// follows no redirects: who names a host means that one.
func (c *Calls) Client() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // its documented type
	c.Apply(t)
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
