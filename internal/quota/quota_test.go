package quota

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestBurndown has the rates of the source, for each generation that it names.
func TestBurndown(t *testing.T) {
	for foundation, want := range map[string]int64{
		"anthropic.claude-opus-4-8": 15, "anthropic.claude-sonnet-5": 10, "anthropic.claude-opus-5": 10,
		"anthropic.claude-fable-5-1": 10, "anthropic.claude-opus-4-7": 5, "anthropic.claude-sonnet-4-5-20250929-v1:0": 5,
		"anthropic.claude-3-7-sonnet-20250219-v1:0": 5, "anthropic.claude-sonnet-4-20250514-v1:0": 5,
		"anthropic.claude-3-5-sonnet-20241022-v2:0": 1, "amazon.nova-pro-v1:0": 1, "openai.gpt-oss-120b-1:0": 1, "": 1,
	} {
		if got := Burndown(foundation); got != want {
			t.Errorf("%s: %d, want %d", foundation, got, want)
		}
	}
}

// one is a single place, for a call that takes so much.
func one(l Limits, tokens int64) []Place { return []Place{{Limits: l, Ask: Ask{Input: tokens}}} }

// admitted is one call of the model: when it was admitted, and what it took in the end.
type admitted struct {
	at     time.Time
	tokens int64
}

// TestNeverMore: whatever calls come, for what, and however long they last, what is admitted within any minute is
// within the quota, by a list of all of them; and nobody waits longer than may be.
func TestNeverMore(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			limits := Limits{
				Tokens: 1000 + random.Int64N(5000), Requests: random.Int64N(3) * 20,
				Wait: time.Duration(random.Int64N(3)) * 20 * time.Second, Waiting: random.IntN(30),
			}
			s := Store{Now: time.Now}
			var mu sync.Mutex
			var all []*admitted
			var calls sync.WaitGroup
			for range 300 {
				time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
				asks := 1 + random.Int64N(limits.Tokens+limits.Tokens/20)
				takes := random.Int64N(asks + 1)
				lasts := time.Duration(random.Int64N(int64(100 * time.Second)))
				calls.Go(func() {
					began := time.Now()
					h, _, outcome := s.Admit(t.Context(), t.Context(), one(limits, asks))
					if waited := time.Since(began); waited > limits.Wait {
						t.Errorf("seed %d: a call waited %s of %s", seed, waited, limits.Wait)
					}
					if (outcome == TooLarge) != (asks > limits.Tokens) || outcome == Left {
						t.Errorf("seed %d: %d of %d tokens: outcome %d", seed, asks, limits.Tokens, outcome)
					}
					if h == nil {
						return
					}
					call := &admitted{time.Now(), asks}
					mu.Lock()
					all = append(all, call)
					within(t, seed, all, &limits)
					mu.Unlock()
					time.Sleep(lasts)
					mu.Lock()
					call.tokens = takes
					mu.Unlock()
					h.Settle(takes, 0)
					h.Settle(0, 0)
				})
			}
			calls.Wait()
		})
	}
}

// within fails when more than the quota was admitted in the minute that ends now.
func within(t *testing.T, seed uint64, all []*admitted, limits *Limits) {
	t.Helper()
	tokens, requests := int64(0), int64(0)
	for _, one := range all {
		if time.Since(one.at) < time.Minute {
			tokens, requests = tokens+one.tokens, requests+1
		}
	}
	if tokens > limits.Tokens || limits.Requests > 0 && requests > limits.Requests {
		t.Errorf("seed %d: %d tokens and %d requests in a minute, of %+v", seed, tokens, requests, *limits)
	}
}

// TestInOrder: those who wait are admitted in the order in which they came, as soon as there is room, which is when
// others end or a minute has passed.
func TestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Store{Now: time.Now}
		limits := Limits{Tokens: 100, Wait: 5 * time.Minute, Waiting: 3}
		first, _, _ := s.Admit(t.Context(), t.Context(), one(limits, 100))
		var mu sync.Mutex
		var order []int
		var calls sync.WaitGroup
		for i := range 3 {
			calls.Go(func() {
				h, _, _ := s.Admit(t.Context(), t.Context(), one(limits, 60))
				mu.Lock()
				defer mu.Unlock()
				if order = append(order, i); h == nil {
					t.Error(i, "was not admitted")
				}
			})
			synctest.Wait()
		}
		if _, _, outcome := s.Admit(t.Context(), t.Context(), one(limits, 1)); outcome != Full {
			t.Error("the line is full:", outcome)
		}
		if st := s.States()[0]; st.Waiting != 3 || st.Tokens != 100 || st.Running != 100 {
			t.Errorf("there is a line: %+v", st)
		}
		began := time.Now()
		first.Settle(40, 0)
		synctest.Wait()
		mu.Lock()
		if st := s.States()[0]; len(order) != 1 || st.Tokens != 100 || st.Running != 60 {
			t.Errorf("room at once is for %v: %+v", order, st)
		}
		mu.Unlock()
		calls.Wait()
		if took := time.Since(began); took < 2*time.Minute || took > 2*time.Minute+3*time.Second ||
			!slices.Equal(order, []int{0, 1, 2}) {
			t.Errorf("order %v after %s", order, took)
		}
	})
}

