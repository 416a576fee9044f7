package test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// killAt is a moment of a take-over.
type killAt struct {
	name string
	old  bool   // dies, else the new one
	log  string // of the old process or, with ofNew, of the new one, once which it happens; "": at once
	// ofNew is whether log is the new one's.
	ofNew bool
}

// TestKilledTakeOver (E6): whichever of two processes is killed in the middle of a take-over,
// nothing is lost or counted twice, no budget is passed, and the next start goes on.
func TestKilledTakeOver(t *testing.T) {
	server := redistest.NewServer(t)
	for i, ledger := range []string{"embedded", "redis"} {
		for j, at := range []killAt{
			{name: "new at once"},
			{name: "new as it takes the sockets", log: "taking over", ofNew: true},
			{name: "new while the old one drains", log: "draining"},
			{name: "old as its sockets are taken", log: "taking over", ofNew: true, old: true},
			{name: "old while it drains", log: "draining", old: true},
		} {
			t.Run(ledger+" "+at.name, func(t *testing.T) {
				t.Parallel()
				line := ""
				if i == 1 {
					line = fmt.Sprintf("ledger: {redis: %q}\n", strings.TrimSuffix(server.URL(), "0")+fmt.Sprint(j))
				}
				killed(t, line, at)
			})
		}
	}
}

// takeOverWorld is an upstream whose calls are counted, and callers of one tenant.
type takeOverWorld struct {
	key     harness.Key
	url     string
	served  atomic.Int64
	good    atomic.Int64
	asked   atomic.Int64  // streams that have begun
	release chan struct{} // closed when streams may end
}

// What a call costs, which is as much as is held for it, and what may be spent.
const callUSD, mostUSD = 0.00024, 0.02

// mostCalls is how many fit, and one.
const mostCalls = 84

func newTakeOverWorld(t *testing.T) *takeOverWorld {
	w := &takeOverWorld{key: harness.NewKey(t, "acme"), release: make(chan struct{})}
	start := harness.EncodeFrame(t, "event", "messageStart", `{"role":"assistant"}`)
	end := append(harness.EncodeFrame(t, "event", "messageStop", `{"stopReason":"end_turn"}`),
		harness.EncodeFrame(t, "event", "metadata", `{"usage":{"inputTokens":0,"outputTokens":1000,"totalTokens":1000}}`)...)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.served.Add(1)
		if !strings.HasSuffix(r.URL.Path, "-stream") {
			rw.Header().Set("Content-Type", "application/json")
			io.WriteString(rw, `{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn",`+
				`"usage":{"inputTokens":0,"outputTokens":1000,"totalTokens":1000}}`)
			return
		}
		rw.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
		rw.Write(start)
		rw.(http.Flusher).Flush()
		w.asked.Add(1)
		select {
		case <-w.release:
		case <-r.Context().Done():
		}
		rw.Write(end)
	}))
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

// ask returns the status of an answer, 0 for none.
func (w *takeOverWorld) ask(g *harness.Gateway, op string) int {
	req, err := http.NewRequest(http.MethodPost, g.URL()+"/model/amazon.nova-lite-v1%3A0/"+op,
		strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":1000}}`))
	if err != nil {
		panic(err)
	}
	req.GetBody = nil
	req.Header.Set("Authorization", "Bearer "+w.key.Bearer)
	res, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return 0
	case res.StatusCode == http.StatusOK && (op == "converse" || strings.Contains(string(body), "metadata")):
		w.good.Add(1)
	}
	return res.StatusCode
}

func killed(t *testing.T, ledger string, at killAt) {
	w := newTakeOverWorld(t)
	old := harness.Start(t, harness.Config{Args: []string{"--take-over"}, YAML: fmt.Sprintf(
		"upstream: {region: us-east-1, endpoint: %q, bearer_token: x}\n%stimeouts: {drain: 20s}\n"+
			"tenants: [{id: acme, keys: [%s], budgets: [{period: day, usd: %g}]}]\n", w.url, ledger, w.key.KeyID, mostUSD)})
	const callers = 3
	var running sync.WaitGroup
	var done atomic.Bool
	running.Go(func() { w.ask(old, "converse-stream") }) // keeps the old process draining
	harness.Eventually(t, time.Minute, func() (bool, string) { return w.asked.Load() == 1, "no stream has begun" })
	for range callers {
		running.Go(func() {
			for range 5 { // far less than the budget
				if !done.Load() {
					w.ask(old, "converse")
				}
			}
		})
	}
	next := old.Next(nil)
	watched := old
	if at.ofNew {
		watched = next
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		return strings.Contains(watched.Log.String(), at.log), "the log lacks " + at.log
	})
	if at.old {
		old.Kill()
	} else {
		next.Kill()
		next = old.Next(nil) // at once: nobody knows how long the old one drains
	}
	close(w.release)
	if !at.old {
		old.Wait(30 * time.Second)
	}
	w.wantServed(t, next)
	done.Store(true)
	running.Wait()
	w.spendAll(t, next)
	w.wantBooked(t, next, callers+1)
	next.Stop()
	harness.Run(t, 0, nil, "verify", "--config", next.ConfigFile())
}

// wantServed wants a gateway to answer.
func (w *takeOverWorld) wantServed(t *testing.T, g *harness.Gateway) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() (bool, string) {
		status := w.ask(g, "converse")
		return status == http.StatusOK, fmt.Sprintf("status %d\n%s", status, g.Log)
	})
}

// spendAll asks until the budget refuses.
func (w *takeOverWorld) spendAll(t *testing.T, g *harness.Gateway) {
	t.Helper()
	for range mostCalls {
		if status := w.ask(g, "converse"); status == http.StatusBadRequest {
			return
		} else if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	t.Error("the budget refuses nothing")
}

// wantBooked wants each call that the upstream has got to be booked once. Of those under way at
// the kill, some were booked and never sent; their usage is unknown.
func (w *takeOverWorld) wantBooked(t *testing.T, g *harness.Gateway, underWay int64) {
	t.Helper()
	served, good := w.served.Load(), w.good.Load()
	if float64(served)*callUSD > mostUSD {
		t.Errorf("E6: %d calls pass the budget", served)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		var calls, output, unknown int64
		for _, row := range g.Report("tenant") {
			calls, output, unknown = calls+row.Legs, output+row.Output, unknown+row.Unknown
		}
		known := calls - unknown
		return served <= calls && calls <= served+underWay && unknown <= underWay &&
				known <= served && known >= good-underWay && output == 1000*known,
			fmt.Sprintf("booked are %d calls, %d unknown, %d tokens; the upstream had %d and callers %d", calls, unknown,
				output, served, good)
	})
}
