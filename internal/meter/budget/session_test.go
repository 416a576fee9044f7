package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestSessionHolds: four gateways that take turns let a session spend no more than its budget in any span of its
// length, wherever its windows begin; it goes on when what it spent is long enough ago. Accounts that nobody uses are
// parked meanwhile and taken up again, with what was granted of them.
func TestSessionHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, config.Tenant{ID: "acme/app"})
		s := &Session{Name: "one", Most: money.Dollar, All: money.Dollar, Within: time.Hour}
		var limiters []*Limiter
		for _, w := range []string{"a", "b", "c", "d"} {
			limiters = append(limiters, newLimiter(t, m, w))
		}
		cost := usd(30_000_000)
		var served []time.Time
		parked := 0
		for i := range 300 {
			d := limiters[i%4]
			claim := &Claim{Policy: p.ForSession("acme/app", nil, s), Cost: cost}
			if refusal := spend(d, m, d.opts.Writer, claim, cost); refusal == nil {
				served = append(served, time.Now())
			} else if refusal.Window.Tenant != "acme/app"+sessionMark+"one" {
				t.Fatalf("%+v", refusal)
			}
			time.Sleep(time.Minute)
			parked = max(parked, countParked(d))
		}
		for i, at := range served {
			n := int64(0)
			for _, later := range served[i:] {
				if later.Sub(at) < s.Within {
					n++
				}
			}
			if n*cost[record.UnitUSD] > nanos(s.All) {
				t.Fatalf("%d requests in an hour from %s", n, at)
			}
		}
		if len(served) < 2*33 || parked == 0 {
			t.Errorf("served %d, parked %d", len(served), parked)
		}
		for _, d := range limiters {
			closeLimiter(t, d)
		}
	})
}

func countParked(d *Limiter) int {
	r := d.root("acme")
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.accounts.parked)
}

// TestSessionsAreApart: sessions do not count in each other's budget, and count in their tenant's.
func TestSessionsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, monthly("acme/app", 3*money.Dollar, "reject"))
		d := newLimiter(t, m, "w")
		left := func(name string) (served int) {
			s := &Session{Name: name, Most: money.Dollar, All: money.Dollar, Within: time.Hour}
			for {
				claim := &Claim{Policy: p.ForSession("acme/app", nil, s), Cost: usd(500_000_000)}
				refusal := spend(d, m, "w", claim, claim.Cost)
				if refusal != nil {
					return served
				}
				served++
				if _, session := d.Left(claim.Policy); session.Nanos != 1_000_000_000-int64(served)*500_000_000 {
					t.Errorf("%d is left after %d", session.Nanos, served)
				}
			}
		}
		for i, want := range []int{2, 2, 2, 0} {
			if got := left(string(rune('a' + i))); got != want {
				t.Errorf("session %d: %d served, want %d", i, got, want)
			}
		}
		closeLimiter(t, d)
	})
}

// TestSessionLightOnly: normal requests stop at Most, light ones at All.
func TestSessionLightOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		p := compile(t, config.Tenant{ID: "acme"})
		d := newLimiter(t, m, "w")
		s := &Session{Name: "a", Most: money.Dollar, All: 2 * money.Dollar, Within: time.Hour}
		for _, class := range []Class{Normal, LightOnly} {
			for range 2 {
				claim := &Claim{Policy: p.ForSession("acme", nil, s), Cost: usd(500_000_000), Class: class}
				if refusal := spend(d, m, "w", claim, claim.Cost); refusal != nil {
					t.Fatalf("class %d: %+v", class, refusal)
				}
			}
			claim := &Claim{Policy: p.ForSession("acme", nil, s), Cost: usd(500_000_000), Class: class}
			refusal := spend(d, m, "w", claim, claim.Cost)
			if refusal == nil || refusal.LightOnly != (class == Normal) {
				t.Fatalf("class %d: %+v", class, refusal)
			}
		}
		s.Most = 0 // as for one that goes round in circles
		claim := &Claim{Policy: p.ForSession("acme", nil, s), Cost: usd(1)}
		if refusal := spend(d, m, "w", claim, claim.Cost); refusal == nil || !refusal.LightOnly || refusal.Limit != 0 {
			t.Fatalf("%+v", refusal)
		}
		closeLimiter(t, d)
	})
}
