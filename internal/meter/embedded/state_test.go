package embedded_test

import (
	"context"
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

// TestDaysAreTheirRows: the sums of days come to what their rows come to, whatever is posted, folded and
// kept as hours, in any order.
func TestDaysAreTheirRows(t *testing.T) {
	now := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		s, seq := &embedded.State{}, uint64(0)
		few := func(name string) string { return rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, name) }
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.IntRange(0, 5).Draw(t, "fold") == 0 {
				hours := rapid.Bool().Draw(t, "hours are kept")
				if err := s.Fold(t.Context(), now, func(string, time.Time) bool { return hours }); err != nil {
					t.Fatal(err)
				}
				continue
			}
			seq++
			p := record.Posting{Seq: seq, Root: "acme", Row: record.RowKey{
				Hour:   now.Add(-time.Duration(rapid.IntRange(0, 50*24).Draw(t, "hours ago")) * time.Hour),
				Tenant: "acme/" + few("team"), User: few("user"), Held: few("held"), PriceVersion: few("price"),
			}, Add: record.Counters{
				Legs: rapid.Int64Range(-2, record.MaxValue/3).Draw(t, "legs"), CapHits: 1, CostInput: 7,
			}}
			b := ledger.Batch{Writer: "w", Epoch: 1, Root: "acme", From: seq, To: seq, Postings: []record.Posting{p}}
			if _, err := s.Apply(t.Context(), &b); errors.Is(err, ledger.ErrBadBatch) {
				seq-- // a sum would be out of range
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(byDay(t, now, s.Rows), byDay(t, now, s.Days)); diff != "" {
			t.Fatal(diff)
		}
	})
}

type reads func(context.Context, time.Time, time.Time, func(record.RowKey, record.Counters) error) error

// byDay adds up what is read of a year.
func byDay(t *rapid.T, now time.Time, read reads) map[record.RowKey]record.Counters {
	all := map[record.RowKey]record.Counters{}
	err := read(t.Context(), now.AddDate(-1, 0, 0), now.AddDate(0, 0, 1), func(k record.RowKey, c record.Counters) error {
		sum, _ := all[k.OfDay()].Plus(c)
		all[k.OfDay()] = sum
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
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
