package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// overlap is E6.
func overlap() row {
	return row{
		name: "E6 overlap",
		goal: "10 restarts with overlap at 500 requests/s + 200 streams, bare, systemd-style and pre-stop",
		must: "0 refused, 0 broken; each answer booked once; not ready before the socket closes",
		run:  restart,
	}
}

func restart(t *testing.T, m *measured) {
	server := redistest.NewServer(t)
	t.Run("styles", func(t *testing.T) { // ends when all have
		for i, style := range []struct {
			name   string
			shared bool
			run    func(*restarts)
		}{
			{"bare, embedded ledger", false, func(r *restarts) { r.takeOver(harness.Config{}) }},
			{"bare, Redis", true, func(r *restarts) { r.takeOver(harness.Config{}) }},
			{"systemd restarts, embedded ledger", false, func(r *restarts) { r.oneAfterTheOther(underSystemd(r.t)) }},
			{"systemd's socket and take-over, Redis", true, func(r *restarts) { r.takeOver(underSystemd(r.t)) }},
			{"pre-stop, Redis", true, (*restarts).rolling},
		} {
			t.Run(style.name, func(t *testing.T) {
				if !m.whole {
					t.Parallel()
				}
				ledger := ""
				if style.shared {
					ledger = fmt.Sprintf("ledger: {redis: %q}\n", strings.TrimSuffix(server.URL(), "0")+fmt.Sprint(i))
				}
				r := newRestarts(t, m, ledger)
				style.run(r)
				m.note("%s: %s", style.name, r.found)
			})
		}
	})
}

func newRestarts(t *testing.T, m *measured, ledger string) *restarts {
	r := &restarts{
		t: t, n: m.of(10, 2), rate: m.of(500, 50), streams: m.of(200, 6),
		frame: time.Duration(m.of(100, 40)) * time.Millisecond, key: harness.NewKey(t, "acme"),
	}
	r.yaml = fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q, bearer_token: x}\n%stimeouts: {drain: 20s}\n"+
		"tenants: [{id: acme, keys: [%s], budgets: [{period: day, usd: 50}]}]\n", r.upstream(), ledger, r.key.KeyID)
	return r
}

// restarts is one way of restarting, under load.
type restarts struct {
	t                *testing.T
	n, rate, streams int
	frame            time.Duration // between two of a stream, which has ten
	key              harness.Key
	yaml             string
	found            string
}

// upstream answers Converse at once and ConverseStream within ten frames.
func (r *restarts) upstream() string {
	t := r.t
	start := harness.EncodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)
	delta := harness.EncodeFrame(t, "event", "contentBlockDelta", `{"delta":{"text":"x"},"contentBlockIndex":0}`)
	end := append(harness.EncodeFrame(t, "event", "messageStop", `{"stopReason":"end_turn"}`),
		harness.EncodeFrame(t, "event", "metadata", `{"usage":{"inputTokens":3,"outputTokens":10,"totalTokens":13}}`)...)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		if !strings.HasSuffix(req.URL.Path, "-stream") {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn",`+
				`"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}`)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		w.Write(start)
		for range 10 {
			w.Write(delta)
			w.(http.Flusher).Flush()
			time.Sleep(r.frame)
		}
		w.Write(end)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// pause is what lies between restarts.
const pause = 500 * time.Millisecond

// takeOver starts the next process beside the one that serves.
func (r *restarts) takeOver(of harness.Config) {
	of.Args, of.YAML = []string{"--take-over"}, r.yaml
	g := harness.Start(r.t, of)
	load := r.load(g.URL(), nil)
	for range r.n {
		time.Sleep(pause)
		before := g
		g = before.Next(of.Files, of.Prefix...)
		before.Wait(40 * time.Second)
	}
	time.Sleep(pause)
	load.end()
	g.Stop()
	load.wantBooked(g)
}

// oneAfterTheOther ends each process before the next is started, as `systemctl restart` does.
func (r *restarts) oneAfterTheOther(of harness.Config) {
	of.YAML = r.yaml
	g := harness.Start(r.t, of)
	of.Dir = g.Dir
	load := r.load(g.URL(), nil)
	for range r.n {
		time.Sleep(pause)
		g.Stop()
		g = harness.Start(r.t, of)
	}
	time.Sleep(pause)
	load.end()
	g.Stop()
	load.wantBooked(g)
}

