package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// overlapUpstream answers Converse at once and ConverseStream within about a second.
func overlapUpstream(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if !strings.HasSuffix(r.URL.Path, "-stream") {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn",`+
				`"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}`)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		send := func(event, payload string) {
			w.Write(harness.EncodeFrame(t, "event", event, payload))
			w.(http.Flusher).Flush()
		}
		send("messageStart", `{"role":"assistant"}`)
		for range 10 {
			send("contentBlockDelta", `{"delta":{"text":"x"},"contentBlockIndex":0}`)
			time.Sleep(100 * time.Millisecond)
		}
		send("messageStop", `{"stopReason":"end_turn"}`)
		send("metadata", `{"usage":{"inputTokens":3,"outputTokens":10,"totalTokens":13}}`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// callers send requests over kept connections until they are stopped. Nothing is sent
// twice: whatever breaks is seen.
type callers struct {
	url, bearer   string
	client        *http.Client
	good, streams atomic.Int64
	mu            sync.Mutex
	failures      []string // guarded by mu
	stop          context.CancelFunc
	wg            sync.WaitGroup
}

func startCallers(t *testing.T, url, bearer string, plain, streams int) *callers {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: plain + streams}
	c := &callers{url: url, bearer: bearer, client: &http.Client{Transport: transport, Timeout: time.Minute}}
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	for i := range plain + streams {
		c.wg.Go(func() {
			for ctx.Err() == nil {
				c.call(i < streams)
				if i >= streams {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	return c
}

func (c *callers) call(stream bool) {
	op := "converse"
	if stream {
		op = "converse-stream"
	}
	req, err := http.NewRequest(http.MethodPost, c.url+"/model/amazon.nova-lite-v1:0/"+op,
		strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":20}}`))
	if err != nil {
		panic(err)
	}
	req.GetBody = nil // or the client would send it again by itself
	req.Header.Set("Authorization", "Bearer "+c.bearer)
	req.Header.Set("Content-Type", "application/json")
	err = c.answer(req, stream)
	if err == nil {
		c.good.Add(1)
		if stream {
			c.streams.Add(1)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, time.Now().Format("05.000 ")+op+": "+err.Error())
}

func (c *callers) answer(req *http.Request, stream bool) error {
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%d %s", res.StatusCode, body)
	case stream && !bytes.Contains(body, []byte("metadata")):
		return errors.New("the stream ends early")
	}
	return nil
}

// end stops the callers and fails the test for whatever broke.
func (c *callers) end(t *testing.T) {
	t.Helper()
	c.stop()
	c.wg.Wait()
	t.Logf("%d answers, %d of them streams, %d failures", c.good.Load(), c.streams.Load(), len(c.failures))
	if len(c.failures) > 0 || c.streams.Load() == 0 {
		t.Errorf("E6: %d refused or broken: %s", len(c.failures), strings.Join(c.failures[:min(5, len(c.failures))], "\n"))
	}
}

// wantBooked wants each answer to be booked once, and no more.
func (c *callers) wantBooked(t *testing.T, gw *harness.Gateway) {
	t.Helper()
	want := c.good.Load()
	harness.Eventually(t, 20*time.Second, func() (bool, string) {
		var requests, output, unknown int64
		for _, row := range gw.Report("tenant") {
			requests, output, unknown = requests+row.Requests, output+row.Output, unknown+row.Unknown
		}
		tokens := 2*(want-c.streams.Load()) + 10*c.streams.Load()
		return requests == want && output == tokens && unknown == 0,
			fmt.Sprintf("booked are %d requests and %d tokens, %d unknown; want %d and %d", requests, output, unknown, want,
				tokens)
	})
}

// overlapSize is how many restarts, callers and streams there are: a few, or as many as
// SLUICE_OVERLAP says, as in 10,50,200.
func overlapSize(t *testing.T) (restarts, plain, streams int) {
	t.Helper()
	restarts, plain, streams = 2, 10, 10
	if size := strings.Split(os.Getenv("SLUICE_OVERLAP"), ","); len(size) == 3 {
		for i, n := range []*int{&restarts, &plain, &streams} {
			var err error
			if *n, err = strconv.Atoi(size[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return restarts, plain, streams
}

func overlapConfig(upstream, ledger string, key harness.Key) string {
	return fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q, bearer_token: x}\n%stimeouts: {drain: 20s}\n"+
		"tenants: [{id: acme, keys: [%s], budgets: [{period: day, usd: 5}]}]\n", upstream, ledger, key.KeyID)
}

// TestOverlap (E6): processes follow one another under load, and nobody finds nobody, is
// refused or is cut off; each answer is booked once.
func TestOverlap(t *testing.T) {
	restarts, plain, streams := overlapSize(t)
	upstream := overlapUpstream(t)
	f := func(name, ledger string, of harness.Config) {
		t.Run(name, func(t *testing.T) {
			key := harness.NewKey(t, "acme")
			of.YAML = overlapConfig(upstream, ledger, key)
			gw := harness.Start(t, of)
			c := startCallers(t, gw.URL(), key.Bearer, plain, streams)
			for range restarts {
				time.Sleep(500 * time.Millisecond)
				before := gw
				gw = before.Next(of.Files, of.Prefix...)
				before.Wait(40 * time.Second)
			}
			time.Sleep(500 * time.Millisecond)
			c.end(t)
			gw.Stop()
			c.wantBooked(t, gw)
		})
	}
	server := redistest.NewServer(t)
	shared := func(db string) string {
		return "ledger: {redis: \"" + strings.TrimSuffix(server.URL(), "0") + db + "\"}\n"
	}
	followed := harness.Config{Args: []string{"--take-over"}}
	f("bare embedded", "", followed)
	f("bare redis", shared("0"), followed)
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := port.(*net.TCPListener).File() // as systemd has it, for all of them
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	addr := port.Addr().String()
	port.Close()
	f("systemd redis", shared("1"), harness.Config{Listen: addr, Files: []*os.File{socket},
		Prefix: []string{"/bin/sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh"}})
}
