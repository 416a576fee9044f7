package redistest

import (
	"bytes"
	"io"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is between clients and a server. When asked to, it loses replies, so that
// the server does what it was asked and the client never gets the answer; holds requests
// back, so that the client has given up on them when they arrive; sends requests again;
// and lets nobody through.
type Proxy struct {
	Addr string

	target   string
	listener net.Listener
	passing  atomic.Int64 // replies that still pass
	lost     atomic.Int64
	delay    atomic.Int64 // of requests, in nanoseconds
	wg       sync.WaitGroup

	mu    sync.Mutex            // guards the following
	conns map[net.Conn]struct{} // nil after close
	away  bool                  // after Cut
	past  [][]byte              // the newest requests, as they came
}

// keepRequests is how many requests a proxy can send again.
const keepRequests = 256

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

// Cut ends all connections, and new ones at once, as if the server was away.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// Heal ends LoseReplies and Cut.
func (p *Proxy) Heal() {
	p.passing.Store(math.MaxInt64)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}

// Delay holds requests back from now on; 0 ends it.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Replay sends so many requests of the past again, those that pick names among
// the ones there are, over a connection of their own. Nobody hears the replies.
// It returns how many were sent.
func (p *Proxy) Replay(tb testing.TB, n int, pick func(n int) int) int {
	tb.Helper()
	server, err := net.DialTimeout("tcp", p.target, time.Second)
	if err != nil {
		return 0 // it is away
	}
	defer server.Close()
	p.mu.Lock()
	past := slices.Clone(p.past)
	p.mu.Unlock()
	if len(past) == 0 {
		return 0
	}
	for range n {
		if _, err := server.Write(past[pick(len(past))]); err != nil {
			return 0
		}
	}
	// The server has carried all out when it answers what comes last.
	if _, err := server.Write([]byte("*1\r\n$4\r\nQUIT\r\n")); err != nil {
		return 0
	}
	_ = server.SetReadDeadline(time.Now().Add(5 * time.Second)) // a paused server does it later
	_, _ = io.Copy(io.Discard, server)
	return n
}

// remember keeps a request for Replay.
func (p *Proxy) remember(request []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.past) == keepRequests {
		p.past = p.past[1:]
	}
	p.past = append(p.past, bytes.Clone(request))
}

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
			p.drop(client, server)
			continue
		}
		p.wg.Add(2)
		go p.pipe(server, client, func(request []byte) bool {
			p.remember(request)
			time.Sleep(time.Duration(p.delay.Load()))
			return true
		})
		go p.pipe(client, server, func([]byte) bool {
			if p.passing.Add(-1) >= 0 {
				return true
			}
			p.lost.Add(1)
			return false
		})
	}
}

// pipe copies until one side ends or pass refuses what was read.
func (p *Proxy) pipe(to, from net.Conn, pass func([]byte) bool) {
	defer p.wg.Done()
	defer p.drop(to, from)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !pass(buf[:n]) {
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
	if p.conns == nil || p.away {
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
