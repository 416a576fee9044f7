package edge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-gateway/sluice/test/harness"
)

// from dials from one of the addresses of loopback, so that callers are neighbours and
// not the same.
func from(ip string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 10 * time.Second}
}

const (
	attacker  = "127.0.0.9"
	neighbour = "127.0.0.1"
)

// preface is what an HTTP/2 caller sends first: with SETTINGS that change nothing.
const preface = http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// crowdOf opens connections that send so much and then nothing. They are closed with the
// test.
func crowdOf(t *testing.T, addr, ip string, n int, sent string) []net.Conn {
	t.Helper()
	all := make([]net.Conn, n)
	for i := range all {
		c, err := from(ip).Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		all[i] = c
	}
	t.Cleanup(func() {
		for _, c := range all {
			c.Close()
		}
	})
	return all
}

// plain starts a gateway on the built-in stand-in, with a key.
func plain(t *testing.T) (*harness.Gateway, *process, harness.Key) {
	t.Helper()
	key := harness.NewKey(t, "acme")
	g, inside := start(t, fmt.Sprintf(
		"upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: acme, keys: [%s]}]\n", key.KeyID))
	return g, inside, key
}

// callerFrom is a client that calls from an address, over connections that it keeps.
func callerFrom(t *testing.T, ip string) *http.Client {
	tr := &http.Transport{DialContext: from(ip).DialContext, MaxIdleConnsPerHost: 100}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// call makes one good request.
func call(c *http.Client, g *harness.Gateway, key harness.Key) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.URL()+askTarget,
		bytes.NewReader([]byte(ask)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key.Bearer)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, %w", res.StatusCode, err)
	}
	return nil
}

// quietCrowd is the first row of reliability.md section 6.
func quietCrowd() row {
	return row{
		name: "E2 silent and idle",
		goal: "5,000 silent + 5,000 keep-alive + 1,000 HTTP/2 connections, default limits",
		must: "≤ 200 MB, new requests ≥ 99 %, silent ones closed after 5 s ± 1",
		run: func(t *testing.T, m *measured) {
			g, inside, key := plain(t)
			kept := crowdOf(t, g.Addr, neighbour, m.of(5000, 200), fmt.Sprintf(
				"POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
				askTarget, key.Bearer, len(ask), ask))
			for _, c := range kept {
				c.SetReadDeadline(time.Now().Add(20 * time.Second))
				if n, err := c.Read(make([]byte, 12)); err != nil || n != 12 {
					t.Fatalf("a connection to be kept has no answer: %v", err)
				}
			}
			crowdOf(t, g.Addr, neighbour, m.of(1000, 40), preface)
			silent := crowdOf(t, g.Addr, neighbour, m.of(5000, 200), "")
			opened := time.Now()
			good, bad := 0, 0
			for range m.of(500, 50) {
				c := callerFrom(t, neighbour) // a connection of its own
				if err := call(c, g, key); err == nil {
					good++
				} else {
					bad++
					t.Logf("a new request: %v", err)
				}
				c.CloseIdleConnections()
			}
			memory := inside.memory()
			m.note("%d MB, %d of %d new requests answered", memory, good, good+bad)
			if memory > 200 || bad*100 > good {
				t.Errorf("%d MB, %d good and %d bad", memory, good, bad)
			}
			var last time.Duration
			for _, c := range silent {
				c.SetReadDeadline(opened.Add(10 * time.Second))
				if _, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Fatalf("a silent connection is open after %v: %v", time.Since(opened), err)
				}
				last = time.Since(opened)
			}
			m.note("the last silent one closed after %.1f s", last.Seconds())
		},
	}
}

// prefaces is E2 itself.
func prefaces() row {
	return row{
		name: "E2 prefaces",
		goal: "10,000 idle HTTP/2 prefaces from one address",
		must: "a good caller from another address is served at once",
		run: func(t *testing.T, m *measured) {
			g, inside, key := plain(t)
			crowdOf(t, g.Addr, attacker, m.of(9000, 300), preface)
			var flood sync.WaitGroup
			var stop atomic.Bool
			defer flood.Wait()
			defer stop.Store(true)
			flood.Go(func() { // and they come again
				for !stop.Load() {
					c, err := from(attacker).Dial("tcp", g.Addr)
					if err == nil {
						io.WriteString(c, preface)
						defer c.Close()
					}
					time.Sleep(time.Millisecond)
				}
			})
			var slowest time.Duration
			for range m.of(200, 30) {
				c := callerFrom(t, neighbour)
				began := time.Now()
				if err := call(c, g, key); err != nil {
					t.Errorf("a good caller: %v", err)
				}
				slowest = max(slowest, time.Since(began))
				c.CloseIdleConnections()
			}
			m.note("slowest of the good caller's requests, each on a new connection, %d ms; %d MB",
				slowest.Milliseconds(), inside.memory())
			if slowest > time.Second {
				t.Errorf("the slowest took %v", slowest)
			}
		},
	}
}

// oneBadKey is the row of the load balancer.
func oneBadKey() row {
	return row{
		name: "E13 one bad key",
		goal: "1,000 good callers and one with a bad key behind one address",
		must: "the good ones see nothing",
		run: func(t *testing.T, m *measured) {
			g, _, key := plain(t)
			bad := key
			bad.Bearer += "x"
			var refused atomic.Int64
			ctx, stop := context.WithCancel(t.Context())
			var wrong sync.WaitGroup
			wrong.Go(func() {
				c := callerFrom(t, neighbour)
				for ctx.Err() == nil {
					if call(c, g, bad) != nil {
						refused.Add(1)
					}
				}
			})
			var failed atomic.Int64
			callers(m.of(1000, 60), 50, func(int) {
				c := callerFrom(t, neighbour)
				defer c.CloseIdleConnections()
				for range 5 {
					if err := call(c, g, key); err != nil {
						failed.Add(1)
						t.Errorf("a good caller: %v", err)
					}
				}
			})
			stop()
			wrong.Wait()
			m.note("%d of the good ones' requests failed, %d of the bad key's", failed.Load(), refused.Load())
		},
	}
}
