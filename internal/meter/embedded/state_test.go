package embedded_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
)

func TestCases(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledgertest.Ledger { return &embedded.State{} })
}

func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &embedded.State{}
		subject := ledgertest.Subject{Gateways: []ledgertest.Ledger{s}}
		if err := ledgertest.Replay(t.Context(), subject, ledgertest.Histories().Draw(t, "history")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLoad(t *testing.T) {
	at := time.Date(2026, 11, 23, 17, 45, 0, 0, time.FixedZone("", -3600))
	postings := []meter.Posting{
		{Root: "acme", Row: meter.RowKey{Hour: at, Tenant: "acme/a"}, Add: meter.Counters{Legs: 7}}, // totals of a checkpoint
		{Seq: 8, Root: "acme", Row: meter.RowKey{Hour: at.Add(time.Minute), Tenant: "acme/a"}, Add: meter.Counters{Legs: 1}},
	}
	replay := func(yield func(meter.Posting) error) error {
		for _, p := range postings {
			if err := yield(p); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := embedded.Restore("w", map[string]uint64{"acme": 8}, replay)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ledgertest.Books(t.Context(), s)
	want := map[meter.RowKey]meter.Counters{
		{Hour: time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC), Tenant: "acme/a"}: {Legs: 8},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if wm, _ := s.Watermark(t.Context(), "w", "acme"); wm != 8 {
		t.Errorf("watermark %d", wm)
	}

	broken := errors.New("broken")
	if _, err := embedded.Load(func(func(meter.Posting) error) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a journal that cannot be read: %v", err)
	}
	postings[1].Add.Legs = meter.MaxValue
	if _, err := embedded.Load(replay); !errors.Is(err, meter.ErrBadBatch) {
		t.Errorf("a sum out of range: %v", err)
	}
}

// TestFoldForgets keeps a row until its day is too old, as Redis does.
func TestFoldForgets(t *testing.T) {
	now := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)
	s := &embedded.State{}
	add := func(seq uint64, days int) {
		t.Helper()
		p := meter.Posting{Seq: seq, Root: "acme", Row: meter.RowKey{Hour: now.AddDate(0, 0, -days), Tenant: "acme"}, Add: meter.Counters{Legs: 1}}
		b := meter.Batch{Writer: "w", Epoch: 1, Root: "acme", From: seq, To: seq, Postings: []meter.Posting{p}}
		if _, err := s.Apply(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	add(1, 400)
	add(2, 401)
	add(3, 5000)
	if err := s.Fold(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	got, err := ledgertest.Books(t.Context(), s)
	want := map[meter.RowKey]meter.Counters{
		{Hour: now.AddDate(0, 0, -400).Truncate(24 * time.Hour), Tenant: "acme"}: {Legs: 1},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestLendingCases(t *testing.T) {
	ledgertest.RunLending(t, func(*testing.T) ledgertest.Lender { return &embedded.State{} })
}

func TestLendingHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		s := &embedded.State{Now: func() time.Time { return now }}
		subject := ledgertest.LendingSubject{
			Gateways: []ledgertest.Lender{s}, Now: s.Now,
			Wait: func(d time.Duration) { now = now.Add(d) },
		}
		if err := ledgertest.ReplayLending(t.Context(), subject, ledgertest.LendingHistories().Draw(t, "history")); err != nil {
			t.Fatal(err)
		}
	})
}
