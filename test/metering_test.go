package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestTenThousandRequests sends 10,000 requests of 8 tenants through real Redis:
// the counters must equal the stand-in's own log to the token.
func TestTenThousandRequests(t *testing.T) {
	const tenants, requests, workers = 8, 10_000, 32
	sandbox := harness.StartSandbox(t, "rules: []\n")
	redis := redistest.NewServer(t)
	keys := make([]harness.Key, tenants)
	yaml := fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\nledger: {redis: \"redis://%s/0\"}\ntenants:\n",
		sandbox.URL(), redis.Addr)
	for i := range keys {
		keys[i] = harness.NewKey(t, fmt.Sprintf("team%d", i))
		yaml += fmt.Sprintf("  - {id: team%d/app, keys: [%s]}\n", i, keys[i].KeyID)
	}
	gw := harness.Start(t, harness.Config{YAML: yaml})

	// Each tenant calls models of its own, so that the stand-in's log tells them apart.
	model := func(tenant, i int) string { return fmt.Sprintf("test.tenant-%d-%d", tenant, i%3) }
	work := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range work {
				tenant := i % tenants
				operation := [...]string{"converse", "converse-stream"}[i/tenants%2]
				body := fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":"%s %d"}]}]}`, strings.Repeat("x", i%997), i)
				if err := post(gw, keys[tenant], "/model/"+model(tenant, i)+"/"+operation, body); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			}
		})
	}
	for i := range requests {
		work <- i
	}
	close(work)
	wg.Wait()

	want := map[string]harness.Row{}
	for _, s := range sandbox.Log() {
		tenant, _, _ := strings.Cut(strings.TrimPrefix(s.Model, "test.tenant-"), "-")
		row := want["team"+tenant+"/app "+s.Model]
		row.Requests++
		row.Input += s.Input
		row.Output += s.Output
		want["team"+tenant+"/app "+s.Model] = row
	}
	if len(want) != tenants*3 {
		t.Fatalf("the stand-in served %d models, want %d", len(want), tenants*3)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		got := map[string]harness.Row{}
		var total int64
		for _, r := range gw.Report("tenant,model") {
			got[r.Tenant+" "+r.Model] = harness.Row{Requests: r.Requests, Input: r.Input, Output: r.Output}
			total += r.Requests
			if r.Unpriced != r.Requests || r.Unknown != 0 {
				return false, fmt.Sprintf("%+v", r)
			}
		}
		for k, w := range want {
			if got[k] != w {
				return false, fmt.Sprintf("%s: %+v, want %+v", k, got[k], w)
			}
		}
		return total == requests, fmt.Sprintf("%d requests", total)
	})
}

func post(gw *harness.Gateway, key harness.Key, target, body string) error {
	req, err := http.NewRequest(http.MethodPost, gw.URL()+target, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key.Bearer)
	res, err := pool.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", res.StatusCode, answer)
	}
	return nil
}
