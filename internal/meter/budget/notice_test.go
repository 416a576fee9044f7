package budget

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		var mu sync.Mutex
		var got []int
		d := New(Options{Leaser: m, Writer: "a", Epoch: 1, Notice: func(n Notice) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, n.Percent)
		}})
		p := compile(t, monthly("acme", money.Dollar, "notify"))
		claim := &Claim{Policy: p.For("acme"), Cost: usd(100_000_000)}
		for range 12 {
			if r := spend(d, m, "a", claim, claim.Cost); r != nil {
				t.Fatal(r)
			}
			time.Sleep(1100 * time.Millisecond)
		}
		closeLimiter(t, d)
		if len(got) != 3 || got[0] != 50 || got[1] != 80 || got[2] != 100 {
			t.Errorf("notices at %v", got)
		}
	})
}

// TestNoticeOfARefusal: a budget is used up by what is spent, not by what is
// held for a while, nor by a request that is larger than it.
func TestNoticeOfARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		var got []int
		d := New(Options{Leaser: m, Writer: "a", Epoch: 1, Notice: func(n Notice) { got = append(got, n.Percent) }})
		defer closeLimiter(t, d)
		p := compile(t, monthly("acme", money.Dollar, "reject"))
		refused := func(nano int64, told int) {
			t.Helper()
			if r := spend(d, m, "a", &Claim{Policy: p.For("acme"), Cost: usd(nano)}, Amounts{nano}); r == nil ||
				len(got) != told {
				t.Errorf("%+v, notices at %v", r, got)
			}
		}
		refused(2_000_000_000, 0)
		res, _ := d.Reserve(t.Context(), &Claim{Policy: p.For("acme"), Cost: usd(900_000_000)}, time.Now())
		refused(200_000_000, 0)
		h := res.Attempt(usd(900_000_000))
		spent := Amounts{record.UnitUSD: 900_000_000}
		m.post("a", charged(h, spent))
		h.Settle(spent)
		res.Release()
		refused(200_000_000, 3)
	})
}

// TestLastNotice: what the last requests passed is told when the limiter closes.
func TestLastNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		var got []int
		d := New(Options{Leaser: m, Writer: "a", Epoch: 1, Notice: func(n Notice) { got = append(got, n.Percent) }})
		p := compile(t, monthly("acme", money.Dollar, "reject"))
		if r := spend(d, m, "a", &Claim{Policy: p.For("acme"), Cost: usd(600_000_000)}, Amounts{600_000_000}); r != nil {
			t.Fatal(r)
		}
		closeLimiter(t, d)
		if len(got) != 1 || got[0] != 50 {
			t.Errorf("notices at %v", got)
		}
	})
}

// TestNoticeOfAQuietTenant: a renewal may come before the record of the last call is in the
// ledger. The tenant asks no more, and its threshold is told all the same, also when the
// window ends meanwhile.
func TestNoticeOfAQuietTenant(t *testing.T) {
	for _, period := range []string{"month", "minute"} {
		synctest.Test(t, func(t *testing.T) {
			m := newModelLeaser(time.Now)
			var mu sync.Mutex
			var got []int
			var head, applied uint64
			d := New(Options{Leaser: m, Writer: "a", Epoch: 1,
				Numbers: func(string) (uint64, uint64) {
					mu.Lock()
					defer mu.Unlock()
					return head, applied
				},
				Notice: func(n Notice) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, n.Percent)
				}})
			defer closeLimiter(t, d)
			p := compile(t, config.Tenant{ID: "acme", OnLedgerLoss: "lease_only",
				Budgets: []config.Budget{{Period: period, USD: money.Dollar, OnExceed: "notify"}}})
			res, refusal := d.Reserve(t.Context(), &Claim{Policy: p.For("acme"), Cost: usd(600_000_000)}, time.Now())
			if refusal != nil {
				t.Fatal(refusal)
			}
			h := res.Attempt(usd(600_000_000))
			spent := Amounts{record.UnitUSD: 600_000_000}
			mu.Lock()
			head = 1
			mu.Unlock()
			charges := charged(h, spent)
			h.Settle(spent)
			res.Release()
			time.Sleep(2 * time.Minute) // the lease is given back, and renewals have nothing more to say
			m.post("a", charges)
			mu.Lock()
			applied = 1
			if len(got) != 0 {
				t.Errorf("%s: notices at %v before the record was posted", period, got)
			}
			mu.Unlock()
			time.Sleep(time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if len(got) != 1 || got[0] != 50 {
				t.Errorf("%s: notices at %v, want 50", period, got)
			}
		})
	}
}
