package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/notify"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// An answer of the models below costs ten cents, and a request to one of them
// holds about 1.15 dollars.
const (
	lightCall = "/model/dear.light-v1:0/converse"
	heavyCall = "/model/dear.heavy-v1:0/converse"
	autoCall  = "/model/auto/converse"

	budgetScript = "rules: [{answer: {text: ok, input_tokens: 95, output_tokens: 5}}]\n"
	budgetPrices = `
per: thousand
effective: 2026-01-01
source: test
prices:
  - {models: ["dear.light-v1:0", "dear.heavy-v1:0"], input: 1, output: 1}
`
	hookSecret = "the secret of the webhook"
)

// twins are two gateways that share a Redis, as two replicas do.
type twins struct {
	gateways [2]*harness.Gateway
	yaml     string
	keys     map[string]harness.Key // by tenant
}

// startTwins starts two gateways with these tenants, in which %s is a key.
func startTwins(t *testing.T, tenants map[string]string) *twins {
	t.Helper()
	sandbox, redis := harness.StartSandbox(t, budgetScript), redistest.NewServer(t)
	p := &twins{keys: map[string]harness.Key{}, yaml: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
ledger: {redis: %q}
prices: [books.yaml]
cascades:
  - {name: c, match: 'request.model == "auto"', mode: rules, light: "dear.light-v1:0", escalation: "dear.heavy-v1:0"}
tenants:
`, sandbox.URL(), redis.URL())}
	for id, rest := range tenants {
		p.keys[id] = harness.NewKey(t, id)
		p.yaml += fmt.Sprintf("  - {id: %s, keys: [%s], output_tokens: {max: 10}, %s}\n", id, p.keys[id].KeyID, rest)
	}
	for i := range p.gateways {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "books.yaml"), []byte(budgetPrices), 0o600); err != nil {
			t.Fatal(err)
		}
		p.gateways[i] = harness.Start(t, harness.Config{YAML: p.yaml, Dir: dir})
	}
	return p
}

// ask sends one request of a tenant through one of the gateways.
func (p *twins) ask(t *testing.T, gateway int, tenant, target string) harness.Answer {
	t.Helper()
	return p.gateways[gateway].Post(t, p.keys[tenant].BearerCredential, target, ask)
}

// spend sends requests through both gateways at once, from several callers,
// until each has been refused, and returns how many each gateway served.
func (p *twins) spend(t *testing.T, tenant, target string) [2]int64 {
	t.Helper()
	var served [2]atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 1000 {
				a := p.ask(t, i%2, tenant, target)
				switch a.Status {
				case http.StatusOK:
					served[i%2].Add(1)
					continue
				case http.StatusBadRequest:
					if got := a.Header.Get("x-amzn-errortype"); got != "ServiceQuotaExceededException" ||
						!strings.Contains(string(a.Body), "is used up") {
						t.Errorf("%s: %s", got, a.Body)
					}
				default:
					t.Errorf("status %d: %s", a.Status, a.Body)
				}
				return
			}
		})
	}
	all.Wait()
	return [2]int64{served[0].Load(), served[1].Load()}
}

// TestTwoGatewaysOneBudget: a budget that two gateways spend at once holds, and
// is used up to what one more request could take.
func TestTwoGatewaysOneBudget(t *testing.T) {
	p := startTwins(t, map[string]string{"acme/app": "budgets: [{period: month, usd: 20, on_exceed: reject}]"})
	at := p.spend(t, "acme/app", heavyCall)
	served := at[0] + at[1]
	// What the callers left when they were refused is there for single ones, down
	// to less than one can take.
	harness.Eventually(t, time.Minute, func() (bool, string) {
		for n := range 2 {
			for p.ask(t, n, "acme/app", heavyCall).Status == http.StatusOK {
				served++
			}
		}
		return served >= 200-12, fmt.Sprintf("%v served at once, %d in all of 200", at, served)
	})
	if at[0] == 0 || at[1] == 0 || served > 200 {
		t.Errorf("%v served at once, %d in all of 200", at, served)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		rows := p.gateways[1].Report("tenant")
		return len(rows) == 1 && rows[0].Requests == served &&
			rows[0].Unknown == 0, fmt.Sprintf("%+v, want %d requests", rows, served)
	})
}

// TestTwoGatewaysLightOnly: above usd both gateways give the light leg alone to
// what has a cascade, and refuse the rest.
func TestTwoGatewaysLightOnly(t *testing.T) {
	p := startTwins(t, map[string]string{"acme/app": "budgets: [{period: month, usd: 6, on_exceed: light_only, " +
		"hard_usd: 12}]"})
	p.spend(t, "acme/app", heavyCall)
	for i := range p.gateways {
		a := p.ask(t, i, "acme/app", autoCall)
		if a.Status != http.StatusOK || a.Header.Get("x-sluice-reason") != "light_only" ||
			a.Header.Get("x-sluice-model") != "dear.light-v1:0" {
			t.Errorf("gateway %d: %d %v %s", i, a.Status, a.Header, a.Body)
		}
		if a := p.ask(t, i, "acme/app", heavyCall); a.Status != http.StatusBadRequest {
			t.Errorf("gateway %d without a cascade: %d %s", i, a.Status, a.Body)
		}
	}
	light := p.spend(t, "acme/app", autoCall) // until hard_usd
	if n := light[0] + light[1]; n == 0 || n > 120 {
		t.Errorf("%v light answers up to hard_usd", light)
	}
	rows := p.gateways[0].Report("tenant")
	if cost, err := strconv.ParseFloat(rows[0].Cost, 64); err != nil || cost > 12 {
		t.Errorf("%s dollars were spent of at most 12: %v", rows[0].Cost, err)
	}
}

// TestTwoGatewaysOneRate: both gateways share a rate, and its refusal says when to try
// again.
func TestTwoGatewaysOneRate(t *testing.T) {
	p := startTwins(t, map[string]string{"acme/app": "limits: {requests_per_minute: 10}"})
	served := 0
	for n := range 26 {
		a := p.ask(t, n%2, "acme/app", lightCall)
		if a.Status == http.StatusOK {
			served++
			continue
		}
		wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if a.Status != http.StatusTooManyRequests || a.Header.Get("x-amzn-errortype") != "ThrottlingException" ||
			err != nil || wait < 1 || wait > 60 {
			t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
		}
	}
	if served < 10 || served > 20 { // a minute may begin meanwhile
		t.Errorf("%d served under 10 per minute", served)
	}
}

// webhook keeps the messages that it received, after it has refused the first message.
type webhook struct {
	*httptest.Server
	t     *testing.T
	calls atomic.Int64

	mu       sync.Mutex
	received []message
}

type message struct {
	ID      string `json:"id"`
	Tenant  string `json:"tenant"`
	Percent int    `json:"percent"`
	Limit   string `json:"limit_usd"`
}

func newWebhook(t *testing.T) *webhook {
	t.Helper()
	h := &webhook{t: t}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

func (h *webhook) serve(w http.ResponseWriter, r *http.Request) {
	if h.calls.Add(1) == 1 {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	sent, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get(notify.SignatureHeader), "t="), ",")
	seconds, err := strconv.ParseInt(sent, 10, 64)
	if err != nil || r.Header.Get(notify.SignatureHeader) != notify.Sign(hookSecret, time.Unix(seconds, 0), body) {
		h.t.Errorf("signature %q of %s: %v", r.Header.Get(notify.SignatureHeader), body, err)
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		h.t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.received = append(h.received, m)
}

// want waits until the webhook has received a message for each of these thresholds, each once.
func (h *webhook) want(percents ...int) {
	h.t.Helper()
	harness.Eventually(h.t, time.Minute, func() (bool, string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.received) != len(percents) {
			return len(h.received) == len(percents), fmt.Sprintf("%+v, want %v", h.received, percents)
		}
		ids := map[string]bool{}
		for i, m := range h.received {
			if m.Percent != percents[i] || m.Tenant != "acme" || m.Limit != "10.00" || m.ID == "" || ids[m.ID] {
				h.t.Fatalf("%+v, want %v", h.received, percents)
			}
			ids[m.ID] = true
		}
		return true, ""
	})
}

// TestThresholdsAreSentOnce: two gateways report each threshold once, with retries,
// also when both are stopped at once and when one comes back.
func TestThresholdsAreSentOnce(t *testing.T) {
	t.Parallel() // it mostly waits
	hook := newWebhook(t)
	p := startTwins(t, map[string]string{
		"acme": fmt.Sprintf("webhook: %q, webhook_secret: %q, budgets: [{period: month, usd: 10, on_exceed: reject}]",
			hook.URL, hookSecret),
	})
	send := func(n int) {
		t.Helper()
		for i := range n {
			harness.Eventually(t, time.Minute, func() (bool, string) { // the other's lease may be on its way back
				a := p.ask(t, i%2, "acme", lightCall)
				return a.Status == http.StatusOK, fmt.Sprintf("%d %s", a.Status, a.Body)
			})
		}
	}
	send(52)
	hook.want(50)
	send(30)
	var stopped sync.WaitGroup
	for _, g := range p.gateways {
		stopped.Go(g.Stop)
	}
	stopped.Wait()
	hook.want(50, 80)
	for i, g := range p.gateways {
		p.gateways[i] = harness.Start(t, harness.Config{YAML: p.yaml, Dir: g.Dir})
	}
	p.spend(t, "acme", lightCall)
	hook.want(50, 80, 100)
	time.Sleep(1500 * time.Millisecond) // both have heard of the window again
	hook.want(50, 80, 100)
}

// TestCreditGivesRoom: a credit counts in the window that it is of, in both
// ledgers, while the gateway runs.
func TestCreditGivesRoom(t *testing.T) {
	t.Parallel() // it mostly waits
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) {
			sandbox, key, dir := harness.StartSandbox(t, budgetScript), harness.NewKey(t, "acme/app"), t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "books.yaml"), []byte(budgetPrices), 0o600); err != nil {
				t.Fatal(err)
			}
			gw := harness.Start(t, harness.Config{Dir: dir, YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q}
prices: [books.yaml]
tenants:
  - {id: acme, budgets: [{period: month, usd: 2, on_exceed: reject}]}
  - {id: acme/app, keys: [%s], output_tokens: {max: 10}}
%s`, sandbox.URL(), key.KeyID, ledger)})
			send := func() int { return gw.Post(t, key.BearerCredential, lightCall, ask).Status }
			credit := func(id string, at time.Time) {
				t.Helper()
				harness.Run(t, 0, nil, "adjust", "--config", gw.ConfigFile(), "--tenant", "acme/app", "--model", "dear.light-v1:0",
					"--usd=-1", "--reason", "credit note", "--force", "--id", id, "--at", at.UTC().Format(time.RFC3339))
			}
			harness.Eventually(t, time.Minute, func() (bool, string) {
				return send() == http.StatusBadRequest,
					"every request is served"
			})
			credit("past", time.Now().AddDate(0, -2, 0))
			time.Sleep(3 * time.Second) // longer than the gateway takes to hear of it
			if got := send(); got != http.StatusBadRequest {
				t.Errorf("status %d after a credit of another window", got)
			}
			credit("now", time.Now())
			credit("now-again", time.Now())
			harness.Eventually(t, time.Minute, func() (bool, string) { return send() == http.StatusOK, "nothing is served" })
			wantText(t, harness.Run(t, 0, nil, "verify", "--config", gw.ConfigFile()), "\n0 differences")
		})
	}
	f("embedded", "")
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
}

