package pool

import (
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

const mib = 1 << 20

func open(p *Pool) *Account {
	a := new(Account)
	p.Open(a)
	return a
}

// E4: what is not proven gets a quarter at most, one key id an eighth and one tenant a
// half, but never less than one body; small bodies find room beside all of it.
func TestShares(t *testing.T) {
	p := New(Limits{Bytes: 800 * mib, Body: 25 * mib}, nil)
	count := func(n int64, claim, tenant string, u Use) (taken int) {
		for {
			a := open(p)
			if tenant != "" {
				a.Prove(tenant)
			} else {
				a.Claim(claim)
			}
			if !a.Try(n, u) {
				return taken
			}
			taken++
		}
	}
	f := func(name string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	f("one key id", count(10*mib, "a", "", Large), 10)
	f("another", count(10*mib, "b", "", Large), 10)
	f("no quarter is left", count(10*mib, "c", "", Large), 0)
	f("a tenant", count(10*mib, "", "acme", Large), 40)
	f("its answers", count(10*mib, "", "acme", Answer), 10)
	f("another has what is left for bodies", count(10*mib, "", "other", Large), 0)
	f("and for answers", count(10*mib, "", "other", Answer), 5)
	f("small bodies", count(mib, "", "acme", Small), 50)
	f("nothing", count(1, "", "x", Small), 0)
}

// A share is never less than a body, or no large one would ever be served.
func TestOneBodyFits(t *testing.T) {
	p := New(Limits{Bytes: 1 << 30, Total: 40 * mib, Body: 25 * mib}, nil)
	a := open(p)
	a.Claim("key")
	if !a.Try(25*mib, Large) || !a.Prove("acme") {
		t.Error("one body does not fit")
	}
	if b := open(p); b.Try(25*mib, Large) {
		t.Error("two do")
	}
	if p.Holds(36*mib, Large) || !p.Holds(35*mib, Large) {
		t.Error("Holds is not the bound of large bodies")
	}
}

// Many bodies that come together must not take all room in parts: who waits with most goes first,
// also before those who need less.
func TestWhoHasMostGoesFirst(t *testing.T) {
	p := New(Limits{Bytes: 80 * mib, Body: 80 * mib}, nil) // 70 of it for large bodies
	most, some, other := open(p), open(p), open(p)
	for a, n := range map[*Account]int64{most: 30 * mib, some: 20 * mib, other: 15 * mib} {
		if !a.Try(n, Large) {
			t.Fatal("no room")
		}
	}
	took := make(chan bool)
	go func() { took <- most.Take(25*mib, Large) }()
	for waits := false; !waits; {
		p.mu.Lock()
		waits = p.first == most
		p.mu.Unlock()
	}
	if some.Try(mib, Large) || open(p).Try(1, Large) {
		t.Error("who has less is given what the one that waits lacks")
	}
	if !open(p).Try(mib, Small) || !open(p).Try(mib, Answer) {
		t.Error("small bodies and answers wait for a large one")
	}
	other.Give(15*mib, Large)
	some.Give(20*mib, Large)
	if !<-took {
		t.Error("there was room, and it was not taken")
	}
	if !other.Try(mib, Large) {
		t.Error("nobody waits any more, and nobody is let in")
	}
}

// What connections and requests take beside bodies is not there for bodies.
func TestFixed(t *testing.T) {
	var fixed atomic.Int64
	p := New(Limits{Bytes: 80 * mib, Total: 100 * mib, Body: mib}, fixed.Load)
	if a := open(p); !a.Try(80*mib, Small) {
		t.Error("80 MB are not there")
	} else {
		a.Give(80*mib, Small)
	}
	if got := p.ForLarge(); got != 70*mib {
		t.Errorf("large bodies are refused from %d on", got)
	}
	fixed.Store(60 * mib)
	if got := p.ForLarge(); got != 35*mib {
		t.Errorf("large bodies are refused from %d on, beside what is fixed", got)
	}
	if a := open(p); a.Try(41*mib, Small) || !a.Try(40*mib, Small) {
		t.Error("what is fixed does not count")
	}
}

// A nil account has all bytes that there are.
func TestNil(t *testing.T) {
	var a *Account
	a.Claim("x")
	if !a.Take(1<<60, Large) || !a.Prove("x") || !a.Grow(1<<60) {
		t.Error("a nil account is bounded")
	}
	a.Give(1, Large)
	a.Close()
}

// Whoever waits gets what another gives back.
func TestWaits(t *testing.T) {
	p := New(Limits{Bytes: 8 * mib, Body: mib}, nil)
	a, b := open(p), open(p)
	if !a.Take(7*mib, Large) {
		t.Fatal("no room")
	}
	var got atomic.Bool
	var done sync.WaitGroup
	done.Go(func() { got.Store(b.Take(mib, Large)) })
	a.Close()
	a.Close()
	if done.Wait(); !got.Load() {
		t.Error("nothing was given on")
	}
}

// Whatever accounts do, nothing is left when all are closed, and no bound is passed.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Bytes: rapid.Int64Range(1, 1000).Draw(t, "bytes") * mib, Body: 2 * mib}
		p := New(limits, nil)
		type state struct {
			a    *Account
			held [3]int64
		}
		var all []*state
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(all) == 0 || rapid.IntRange(0, 4).Draw(t, "new") == 0 {
				s := &state{a: open(p)}
				s.a.Claim(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "key"))
				all = append(all, s)
			}
			s := rapid.SampledFrom(all).Draw(t, "account")
			u := rapid.SampledFrom([]Use{Small, Large, Answer}).Draw(t, "use")
			switch rapid.IntRange(0, 3).Draw(t, "do") {
			case 0, 1:
				if n := rapid.Int64Range(0, 300*mib).Draw(t, "n"); s.a.Try(n, u) {
					s.held[u] += n
				}
			case 2:
				n := s.held[u] / 2
				s.a.Give(n, u)
				s.held[u] -= n
			case 3:
				if p.shares[owner{"x", true}]+s.a.large <= p.share(owner{"x", true}, Large) {
					s.a.Prove("x")
				}
			}
			if p.used > limits.Bytes || p.unproven > max(limits.Bytes/4, 4*mib) || p.unproven < 0 {
				t.Fatalf("%d used, %d of it not proven", p.used, p.unproven)
			}
		}
		for _, s := range all {
			s.a.Close()
			s.a.Close()
		}
		if p.InUse() != 0 || p.unproven != 0 || len(p.shares) != 0 {
			t.Fatalf("left: %d, %d, %v", p.InUse(), p.unproven, p.shares)
		}
	})
}

// The way of an ordinary request costs no allocation.
func TestNoAllocation(t *testing.T) {
	p := New(Limits{Bytes: 1 << 30, Body: 25 * mib}, nil)
	var a Account
	if n := testing.AllocsPerRun(100, func() {
		p.Open(&a)
		a.Claim("key")
		a.Take(2048, Small)
		a.Prove("acme")
		a.Give(2048, Small)
		a.Close()
		a.Close()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
