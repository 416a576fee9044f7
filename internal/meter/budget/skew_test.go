package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// TestSkewedClock charges the minute of the ledger's clock, not of this machine's. M25
func TestSkewedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModelLeaser(time.Now)
		tenant := config.Tenant{ID: "acme", Limits: config.Limits{RequestsPerMinute: 10}}
		slow := New(Options{Leaser: m, Writer: "slow", Epoch: 1,
			Now:   func() time.Time { return time.Now().Add(-10 * time.Minute) },
			Ahead: func() time.Duration { return 10 * time.Minute }})
		defer closeLimiter(t, slow)
		claim := &Claim{Policy: compile(t, tenant).For("acme"), Cost: Amounts{0, 0, 1, 0}}
		res, refusal := slow.Reserve(t.Context(), claim, slow.opts.Now())
		if refusal != nil {
			t.Fatal(refusal)
		}
		h := res.Attempt(claim.Cost)
		if start := h.Charges()[0].Window.Start; !start.Equal(time.Now().UTC().Truncate(time.Minute)) {
			t.Errorf("charges the minute of %s at %s", start, time.Now().UTC())
		}
		h.Settle(Amounts{})
		res.Release()
	})
}
