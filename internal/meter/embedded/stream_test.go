package embedded_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/embedded"
	"github.com/sluice-gateway/sluice/internal/meter/exact"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// rowsOf adds up what a source has of a time.
func rowsOf(t *rapid.T, source interface {
	Rows(context.Context, time.Time, time.Time, func(record.RowKey, record.Counters) error) error
}, from, to time.Time) map[record.RowKey]record.Counters {
	t.Helper()
	all := map[record.RowKey]record.Counters{}
	err := source.Rows(t.Context(), from, to, func(k record.RowKey, c record.Counters) error {
		all[k], _ = all[k].Plus(c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for k, c := range all {
		if c == (record.Counters{}) {
			delete(all, k)
		}
	}
	return all
}

// TestStreamIsTheLedger: rows that are added up as they are read are those of a ledger that was
// loaded, and so they are when a month was closed in between.
func TestStreamIsTheLedger(t *testing.T) {
	december := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	start := december.AddDate(0, 0, -2)
	rapid.Check(t, func(t *rapid.T) {
		closed := map[string]ledger.Closings{"acme": {{Month: "2026-11", Zone: "UTC", Through: december,
			UpTo: map[string]uint64{"v": uint64(rapid.IntRange(0, 9).Draw(t, "up to"))}}}}
		var postings []record.Posting
		for seq := range rapid.IntRange(0, 20).Draw(t, "postings") {
			postings = append(postings, record.Posting{
				Seq: uint64(seq), Root: rapid.SampledFrom([]string{"acme", "b"}).Draw(t, "root"),
				Row: record.RowKey{
					Hour:   start.Add(time.Duration(rapid.IntRange(0, 4*24*60).Draw(t, "minutes")) * time.Minute),
					Tenant: rapid.SampledFrom([]string{"acme", "acme/a"}).Draw(t, "tenant"),
				},
				Add: record.Counters{Legs: int64(rapid.IntRange(-2, 2).Draw(t, "legs"))},
			})
		}
		replay := func(yield func(string, record.Posting) error) error {
			for i, p := range postings {
				if err := yield([]string{"v", "w"}[i%2], p); err != nil {
					return err
				}
			}
			return nil
		}
		state, err := embedded.Load(replay, closed)
		if err != nil {
			t.Fatal(err)
		}
		from := start.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "from")) * time.Hour)
		to := from.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "hours")) * time.Hour)
		stream := embedded.NewStream(replay, closed)
		if diff := cmp.Diff(rowsOf(t, state, from, to), rowsOf(t, stream, from, to)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestExactBounds: M14, with any bounds the rows are those of what happened between them, and what
// came too late for a closed month is of the hour that it is in.
func TestExactBounds(t *testing.T) {
	december := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	closed := map[string]ledger.Closings{
		"acme": {{Month: "2026-11", Zone: "UTC", Through: december, UpTo: map[string]uint64{"w": 5}}},
	}
	rapid.Check(t, func(t *rapid.T) {
		minute := func(name string) time.Time {
			return december.Add(time.Duration(rapid.IntRange(-200, 200).Draw(t, name)) * time.Minute)
		}
		var postings []record.Posting
		var at []time.Time
		for i := range rapid.IntRange(0, 30).Draw(t, "postings") {
			at = append(at, minute("at"))
			postings = append(postings, record.Posting{Seq: uint64(i + 1), Root: "acme",
				Row: record.RowKey{Hour: at[i], Tenant: "acme"}, Add: record.Counters{Legs: int64(i + 1)}})
		}
		replay := func(yield func(string, record.Posting) error) error {
			for _, p := range postings {
				if err := yield("w", p); err != nil {
					return err
				}
			}
			return nil
		}
		source := exact.Source{Ledger: embedded.NewStream(replay, closed), Moments: func(
			yield func(time.Time, string, *record.Posting) error,
		) error {
			for i := range postings {
				if err := yield(at[i], "w", &postings[i]); err != nil {
					return err
				}
			}
			return nil
		}}
		from, to := minute("from"), minute("to")
		want, got := int64(0), int64(0)
		for i, when := range at {
			if i+1 > 5 && when.Before(december) {
				when = december
			}
			if !when.Before(from) && when.Before(to) {
				want += postings[i].Add.Legs
			}
		}
		for _, c := range rowsOf(t, &source, from, to) {
			got += c.Legs
		}
		if got != want {
			t.Errorf("%d legs from %s to %s, want %d", got, from, to, want)
		}
	})
}

// TestStreamStops: who reads gets the errors of the journal and of itself, and an amount that no ledger takes is one.
func TestStreamStops(t *testing.T) {
	broken := errors.New("broken")
	at := time.Date(2026, 11, 23, 17, 45, 0, 0, time.UTC)
	f := func(replayed error, legs int64, yielded, want error) {
		t.Helper()
		s := embedded.NewStream(func(yield func(string, record.Posting) error) error {
			p := record.Posting{Seq: 1, Root: "a", Row: record.RowKey{Hour: at, Tenant: "a"}}
			p.Add.Legs = legs
			return errors.Join(yield("w", p), replayed)
		}, nil)
		yield := func(record.RowKey, record.Counters) error { return yielded }
		err := s.Rows(t.Context(), at.Truncate(time.Hour), at, yield)
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	f(nil, 1, nil, nil)
	f(broken, 1, nil, broken)
	f(nil, 1, broken, broken)
	f(nil, record.MaxValue+1, nil, ledger.ErrBadBatch)
}
