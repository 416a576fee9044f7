package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// cable is a way to a server that can be pulled.
type cable struct {
	ln     net.Listener
	mu     sync.Mutex // guards the following
	pulled bool
	conns  []net.Conn
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{ln: ln}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.carry(conn, to)
		}
	}()
	t.Cleanup(func() { ln.Close(); c.pull(true) })
	return c
}

func (c *cable) carry(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	c.mu.Lock()
	pulled := c.pulled
	c.conns = append(c.conns, in, out)
	c.mu.Unlock()
	if pulled {
		return
	}
	go io.Copy(out, in)
	io.Copy(in, out)
}

func (c *cable) pull(out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = out
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// TestM22Behind cuts one of two gateways off from the ledger, with ten calls in its
// journal: the report on the other one says that it lacks them, and up to when it is
// complete. When the gateway is back, and when it ended in order, nothing is said.
func TestM22Behind(t *testing.T) {
	t.Parallel() // it mostly waits
	p, server := newPeered(t)
	a := p.start("")
	line := newCable(t, server.Addr)
	p.head = strings.Replace(p.head, server.Addr, line.ln.Addr().String(), 1)
	b := p.start("")
	ten := func(g *harness.Gateway) {
		t.Helper()
		for range 10 {
			if a := g.Post(t, p.key.BearerCredential, lightCall, ask); a.Status != http.StatusOK {
				t.Fatalf("status %d: %s", a.Status, a.Body)
			}
		}
	}
	says := func(requests, gateways, behind int) {
		t.Helper()
		harness.Eventually(t, 30*time.Second, func() (bool, string) {
			out := harness.Run(t, 0, nil, "report", "--config", a.ConfigFile(), "--by", "root", "--columns", "requests")
			return strings.Contains(out, fmt.Sprintf("total %9d", requests)) &&
				strings.Count(out, "gateway ") == gateways && strings.Count(out, ", behind") == behind, out
		})
	}
	ten(a)
	says(10, 2, 0)
	line.pull(true)
	ten(b)
	says(10, 2, 1)
	line.pull(false)
	says(20, 2, 0)
	b.Stop()
	says(20, 1, 0)
	b = p.start("")
	ten(b)
	says(30, 2, 0)
	b.Kill()
	says(30, 2, 1)
}
