package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/money"
)

// TestEarlyRefusal spends from four gateways at once until the first refusal and
// measures what the others then hold and do not use.
func TestEarlyRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		const limit = 1_000_000_000_000 // 1,000 dollars
		p := compile(t, monthly("acme", 1000*money.Dollar, "reject"))
		limiters := []*Limiter{newLimiter(t, m, "a"), newLimiter(t, m, "b"), newLimiter(t, m, "c"), newLimiter(t, m, "d")}
		claim := &Claim{Policy: p.For("acme"), Cost: usd(20_000_000)} // 2 cents
		var most, unused int64
		for refused := false; !refused; {
			for i, d := range limiters {
				before := elsewhere(limiters, i)
				most = max(most, before)
				if spend(d, m, d.opts.Writer, claim, Amounts{15_000_000}) != nil {
					unused, refused = elsewhere(limiters, i), true
					break
				}
			}
			time.Sleep(time.Millisecond)
		}
		for _, d := range limiters {
			closeLimiter(t, d)
		}
		if m.broken != nil {
			t.Error(m.broken)
		}
		if most > 3*limit/100*3/2 {
			t.Errorf("the others' leases had %d, above 3 × 1.5 %% of the limit", most)
		}
		if unused > 3*claim.Cost[0] {
			t.Errorf("a request was refused while others had %d unused", unused)
		}
		t.Logf("others' leases: at most %d of %d nano-dollars, %d at the first refusal", most, int64(limit), unused)
	})
}

// elsewhere is what all limiters but one have free.
func elsewhere(limiters []*Limiter, but int) (sum int64) {
	for i, d := range limiters {
		if i == but {
			continue
		}
		r := d.root("acme")
		r.mu.Lock()
		for _, a := range r.accounts.byWindow {
			sum += a.idle()
		}
		r.mu.Unlock()
	}
	return sum
}
