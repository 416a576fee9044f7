package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/test/harness"
)

// soak are the goals that take longer than all others together: `make soak`.
func soak() []row { return []row{slowStreams(), halfLoad()} }

// TestSoak is the second table of docs/reliability.md: shortened, or with SLUICE_EDGE=whole as
// `make soak` prints it.
func TestSoak(t *testing.T) { table(t, soak()) }

// slowStream is what the stream of a name consists of.
func slowStream(t testing.TB, name string, frames int) [][]byte {
	out := [][]byte{harness.EncodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)}
	for i := range frames {
		out = append(out, harness.EncodeFrame(t, "event", "contentBlockDelta",
			fmt.Sprintf(`{"contentBlockIndex":0,"delta":{"text":"%s %d"},"p":"%s"}`, name, i, strings.Repeat("abc", i%30))))
	}
	return append(out, harness.EncodeFrame(t, "event", "contentBlockStop", `{"contentBlockIndex":0}`),
		harness.EncodeFrame(t, "event", "messageStop", `{"stopReason":"end_turn"}`),
		harness.EncodeFrame(t, "event", "metadata",
			`{"usage":{"inputTokens":5,"outputTokens":60,"totalTokens":65},"metrics":{"latencyMs":3}}`))
}

// slowUpstream sends streams frame by frame. The first text of a request names its stream.
func slowUpstream(t *testing.T, frames int, pause time.Duration) string {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Messages []struct{ Content []struct{ Text string } }
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("content-type", "application/vnd.amazon.eventstream")
		for _, frame := range slowStream(t, asked.Messages[0].Content[0].Text, frames) {
			if _, err := w.Write(frame); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(pause)
		}
	}))
	t.Cleanup(upstream.Close)
	return upstream.URL
}

// slowStreams is L3 of reliability.md section 6.
func slowStreams() row {
	return row{
		name: "L3 slow streams",
		goal: "2,000 slow streams for 60 s",
		must: "0 broken, 0 bytes changed",
		run: func(t *testing.T, m *measured) {
			frames, pause := m.of(60, 10), time.Duration(m.of(1000, 50))*time.Millisecond
			key := harness.NewKey(t, "acme")
			g, inside := start(t, fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\n"+
				"timeouts: {header: 1m}\n"+ // its callers begin late where other programs keep the processors
				"tenants: [{id: acme, keys: [%s]}]\n", slowUpstream(t, frames, pause), key.KeyID))
			streams, before := m.of(2000, 40), inside.memory()
			client := callerFrom(t, neighbour)
			client.Timeout = 5 * time.Minute
			var broken, changed, refused atomic.Int64
			var wg sync.WaitGroup
			most := 0
			for i := range streams {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond)
					name := fmt.Sprint("stream ", i)
					body, err := streamed(client, g, key, name)
					for tries := 0; errors.Is(err, errShed) && tries < 60; tries++ { // as the SDKs do
						refused.Add(1)
						time.Sleep(time.Second)
						body, err = streamed(client, g, key, name)
					}
					if err != nil {
						broken.Add(1)
						t.Errorf("%s: %v", name, err)
					} else if !bytes.Equal(body, bytes.Join(slowStream(t, name, frames), nil)) {
						changed.Add(1)
						t.Errorf("%s is not what the upstream sent: %q", name, body)
					}
				})
			}
			done := make(chan struct{})
			go func() { wg.Wait(); close(done) }()
			for tick := time.NewTicker(pause); ; {
				select {
				case <-tick.C:
					most = max(most, inside.memory())
					continue
				case <-done:
				}
				break
			}
			m.note("%d streams of %d messages: %d broken, %d changed, begun again after %d refusals; %d KB each at most",
				streams, frames+4, broken.Load(), changed.Load(), refused.Load(), max(most-before, 0)<<10/streams)
		},
	}
}

// errShed is that the gateway takes no new request for now.
var errShed = errors.New("503 with Retry-After")

// streamed reads one stream to its end.
func streamed(c *http.Client, g *harness.Gateway, key harness.Key, text string) ([]byte, error) {
	body := fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}]}`, text)
	req, err := http.NewRequest(http.MethodPost, g.URL()+streamTarget, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key.Bearer)
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "" {
		return nil, errShed
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", res.StatusCode, answer)
	}
	return answer, err
}

// heap is how many bytes are in use on the heap, after a collection.
func (p *process) heap() float64 {
	p.t.Helper()
	res, err := http.Get("http://" + p.pprof + "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	var n float64
	_, rest, _ := strings.Cut(string(text), "# HeapAlloc = ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// halfLoad is L7 of reliability.md section 6: half of the requests are streams.
func halfLoad() row {
	return row{
		name: "L7 half load",
		goal: "10 minutes at half load",
		must: "0 broken or refused; heap slope < 1 MB/min, descriptors and goroutines back",
		run: func(t *testing.T, m *measured) {
			key := harness.NewKey(t, "acme")
			g, inside := start(t, fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\n"+
				"tenants: [{id: acme, keys: [%s]}]\n", quickUpstream(t), key.KeyID))
			loads := []*load{newLoad(g.Addr, askTarget, key, ask), newLoad(g.Addr, streamTarget, key, ask)}
			part, rates := time.Duration(m.of(3000, 200))*time.Millisecond, []float64{}
			for _, l := range loads {
				rates = append(rates, l.closed(16, part, http.StatusOK)/part.Seconds()/4) // half of half
			}
			goroutines, files := inside.goroutines(), inside.files()
			var wg sync.WaitGroup
			for i, l := range loads {
				wg.Go(func() { l.open(rates[i], time.Duration(m.of(600_000, 1000))*time.Millisecond) })
			}
			every := time.Duration(m.of(10_000, 200)) * time.Millisecond
			var heap []float64
			for range m.of(58, 3) {
				time.Sleep(every)
				heap = append(heap, inside.heap()/(1<<20))
			}
			wg.Wait()
			time.Sleep(time.Second) // for the last answers
			good, refused, broken := 0, 0, 0
			for _, l := range loads {
				for _, r := range l.take() {
					switch {
					case r.status == http.StatusOK:
						good++
					case r.later:
						refused++
					default:
						broken++
					}
				}
				l.close()
			}
			slope := slopeOf(heap[len(heap)/10:]) * float64(time.Minute/every) // without the first minute
			m.note("%.0f + %.0f requests/s: %d answered, %d refused, %d broken; heap %.1f MB first, "+
				"%.1f MB last, slope %+.2f MB/min", rates[0], rates[1], good, refused, broken, heap[0], heap[len(heap)-1], slope)
			if refused+broken > 0 || m.whole && slope >= 1 { // a part is too short to tell
				t.Errorf("%d refused, %d broken, slope %.2f", refused, broken, slope)
			}
			for wait := m.of(120, 0); wait > 0 && inside.files() > files+10; wait-- { // idle ones to the upstream
				time.Sleep(time.Second)
			}
			if g, f := inside.goroutines(), inside.files(); m.whole && (g > goroutines+10 || f > files+10) {
				t.Errorf("%d goroutines and %d files are left", g, f)
			}
			m.note("goroutines %d before, %d after; files %d, %d", goroutines, inside.goroutines(), files, inside.files())
		},
	}
}

// slopeOf is by how much values grow from one to the next, by least squares.
func slopeOf(values []float64) float64 {
	n, mean := float64(len(values)), 0.0
	for _, v := range values {
		mean += v / n
	}
	var over, under float64
	for i, v := range values {
		x := float64(i) - (n-1)/2
		over += x * (v - mean)
		under += x * x
	}
	return over / under
}
