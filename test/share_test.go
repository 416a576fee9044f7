package test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
	"github.com/sluice-gateway/sluice/test/harness"
)

// cluster is gateways on one Redis, with one configuration.
type cluster struct {
	t     *testing.T
	yaml  string
	key   harness.Key
	redis *redistest.Server
}

func newCluster(t *testing.T, more string) *cluster {
	t.Helper()
	c := &cluster{t: t, key: harness.NewKey(t, "acme/support"), redis: redistest.NewServer(t)}
	sandbox := harness.StartSandbox(t, cascadeScript)
	c.yaml = fmt.Sprintf(`
upstream: {region: us-east-1, endpoint: %q, retry: {max_attempts: 1}}
ledger: {redis: %q}
aliases: {auto: %q}
tenants: [{id: acme/support, keys: [%s]}]
cascades:
  - name: support
    match: request.model == "auto"
    light: %q
    partner: %q
    escalation: %q
%s`, sandbox.URL(), c.redis.URL(), cascadeEscalation, c.key.KeyID, cascadeLight, cascadePartner, cascadeEscalation, more)
	return c
}

func (c *cluster) start() *harness.Gateway {
	c.t.Helper()
	return harness.Start(c.t, harness.Config{YAML: c.yaml})
}

// ask sends a turn of a conversation and returns how it was answered.
func (c *cluster) ask(gw *harness.Gateway, session, text string) (answered string) {
	c.t.Helper()
	got := gw.Post(c.t, func(req *http.Request, body []byte) error {
		req.Header.Set("x-sluice-session", session)
		return c.key.BearerCredential(req, body)
	}, "/model/auto/converse", fmt.Sprintf(`{"messages":[{"role":"user","content":[{"text":%q}]}]}`, text))
	return got.Header.Get("x-sluice-path") + " " + got.Header.Get("x-sluice-reason")
}

// escalates has a conversation escalated by one gateway.
func (c *cluster) escalates(gw *harness.Gateway, session string) {
	c.t.Helper()
	if got := c.ask(gw, session, "filter"); got != "escalated stop_reason" {
		c.t.Fatalf("the first turn of %s: %s", session, got)
	}
}

const (
	stays = "direct session"
	fresh = "light agree"
)

// TestSessionsMoveBetweenGateways: a conversation that was escalated by one
// gateway stays there on the other, until that has worn off on both.
func TestSessionsMoveBetweenGateways(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "    session: {ttl: 8s}\n")
	a, b := c.start(), c.start()
	if got := c.ask(b, "one", "hello"); got != fresh {
		t.Fatalf("a conversation of its own: %s", got)
	}
	tries, session, asked := 0, "", 0
	harness.Eventually(t, time.Minute, func() (bool, string) {
		tries++
		session = fmt.Sprint("escalated ", tries)
		c.escalates(a, session)
		got := ""
		for asked = 0; asked < 5 && got != stays; asked++ {
			time.Sleep(100 * time.Millisecond) // one batch of each, and some
			got = c.ask(b, session, "hello")   // does not mark the session itself
		}
		return got == stays, got
	})
	t.Logf("known at the other gateway's turn %d, in try %d", asked, tries)
	if got := c.ask(b, "two", "hello"); got != fresh {
		t.Errorf("another conversation: %s", got)
	}
	harness.Eventually(t, time.Minute, func() (bool, string) {
		first, second := c.ask(a, session, "hello"), c.ask(b, session, "hello")
		return first == fresh && second == fresh, first + ", " + second
	})
}

// TestIdleGatewayListens: a gateway that never had traffic of a tenant knows its
// conversations at its first request.
func TestIdleGatewayListens(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	a := c.start()
	c.escalates(a, "one")
	for wait := time.Second; wait <= 9*time.Second; wait *= 3 {
		idle := c.start()
		time.Sleep(wait) // it may take longer on a busy machine, so there is another try
		if got := c.ask(idle, "one", "hello"); got == stays {
			return
		}
	}
	t.Error("three idle gateways did not hear of a conversation")
}

// TestGuardHoldsForAll: an escalation rate that one gateway has used up is used
// up for the other, which would let the first 20 requests pass on its own.
func TestGuardHoldsForAll(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "    guard: {max_rate: 0.2}\n    session: {off: true}\n")
	a, b := c.start(), c.start()
	const guarded = "light guard"
	for i := range 40 {
		if got := c.ask(a, "", "differ"); i == 39 && got != guarded {
			t.Fatalf("the first gateway does not guard: %s", got)
		}
	}
	for range 15 {
		if c.ask(b, "", "differ") == guarded {
			return
		}
		time.Sleep(time.Second)
	}
	t.Error("15 escalations by the other gateway, beyond the rate of both")
}

// TestSessionsWithoutRedis: a gateway goes on with what it knows, and shares it
// when Redis is back.
func TestSessionsWithoutRedis(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	a, b := c.start(), c.start()
	c.escalates(a, "one")
	c.redis.Kill()
	if got := c.ask(a, "one", "hello"); got != stays {
		t.Errorf("a session of its own: %s", got)
	}
	c.escalates(a, "two")
	c.redis.Start()
	harness.Eventually(t, time.Minute, func() (bool, string) {
		got := c.ask(b, "two", "hello")
		return got == stays, got
	})
}
