package proxied

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"

	"github.com/sluice-gateway/sluice/internal/network"
)

// Begins reads from r what a connection begins with, after what was read of that, until it
// cannot be, or is, a beginning, for which read must have room. It returns all that was read.
func Begins(r io.Reader, read []byte, beginning string) (all []byte, is bool, err error) {
	for {
		if string(read) != beginning[:len(read)] {
			return read, false, nil
		}
		if err != nil || len(read) == len(beginning) {
			return read, err == nil, err
		}
		var n int
		n, err = r.Read(read[len(read):len(beginning)])
		read = read[:len(read)+n]
	}
}

// Listener accepts connections before which trusted proxies may say whose they are.
type Listener struct {
	net.Listener
	Trusted func() network.Set
	Log     *slog.Logger
}

// Accept returns a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	from, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return &Conn{Conn: c, listener: l, from: from.Addr().Unmap()}, nil
}

// Conn is a connection of a Listener.
type Conn struct {
	net.Conn
	listener *Listener
	from     netip.Addr // the reader's, as the following
	begun    bool
	room     [len(Signature)]byte
	ahead    []byte // what was read and was no header
}

// From is whose the connection is, once something was read.
func (c *Conn) From() netip.Addr { return c.from }

// Read reads what comes after the header, if there is one. It must not be called by several
// goroutines at once.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.begun {
		c.begun = true
		if err := c.introduce(); err != nil {
			return 0, err
		}
	}
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

func (c *Conn) introduce() error {
	if !c.listener.Trusted().Has(c.from) {
		return nil
	}
	read, is, err := Begins(c.Conn, c.room[:0], Signature)
	if !is {
		c.ahead = read
		return err
	}
	from, err := ReadHeader(c.Conn)
	var fault HeaderError
	if errors.As(err, &fault) {
		c.listener.Log.Warn("closing a connection of a proxy", "from", c.from, "why", err)
	}
	if err == nil && from.IsValid() {
		c.from = from
	}
	return err
}
