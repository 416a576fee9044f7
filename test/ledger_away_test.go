package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

const (
	goodModel = "test.good"
	goodCall  = "/model/" + goodModel + "/converse"
)

// ledgerAway starts a gateway on a Redis and an upstream whose answers have 3
// input and 2 output tokens.
func ledgerAway(t *testing.T, redis *redistest.Server) (*harness.Gateway, harness.Key) {
	upstream := harness.StartScripted(t, map[string]harness.Play{goodModel: writes(answerWith(200, jsonHeader, okBody))})
	key := harness.NewKey(t, "acme")
	gw := harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
tenants: [{id: acme, keys: [%s]}]
ledger: {redis: %q}
`, upstream.URL(), key.KeyID, redis.URL())})
	return gw, key
}

func postGood(t *testing.T, gw *harness.Gateway, key harness.Key, n int) {
	t.Helper()
	for range n {
		if err := post(gw, key, goodCall, ask); err != nil {
			t.Fatal(err)
		}
	}
}

// wantCounted waits until the report shows n good requests and /readyz nothing.
func wantCounted(t *testing.T, gw *harness.Gateway, n int64) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() (bool, string) {
		code, ready := gw.Readyz()
		if code != http.StatusOK || len(ready.Degraded) != 0 || ready.Backlog != 0 {
			return false, fmt.Sprintf("/readyz: %d %+v", code, ready)
		}
		rows := gw.Report("model")
		if len(rows) != 1 {
			return false, fmt.Sprintf("%+v", rows)
		}
		r := rows[0]
		return r.Requests == n && r.Legs == n && r.Input == 3*n && r.Output == 2*n &&
			r.Unknown == 0, fmt.Sprintf("%+v, want %d requests", r, n)
	})
}

// wantDegraded waits until /readyz, the metrics and the log say that the ledger
// is away, while requests would still be taken.
func wantDegraded(t *testing.T, gw *harness.Gateway, backlog uint64) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() (bool, string) {
		code, ready := gw.Readyz()
		return code == http.StatusOK && ready.Ready && ready.Degraded["ledger"] != "" && ready.Backlog == backlog,
			fmt.Sprintf("/readyz: %d %+v, want a backlog of %d", code, ready, backlog)
	})
	if gw.Metric("sluice_ledger_degraded") != 1 || gw.Metric("sluice_journal_backlog_records") != float64(backlog) {
		t.Errorf("metrics: degraded %v, backlog %v", gw.Metric("sluice_ledger_degraded"),
			gw.Metric("sluice_journal_backlog_records"))
	}
	if !strings.Contains(strings.ToLower(gw.Log.String()), "ledger") {
		t.Errorf("the log says nothing of the ledger:\n%s", gw.Log)
	}
}

// TestLedgerKilled kills Redis under the gateway: requests go on, records wait
// in the journal, and when it is back, having kept its data or lost all, every
// counter is as if nothing had been.
func TestLedgerKilled(t *testing.T) {
	f := func(name string, args ...string) {
		t.Run(name, func(t *testing.T) {
			redis := redistest.NewServer(t, args...)
			gw, key := ledgerAway(t, redis)
			postGood(t, gw, key, 10)
			wantCounted(t, gw, 10)
			redis.Kill()
			postGood(t, gw, key, 25)
			wantDegraded(t, gw, 25)
			redis.Start()
			wantCounted(t, gw, 35)
			postGood(t, gw, key, 5)
			wantCounted(t, gw, 40)
		})
	}
	f("kept", "--appendonly", "yes", "--appendfsync", "always")
	f("lost")
}

// TestLedgerPaused stops Redis without ending it: a request that waits for it
// would hang.
func TestLedgerPaused(t *testing.T) {
	redis := redistest.NewServer(t)
	gw, key := ledgerAway(t, redis)
	postGood(t, gw, key, 1)
	wantCounted(t, gw, 1)
	redis.Pause()
	postGood(t, gw, key, 10)
	wantDegraded(t, gw, 10)
	redis.Resume()
	wantCounted(t, gw, 11)
}

// TestLedgerAbsentAtStart starts the gateway while Redis is not there.
func TestLedgerAbsentAtStart(t *testing.T) {
	t.Parallel() // it mostly waits
	redis := redistest.NewServer(t)
	redis.Kill()
	gw, key := ledgerAway(t, redis)
	postGood(t, gw, key, 10)
	wantDegraded(t, gw, 10)
	redis.Start()
	wantCounted(t, gw, 10)
	gw.Stop()
	if rows := gw.Report("model"); len(rows) != 1 || rows[0].Requests != 10 {
		t.Errorf("after the stop: %+v", rows)
	}
}
