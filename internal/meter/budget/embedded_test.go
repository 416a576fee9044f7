package budget

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// slowState takes its time to post, as one does that has a long journal to read.
type slowState struct{ *embedded.State }

func (s slowState) Apply(ctx context.Context, b *ledger.Batch) (ledger.Reply, error) {
	time.Sleep(100 * time.Millisecond)
	return s.State.Apply(ctx, b)
}

// TestEmbeddedAtStart: a ledger that is made from the journal at each start leases
// nothing of what was spent before.
func TestEmbeddedAtStart(t *testing.T) {
	dir := journal.Dir(t.TempDir())
	open := func() (*meter.Meter, *Limiter) {
		state := slowState{&embedded.State{}}
		m, err := meter.Open(t.Context(), meter.Options{Disk: dir, Ledger: state, Flush: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		_, id := m.Journal()
		return m, New(Options{
			Leaser: state, Writer: id.Writer, Epoch: id.Epoch, Numbers: m.Numbers,
			Past: func(root string) (bool, bool) { return m.Past(root).Posted, false },
		})
	}
	p := compile(t, monthly("acme", money.Dollar, "reject"))
	claim := &Claim{Policy: p.For("acme"), Cost: usd(600_000_000)}
	m, d := open()
	held, refusal := d.Reserve(t.Context(), claim, time.Now())
	if refusal != nil {
		t.Fatal(refusal)
	}
	s := &record.Start{
		ID:      "01TEST",
		Root:    "acme",
		Tenant:  "acme",
		Op:      wire.OpConverse,
		Model:   "m",
		Charges: held.Attempt(claim.Cost).Charges(),
	}
	if err := m.Begin(s); err != nil {
		t.Fatal(err)
	}
	if err := m.End(s, &record.End{ID: s.ID, Outcome: record.Unknown}, nil, &record.Booked{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Close(t.Context())
	m, d = open()
	if _, refusal = d.Reserve(t.Context(), claim, time.Now()); refusal == nil || refusal.Reason != UsedUp {
		t.Errorf("leased again what was spent before: %v", refusal)
	}
	d.Close(t.Context())
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