// TestGivesUp: who waits leaves the line when the wait is over or the caller is gone, and those behind go on.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Store{Now: time.Now}
		limits := Limits{Tokens: 100, Wait: 10 * time.Second, Waiting: 3}
		h, _, _ := s.Admit(t.Context(), t.Context(), one(limits, 50))
		gone, leave := context.WithCancel(t.Context())
		got := make(chan Outcome, 3)
		go func() { _, _, o := s.Admit(t.Context(), gone, one(limits, 90)); got <- o }()
		synctest.Wait()
		go func() { _, _, o := s.Admit(t.Context(), t.Context(), one(limits, 40)); got <- o }()
		synctest.Wait()
		leave()
		if a, b := <-got, <-got; a+b != Left+Admitted {
			t.Error(a, b)
		}
		go func() { _, _, o := s.Admit(t.Context(), t.Context(), one(limits, 90)); got <- o }()
		if o := <-got; o != Late {
			t.Error(o)
		}
		h.Settle(50, 0)
		if sums := s.States()[0].Sums; sums.Waited != 1 || sums.Refused != 2 || sums.Held != 50 || sums.Used != 50 {
			t.Errorf("%+v", sums)
		}
	})
}

// TestHeadroom compares with every answer by itself: what a cap that 99 of 100 keep to frees.
func TestHeadroom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var a answers
	type call struct{ asked, length, rate int64 }
	var all []call
	for range 1000 {
		c := call{asked: 1 + random.Int64N(64000), rate: []int64{1, 5, 15}[random.IntN(3)]}
		c.length = 1 + random.Int64N(min(c.asked, 700))
		all = append(all, c)
		a.add(c.asked, c.length, c.rate)
	}
	most, freed := a.headroom()
	keep, want := 0, int64(0)
	for _, c := range all {
		if c.length <= most {
			keep++
		}
		want += max(0, c.asked-most) * c.rate
	}
	if most != 1024 || keep < 990 || freed != want {
		t.Errorf("a cap of %d frees %d, want %d; %d keep to it", most, freed, want, keep)
	}
	if most, freed := (&answers{}).headroom(); most != 0 || freed != 0 {
		t.Error(most, freed)
	}
}

// TestLinesOfAll has calls come that may go to several quotas, at random. Each quota keeps to its minute, nobody waits
// while there is room for the first in line, and in the end all lines are empty.
func TestLinesOfAll(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 11))
			s := Store{Now: time.Now}
			var quotas [3]Limits
			for i := range quotas {
				quotas[i] = Limits{Tokens: 500 + random.Int64N(2000), Wait: time.Duration(random.IntN(40)) * time.Second,
					Waiting: random.IntN(20)}
			}
			var mu sync.Mutex
			var all [3][]*admitted
			var calls sync.WaitGroup
			for range 200 {
				time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
				asks, leaves := 1+random.Int64N(700), time.Duration(random.Int64N(int64(3*time.Minute)))
				lasts := time.Duration(random.Int64N(int64(90 * time.Second)))
				var places []Place
				var which []int
				for _, i := range random.Perm(3)[:1+random.IntN(3)] {
					places = append(places, Place{Key{Upstream: string('a' + rune(i))}, quotas[i], Ask{Input: asks}})
					which = append(which, i)
				}
				calls.Go(func() {
					gone, cancel := context.WithTimeout(t.Context(), leaves)
					defer cancel()
					h, at, outcome := s.Admit(t.Context(), gone, places)
					if (h != nil) != (outcome == Admitted) {
						t.Errorf("seed %d: outcome %d with %v", seed, outcome, h)
					}
					if h == nil {
						return
					}
					i := which[at]
					mu.Lock()
					all[i] = append(all[i], &admitted{time.Now(), asks})
					within(t, seed, all[i], &quotas[i])
					mu.Unlock()
					time.Sleep(lasts)
					h.Keep()
				})
			}
			calls.Wait()
			for _, one := range s.States() {
				if one.Waiting != 0 {
					t.Errorf("seed %d: %d stand in line in the end", seed, one.Waiting)
				}
			}
		})
	}
}

// TestManyWait has ten thousand calls in line of two quotas, half of whom leave. What they leave is others', no line
// has more than it may, and no call is admitted twice.
func TestManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, most = 10_000, 6_000
		s := Store{Now: time.Now}
		limits := Limits{Requests: 3_000, Wait: 90 * time.Second, Waiting: most}
		places := []Place{{Key{Upstream: "a"}, limits, Ask{}}, {Key{Upstream: "b"}, limits, Ask{}}}
		gone, leave := context.WithCancel(t.Context())
		var got [5]atomic.Int64
		var all sync.WaitGroup
		for i := range callers + 2*int(limits.Requests) {
			all.Go(func() {
				caller := t.Context()
				if i%2 == 0 {
					caller = gone
				}
				_, _, outcome := s.Admit(t.Context(), caller, places)
				got[outcome].Add(1)
			})
		}
		synctest.Wait()
		for _, one := range s.States() {
			if one.Waiting != most {
				t.Errorf("%d stand in a line of %d", one.Waiting, most)
			}
		}
		leave()
		all.Wait()
		if n := got[Admitted].Load(); n < 2*limits.Requests+most/4 || got[Left].Load() < most/4 || got[Late].Load() != 0 {
			t.Errorf("%d admitted, %d left, %d late, %d refused", n, got[Left].Load(), got[Late].Load(), got[Full].Load())
		}
		for _, one := range s.States() {
			if one.Waiting != 0 || one.Requests > limits.Requests {
				t.Errorf("%+v", one)
			}
		}
	})
}
