package edge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	streamTarget = "/model/amazon.nova-lite-v1%3A0/converse-stream"
	askTarget    = "/model/amazon.nova-lite-v1%3A0/converse"
	ask          = `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`
	drain        = 2 * time.Second
)

// abandonedCalls is E1.
func abandonedCalls() row {
	return row{
		name: "E1 abandoned calls",
		goal: "1,000 callers that leave at random frames, both protocols",
		must: "upstream closed within `timeouts.drain`, in flight until then, records right, 0 goroutines left",
		run:  leaveAtRandom,
	}
}

// talker is an upstream whose streams never end by themselves.
type talker struct {
	*httptest.Server
	open, served atomic.Int64
}

func startTalker(t *testing.T) *talker {
	u := &talker{}
	frame := harness.EncodeFrame(t, "event", "contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"word "}}`)
	start := harness.EncodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		u.open.Add(1)
		u.served.Add(1)
		defer u.open.Add(-1)
		w.Header().Set("content-type", "application/vnd.amazon.eventstream")
		w.Write(start)
		for {
			if _, err := w.Write(frame); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}))
	t.Cleanup(u.Close)
	return u
}

func leaveAtRandom(t *testing.T, m *measured) {
	upstream := startTalker(t)
	key := harness.NewKey(t, "acme")
	g, inside := start(t, fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
timeouts: {drain: %s}
tenants: [{id: acme, keys: [%s]}]
`, upstream.URL, drain, key.KeyID))
	before := inside.goroutines()
	callers(m.of(1000, 40), 100, func(i int) {
		leave := leaveHTTP1
		if i%2 == 1 {
			leave = leaveHTTP2
		}
		if err := leave(g, key, i, rand.IntN(12)); err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	})
	left := time.Now()
	if open, inFlight := upstream.open.Load(), g.Metric("sluice_requests_in_flight"); int(inFlight) < int(open)-5 {
		t.Errorf("%d upstream streams are open, %v requests in flight", open, inFlight)
	}
	harness.Eventually(t, drain+2*time.Second, func() (bool, string) {
		n := upstream.open.Load()
		return n == 0, fmt.Sprintf("%d upstream streams are open", n)
	})
	m.note("the last upstream stream closed %.1f s after the last caller left, drain %s", time.Since(left).Seconds(),
		drain)
	harness.Eventually(t, time.Second, func() (bool, string) {
		n := g.Metric("sluice_requests_in_flight")
		return n == 0, fmt.Sprintf("%v in flight", n)
	})
	harness.Eventually(t, 5*time.Second, func() (bool, string) {
		rows := g.Report("tenant")
		ok := len(rows) == 1 && rows[0].Requests == upstream.served.Load() && rows[0].Unknown == rows[0].Requests
		return ok, fmt.Sprintf("%d served, in the books %+v", upstream.served.Load(), rows)
	})
	m.note("%d records, all unknown", upstream.served.Load())
	const others = 10 // that come and go by themselves
	harness.Eventually(t, 5*time.Second, func() (bool, string) {
		after := inside.goroutines()
		return after <= before+others, fmt.Sprintf("%d goroutines, %d before", after, before)
	})
	m.note("goroutines %d before, %d after; %d files; %d MB; %.1f s of a processor", before, inside.goroutines(),
		inside.files(), inside.memory(), inside.processor().Seconds())
}

// leaveHTTP1 reads so many frames over a connection of its own and closes it.
func leaveHTTP1(g *harness.Gateway, key harness.Key, i, frames int) error {
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		streamTarget, key.Bearer, len(ask), ask)
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if i%4 == 0 {
		conn.(*net.TCPConn).SetLinger(0) // a reset in place of an end
	}
	return readFrames(res, frames)
}

// leaveHTTP2 resets its stream, or closes the connection.
func leaveHTTP2(g *harness.Gateway, key harness.Key, i, frames int) error {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	var conn net.Conn
	tr.DialContext = func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, addr)
		conn = c
		return c, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL()+streamTarget, strings.NewReader(ask))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key.Bearer)
	res, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	err = readFrames(res, frames)
	if i%4 == 1 {
		conn.Close()
	}
	cancel()
	res.Body.Close()
	time.Sleep(50 * time.Millisecond) // the reset is on its way
	conn.Close()
	return err
}

// readFrames reads about so many frames, and leaves in the middle of one.
func readFrames(res *http.Response, frames int) error {
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	_, err := io.ReadFull(res.Body, make([]byte, 1+frames*150))
	return err
}
