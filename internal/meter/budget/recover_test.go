package budget_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/internal/money"
)

// node is a limiter with a ledger of its own, as a process has.
type node struct {
	*budget.Limiter
	poster *poster
	store  *redis.Ledger
	t      testing.TB
}

func newNode(t testing.TB, server *redistest.Server, writer string, ttl time.Duration) *node {
	t.Helper()
	store, err := redis.New(redis.Options{URL: server.URL(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	p := &poster{ledger: store, root: "acme", writer: writer}
	g := &node{poster: p, store: store, t: t, Limiter: budget.New(budget.Options{
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

// heals fails the test when no request is served any more.
func (g *node) heals(claim *budget.Claim) {
	g.t.Helper()
	began := time.Now()
	g.eventually("served again", func() bool { return g.served(claim) })
	g.t.Logf("served after %s", time.Since(began))
}

// gaveBack waits until no gateway has a lease: what is idle goes back.
func (g *node) gaveBack() {
	g.t.Helper()
	g.eventually("all leases returned", func() bool {
		books, err := g.store.Windows(context.Background(), "acme")
		return err == nil && !slices.ContainsFunc(books, func(b ledger.WindowBook) bool { return b.Held != 0 })
	})
}

func (g *node) eventually(what string, ok func() bool) {
	g.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	g.t.Fatal("never: " + what)
}

// patience is how long tests wait for what comes: never so long, except where it does not come.
const patience = time.Minute

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
	const ttl = 2 * patience // no lease ends while the test waits: none has to
	busy, idle := newNode(t, server, "busy", ttl), newNode(t, server, "idle", ttl)
	a, b := claimsOf(t)
	if !busy.served(a) || !idle.served(b) {
		t.Fatal("nothing is served at the start")
	}
	busy.gaveBack()
	for range 3 {
		if !busy.served(a) {
			t.Fatal("not served")
		}
		server.Kill()
		server.Start()
		big := *a
		big.Cost[record.UnitUSD] *= 100 // no lease covers it
		busy.heals(&big)
	}
	idle.heals(b)
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
	one.gaveBack()
	for _, key := range server.Keys("sl:{acme}:b:acme|usd*") {
		server.CLI("del", key)
	}
	if one.served(a) || two.served(b) {
		t.Error("a budget is spent from that nobody knows the state of")
	}
	one.heals(a)
	two.heals(b)
	for range 5 {
		if !one.served(a) || !two.served(b) {
			t.Fatal("refused again")
		}
	}
}
