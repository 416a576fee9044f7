package redistest

import (
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands before a server and loses replies when told to: the server does
// what it was asked and the client never hears of it.
type Proxy struct {
	Addr string

	target   string
	listener net.Listener
	passing  atomic.Int64 // replies that still pass
	lost     atomic.Int64
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu; nil after close
}

// NewProxy starts a proxy before addr. It ends with the test.
func NewProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: addr, listener: l, conns: make(map[net.Conn]struct{})}
	p.Heal()
	p.wg.Add(1)
	go p.accept()
	tb.Cleanup(p.close)
	return p
}

// URL is the proxy's address as gateways are configured with it.
func (p *Proxy) URL() string { return "redis://" + p.Addr + "/0" }

// LoseReplies lets this many more replies pass and makes every later one cut
// its connection instead of arriving.
func (p *Proxy) LoseReplies(after int) { p.passing.Store(int64(after)) }

// Heal ends LoseReplies.
func (p *Proxy) Heal() { p.passing.Store(math.MaxInt64) }

// Lost is how many replies were lost so far.
func (p *Proxy) Lost() int64 { return p.lost.Load() }

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp", p.target, time.Second)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client) || !p.keep(server) {
			_ = client.Close()
			_ = server.Close()
			return
		}
		p.wg.Add(2)
		go p.pipe(server, client, func() bool { return true })
		go p.pipe(client, server, func() bool {
			if p.passing.Add(-1) >= 0 {
				return true
			}
			p.lost.Add(1)
			return false
		})
	}
}

// pipe copies until one side ends or pass refuses what was read.
func (p *Proxy) pipe(to, from net.Conn, pass func() bool) {
	defer p.wg.Done()
	defer p.drop(to, from)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !pass() {
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	p.mu.Unlock()
	p.wg.Wait()
}
