package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// peered are gateways on one Redis, each with a file of its own.
type peered struct {
	t    *testing.T
	key  harness.Key
	head string
}

func newPeered(t *testing.T) (*peered, *redistest.Server) {
	t.Helper()
	sandbox, redis := harness.StartSandbox(t, budgetScript), redistest.NewServer(t)
	return &peered{t: t, key: harness.NewKey(t, "acme/app"), head: fmt.Sprintf(
		"upstream: {region: us-east-1, endpoint: %q}\nledger: {redis: %q}\nprices: [books.yaml]\n",
		sandbox.URL(), redis.URL())}, redis
}

// file is a configuration in which the tenant has these settings.
func (p *peered) file(rest string) string {
	return p.head + fmt.Sprintf("tenants: [{id: acme/app, keys: [%s], output_tokens: {max: 10}%s}]\n", p.key.KeyID, rest)
}

func (p *peered) start(rest string) *harness.Gateway {
	p.t.Helper()
	dir := p.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "books.yaml"), []byte(budgetPrices), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return harness.Start(p.t, harness.Config{YAML: p.file(rest), Dir: dir})
}

// spend sends requests, ten cents each, until one is refused, and returns how many were
// served; it stops after most.
func (p *peered) spend(g *harness.Gateway, most int) int {
	p.t.Helper()
	for n := range most {
		switch a := g.Post(p.t, p.key.BearerCredential, lightCall, ask); {
		case a.Status == http.StatusBadRequest && strings.Contains(string(a.Body), "is used up"):
			return n
		case a.Status != http.StatusOK:
			p.t.Fatalf("status %d: %s", a.Status, a.Body)
		}
	}
	return most
}

// eventuallySpends waits until the gateway serves a request, or refuses one.
func (p *peered) eventuallySpends(g *harness.Gateway, within time.Duration, want int) time.Duration {
	p.t.Helper()
	began := time.Now()
	harness.Eventually(p.t, within, func() (bool, string) {
		n := p.spend(g, 1)
		_, ready := g.Readyz()
		return n == want, fmt.Sprintf("served %d, /readyz %+v\n%s", n, ready, g.Log)
	})
	return time.Since(began)
}

// TestM20Peers is two built gateways on one Redis whose files differ: B's lacks the
// budget that A's has. B charges A's window and holds it; both say so; a raise and a
// removal count once both have them; and a gateway that is killed blocks the other no
// longer than its lease of 30 s.
func TestM20Peers(t *testing.T) {
	t.Parallel() // it mostly waits
	p, _ := newPeered(t)
	budget := func(usd int) string { return fmt.Sprintf(", budgets: [{period: month, usd: %d}]", usd) }
	a := p.start(budget(5))
	b := p.start("")
	if n := p.spend(b, 60); n < 30 || n > 50 {
		t.Errorf("B served %d requests of ten cents of A's 5 dollars", n)
	}
	if n := p.spend(a, 60); n > 10 {
		t.Errorf("A served %d requests after B had used up the budget", n)
	}
	for _, g := range []*harness.Gateway{a, b} {
		harness.Eventually(t, 5*time.Second, func() (bool, string) {
			_, ready := g.Readyz()
			text := ready.Degraded["limits"]
			_, metrics := g.Page("/metrics")
			return ready.Ready && strings.Contains(text, "acme/app at gateway ") &&
				g.Metric("sluice_limits_differing") == 1 && strings.Contains(metrics, `tenant="acme/app"} 1`) &&
				strings.Contains(g.Log.String(), "different budgets or limits"), fmt.Sprintf("%+v", ready)
		})
	}

	b.Write(p.file(budget(6))) // a raise that A does not have
	time.Sleep(4 * time.Second)
	if n := p.spend(b, 5); n > 0 {
		t.Errorf("%d requests pass A's limit by B's raise", n)
	}
	a.Write(p.file(budget(6)))
	p.eventuallySpends(b, 10*time.Second, 1)
	p.spend(b, 60)
	p.eventuallySpends(a, 10*time.Second, 0)
	harness.Eventually(t, 10*time.Second, func() (bool, string) {
		_, ready := a.Readyz()
		return ready.Degraded["limits"] == "" && a.Metric("sluice_limits_differing") == 0, fmt.Sprintf("%+v", ready)
	})

	b.Write(p.file("")) // removed here, and not at A
	time.Sleep(4 * time.Second)
	if n := p.spend(b, 5); n > 0 {
		t.Errorf("%d requests pass A's limit by B's removal", n)
	}
	a.Kill()
	took := p.eventuallySpends(b, 45*time.Second, 1)
	t.Logf("B serves again %s after A was killed", took)
	c := p.start(budget(6)) // A's file comes back
	p.eventuallySpends(b, 10*time.Second, 0)
	c.Stop()
	p.eventuallySpends(b, 10*time.Second, 1) // it left in order
}
