package promptcache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// promptOf is a prompt of so many tokens of a system prompt with a message.
func promptOf(t *testing.T, system, message, point string) *Prompt {
	t.Helper()
	body := []byte(`{"system":[{"text":"` + system + `"}` + point + `],"messages":[{"role":"user","content":[{"text":"` +
		message + `"}]}]}`)
	f := &wire.Facts{}
	if err := f.Read(wire.OpConverse, nil, body); err != nil {
		t.Fatal(err)
	}
	return &Prompt{Tenant: "t", Model: "m", Facts: f, Body: body, Price: price, Cache: known, Inject: true}
}

// answered is an answer that read and wrote so many tokens.
func answered(read, wrote int64) *Answer {
	return &Answer{Fate: Answered, Cost: money.Dollar, Usage: &wire.Usage{
		Input: wire.Known(max(1, 100-read-wrote)), Output: wire.Known(1), CacheRead: wire.Known(read),
		CacheWrite5m: wire.Known(wrote), CacheWrite1h: wire.Known(0),
	}}
}

var rules = strings.Repeat("rule ", 80)

// asked has a prompt placed and answered, and returns what its points were for.
func asked(t *testing.T, s *Store, message string, a *Answer, now time.Time) string {
	t.Helper()
	at := s.Place(promptOf(t, rules, message, ""), now)
	s.Ended(at, a, now)
	return at.Use()
}

func TestOneWritesAndOthersRead(t *testing.T) {
	s := New()
	now := monday
	for i, want := range []string{"", "write 5m", "read 5m", "read 5m"} {
		now = now.Add(time.Minute)
		if got := asked(t, s, fmt.Sprint(i), answered(int64(max(0, i-1))*50, 90), now); got != want {
			t.Errorf("prompt %d: %q, want %q", i, got, want)
		}
	}
	rows := s.Report(now)
	if len(rows) != 1 || rows[0].Paid <= 0 || rows[0].Saved <= 0 || len(rows[0].Prefixes) != 1 ||
		rows[0].Prefixes[0].Points != 3 {
		t.Errorf("%+v", rows)
	}
}

// TestOneWriteAtATime: while a prompt that writes is on its way, no other does.
func TestOneWriteAtATime(t *testing.T) {
	s := New()
	asked(t, s, "1", answered(0, 0), monday)
	first := s.Place(promptOf(t, rules, "2", ""), monday.Add(time.Minute))
	second := s.Place(promptOf(t, rules, "3", ""), monday.Add(time.Minute))
	if first.Use() != "write 5m" || second.Use() != "" {
		t.Errorf("%q, then %q", first.Use(), second.Use())
	}
}

func TestWhatIsLeftAlone(t *testing.T) {
	for name, change := range map[string]func(p *Prompt){
		"a point of the caller's": func(p *Prompt) { *p = *promptOf(t, rules, "2", `,{"cachePoint":{"type":"default"}}`) },
		"too short":               func(p *Prompt) { *p = *promptOf(t, "be kind", "2", "") },
		"no price":                func(p *Prompt) { p.Price = nil },
		"no cache":                func(p *Prompt) { p.Cache = nil },
		"off":                     func(p *Prompt) { p.Inject = false },
		"another model":           func(p *Prompt) { p.Model = "n" },
		"another tenant":          func(p *Prompt) { p.Tenant = "u" },
		"another region":          func(p *Prompt) { p.Region = "eu-west-1" },
	} {
		s := New()
		few := answered(0, 0)
		few.Usage.Input = wire.Known(minimum)
		s.Ended(s.Place(promptOf(t, "be kind", "1", ""), monday), few, monday)
		asked(t, s, "1", answered(0, 0), monday)
		p := promptOf(t, rules, "2", "")
		change(p)
		if at := s.Place(p, monday.Add(time.Minute)); at != nil && len(at.Splices) > 0 {
			t.Errorf("%s: %s", name, at.Splices[0].Text)
		}
	}
}

func TestRefusedPointsRest(t *testing.T) {
	s := New()
	asked(t, s, "1", answered(0, 0), monday)
	if got := asked(t, s, "2", &Answer{Fate: Refused}, monday.Add(time.Minute)); got != "write 5m" {
		t.Fatal(got)
	}
	if got := asked(t, s, "3", answered(0, 0), monday.Add(2*time.Minute)); got != "" {
		t.Errorf("after a refusal: %q", got)
	}
}

// TestWarmByPrompt: what a caller's own points filled is warm, for its lifetime and its prompts
// alone.
func TestWarmByPrompt(t *testing.T) {
	const point = `,{"cachePoint":{"type":"default"}}`
	s, p := New(), promptOf(t, rules, "1", point)
	s.Ended(s.Place(p, monday), answered(0, 99), monday)
	for _, c := range []struct {
		p     *Prompt
		after time.Duration
		warm  bool
		known bool
	}{
		{promptOf(t, rules, "2", point), time.Minute, true, true},
		{promptOf(t, rules, "2", point), 5 * time.Minute, false, true},
		{promptOf(t, "x"+rules, "2", point), time.Minute, false, false},
	} {
		if tokens, known := s.Warm(c.p, monday.Add(c.after)); (tokens > 0) != c.warm || known != c.known {
			t.Errorf("after %s: %d tokens, known %v", c.after, tokens, known)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := New()
	for i := range maxKept + 100 {
		s.keep(uint64(i), &prefix{fresh: i%3 == 0})
	}
	if len(s.kept) != maxKept || len(s.ring) != maxKept {
		t.Errorf("%d prefixes, %d in the ring", len(s.kept), len(s.ring))
	}
	for i := range maxTenants + 1 {
		if got := s.tenant(fmt.Sprint(i)); (got == nil) != (i == maxTenants) {
			t.Fatalf("tenant %d: %v", i, got)
		}
	}
}

// TestTheFirstDifferingByte: prompts that differ by a time at their beginning are told of, and
// no word of them is.
func TestTheFirstDifferingByte(t *testing.T) {
	s := New()
	for i := range 5 {
		now := monday.Add(time.Duration(i) * time.Minute)
		s.Ended(s.Place(promptOf(t, now.Format(time.RFC3339)+" "+rules, "hi", ""), now), answered(0, 0), now)
	}
	rows := s.Report(monday)
	if len(rows) != 1 || len(rows[0].Differing) != 1 {
		t.Fatalf("%+v", rows)
	}
	d := rows[0].Differing[0]
	if d.Part != "system" || d.Byte != len(`[{"text":"`) || d.Kind != "timestamp" || d.Seen != 4 || d.Weekly(monday) <= 0 {
		t.Errorf("%+v", d)
	}
}

// TestOffCostsNothing: without the setting and without points nothing is kept of a prompt.
func TestOffCostsNothing(t *testing.T) {
	s, p := New(), promptOf(t, rules, "1", "")
	p.Inject = false
	if n := testing.AllocsPerRun(100, func() { s.Ended(s.Place(p, monday), nil, monday) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
