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
// keys are refused and the ledger still accepts the new secret.
func TestRotation(t *testing.T) {
	ledgers := map[string]func(t *testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			return "ledger: {redis: \"redis://" + redistest.NewServer(t).Addr + "/0\"}\n"
		},
	}
	for name, ledger := range ledgers {
		t.Run(name, func(t *testing.T) {
			key := harness.NewKey(t, "acme")
			c := harness.Config{Dir: t.TempDir(), YAML: fmt.Sprintf(
				"upstream: {region: us-east-1, endpoint: sandbox}\ntenants: [{id: acme, keys: [%s]}]\n%s", key.KeyID, ledger(t))}
			f := func(step string, want int, env ...string) {
				t.Helper()
				c.Env = env
				gw := harness.Start(t, c)
				if got := gw.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1%3A0/converse", ask); got.Status != want {
					t.Errorf("%s: %d %s, want %d", step, got.Status, got.Body, want)
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
