package test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestRotation changes the root secret: with the previous one beside it the
// ledger takes the new one's mark and old keys go on working; without it, old
// keys are refused and the ledger still accepts the new secret. A key that was revoked
// before is refused all the time.
func TestRotation(t *testing.T) {
	ledgers := map[string]func(t *testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			return "ledger: {redis: \"redis://" + redistest.NewServer(t).Addr + "/0\"}\n"
		},
	}
	for name, ledger := range ledgers {
		t.Run(name, func(t *testing.T) {
			key, revoked := harness.NewKey(t, "acme"), harness.NewKey(t, "acme")
			c := harness.Config{Dir: t.TempDir(), YAML: fmt.Sprintf(
				"upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: acme, keys: [%s, %s]}]\n%s",
				key.KeyID, revoked.KeyID, ledger(t))}
			f := func(step string, want int, env ...string) {
				t.Helper()
				c.Env = env
				gw := harness.Start(t, c)
				if got := gw.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", ask); got.Status != want {
					t.Errorf("%s: %d %s, want %d", step, got.Status, got.Body, want)
				}
				if step == "before" {
					harness.Run(t, 0, env, "keys", "revoke", revoked.KeyID, "--config", gw.ConfigFile())
					gw.Stop()
					return
				}
				got := gw.Post(t, revoked.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", ask)
				if got.Status != http.StatusForbidden {
					t.Errorf("%s: a revoked key gets %d", step, got.Status)
				}
				gw.Stop()
			}
			const fresh = "SLUICE_ROOT_SECRET=another root secret for tests"
			f("before", http.StatusOK)
			f("during", http.StatusOK, fresh, "SLUICE_ROOT_SECRET_PREVIOUS="+harness.RootSecret)
			f("after", http.StatusForbidden, fresh)
		})
	}
}
