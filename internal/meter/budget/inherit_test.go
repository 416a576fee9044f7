package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestInherit: the leases of a process that died go back at once when it is known
// to be dead, and else when its term has passed.
func TestInherit(t *testing.T) {
	for _, here := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			state := &embedded.State{}
			p := compile(t, monthly("acme", money.Dollar, "reject"))
			claim := &Claim{Policy: p.For("acme"), Cost: usd(900_000_000)}
			died := New(Options{Leaser: state, Writer: "a", Epoch: 1})
			if _, refusal := died.Reserve(t.Context(), claim, time.Now()); refusal != nil {
				t.Fatal(refusal)
			}
			close(died.stop)
			died.calls.Wait()
			d := New(Options{Leaser: state, Writer: "b", Epoch: 1, Roots: []string{"acme"}})
			defer closeLimiter(t, d)
			before := &ledger.Predecessor{Identity: journal.Identity{Writer: "a", Epoch: 1}, Here: here}
			if done, err := d.Inherit(t.Context(), before); err != nil || done != here {
				t.Errorf("known to be dead %t: done %t, %v", here, done, err)
			}
			time.Sleep(d.opts.TTL + time.Second)
			if done, err := d.Inherit(t.Context(), before); err != nil || !done {
				t.Errorf("after its term: done %t, %v", done, err)
			}
			held, refusal := d.Reserve(t.Context(), claim, time.Now())
			if refusal != nil {
				t.Errorf("its leases are still held: %v", refusal)
			}
			held.Release()
		})
	}
}
