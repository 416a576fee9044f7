package test

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// TestStopDoesNotWaitForTheSilent: what accepts and never answers does not hold a stop up
// (the kind of U22): Redis, and a webhook's receiver.
func TestStopDoesNotWaitForTheSilent(t *testing.T) {
	t.Parallel() // it mostly waits
	f := func(name string, config func(key harness.Key) string, before func(g *harness.Gateway, key harness.Key)) {
		t.Run(name, func(t *testing.T) {
			key := harness.NewKey(t, "acme")
			g := harness.Start(t, harness.Config{YAML: "upstream: {endpoint: sandbox, region: us-east-1}\n" + config(key)})
			for range 20 {
				g.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1:0/converse", simplest)
			}
			before(g, key)
			begun := time.Now()
			g.Stop()
			t.Logf("the stop took %s", time.Since(begun))
		})
	}
	tenant := func(key harness.Key) string {
		return "tenants: [{id: acme, keys: [" + key.KeyID + "], budgets: [{period: day, usd: 10}]}]\n"
	}
	store := redistest.NewServer(t)
	f("redis", func(key harness.Key) string { return "ledger: {redis: \"" + store.URL() + "\"}\n" + tenant(key) },
		func(g *harness.Gateway, key harness.Key) {
			store.Pause()
			t.Cleanup(store.Resume)
			g.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1:0/converse", simplest)
		})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f("webhook", func(key harness.Key) string {
		return "tenants: [{id: acme, keys: [" + key.KeyID + "], webhook: \"http://" + ln.Addr().String() + "\", " +
			"webhook_secret: 0123456789abcdef, budgets: [{period: day, usd: 0.0002, on_exceed: notify}]}]\n"
	}, func(g *harness.Gateway, key harness.Key) {
		for range 100 {
			a := g.Post(t, key.BearerCredential, "/model/amazon.nova-lite-v1:0/converse", simplest)
			if a.Status != http.StatusOK {
				t.Fatalf("%+v", a)
			}
		}
		time.Sleep(2 * time.Second)
	})
}