// underSystemd is a gateway whose port is opened by somebody else, who keeps it.
func underSystemd(t *testing.T) harness.Config {
	port, err := net.Listen("tcp", harness.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	socket, err := port.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return harness.Config{Listen: port.Addr().String(), Files: []*os.File{socket},
		Prefix: []string{"/bin/sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh"}}
}

// preStop is how long a pod that was taken out of the Service still gets new connections, of
// callers whose node has not heard of it.
const preStop = 300 * time.Millisecond

// rolling restarts one of two pods after the other. A pod leaves the Service, serves on while
// its preStop sleeps, and is told to stop.
func (r *restarts) rolling() {
	var pods [2]*harness.Gateway
	for i := range pods {
		pods[i] = harness.Start(r.t, harness.Config{YAML: r.yaml})
	}
	var away atomic.Int32 // the pod that is not in the Service
	away.Store(-1)
	var dials atomic.Uint32
	load := r.load("http://sluice.test", func() string {
		pod := dials.Add(1) % 2
		if pod == uint32(away.Load()) { //nolint:gosec // -1 is no pod
			pod = 1 - pod
		}
		return pods[pod].Addr
	})
	for i := range r.n {
		time.Sleep(pause)
		leaves := i % 2
		time.Sleep(preStop)
		away.Store(int32(leaves)) //nolint:gosec // a small number
		stopped := make(chan struct{})
		go r.watchStop(pods[leaves], stopped)
		pods[leaves].Stop()
		<-stopped
		pods[leaves] = harness.Start(r.t, harness.Config{YAML: r.yaml, Dir: pods[leaves].Dir, Listen: pods[leaves].Addr})
		away.Store(-1)
	}
	time.Sleep(pause)
	load.end()
	pods[0].Stop()
	pods[1].Stop()
	load.wantBooked(pods[0])
}

// watchStop wants a gateway that takes no connections to have said before that it is not ready.
func (r *restarts) watchStop(g *harness.Gateway, done chan<- struct{}) {
	defer close(done)
	for {
		conn, err := net.Dial("tcp", g.Addr)
		if err == nil {
			conn.Close()
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if res, err := http.Get("http://" + g.Admin + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				r.t.Error("E6: ready, and nobody listens")
			}
		}
		return
	}
}

// traffic is callers that send until they are stopped: requests at a rate, whoever waits, and
// streams one after the other; half of both over HTTP/2. Nothing is sent twice, so that whatever
// breaks is seen.
type traffic struct {
	*restarts
	url                   string
	clients               [2]*http.Client
	began                 time.Time
	sent, good, streaming atomic.Int64
	mu                    sync.Mutex
	failures              []string      // guarded by mu
	slowest               time.Duration // to the first byte, guarded by mu
	stop                  context.CancelFunc
	wg                    sync.WaitGroup
}

// load starts the callers. They connect to what dial names, nil for the host of url.
func (r *restarts) load(url string, dial func() string) *traffic {
	l := &traffic{restarts: r, url: url, began: time.Now()}
	for i := range l.clients {
		tr := &http.Transport{MaxIdleConnsPerHost: r.rate + r.streams, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(i == 0)
		tr.Protocols.SetUnencryptedHTTP2(i == 1)
		if dial != nil {
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, dial())
			}
		}
		l.clients[i] = &http.Client{Transport: tr, Timeout: time.Minute}
	}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(r.t.Context())
	l.wg.Go(func() {
		each := time.NewTicker(time.Second / time.Duration(r.rate))
		defer each.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			<-each.C
			l.wg.Go(func() { l.call(i, "converse") })
		}
	})
	for i := range r.streams {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				l.call(i, "converse-stream")
			}
		})
	}
	return l
}

func (l *traffic) call(i int, op string) {
	l.sent.Add(1)
	began := time.Now()
	first, sent, err := l.answer(l.clients[i%2], op)
	for tries := 0; err != nil && !sent && tries < 3; tries++ { // the client had heard before that it must leave
		first, sent, err = l.answer(l.clients[i%2], op)
	}
	if err == nil {
		l.good.Add(1)
		if op == "converse-stream" {
			l.streaming.Add(1)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, first.Sub(began))
	if err != nil {
		l.failures = append(l.failures, fmt.Sprintf("%s %s over HTTP/%d: %v", time.Now().Format("05.000"), op, 1+i%2, err))
	}
}

// answer reports when its first byte came, and whether any byte of the request left.
func (l *traffic) answer(client *http.Client, op string) (first time.Time, sent bool, err error) {
	var connected, left atomic.Bool
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn:          func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteHeaderField: func(string, []string) { left.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/model/amazon.nova-lite-v1%3A0/"+op,
		strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":20}}`))
	if err != nil {
		return first, true, err
	}
	req.GetBody = nil // or the client would send it again by itself
	req.Header.Set("Authorization", "Bearer "+l.key.Bearer)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	first = time.Now()
	if err != nil {
		return first, left.Load() || !connected.Load(), err // who is refused is not let off
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
	case res.StatusCode != http.StatusOK:
		err = fmt.Errorf("%d %s", res.StatusCode, body)
	case op == "converse-stream" && !bytes.Contains(body, []byte("metadata")):
		err = errors.New("the stream ends early")
	}
	return first, true, err
}

// end stops the callers and fails the test for whatever broke.
func (l *traffic) end() {
	l.t.Helper()
	l.stop()
	l.wg.Wait()
	if len(l.failures) > 0 || l.streaming.Load() == 0 {
		l.t.Errorf("E6: %d refused or broken:\n%s", len(l.failures), strings.Join(l.failures[:min(5, len(l.failures))], "\n"))
	}
	rate := float64(l.sent.Load()-l.streaming.Load()) / time.Since(l.began).Seconds()
	l.found = fmt.Sprintf("%d restarts, %.0f requests/s, %d answers, %d of them streams, %d refused or broken, "+
		"slowest %.1f s", l.n, rate, l.good.Load(), l.streaming.Load(), len(l.failures), l.slowest.Seconds())
}

// wantBooked wants each answer to be booked once, and no more.
func (l *traffic) wantBooked(g *harness.Gateway) {
	l.t.Helper()
	streams := l.streaming.Load()
	want := l.good.Load()
	tokens := 2*(want-streams) + 10*streams
	harness.Eventually(l.t, time.Minute, func() (bool, string) {
		var requests, output, unknown int64
		for _, row := range g.Report("tenant") {
			requests, output, unknown = requests+row.Requests, output+row.Output, unknown+row.Unknown
		}
		return requests == want && output == tokens && unknown == 0,
			fmt.Sprintf("booked are %d requests and %d tokens, %d unknown; want %d and %d", requests, output, unknown, want,
				tokens)
	})
}
