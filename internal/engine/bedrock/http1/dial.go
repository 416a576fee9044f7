package http1

import (
	"context"
	"net"
	"net/url"
	"sync"
)

// Route is how connections to the upstream are made.
type Route interface {
	// Dial makes a connection that is ready for a request. raw is the TCP
	// connection under it, whose end ends every wait.
	Dial(ctx context.Context) (raw, ready net.Conn, err error)
	// Forward reports whether requests must be in absolute form, because a proxy
	// reads them, and returns a field line that is only for it.
	Forward() (authorization string, yes bool)
}

// connection returns a kept connection or a new one.
func (c *Client) connection(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	kept, err := c.pool.take()
	if kept != nil || err != nil {
		return kept, err
	}
	var made *conn
	var dialed sync.WaitGroup
	dialed.Go(func() { made, err = c.dial(ctx) }) // deep down: the caller's stack is to stay small for a long stream
	dialed.Wait()
	if err != nil {
		c.pool.forget()
		return nil, err
	}
	return made, nil
}

func (c *Client) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Connect)
	defer cancel()
	raw, ready, err := c.options.Route.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(raw, ready, c.options.Now), nil
}

// defaultPorts are the ports that a Host field leaves out.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

// authority returns the Host field: a default port is left out, as in the host
// that a signature covers.
func authority(u *url.URL) string {
	if port := u.Port(); port != "" && port == defaultPorts[u.Scheme] {
		return u.Host[:len(u.Host)-len(port)-1]
	}
	return u.Host
}
