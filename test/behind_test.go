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

// TestM22Behind cuts one of two gateways off from the ledger, with ten calls in its
// journal: the report on the other one says that it lacks them, and up to when it is
// complete. When the gateway is back, when it ended in order, and when another process goes
// on where one was killed, nothing is said.
func TestM22Behind(t *testing.T) {
	t.Parallel() // it mostly waits
	p, server := newPeered(t)
	a := p.start("")
	line := redistest.NewProxy(t, server.Addr)
	p.head = strings.Replace(p.head, server.Addr, line.Addr, 1)
	b := p.start("")
	ten := func(g *harness.Gateway) {
		t.Helper()
		for range 10 {
			if a := g.Post(t, p.key.BearerCredential, lightCall, ask); a.Status != http.StatusOK {
				t.Fatalf("status %d: %s", a.Status, a.Body)
			}
		}
	}
	says := func(requests, gateways, behind int) {
		t.Helper()
		harness.Eventually(t, time.Minute, func() (bool, string) {
			out := harness.Run(t, 0, nil, "report", "--config", a.ConfigFile(), "--by", "root", "--columns", "requests")
			return strings.Contains(out, fmt.Sprintf("total %9d", requests)) &&
				strings.Count(out, "gateway ") == gateways && strings.Count(out, ", behind") == behind, out
		})
	}
	ten(a)
	says(10, 2, 0)
	line.Cut()
	ten(b)
	says(10, 2, 1)
	line.Heal()
	says(20, 2, 0)
	b.Stop()
	says(20, 1, 0)
	b = p.start("")
	ten(b)
	says(30, 2, 0)
	b.Kill()
	says(30, 2, 1)
	b = harness.Start(t, harness.Config{YAML: p.file(""), Dir: b.Dir}) // which takes the dead one's words away
	ten(b)
	says(40, 2, 0)
}
