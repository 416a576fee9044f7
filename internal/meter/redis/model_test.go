package redis

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestAgainstModel feeds any batches, good and bad, to this ledger and to the
// reference, and wants the same answers and the same books.
func TestAgainstModel(t *testing.T) {
	f := newFaults(t)
	hour := time.Now().UTC().Truncate(time.Hour)
	posting := func(t *rapid.T, seq uint64) record.Posting {
		big := rapid.SampledFrom([]int64{0, 1, -1, 999, 8_000_000_000_000_000, -8_000_000_000_000_000, 1 << 60})
		return record.Posting{
			Seq: seq, Root: "acme",
			Row: record.RowKey{
				Hour:   hour.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "hour")) * time.Hour),
				Tenant: "acme", Model: rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "model"),
			},
			Add: record.Counters{Legs: 1, Output: big.Draw(t, "output"), CostOutput: money.Pico(big.Draw(t, "cost"))},
		}
	}
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		s, done := f.subject(tb, unchanged)
		defer done()
		model := newReference(time.Now)
		for range rapid.IntRange(1, 40).Draw(t, "batches") {
			b := ledger.Batch{
				Writer: rapid.SampledFrom([]string{"w1", "w2"}).Draw(t, "writer"), Root: "acme",
				Epoch: rapid.Uint64Range(1, 3).Draw(t, "epoch"),
			}
			wm, _ := model.Watermark(t.Context(), b.Writer, b.Root)
			b.From = wm + rapid.SampledFrom([]uint64{0, 1, 1, 1, 1, 2}).Draw(t, "from")
			for range rapid.IntRange(1, 5).Draw(t, "postings") {
				b.To = b.From + uint64(len(b.Postings))
				b.Postings = append(b.Postings, posting(t, b.To))
			}
			want, wantErr := model.Apply(t.Context(), &b)
			got, err := s.Gateways[rapid.IntRange(0, 1).Draw(t, "gateway")].Apply(t.Context(), &b)
			if kind(err) != kind(wantErr) || (err == nil && got.Watermark != want.Watermark) {
				t.Fatalf(
					"%d to %d: watermark %d, %v; the model says %d, %v",
					b.From,
					b.To,
					got.Watermark,
					err,
					want.Watermark,
					wantErr,
				)
			}
		}
		want, _ := ledgertest.Books(t.Context(), model)
		got, err := ledgertest.Books(t.Context(), s.Gateways[0])
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("books: %v (-model +redis)\n%s", err, diff)
		}
	})
}

func kind(err error) error {
	for _, k := range []error{ledger.ErrFenced, ledger.ErrBadBatch} {
		if errors.Is(err, k) {
			return k
		}
	}
	return err
}
