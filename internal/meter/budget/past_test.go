package budget

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/money"
)

// tellings notes which grants told of a loss.
type tellings struct {
	*modelLeaser
	told []bool
}

func (l *tellings) Grant(ctx context.Context, r *ledger.GrantRequest) (*ledger.GrantReply, error) {
	l.told = append(l.told, r.Lost)
	return l.modelLeaser.Grant(ctx, r)
}

// TestPast: nothing is leased before the past of the root is known, and a loss
// is told once, with the first request.
func TestPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known atomic.Bool
		l := &tellings{modelLeaser: newModelLeaser(time.Now)}
		d := New(Options{Leaser: l, Writer: "a", Past: func(string) (bool, bool) { return known.Load(), true }})
		defer d.Close(t.Context())
		p := compile(t, monthly("acme", money.Dollar, "reject"))
		claim := &Claim{Policy: p.For("acme"), Cost: usd(30_000_000)}
		if _, refusal := d.Reserve(t.Context(), claim, time.Now()); refusal == nil || refusal.Reason != LedgerAway ||
			len(l.told) > 0 {
			t.Fatalf("leased before the past was known: %v, %v", refusal, l.told)
		}
		known.Store(true)
		time.Sleep(2 * retryAfter)
		for _, cost := range []int64{30_000_000, 400_000_000} {
			held, refusal := d.Reserve(t.Context(), &Claim{Policy: p.For("acme"), Cost: usd(cost)}, time.Now())
			if refusal != nil {
				t.Fatal(refusal)
			}
			defer held.Release()
		}
		if len(l.told) < 2 || !l.told[0] || l.told[1] {
			t.Errorf("told of the loss: %v", l.told)
		}
	})
}
