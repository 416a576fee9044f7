package memory

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
)

// cluster is gateways that share, on one clock.
type cluster struct {
	at       time.Time
	gateways []*Store
}

func newCluster(names ...string) *cluster {
	c := &cluster{at: noon}
	for _, name := range names {
		c.gateways = append(c.gateways, New(name, func() time.Time { return c.at }))
	}
	return c
}

// exchange carries what waits to all gateways, as text, the sender included.
func (c *cluster) exchange() {
	for _, from := range c.gateways {
		sent := from.Board().Waiting("acme")
		from.Board().Carried("acme", sent)
		for _, to := range c.gateways {
			for _, h := range sent {
				read, err := gossip.Parse(h.Kind, h.Text())
				if err != nil {
					panic(err)
				}
				to.Board().Receive([]gossip.Fact{read})
			}
		}
	}
}

func TestSessionsAreShared(t *testing.T) {
	c := newCluster("a", "b")
	key := SessionKey{1, 0, 2}
	reached := func(want bool) {
		t.Helper()
		for i, m := range c.gateways {
			if got := m.Of("support").Sessions.Reached(key, time.Hour, c.at); got != want {
				t.Errorf("gateway %d: %v", i, got)
			}
		}
	}
	c.gateways[0].MarkSession("acme", "support", Mark{Session: key, At: c.at, TTL: time.Hour})
	c.exchange()
	reached(true)
	c.at = c.at.Add(time.Hour - time.Second)
	reached(true)
	c.at = c.at.Add(time.Second)
	reached(false)

	c.gateways[1].MarkSession("acme", "support", Mark{Session: key, At: c.at, TTL: time.Hour})
	late := c.gateways[1].Board().Waiting("acme")
	c.at = c.at.Add(time.Minute)
	c.gateways[0].MarkSession("acme", "support", Mark{Session: key, At: c.at, TTL: time.Hour})
	c.exchange()
	c.gateways[0].Board().Receive(late) // once more, and older than what is known
	c.at = c.at.Add(time.Hour - time.Second)
	reached(true)
	if c.gateways[1].Of("other").Sessions.Reached(key, time.Hour, c.at) {
		t.Error("it is a session of another cascade too")
	}
	c.gateways[0].MarkSession("acme", "support", Mark{At: c.at, TTL: time.Hour})
	if n := len(c.gateways[0].Board().Waiting("acme")); n != 0 {
		t.Errorf("%d facts about no session", n)
	}
}

// TestClockAhead has a gateway whose clock runs ahead: what it marks wears off no
// later than if it were marked here and now.
func TestClockAhead(t *testing.T) {
	c := newCluster("a", "b")
	key := SessionKey{1}
	c.gateways[0].MarkSession("acme", "support", Mark{Session: key, At: c.at.Add(24 * time.Hour), TTL: time.Hour})
	c.exchange()
	s := &c.gateways[1].Of("support").Sessions
	if !s.Reached(key, time.Hour, c.at) || s.Reached(key, time.Hour, c.at.Add(time.Hour)) {
		t.Error("it does not wear off within the hour")
	}
}

func TestRatesAreShared(t *testing.T) {
	c := newCluster("a", "b")
	limits := Limits{MaxRate: 0.1}
	a, b := &c.gateways[0].Of("support").Guard, &c.gateways[1].Of("support").Guard
	for range 100 {
		a.Request(c.at)
		b.Request(c.at)
	}
	for range 20 {
		a.Escalate("key", c.at)
	}
	c.gateways[0].ShareGuard("acme", "support", "key", c.at)
	if !b.Allow("key", limits, c.at) {
		t.Error("b knows before it has received it")
	}
	c.exchange()
	if b.Allow("key", limits, c.at) {
		t.Error("20 escalations of 200 requests, and one more is allowed")
	}
	before, escalated := b.total(c.at)
	c.gateways[0].ShareGuard("acme", "support", "key", c.at) // tells nothing new
	c.exchange()
	c.exchange()
	if n, e := b.total(c.at); n != before || e != escalated || n != 200 || e != 21 {
		t.Errorf("b counts %g of %g, before %g of %g", e, n, escalated, before)
	}
	if n, e := a.total(c.at); n != 100 || e != 20 {
		t.Errorf("a counts %g of %g, its own twice?", e, n)
	}
	c.at = c.at.Add(halfLife)
	if n, e := b.total(c.at); n != 100 || e != 10.5 {
		t.Errorf("after a half-life b counts %g of %g", e, n)
	}
}

