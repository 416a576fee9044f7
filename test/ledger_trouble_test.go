package test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestLedgerTrouble wants /readyz, the gauge behind the alert and the log to name what
// is wrong with a ledger that nobody has asked for anything yet.
func TestLedgerTrouble(t *testing.T) {
	t.Parallel() // it mostly waits
	redis := redistest.NewServer(t)
	redis.CLI("acl", "setuser", "sluice", "on", ">right", "~*", "+@all")
	away := redistest.NewServer(t)
	away.Kill()
	f := func(name, url, part string, break_, mend func(), texts ...string) {
		t.Run(name, func(t *testing.T) {
			gw := idleGateway(t, url)
			break_()
			harness.Eventually(t, time.Minute, func() (bool, string) {
				code, ready := gw.Readyz()
				ok := code == http.StatusOK && ready.Ready && gw.Metric("sluice_ledger_degraded") == 1
				for _, text := range texts {
					ok = ok && strings.Contains(ready.Degraded[part], text) && strings.Contains(gw.Log.String(), text)
				}
				return ok && firing(t, gw, "SluiceLedgerAway"), fmt.Sprintf("/readyz: %d %+v\n%s", code, ready, gw.Log)
			})
			mend()
			well(t, 15*time.Second, gw)
		})
	}
	nothing := func() {}
	f("M19: nobody listens at the start", away.URL(), "ledger", nothing, away.Start, "connection refused")
	f("M19: a wrong password", "redis://sluice:wrong@"+redis.Addr+"/0", "ledger", nothing, func() {
		redis.CLI("acl", "setuser", "sluice", ">wrong")
	}, "refuses the user or the password")
	f("M19: it dies while idle", redis.URL(), "ledger", redis.Kill, redis.Start, "connection refused")
	f("M16: a policy that evicts, set later", redis.URL(), "ledger", func() {
		redis.CLI("config", "set", "maxmemory-policy", "allkeys-lru")
	}, func() { redis.CLI("config", "set", "maxmemory-policy", "noeviction") }, "maxmemory-policy allkeys-lru")
}

// firing reports whether the expression of an alert in the shipped rules, which compares
// one metric with a number, holds for a gateway.
func firing(t *testing.T, gw *harness.Gateway, alert string) bool {
	t.Helper()
	_, rule, found := strings.Cut(string(readFile(t, "deploy", "prometheus", "rules.yml")), "- alert: "+alert+"\n")
	_, expr, _ := strings.Cut(rule, "expr: ")
	expr, _, _ = strings.Cut(expr, "\n")
	expr, _, _ = strings.Cut(expr, "#")
	words := strings.Fields(expr)
	if !found || len(words) != 3 {
		t.Fatalf("the expression of %s is %q", alert, expr)
	}
	number, err := strconv.ParseFloat(words[2], 64)
	if err != nil {
		t.Fatal(err)
	}
	switch value := gw.Metric(words[0]); words[1] {
	case "==":
		return value == number
	case ">":
		return value > number
	default:
		t.Fatalf("the expression of %s is %q", alert, expr)
		return false
	}
}

// well waits until /readyz, gauges and alerts of all gateways say that nothing is wrong.
func well(t *testing.T, within time.Duration, gateways ...*harness.Gateway) {
	t.Helper()
	for _, gw := range gateways {
		harness.Eventually(t, within, func() (bool, string) {
			code, ready := gw.Readyz()
			ok := code == http.StatusOK && len(ready.Degraded) == 0 && gw.Metric("sluice_ledger_degraded") == 0 &&
				gw.Metric("sluice_budgets_frozen") == 0 && !firing(t, gw, "SluiceLedgerAway") &&
				!firing(t, gw, "SluiceBudgetsFrozen")
			return ok, fmt.Sprintf("/readyz: %d %+v\n%s", code, ready, gw.Log)
		})
	}
}

// TestFreezeAgrees takes a budget's window out of the ledger. While nothing is leased for
// that, /readyz, gauges, log and alerts of a gateway that is asked, of one that is not,
// and of one that starts meanwhile say so; and no longer than that. M17 M19
func TestFreezeAgrees(t *testing.T) {
	t.Parallel() // it mostly waits
	p, redis := newPeered(t)
	const budget = ", budgets: [{period: month, usd: 500}]"
	asked, idle := p.start(budget), p.start(budget)
	if n := p.spend(asked, 3); n != 3 {
		t.Fatalf("%d of 3 requests served", n)
	}
	well(t, 10*time.Second, asked, idle)
	time.Sleep(2 * time.Second) // what is leased goes back
	window := redis.Keys("sl:{acme}:b:*month*")[0]
	redis.CLI("del", window)
	if a := asked.Post(t, p.key.BearerCredential, lightCall, ask); a.Status != http.StatusServiceUnavailable {
		t.Fatalf("status %d while nothing may be leased: %s", a.Status, a.Body)
	}
	late := p.start(budget)
	for name, gw := range map[string]*harness.Gateway{"asked": asked, "idle": idle, "late": late} {
		harness.Eventually(t, time.Minute, func() (bool, string) {
			code, ready := gw.Readyz()
			ok := code == http.StatusOK && ready.Ready &&
				strings.Contains(ready.Degraded["budgets"], "grants nothing to 1 root") &&
				gw.Metric("sluice_budgets_frozen") == 1 && gw.Metric("sluice_ledger_degraded") == 1 &&
				strings.Contains(gw.Log.String(), "grants no leases for now") &&
				firing(t, gw, "SluiceBudgetsFrozen") && firing(t, gw, "SluiceLedgerAway")
			return ok, fmt.Sprintf("%s: /readyz: %d %+v\n%s", name, code, ready, gw.Log)
		})
	}
	took := time.Now()
	harness.Eventually(t, 70*time.Second, func() (bool, string) {
		a := asked.Post(t, p.key.BearerCredential, lightCall, ask)
		return a.Status == http.StatusOK, fmt.Sprintf("%d %s", a.Status, a.Body)
	})
	t.Logf("served again %s after the loss was noticed", time.Since(took).Round(time.Millisecond))
	well(t, 10*time.Second, asked, idle, late)
	for _, gw := range []*harness.Gateway{asked, idle, late} {
		if !strings.Contains(gw.Log.String(), "grants leases again") {
			t.Errorf("the log does not say that it is over:\n%s", gw.Log)
		}
	}
}

// idleGateway starts a gateway that nobody asks for anything.
func idleGateway(t *testing.T, redis string) *harness.Gateway {
	return harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: "http://127.0.0.1:1"}
tenants: [{id: acme, keys: [%s], budgets: [{period: month, usd: 5}]}]
ledger: {redis: %q}
`, harness.NewKey(t, "acme").KeyID, redis)})
}
