package budget_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/money"
)

// node is a limiter with a ledger of its own, as a process has.
type node struct {
	*budget.Limiter
	poster *poster
	t      testing.TB
}

func newNode(t testing.TB, server *redistest.Server, writer string, ttl time.Duration) *node {
	t.Helper()
	store, err := redis.New(redis.Options{URL: server.URL(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	p := &poster{ledger: store, root: "acme", writer: writer}
	g := &node{poster: p, t: t, Limiter: budget.New(budget.Options{
		Leaser: store, Writer: writer, Epoch: 1, Numbers: p.numbers, TTL: ttl,
	})}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = g.Close(ctx)
		_ = store.Close()
	})
	return g
}

// served reports whether a request of a budgeted tenant is let in.
func (g *node) served(claim *budget.Claim) bool {
	res, refusal := g.Reserve(context.Background(), claim, time.Now())
	if refusal != nil {
		return false
	}
	defer res.Release()
	h := res.Attempt(claim.Cost)
	g.poster.post(g.t, h.Charges())
	h.Settle(claim.Cost)
	return true
}

// after is how long it takes until a request is served.
func (g *node) after(claim *budget.Claim) time.Duration {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if g.served(claim) || time.Since(began) > 20*time.Second {
			return time.Since(began)
		}
	}
}

func claimsOf(t testing.TB) (a, b *budget.Claim) {
	policies, err := budget.Compile([]config.Tenant{
		tenantOf("acme", 200*money.Dollar), tenantOf("acme/a", 100*money.Dollar), tenantOf("acme/b", 100*money.Dollar),
	})
	if err != nil {
		t.Fatal(err)
	}
	cost := budget.Amounts{record.UnitUSD: 30_000_000}
	claim := func(tenant string) *budget.Claim { return &budget.Claim{Policy: policies.For(tenant), Cost: cost} }
	return claim("acme/a"), claim("acme/b")
}

// TestRestartWithoutLoss restarts a Redis that loses nothing under a busy gateway and
// an idle one. M18
func TestRestartWithoutLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a redis-server; not with -short")
	}
	server := redistest.NewServer(t, "--appendonly", "yes", "--appendfsync", "always")
	busy, idle := newNode(t, server, "busy", time.Minute), newNode(t, server, "idle", time.Minute)
	a, b := claimsOf(t)
	if !busy.served(a) || !idle.served(b) {
		t.Fatal("nothing is served at the start")
	}
	time.Sleep(3 * time.Second) // what is idle goes back
	for range 3 {
		if !busy.served(a) {
			t.Fatal("not served")
		}
		server.Kill()
		server.Start()
		big := *a
		big.Cost[record.UnitUSD] *= 100 // no lease covers it
		if took := busy.after(&big); took > 2*time.Second {
			t.Errorf("the busy gateway serves %s after the restart", took)
		} else {
			t.Logf("served after %s", took)
		}
	}
	if took := idle.after(b); took > 2*time.Second {
		t.Errorf("the idle gateway serves after %s", took)
	}
}

// TestLostWindowHeals deletes the window that two idle tenants share. M17
func TestLostWindowHeals(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a redis-server; not with -short")
	}
	const ttl = 4 * time.Second
	server := redistest.NewServer(t)
	one, two := newNode(t, server, "one", ttl), newNode(t, server, "two", ttl)
	a, b := claimsOf(t)
	if !one.served(a) || !two.served(b) {
		t.Fatal("nothing is served at the start")
	}
	time.Sleep(2500 * time.Millisecond) // what is idle goes back
	for _, key := range server.Keys("sl:{acme}:b:acme|usd*") {
		server.CLI("del", key)
	}
	if one.served(a) || two.served(b) {
		t.Error("a budget is spent from that nobody knows the state of")
	}
	for _, took := range []time.Duration{one.after(a), two.after(b)} {
		if took > ttl {
			t.Errorf("served %s after the loss", took)
		}
	}
	for range 5 {
		if !one.served(a) || !two.served(b) {
			t.Fatal("refused again")
		}
	}
}