// TestKeyBudgetIsShared bounds what gateways let through together: the budget,
// and what each could not know of the others since the last exchange.
func TestKeyBudgetIsShared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster("a", "b", "c", "d")
		limits := Limits{PerKeyPerMinute: rapid.Int64Range(1, 30).Draw(t, "limit")}
		burst := rapid.IntRange(1, 5).Draw(t, "burst")
		minutes := map[int64]int64{}
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			for _, m := range c.gateways {
				for range rapid.IntRange(0, burst).Draw(t, "requests") {
					if m.Of("support").Guard.Allow("key", limits, c.at) {
						minutes[c.at.Unix()/60]++
						m.ShareGuard("acme", "support", "key", c.at)
					}
				}
			}
			c.exchange()
			c.at = c.at.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
		}
		unknown := int64(burst * (len(c.gateways) - 1))
		for minute, n := range minutes {
			if n > limits.PerKeyPerMinute+unknown {
				t.Fatalf("%d escalations in minute %d, the limit is %d and %d could not be known",
					n, minute, limits.PerKeyPerMinute, unknown)
			}
		}
	})
}

// TestKeyBudgetIsExact exchanges after each request: then nothing is unknown.
func TestKeyBudgetIsExact(t *testing.T) {
	c := newCluster("a", "b", "c")
	allowed := 0
	for i := range 30 {
		m := c.gateways[i%3]
		if m.Of("support").Guard.Allow("key", Limits{PerKeyPerMinute: 7}, c.at) {
			allowed++
			m.ShareGuard("acme", "support", "key", c.at)
		}
		c.exchange()
	}
	if allowed != 7 {
		t.Errorf("%d escalations, the budget is 7", allowed)
	}
}

// TestSilentGateways bounds how many others are remembered.
func TestSilentGateways(t *testing.T) {
	var g Guard
	for i := range 2 * maxGateways {
		at := noon.Add(time.Duration(i) * time.Second)
		g.receiveRates(strings.Repeat("x", i), rates{requests: fading{1, at}, sent: at})
	}
	if _, latest := g.others[strings.Repeat("x", 2*maxGateways-1)]; len(g.others) != maxGateways || !latest {
		t.Errorf("%d gateways are remembered, the latest among them: %v", len(g.others), latest)
	}
}

func TestCascadesByHint(t *testing.T) {
	c := newCluster("a")
	for i := range maxCascades + 1 {
		key := joined(strings.Repeat("x", i%200)+string(rune('a'+i/200)), string(make([]byte, 16)))
		c.gateways[0].Board().Receive([]gossip.Fact{{
			Kind: gossip.Session, Key: key, Value: pack(noon.UnixMilli()), Until: noon.Add(time.Hour),
		}})
	}
	if n := len(c.gateways[0].states); n != maxCascades {
		t.Errorf("facts made %d cascades known", n)
	}
}

// FuzzReceive receives facts that may say anything.
func FuzzReceive(f *testing.F) {
	f.Add(byte(gossip.Session), joined("support", "0123456789abcdef"), pack(noon.UnixMilli()))
	f.Add(byte(gossip.Guard), joined("b", "support"), pack(ratesValue{noon.UnixMilli(), 3, 2}))
	f.Add(byte(gossip.Guard), joined("b", "support", "key"), pack(countValue{noon.Unix() / 60, 2}))
	f.Add(byte(gossip.Guard), joined("b", "support", "key"), pack(countValue{-1, -2}))
	f.Add(byte(gossip.Watch), "", "")
	f.Fuzz(func(t *testing.T, kind byte, key, value string) {
		m := newCluster("a").gateways[0]
		m.receive(gossip.Fact{Kind: gossip.Kind(kind), Key: key, Value: value})
		for name := range m.states {
			g := &m.Of(name).Guard
			if n, e := g.total(noon); !(n >= 0) || !(e >= 0) || g.sums["key"] < 0 {
				t.Errorf("%q %q: %g of %g", key, value, e, n)
			}
		}
	})
}

func TestTightenedThresholdsAreShared(t *testing.T) {
	c := newCluster("a", "b", "c")
	certificate := stepping("hash", 0.5, 1, 1.5)
	tighten := func(gateway, steps int) {
		c.gateways[gateway].Of("support").Watch.StepBack(Stepped{"hash", steps})
		c.gateways[gateway].ShareWatch("support")
	}
	want := func(threshold float64) {
		t.Helper()
		for i, m := range c.gateways {
			if got := m.Of("support").Watch.Threshold(certificate); got != threshold {
				t.Errorf("gateway %d: threshold %v, want %v", i, got, threshold)
			}
		}
	}
	want(1.5)
	tighten(0, 2)
	tighten(1, 1)
	c.exchange()
	want(0.5)
	c.gateways[2] = New("late", func() time.Time { return c.at })
	c.at = c.at.Add(time.Hour)
	c.exchange()
	want(0.5)
}
