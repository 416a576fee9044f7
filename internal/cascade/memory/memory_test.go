package memory

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestSessionKeys(t *testing.T) {
	first := wire.Facts{Turns: 1, FirstUserHash: 7, SystemHash: 3}
	next := first
	next.Turns = 3
	if SessionOf("key", "", &first) != (SessionKey{}) {
		t.Error("a first message is a session")
	}
	if got := SessionOf("key", "", &next); got != BegunBy("key", "", &first) || got == (SessionKey{}) {
		t.Error("a conversation is not the one that its first message began")
	}
	other := next
	other.SystemHash = 4
	others := []SessionKey{
		SessionOf("key 2", "", &next), SessionOf("key", "", &other),
		SessionOf("key", "a", &next), SessionOf("key", "b", &next),
	}
	for _, k := range others {
		if k == SessionOf("key", "", &next) {
			t.Error("two sessions have one key")
		}
	}
	if SessionOf("key", "a", &first) != SessionOf("key", "a", &next) {
		t.Error("a named session is not one")
	}
}

func TestSessionsWearOffAndAreBounded(t *testing.T) {
	var s Sessions
	s.Mark(SessionKey{}, noon)
	if s.Reached(SessionKey{}, time.Hour, noon) {
		t.Error("no session is one")
	}
	key := func(i int) (k SessionKey) { binary.BigEndian.PutUint64(k[:], uint64(i+1)); return k }
	s.Mark(key(0), noon)
	f := func(ttl, after time.Duration, want bool) {
		t.Helper()
		if got := s.Reached(key(0), ttl, noon.Add(after)); got != want {
			t.Errorf("ttl %v after %v: %v", ttl, after, got)
		}
	}
	f(time.Hour, 59*time.Minute, true)
	f(time.Hour, time.Hour, false)
	f(0, 0, false)
	for i := 1; i < maxSessions; i++ {
		s.Mark(key(i), noon)
	}
	s.Mark(key(0), noon.Add(time.Hour))
	s.Mark(key(maxSessions), noon)
	f(time.Hour, 90*time.Minute, true)
	if s.marks.Len() != maxSessions || s.Reached(key(1), time.Hour, noon) {
		t.Errorf("%d sessions are kept, the oldest among them", s.marks.Len())
	}
}

func TestGuard(t *testing.T) {
	var g Guard
	perKey := Limits{PerKeyPerMinute: 2}
	f := func(key string, l Limits, at time.Time, want bool) {
		t.Helper()
		if got := g.Allow(key, l, at); got != want {
			t.Errorf("%s at %v: %v", key, at.Format(time.TimeOnly), got)
		}
	}
	f("a", perKey, noon, true)
	f("a", perKey, noon, true)
	f("a", perKey, noon.Add(59*time.Second), false)
	f("b", perKey, noon, true)
	f("a", perKey, noon.Add(time.Minute), true)
	f("a", Limits{}, noon, true)

	g = Guard{}
	rate := Limits{MaxRate: 0.2}
	for range minRequests - 1 {
		g.Request(noon)
	}
	f("a", rate, noon, true) // too few to tell a rate
	g.Request(noon)
	for range 3 {
		f("a", rate, noon, true)
	}
	f("a", rate, noon, false)
	if n, escalated := g.total(noon); escalated != 4 || n != minRequests {
		t.Errorf("%g escalations of %g requests", escalated, n)
	}
	for range 100 {
		g.Request(noon.Add(2 * halfLife))
	}
	f("a", rate, noon.Add(2*halfLife), true)
}

func TestWarm(t *testing.T) {
	f := func(light, partner, escalation money.Pico, escalated int, want bool) {
		t.Helper()
		var c Costs
		for range minLegs {
			c.Light(light, 1000, noon)
			c.Partner(partner, noon)
			c.Escalation(escalation, 1000, noon)
		}
		for range escalated {
			c.Escalated(noon)
		}
		if got := c.Warm(noon); got != want {
			t.Errorf("light %d + %d, escalation %d, %d escalated: %v", light, partner, escalation, escalated, got)
		}
		if c.Warm(noon.Add(2 * halfLife)) {
			t.Error("what was long ago still decides")
		}
	}
	f(100, 0, 1000, 5, false)
	f(100, 0, 1000, minLegs, true) // every light answer is thrown away
	f(100, 0, 90, 0, true)
	f(50, 60, 100, 0, true)
	f(50, 40, 100, 0, false)
	f(50, 40, 100, 2, true)
	if new(Costs).Warm(noon) {
		t.Error("nothing was observed, and decides")
	}
}

func TestOnceIsBounded(t *testing.T) {
	var o Once
	for i := range maxOnce {
		if name := string(rune(i)) + "x"; !o.New(name) || o.New(name) {
			t.Fatalf("name %d", i)
		}
	}
	if o.New("one more") || len(o.seen) != maxOnce {
		t.Errorf("%d names are kept", len(o.seen))
	}
}