// TestNewBudgetCountsItsPeriod: M21, a budget that is added to a running gateway counts what its period already holds,
// also under the name that the tenant had before; a tenant that vanishes with its budget is named.
func TestNewBudgetCountsItsPeriod(t *testing.T) {
	t.Parallel() // it mostly waits
	f := func(name, ledger string) {
		t.Run(name, func(t *testing.T) {
			sandbox, acme, corp := harness.StartSandbox(t, budgetScript), harness.NewKey(t, "acme"), harness.NewKey(t, "corp/a")
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "books.yaml"), []byte(budgetPrices), 0o600); err != nil {
				t.Fatal(err)
			}
			yaml := func(tenants string) string {
				return fmt.Sprintf("upstream: {region: us-east-1, endpoint: %q}\nprices: [books.yaml]\n%stenants:\n%s",
					sandbox.URL(), ledger, tenants)
			}
			const budget = "output_tokens: {max: 10}, budgets: [{period: month, usd: 2.5}]"
			ofAcme := fmt.Sprintf("  - {id: acme, keys: [%s], ", acme.KeyID)
			gw := harness.Start(t, harness.Config{Dir: dir, YAML: yaml(ofAcme + "output_tokens: {max: 10}}\n")})
			for range 20 { // two dollars
				if a := gw.Post(t, acme.BearerCredential, lightCall, ask); a.Status != http.StatusOK {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
			}
			refuses := func(key harness.Key) {
				t.Helper()
				for range 12 { // 14 calls alone would use the budget up
					time.Sleep(time.Second)
					if a := gw.Post(t, key.BearerCredential, lightCall, ask); a.Status == http.StatusBadRequest {
						return
					}
				}
				t.Error("the budget does not count what was spent before")
			}
			gw.Write(yaml(ofAcme + budget + "}\n"))
			refuses(acme)
			gw.Write(yaml(fmt.Sprintf("  - {id: corp}\n  - {id: corp/a, renamed_from: acme, keys: [%s], %s}\n", corp.KeyID,
				budget)))
			refuses(corp)
			_, ready := gw.Readyz()
			if ready.Degraded["tenants"] != "" {
				t.Error(ready)
			}
			gw.Write(yaml("  - {id: corp}\n"))
			harness.Eventually(t, time.Minute, func() (bool, string) {
				_, r := gw.Readyz()
				return strings.Contains(r.Degraded["tenants"], "1 with budgets are gone"), fmt.Sprint(r)
			})
			wantText(t, harness.Run(t, 0, nil, "verify", "--config", gw.ConfigFile()), "\n0 differences")
		})
	}
	f("embedded", "")
	f("redis", fmt.Sprintf("ledger: {redis: %q}\n", redistest.NewServer(t).URL()))
}
