package embedded_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

func TestCases(t *testing.T) {
	ledgertest.Run(t, ledgertest.Cases, func(*testing.T) ledgertest.Ledger { return &embedded.State{} })
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
	postings := []record.Posting{
		// Totals of a checkpoint.
		{Root: "acme", Row: record.RowKey{Hour: at, Tenant: "acme/a"}, Add: record.Counters{Legs: 7}},
		{
			Seq:  8,
			Root: "acme",
			Row:  record.RowKey{Hour: at.Add(time.Minute), Tenant: "acme/a"},
			Add:  record.Counters{Legs: 1},
		},
	}
	replay := func(yield func(string, record.Posting) error) error {
		for _, p := range postings {
			if err := yield("w", p); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := embedded.Load(replay, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ledgertest.Books(t.Context(), s)
	want := map[record.RowKey]record.Counters{
		{Hour: time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC), Tenant: "acme/a"}: {Legs: 8},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}

	broken := errors.New("broken")
	fails := func(func(string, record.Posting) error) error { return broken }
	if _, err := embedded.Load(fails, nil); !errors.Is(err, broken) {
		t.Errorf("a journal that cannot be read: %v", err)
	}
	postings[1].Add.Legs = record.MaxValue
	if _, err := embedded.Load(replay, nil); !errors.Is(err, ledger.ErrBadBatch) {
		t.Errorf("a sum out of range: %v", err)
	}
}

// TestFoldForgets keeps a row until its day is too old, as Redis does.
func TestFoldForgets(t *testing.T) {
	now := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)
	s := &embedded.State{}
	add := func(seq uint64, days int) {
		t.Helper()
		p := record.Posting{
			Seq:  seq,
			Root: "acme",
			Row:  record.RowKey{Hour: now.AddDate(0, 0, -days), Tenant: "acme"},
			Add:  record.Counters{Legs: 1},
		}
		b := ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", From: seq, To: seq, Postings: []record.Posting{p}}
		if _, err := s.Apply(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	add(1, 400)
	add(2, 401)
	add(3, 5000)
	if err := s.Fold(t.Context(), now, nil); err != nil {
		t.Fatal(err)
	}
	got, err := ledgertest.Books(t.Context(), s)
	want := map[record.RowKey]record.Counters{
		{Hour: now.AddDate(0, 0, -400).Truncate(24 * time.Hour), Tenant: "acme"}: {Legs: 1},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func leaseSubject() ledgertest.LeaseSubject {
	clock := ledgertest.NewClock(nil)
	return ledgertest.LeaseSubject{
		Gateways: []ledgertest.Leaser{&embedded.State{Now: clock.Now}}, Now: clock.Now, Wait: clock.Wait,
	}
}

func TestLeaseCases(t *testing.T) {
	ledgertest.RunLeases(t, ledgertest.LeaseCases, func(*testing.T) ledgertest.LeaseSubject { return leaseSubject() })
}

func TestLeaseHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := ledgertest.LeaseHistories().Draw(t, "history")
		if err := ledgertest.ReplayLeases(t.Context(), leaseSubject(), steps); err != nil {
			t.Fatal(err)
		}
	})
}
