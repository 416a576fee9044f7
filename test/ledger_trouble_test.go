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

// TestLedgerTrouble wants /readyz, the gauge behind the alert and the log to name what
// is wrong with a ledger that nobody has asked for anything yet.
func TestLedgerTrouble(t *testing.T) {
	redis := redistest.NewServer(t)
	redis.CLI("acl", "setuser", "sluice", "on", ">right", "~*", "+@all")
	away := redistest.NewServer(t)
	away.Kill()
	f := func(name, url, part string, break_ func(), texts ...string) {
		t.Run(name, func(t *testing.T) {
			gw := idleGateway(t, url)
			break_()
			harness.Eventually(t, 10*time.Second, func() (bool, string) {
				code, ready := gw.Readyz()
				ok := code == http.StatusOK && ready.Ready && gw.Metric("sluice_ledger_degraded") == 1
				for _, text := range texts {
					ok = ok && strings.Contains(ready.Degraded[part], text) && strings.Contains(gw.Log.String(), text)
				}
				return ok, fmt.Sprintf("/readyz: %d %+v\n%s", code, ready, gw.Log)
			})
		})
	}
	nothing := func() {}
	f("M19: nobody listens at the start", away.URL(), "ledger", nothing, "connection refused")
	f("M19: a wrong password", "redis://sluice:wrong@"+redis.Addr+"/0", "ledger", nothing,
		"refuses the user or the password")
	f("M19: it dies while idle", redis.URL(), "ledger", func() { redis.Kill() }, "connection refused")
	redis.Start()
	f("M16: a policy that evicts, set later", redis.URL(), "ledger", func() {
		redis.CLI("config", "set", "maxmemory-policy", "allkeys-lru")
	}, "maxmemory-policy allkeys-lru")
}

// idleGateway starts a gateway that nobody asks for anything.
func idleGateway(t *testing.T, redis string) *harness.Gateway {
	return harness.Start(t, harness.Config{YAML: fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: "http://127.0.0.1:1"}
tenants: [{id: acme, keys: [%s], budgets: [{period: month, usd: 5}]}]
ledger: {redis: %q}
`, harness.NewKey(t, "acme").KeyID, redis)})
}
