package budget

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func compile(t testing.TB, tenants ...config.Tenant) *Policies {
	t.Helper()
	for i := range tenants {
		for k := range tenants[i].Budgets {
			if tenants[i].Budgets[k].TimeZone == "" {
				tenants[i].Budgets[k].TimeZone = "UTC"
			}
		}
	}
	p, err := Compile(tenants)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dollars of budget for a tenant, by the month.
func monthly(id string, usd money.Pico, onExceed string) config.Tenant {
	return config.Tenant{ID: id, OnLedgerLoss: "lease_only", Budgets: []config.Budget{
		{Period: "month", USD: usd, OnExceed: onExceed},
	}}
}

// usd is what a request may come to, in nano-dollars.
func usd(nano int64) Amounts { return Amounts{nano, 10, 1, 1} }

func newLimiter(t testing.TB, leaser ledger.Leaser, writer string) *Limiter {
	t.Helper()
	return New(Options{Leaser: leaser, Writer: writer, Epoch: 1})
}

func closeLimiter(t testing.TB, d *Limiter) {
	t.Helper()
	if err := d.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// spend is one request: reserved, attempted, posted and settled.
func spend(d *Limiter, m *modelLeaser, writer string, c *Claim, spent Amounts) *Refusal {
	res, refusal := d.Reserve(context.Background(), c, d.opts.Now())
	if refusal != nil {
		return refusal
	}
	defer res.Release()
	h := res.Attempt(c.Cost)
	m.post(writer, charged(h, spent))
	h.Settle(spent)
	return nil
}

// charged is what a completed attempt posts.
func charged(h *Hold, spent Amounts) []record.Charge {
	charges := h.Charges()
	for i := range charges {
		charges[i].Amount = spent[charges[i].Window.Unit]
	}
	return charges
}

func TestLastDollar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		m.delay = time.Millisecond
		p := compile(t, monthly("acme", money.Dollar, "reject"), monthly("acme/team", 2*money.Dollar, "reject"),
			monthly("acme/team/app", money.Dollar, "reject"))
		var limiters []*Limiter
		for _, w := range []string{"a", "b", "c", "d"} {
			limiters = append(limiters, newLimiter(t, m, w))
		}
		var served, refused int
		var mu sync.Mutex
		var all sync.WaitGroup
		claim := &Claim{Policy: p.For("acme/team/app"), Cost: usd(30_000_000)}
		for i := range 1000 {
			all.Go(func() {
				d := limiters[i%4]
				refusal := spend(d, m, d.opts.Writer, claim, claim.Cost)
				mu.Lock()
				defer mu.Unlock()
				if refusal == nil {
					served++
				} else {
					refused++
				}
			})
		}
		all.Wait()
		for _, d := range limiters {
			closeLimiter(t, d)
		}
		if served != 33 || refused != 967 {
			t.Errorf("%d served and %d refused, want 33 and 967", served, refused)
		}
		if m.broken != nil {
			t.Error(m.broken)
		}
		for w := range m.windows {
			if s := m.state(w); s.Held != 0 || s.Posted != 33*30_000_000 {
				t.Errorf("%v: %+v", w.Tenant, s)
			}
		}
		t.Logf("%d ledger calls", m.count())
	})
}

func TestRefusalSaysWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(
			t,
			monthly("acme", money.Dollar, "reject"),
			config.Tenant{ID: "acme/app", Limits: config.Limits{RequestsPerMinute: 2}},
		)
		d := newLimiter(t, m, "a")
		defer closeLimiter(t, d)
		f := func(cost Amounts, unit record.Unit, tenant string, limit, posted int64) {
			t.Helper()
			refusal := spend(d, m, "a", &Claim{Policy: p.For("acme/app"), Cost: cost}, cost)
			if refusal == nil || refusal.Reason != UsedUp {
				t.Fatalf("got %+v", refusal)
			}
			if refusal.Window.Unit != unit || refusal.Window.Tenant != tenant || refusal.Limit != limit ||
				refusal.Posted != posted {
				t.Errorf("got %+v", refusal)
			}
			if !refusal.Until.Equal(refusal.Window.End) {
				t.Errorf("resets at %v", refusal.Until)
			}
		}
		f(usd(2_000_000_000), record.UnitUSD, "acme", 1_000_000_000, 0)
		for range 2 {
			if r := spend(d, m, "a", &Claim{Policy: p.For("acme/app"), Cost: usd(1000)}, usd(1000)); r != nil {
				t.Fatalf("%+v", r)
			}
		}
		f(usd(1000), record.UnitRequests, "acme/app", 2, 2)
		time.Sleep(time.Minute)
		if r := spend(d, m, "a", &Claim{Policy: p.For("acme/app"), Cost: usd(1000)}, usd(1000)); r != nil {
			t.Errorf("the next minute: %+v", r)
		}
	})
}

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, config.Tenant{ID: "acme", Limits: config.Limits{ConcurrentRequests: 2}})
		d := newLimiter(t, m, "a")
		defer closeLimiter(t, d)
		reserve := func() (*Reservation, *Refusal) {
			return d.Reserve(t.Context(), &Claim{Policy: p.For("acme"), Cost: usd(1)}, time.Now())
		}
		one, r1 := reserve()
		two, r2 := reserve()
		_, r3 := reserve()
		if r1 != nil || r2 != nil || r3 == nil {
			t.Fatalf("%v, %v, %v", r1, r2, r3)
		}
		if c := one.Attempt(usd(1)).Charges(); len(c) != 0 {
			t.Errorf("concurrency is charged: %v", c)
		}
		one.Release()
		one.Release()
		three, r4 := reserve()
		_, r5 := reserve()
		if r4 != nil || r5 == nil {
			t.Fatalf("%v, %v", r4, r5)
		}
		two.Release()
		three.Release()
	})
}

func TestIdleSlicesGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme", 1000*money.Dollar, "reject"))
		d := newLimiter(t, m, "a")
		claim := &Claim{Policy: p.For("acme"), Cost: usd(1_000_000)}
		for range 100 {
			if r := spend(d, m, "a", claim, claim.Cost); r != nil {
				t.Fatal(r)
			}
			time.Sleep(10 * time.Millisecond)
		}
		w := p.For("acme").limits[0].windowOf(time.Now())
		if m.state(w).Held == 0 {
			t.Error("nothing was leased")
		}
		time.Sleep(2500 * time.Millisecond)
		if s := m.state(w); s.Held != 0 || s.Posted != 100_000_000 {
			t.Errorf("after a while: %+v", s)
		}
		closeLimiter(t, d)
	})
}

func TestRecallBeforeRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme", money.Dollar, "reject"))
		a, b := newLimiter(t, m, "a"), newLimiter(t, m, "b")
		claim := &Claim{Policy: p.For("acme"), Cost: usd(700_000_000)}
		res, refusal := a.Reserve(t.Context(), claim, time.Now())
		if refusal != nil {
			t.Fatal(refusal)
		}
		res.Release() // 0.7 of 1 dollar is idle at a now
		if r := spend(b, m, "b", claim, claim.Cost); r != nil {
			t.Errorf("refused while another gateway held an idle lease: %+v", r)
		}
		closeLimiter(t, a)
		closeLimiter(t, b)
	})
}

func TestWindowRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, config.Tenant{ID: "acme", Limits: config.Limits{TokensPerMinute: 100}})
		d := newLimiter(t, m, "a")
		claim := &Claim{Policy: p.For("acme"), Cost: usd(1)} // 10 tokens
		res, refusal := d.Reserve(t.Context(), claim, time.Now())
		if refusal != nil {
			t.Fatal(refusal)
		}
		before := p.For("acme").limits[0].windowOf(time.Now())
		h := res.Attempt(claim.Cost)
		time.Sleep(90 * time.Second)
		m.post("a", charged(h, Amounts{0, 7, 1, 1}))
		h.Settle(Amounts{0, 7, 1, 1})
		res.Release()
		if s := m.state(before); s.Posted != 7 {
			t.Errorf("the window of the hold has %+v", s)
		}
		time.Sleep(3 * time.Second)
		if s := m.state(before); s.Held != 0 {
			t.Errorf("the old window holds %+v", s)
		}
		r := d.root("acme")
		r.mu.Lock()
		if len(r.accounts.byWindow) != 0 {
			t.Errorf("%d accounts are kept", len(r.accounts.byWindow))
		}
		r.mu.Unlock()
		closeLimiter(t, d)
	})
}

func TestUnknownStaysHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme", money.Dollar, "reject"))
		d := newLimiter(t, m, "a")
		claim := &Claim{Policy: p.For("acme"), Cost: usd(600_000_000)}
		res, _ := d.Reserve(t.Context(), claim, time.Now())
		h := res.Attempt(claim.Cost)
		charges := h.Charges()
		for i := range charges {
			charges[i].Suspense = true
		}
		m.post("a", charges)
		h.Unknown()
		h.Settle(Amounts{}) // changes nothing
		if _, refusal := d.Reserve(t.Context(), claim, time.Now()); refusal == nil || refusal.Suspense != 600_000_000 {
			t.Errorf("a retry after an unknown attempt: %+v", refusal)
		}
		res.Release()
		closeLimiter(t, d)
		if m.broken != nil {
			t.Error(m.broken)
		}
	})
}

func TestReleasedAttemptIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme", money.Dollar, "reject"))
		d := newLimiter(t, m, "a")
		claim := &Claim{Policy: p.For("acme"), Cost: usd(900_000_000)}
		res, _ := d.Reserve(t.Context(), claim, time.Now())
		first := res.Attempt(claim.Cost)
		first.Release()
		second := res.Attempt(claim.Cost)
		if got := second.Charges(); len(got) != 1 || got[0].Amount != 900_000_000 {
			t.Errorf("the second attempt holds %+v", got)
		}
		m.post("a", charged(second, Amounts{1}))
		second.Settle(Amounts{1})
		res.Release()
		closeLimiter(t, d)
		if m.broken != nil {
			t.Error(m.broken)
		}
	})
}

func TestLightOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		tenant := monthly("acme", money.Dollar, "light_only")
		tenant.Budgets[0].HardUSD = 2 * money.Dollar
		p := compile(t, tenant)
		d := newLimiter(t, m, "a")
		defer closeLimiter(t, d)
		full := &Claim{Policy: p.For("acme"), Cost: usd(500_000_000)}
		light := &Claim{Policy: p.For("acme"), Cost: usd(500_000_000), Class: LightOnly}
		f := func(c *Claim, refused, lightOnly bool) {
			t.Helper()
			r := spend(d, m, "a", c, c.Cost)
			if (r != nil) != refused || r != nil && r.LightOnly != lightOnly {
				t.Errorf("got %+v, want refused %v, light only %v", r, refused, lightOnly)
			}
		}
		f(full, false, false)
		f(full, false, false)
		f(full, true, true)
		f(light, false, false)
		f(full, true, true)
		f(light, false, false)
		f(light, true, false)
	})
}

func TestLedgerLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(loss string, held, short bool) {
			t.Helper()
			m := newModelLeaser(time.Now)
			tenant := monthly("acme", 1000*money.Dollar, "reject")
			tenant.OnLedgerLoss = loss
			p := compile(t, tenant)
			d := newLimiter(t, m, "a")
			small := &Claim{Policy: p.For("acme"), Cost: usd(1_000_000)}
			large := &Claim{Policy: p.For("acme"), Cost: usd(100_000_000_000)}
			for range 20 {
				if r := spend(d, m, "a", small, small.Cost); r != nil {
					t.Fatal(r)
				}
			}
			m.mu.Lock()
			m.before = func() error { return errAway }
			m.mu.Unlock()
			if r := spend(d, m, "a", large, Amounts{1}); (r == nil) != short || r != nil && r.Reason != LedgerAway {
				t.Errorf("%s, short: %+v", loss, r)
			}
			if r := spend(d, m, "a", small, small.Cost); (r == nil) != held {
				t.Errorf("%s, with a lease: %+v", loss, r)
			}
			m.mu.Lock()
			m.before = nil
			m.mu.Unlock()
			time.Sleep(3 * time.Second)
			if r := spend(d, m, "a", large, Amounts{1}); r != nil {
				t.Errorf("%s, ledger back: %+v", loss, r)
			}
			closeLimiter(t, d)
			if m.broken != nil {
				t.Error(m.broken)
			}
		}
		f("lease_only", true, false)
		f("allow", true, true)
		f("deny", false, false)
	})
}

func TestLostReplyIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme", money.Dollar, "reject"))
		d := newLimiter(t, m, "a")
		lost := true
		m.after = func() error {
			if lost {
				lost = false
				return errAway
			}
			return nil
		}
		claim := &Claim{Policy: p.For("acme"), Cost: usd(800_000_000)}
		if r := spend(d, m, "a", claim, claim.Cost); r == nil || r.Reason != LedgerAway {
			t.Fatalf("%+v", r)
		}
		time.Sleep(2 * time.Second)
		if r := spend(d, m, "a", claim, claim.Cost); r != nil {
			t.Errorf("what the lost reply granted is not used: %+v", r)
		}
		closeLimiter(t, d)
		if m.broken != nil {
			t.Error(m.broken)
		}
	})
}

func TestFrozenLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme", 1000*money.Dollar, "reject"))
		d := newLimiter(t, m, "a")
		small := &Claim{Policy: p.For("acme"), Cost: usd(1_000_000)}
		large := &Claim{Policy: p.For("acme"), Cost: usd(100_000_000_000)}
		spend(d, m, "a", small, small.Cost)
		spend(d, m, "a", small, small.Cost)
		m.mu.Lock()
		m.frozen = time.Now().Add(10 * time.Second)
		m.mu.Unlock()
		if r := spend(d, m, "a", large, Amounts{1}); r == nil || r.Reason != LedgerAway {
			t.Errorf("frozen: %+v", r)
		}
		if got := d.Trouble(); got.Frozen != 1 || !got.Until.After(time.Now()) || got.Away != nil {
			t.Errorf("frozen: trouble %+v", got)
		}
		if r := spend(d, m, "a", small, small.Cost); r != nil {
			t.Errorf("frozen, with a lease: %+v", r)
		}
		time.Sleep(11 * time.Second)
		if r := spend(d, m, "a", large, Amounts{1}); r != nil {
			t.Errorf("thawed: %+v", r)
		}
		if got := d.Trouble(); got != (Trouble{}) {
			t.Errorf("thawed: trouble %+v", got)
		}
		closeLimiter(t, d)
	})
}

// What keeps requests from being reserved is known without a look at every root: there
// may be a hundred thousand.
func TestTroubleLooksAtRootsInTroubleAlone(t *testing.T) {
	l := &Limiter{opts: Options{}.withDefaults(), trouble: make(map[*root]contact), roots: make(map[string]*root)}
	fine, away := l.root("fine"), l.root("away")
	away.mu.Lock()
	away.ledger.failed, away.ledger.why = time.Now(), errPast
	away.noteTrouble()
	away.mu.Unlock()
	fine.mu.Lock() // whoever looks at it waits
	defer fine.mu.Unlock()
	if got := l.Trouble(); !errors.Is(got.Away, errPast) || got.Frozen != 0 {
		t.Errorf("got %+v", got)
	}
	away.mu.Lock()
	away.ledger.failed = time.Time{}
	away.noteTrouble()
	away.mu.Unlock()
	if got := l.Trouble(); got != (Trouble{}) || len(l.trouble) != 0 {
		t.Errorf("got %+v of %d roots", got, len(l.trouble))
	}
}

func TestLeasesSpareTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme", 10_000*money.Dollar, "reject"), config.Tenant{ID: "acme/app", Limits: config.Limits{
			RequestsPerMinute: 60_000, TokensPerMinute: 10_000_000, ConcurrentRequests: 500,
		}})
		d := newLimiter(t, m, "a")
		claim := &Claim{Policy: p.For("acme/app"), Cost: usd(1_000_000)}
		const requests = 10_000
		for range requests {
			if r := spend(d, m, "a", claim, Amounts{300_000, 5, 1, 0}); r != nil {
				t.Fatal(r)
			}
			time.Sleep(2 * time.Millisecond)
		}
		closeLimiter(t, d)
		if calls := m.count(); calls > requests/50 {
			t.Errorf("%d ledger calls for %d requests", calls, requests)
		} else {
			t.Logf("%d ledger calls for %d requests in 20 s", calls, requests)
		}
	})
}
