package test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/money"
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

// ledgerOf reads the windows of acme's budgets: what is posted, and what is held.
func ledgerOf(t *testing.T, server *redistest.Server) (posted, held int64) {
	t.Helper()
	l, err := redis.New(redis.Options{URL: server.URL(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	windows, err := l.Windows(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for i := range windows {
		if windows[i].Unit == record.UnitUSD {
			posted, held = posted+windows[i].Posted+windows[i].Suspense, held+windows[i].Held
		}
	}
	return posted, held
}

// dimes is what ten-cent calls cost, in nano-dollars.
func dimes(calls int64) int64 { return calls * 100_000_000 }

// TestM21TwoGatewaysSeed: two gateways under load get a new budget, not at the same
// moment. It counts each call of its period once, those before it and those that ran
// while one gateway had it and the other had not.
func TestM21TwoGatewaysSeed(t *testing.T) {
	t.Parallel() // it mostly waits
	p, server := newPeered(t)
	const budget = ", budgets: [{period: month, usd: 5000}]"
	both := [2]*harness.Gateway{p.start(""), p.start("")}
	var stop atomic.Bool
	var calls atomic.Int64
	var callers sync.WaitGroup
	for i := range 4 {
		callers.Go(func() {
			for !stop.Load() {
				if a := both[i%2].Post(t, p.key.BearerCredential, lightCall, ask); a.Status != http.StatusOK {
					t.Errorf("status %d: %s", a.Status, a.Body)
					return
				}
				calls.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	time.Sleep(2 * time.Second)
	began := time.Now()
	both[0].Write(p.file(budget))
	time.Sleep(1500 * time.Millisecond)
	both[1].Write(p.file(budget))
	const said = "a budget counts what its period already holds"
	harness.Eventually(t, 15*time.Second, func() (bool, string) {
		return strings.Contains(both[0].Log.String()+both[1].Log.String(), said), "nobody counts what was spent"
	})
	t.Logf("first counted %s after the first file was changed", time.Since(began).Round(time.Millisecond))
	time.Sleep(3 * time.Second)
	stop.Store(true)
	callers.Wait()
	harness.Eventually(t, 90*time.Second, func() (bool, string) {
		posted, held := ledgerOf(t, server)
		return posted == dimes(calls.Load()) && held == 0, fmt.Sprintf("%d posted and %d held of %d\n%s\n%s", posted, held,
			dimes(calls.Load()), both[0].Log, both[1].Log)
	})
	t.Logf("all %d calls counted once %s after the first file was changed", calls.Load(),
		time.Since(began).Round(time.Millisecond))
	time.Sleep(20 * time.Second) // another look finds nothing
	if posted, _ := ledgerOf(t, server); posted != dimes(calls.Load()) {
		t.Errorf("%d posted at the end, want %d", posted, dimes(calls.Load()))
	}
}

// TestM21DeadClaim: a gateway that died after it said that it would look for what a new
// budget must count keeps nobody else from it for longer than its word holds.
func TestM21DeadClaim(t *testing.T) {
	t.Parallel() // it mostly waits
	p, server := newPeered(t)
	gw := p.start("")
	if n := p.spend(gw, 20); n != 20 {
		t.Fatalf("%d of 20 requests served", n)
	}
	policies, err := budget.Compile([]config.Tenant{{
		ID: "acme/app", Budgets: []config.Budget{{USD: 5000 * money.Dollar, Period: "month", TimeZone: "UTC"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	claim := "sl:{acme}:c:arrears:" + policies.Marks(nil)["acme"]
	server.CLI("set", claim, "1", "px", "14000")
	gw.Write(p.file(", budgets: [{period: month, usd: 5000}]"))
	began := time.Now()
	harness.Eventually(t, 60*time.Second, func() (bool, string) {
		posted, _ := ledgerOf(t, server)
		return posted == dimes(20), fmt.Sprintf("%d posted", posted)
	})
	if took := time.Since(began); took < 5*time.Second {
		t.Errorf("counted after %s: the claim was not met", took)
	}
}
