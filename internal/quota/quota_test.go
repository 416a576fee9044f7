package quota

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
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
					h, outcome := s.Admit(t.Context(), t.Context(), Key{}, limits, Ask{Input: asks})
					if waited := time.Since(began); waited > limits.Wait {
						t.Errorf("seed %d: a call waited %s of %s", seed, waited, limits.Wait)
					}
					if (outcome == TooLarge) != (asks > limits.Tokens) || outcome == Left {
						t.Errorf("seed %d: %d of %d tokens: outcome %d", seed, asks, limits.Tokens, outcome)
					}
					if h == nil {
						return
					}
					one := &admitted{time.Now(), asks}
					mu.Lock()
					all = append(all, one)
					within(t, seed, all, &limits)
					mu.Unlock()
					time.Sleep(lasts)
					mu.Lock()
					one.tokens = takes
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
		first, _ := s.Admit(t.Context(), t.Context(), Key{}, limits, Ask{Input: 100})
		var mu sync.Mutex
		var order []int
		var calls sync.WaitGroup
		for i := range 3 {
			calls.Go(func() {
				h, _ := s.Admit(t.Context(), t.Context(), Key{}, limits, Ask{Input: 60})
				mu.Lock()
				defer mu.Unlock()
				if order = append(order, i); h == nil {
					t.Error(i, "was not admitted")
				}
			})
			synctest.Wait()
		}
		if _, outcome := s.Admit(t.Context(), t.Context(), Key{}, limits, Ask{Input: 1}); outcome != Full {
			t.Error("the line is full:", outcome)
		}
		if s.Room(Key{}, limits, 1) || s.States()[0].Waiting != 3 {
			t.Error("there is a line")
		}
		began := time.Now()
		first.Settle(40, 0)
		synctest.Wait()
		mu.Lock()
		if len(order) != 1 {
			t.Error("room at once is for", order)
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
		h, _ := s.Admit(t.Context(), t.Context(), Key{}, limits, Ask{Input: 50})
		gone, leave := context.WithCancel(t.Context())
		got := make(chan Outcome, 3)
		go func() { _, o := s.Admit(t.Context(), gone, Key{}, limits, Ask{Input: 90}); got <- o }()
		synctest.Wait()
		go func() { _, o := s.Admit(t.Context(), t.Context(), Key{}, limits, Ask{Input: 40}); got <- o }()
		synctest.Wait()
		leave()
		if a, b := <-got, <-got; a+b != Left+Admitted {
			t.Error(a, b)
		}
		go func() { _, o := s.Admit(t.Context(), t.Context(), Key{}, limits, Ask{Input: 90}); got <- o }()
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
