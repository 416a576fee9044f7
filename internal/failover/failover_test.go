package failover

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config/pools"
)

var epoch = time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)

const model = "us.anthropic.claude-sonnet-5"

var three = []pools.Member{{Upstream: "east", Weight: 5}, {Upstream: "west", Weight: 2}, {Upstream: "", Weight: 1}}

// TestWeights: with every number of calls, each member has had its share of them, to less than one call, while nothing
// fails.
func TestWeights(t *testing.T) {
	var s Store
	got := map[string]int{}
	for n := 1; n <= 800; n++ {
		all := s.Choose(&Call{Pool: "p", Order: pools.ByWeight, Members: three, Model: model}, epoch)
		if len(all) != 3 || all[0].Why != "weight" {
			t.Fatal(all)
		}
		got[all[0].Upstream]++
		for _, m := range three {
			if off := got[m.Upstream]*8 - n*m.Weight; off <= -8 || off >= 8 {
				t.Fatalf("after %d calls %q has had %d", n, m.Upstream, got[m.Upstream])
			}
		}
	}
}

// TestChoose: the warm member first, then by list; those that are out are left out; when all are, the one that returns
// first.
func TestChoose(t *testing.T) {
	var s Store
	warm := map[string]int64{}
	call := &Call{Pool: "p", Order: pools.AsListed, Members: three, Model: model,
		Warm: func(u string) int64 { return warm[u] }}
	f := func(at time.Duration, want ...Choice) {
		t.Helper()
		if diff := cmp.Diff(want, s.Choose(call, epoch.Add(at))); diff != "" {
			t.Errorf("at %s: %s", at, diff)
		}
	}
	f(0, Choice{"east", "listed"}, Choice{"west", "listed"}, Choice{"", "listed"})
	warm["west"], warm[""] = 900, 1000
	f(0, Choice{"", "warm"}, Choice{"west", "listed"}, Choice{"east", "listed"})
	if !s.Failed("", model, Throttled, 0, epoch) || s.Failed("", model, Throttled, 0, epoch) {
		t.Error("it was in once before")
	}
	f(0, Choice{"west", "warm"}, Choice{"east", "listed"})
	clear(warm)
	s.Failed("east", model, Unreached, 0, epoch)
	s.Failed("west", model, Breaker, 10*time.Second, epoch)
	f(0, Choice{"east", "out"})
	f(time.Second, Choice{"east", "listed"}, Choice{"", "listed"}) // east is being tried
	f(time.Second, Choice{"", "listed"})                           // and so is the default one
	f(time.Second, Choice{"east", "out"})
	if !s.Answered("east", model) || s.Answered("east", model) {
		t.Error("it was out once")
	}
	f(time.Second, Choice{"east", "listed"})
	call.Model = "another" // only what concerns all models is of this one too
	f(time.Second, Choice{"east", "listed"}, Choice{"west", "listed"}, Choice{"", "listed"})
	s.Failed("east", model, Refused, 0, epoch.Add(time.Second))
	f(time.Second, Choice{"west", "listed"}, Choice{"", "listed"})
}

// TestPause: who fails again when tried is out for twice as long, up to a minute; calls that began before change
// nothing.
func TestPause(t *testing.T) {
	var s Store
	at := epoch
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		s.Failed("east", model, Throttled, 0, at)
		s.Failed("east", model, Throttled, 0, at)
		all := s.Out(at)
		if len(all) != 1 || all[0].Until.Sub(at) != want*time.Second || !all[0].Since.Equal(epoch) {
			t.Fatalf("want %d s: %+v", want, all)
		}
		at = all[0].Until
	}
	at = at.Add(2 * time.Minute)
	if s.Failed("east", model, Throttled, 0, at); s.Out(at)[0].Until.Sub(at) != time.Second {
		t.Error("what was long ago counts")
	}
}

// TestChooseAlways: whatever fails and answers, and in which order, a call has a member; none that is out, unless all
// are; and each at most once.
func TestChooseAlways(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var s Store
		now := epoch
		for range 200 {
			now = now.Add(time.Duration(random.Int64N(int64(3 * time.Second))))
			out := map[string]bool{}
			for _, o := range s.Out(now) {
				out[o.Upstream] = true
			}
			all := s.Choose(&Call{Pool: "p", Order: pools.ByWeight, Members: three, Model: model}, now)
			want := max(len(three)-len(out), 1)
			seen := map[string]bool{}
			for _, c := range all {
				if seen[c.Upstream] || len(out) < len(three) && out[c.Upstream] {
					t.Fatalf("seed %d: %v while %v are out", seed, all, out)
				}
				seen[c.Upstream] = true
			}
			if len(all) != want {
				t.Fatalf("seed %d: %v while %v are out", seed, all, out)
			}
			if random.IntN(2) == 0 {
				s.Failed(all[0].Upstream, model, []Reason{Throttled, Unreached}[random.IntN(2)], 0, now)
			} else {
				s.Answered(all[0].Upstream, model)
			}
		}
	}
}
