package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

func TestOvershootComesOutOfTheSlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme", money.Dollar, "reject"))
		d := newLimiter(t, m, "a")
		claim := &Claim{Policy: p.For("acme"), Cost: usd(100_000_000)}
		one, _ := d.Reserve(t.Context(), claim, time.Now())
		two, _ := d.Reserve(t.Context(), claim, time.Now())
		h := one.Attempt(claim.Cost)
		spent := Amounts{150_000_000}
		m.post("a", charged(h, spent))
		h.Settle(spent)
		one.Release()
		two.Release()
		closeLimiter(t, d)
		if m.broken != nil {
			t.Error(m.broken) // more would have been returned than there was
		}
		if s := d.Stats(); s.Overshoots != 1 || s.OvershootNanoUSD != 50_000_000 {
			t.Errorf("%+v", s)
		}
	})
}

func TestLightSlicesServeNoFullRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		tenant := monthly("acme", money.Dollar, "light_only")
		tenant.Budgets[0].HardUSD = 2 * money.Dollar
		p := compile(t, tenant)
		d := newLimiter(t, m, "a")
		defer closeLimiter(t, d)
		full := &Claim{Policy: p.For("acme"), Cost: usd(1_000_000_000)}
		if r := spend(d, m, "a", full, full.Cost); r != nil {
			t.Fatalf("%+v", r)
		}
		light, r := d.Reserve(
			t.Context(),
			&Claim{Policy: p.For("acme"), Cost: usd(500_000_000), Class: LightOnly},
			time.Now(),
		)
		if r != nil {
			t.Fatalf("%+v", r)
		}
		light.Release()
		if r := spend(d, m, "a", &Claim{Policy: p.For("acme"), Cost: usd(500_000_000)}, Amounts{1}); r == nil {
			t.Error("a full request was served from above the light limit")
		}
	})
}
