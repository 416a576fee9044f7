package gateway

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/cascade/memory"
	"github.com/sluice-gateway/sluice/internal/cascade/pairs"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

const observing = partnered + "    mode: observe\n    shadow: {tenant: platform/shadow, fraction: 1, usd_per_day: 20}\n"

// TestObserve serves the escalation model and asks the light ones afterwards, at
// the shadow tenant's cost.
func TestObserve(t *testing.T) {
	s := compiled(t, observing)
	light, partner := reply{text: "Sure: the answer is 42", after: time.Second}, reply{text: "the answer is 42.0"}
	strong := reply{text: "secret thoughts; the answer is 41"}
	for _, op := range []wire.Operation{wire.OpConverse, wire.OpConverseStream} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(27 * 366 * 24 * time.Hour) // a bubble starts in 2000, when nothing had a price
			b := newBench(s, byModel(light, partner, strong))
			b.line.shadows.Pairs.Dir = t.TempDir()
			b.books.cost = 7
			began := time.Now()
			got := b.do(b.ask(t.Context(), op, hello))
			if got.path != "direct" || got.reason != "mode_observe" || !time.Now().Equal(began) {
				t.Errorf("%s %q after %v", got.path, got.reason, time.Since(began))
			}
			b.line.Close(t.Context())
			want := []string{"direct mode_observe completed served escalated", "shadow shadow completed",
				"shadow shadow completed"}
			if diff := cmp.Diff(want, b.books.rows()); diff != "" {
				t.Error(diff)
			}
			for _, start := range b.books.starts {
				if tenant := map[bool]string{true: "platform/shadow",
					false: "acme/support"}[start.Path == "shadow"]; start.Tenant != tenant {
					t.Errorf("%s is charged to %s", start.Path, start.Tenant)
				}
			}
			wantPair(t, b.line.shadows.Pairs.Dir)
		})
	}
}

func wantPair(t *testing.T, dir string) {
	t.Helper()
	data, err := os.ReadFile(pairs.File(dir, "support"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("secret")) || bytes.Contains(data, []byte("hello")) ||
		bytes.Contains(data, []byte("42")) && strings.Contains(string(data), "answer is") {
		t.Errorf("the log holds content: %s", data)
	}
	n := 0
	_, err = pairs.Read(bytes.NewReader(data), func(p *pairs.Pair) error {
		n++
		if p.Partner != "same" || p.Label != "different" || p.Risk == nil || *p.Risk >= 1 || p.Veto != "" ||
			p.Second == nil ||
			p.Light != (pairs.Leg{Model: lightModel, Input: 10, Output: 5, Cost: 7}) || p.Escalation.Model != escalationModel {
			t.Errorf("%s", data)
		}
		return nil
	})
	if n != 1 || err != nil {
		t.Errorf("%d pairs, %v", n, err)
	}
}

// TestPairOfVetoedPartner logs the risk that a request would have in service,
// where a partner's answer that would not be served is no opinion.
func TestPairOfVetoedPartner(t *testing.T) {
	s := compiled(t, observing)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(27 * 366 * 24 * time.Hour)
		b := newBench(s, byModel(reply{text: "the answer is 42"},
			reply{text: "I'm sorry, but I can't help with that; the answer is 42"}, reply{text: "42"}))
		b.line.shadows.Pairs.Dir = t.TempDir()
		b.do(b.ask(t.Context(), wire.OpConverse, hello))
		b.line.Close(t.Context())
		f, err := os.Open(pairs.File(b.line.shadows.Pairs.Dir, "support"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, err = pairs.Read(f, func(p *pairs.Pair) error {
			if p.Risk != nil || p.Partner != "unknown" || p.Veto != "" {
				t.Errorf("%+v", p)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestShadowsKeepToTheirBounds has what must keep a shadow from being taken.
func TestShadowsKeepToTheirBounds(t *testing.T) {
	f := func(name, settings string, sample float64, want int) {
		t.Helper()
		s := compiled(t, settings)
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(27 * 366 * 24 * time.Hour)
			b := newBench(s, byModel(reply{text: "light"}, reply{text: "partner"}, reply{text: "strong"}))
			b.line.shadows.Random = func() float64 { return sample }
			b.do(b.ask(t.Context(), wire.OpConverse, hello))
			b.line.Close(t.Context())
			if got := len(b.books.starts) - 1; got != want {
				t.Errorf("%s: %d shadow legs, want %d", name, got, want)
			}
		})
	}
	observe := "    mode: observe\n    shadow: {tenant: platform/shadow, fraction: 0.5, "
	f("sampled", observe+"usd_per_day: 20}\n", 0.49, 1)
	f("not sampled", observe+"usd_per_day: 20}\n", 0.5, 0)
	f("no budget left", observe+"usd_per_day: 0.0001}\n", 0, 0)
	f("nobody pays", "    mode: observe\n", 0, 0)
	f("rules alone", "    mode: rules\n    shadow: {tenant: platform/shadow, fraction: 1}\n", 0, 0)
	f("nobody pays in check", "    mode: check\n", 0, 0)
}

// TestCheckIsSampled asks the escalation model after a light answer, for its
// length, and never twice where it served.
func TestCheckIsSampled(t *testing.T) {
	f := func(light string, want ...string) {
		t.Helper()
		s := compiled(t, partnered+"    shadow: {tenant: platform/shadow, fraction: 1}\n")
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(27 * 366 * 24 * time.Hour)
			b := newBench(s, byModel(reply{text: light}, reply{text: "42"}, reply{text: "strong"}))
			b.do(b.ask(t.Context(), wire.OpConverse, hello))
			b.line.Close(t.Context())
			if diff := cmp.Diff(want, b.books.rows()); diff != "" {
				t.Error(diff)
			}
		})
	}
	f("42", "light completed served", "partner completed", "shadow shadow completed")
	f("41", "light completed wasted", "partner completed wasted", "escalated disagree completed served escalated")
}

func TestAllowance(t *testing.T) {
	var a memory.Allowance
	day := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	f := func(worst money.Pico, at time.Time, want bool) {
		t.Helper()
		if got := a.Take(worst, 10, at); got != want {
			t.Errorf("%d: %v", worst, got)
		}
	}
	f(6, day, true)
	f(6, day, false)
	a.Settle(6, 2)
	f(8, day, true)
	f(1, day, false)
	f(10, day.Add(24*time.Hour), true)
}

// TestShadowsAreNotRepeated leaves a throttled upstream to the callers.
func TestShadowsAreNotRepeated(t *testing.T) {
	s := compiled(t, observing)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(27 * 366 * 24 * time.Hour)
		b := newBench(s, byModel(reply{status: 429}, reply{status: 503}, reply{text: "strong"}))
		b.do(b.ask(t.Context(), wire.OpConverse, hello))
		b.line.Close(t.Context())
		want := []string{"direct mode_observe completed served escalated", "shadow shadow failed", "shadow shadow failed"}
		if diff := cmp.Diff(want, b.books.rows()); diff != "" {
			t.Error(diff)
		}
	})
}
