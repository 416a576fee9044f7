package ledger

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/record"
)

func TestSums(t *testing.T) {
	at := time.Date(2026, 11, 23, 17, 30, 0, 0, time.FixedZone("", 3600))
	post := func(seq uint64, model string, in int64) record.Posting {
		return record.Posting{Seq: seq, Root: "acme", Row: record.RowKey{Hour: at, Tenant: "acme/a", Model: model},
			Add: record.Counters{Legs: 1, Input: in}}
	}
	good := Batch{Writer: "w", Epoch: 1, Root: "acme", From: 4, To: 6,
		Postings: []record.Posting{post(4, "a", 10), post(5, "b", 20), post(6, "a", 30)}}
	hour := time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC)
	want := map[record.RowKey]record.Counters{
		{Hour: hour, Tenant: "acme/a", Model: "a"}: {Legs: 2, Input: 40},
		{Hour: hour, Tenant: "acme/a", Model: "b"}: {Legs: 1, Input: 20},
	}
	got, err := good.Sums(nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	bad := func(name string, change func(b *Batch)) {
		t.Helper()
		b := good
		b.Postings = append([]record.Posting(nil), good.Postings...)
		change(&b)
		if _, err := b.Sums(nil); !errors.Is(err, ErrBadBatch) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	bad("no writer", func(b *Batch) { b.Writer = "" })
	bad("no root", func(b *Batch) { b.Root = "" })
	bad("from zero", func(b *Batch) { b.From = 0 })
	bad("backwards", func(b *Batch) { b.To = 3 })
	bad("too few postings", func(b *Batch) { b.To = 7 })
	bad("gap", func(b *Batch) { b.Postings[1].Seq = 9 })
	bad("other root", func(b *Batch) { b.Postings[1].Root = "other" })
	bad("no hour", func(b *Batch) { b.Postings[1].Row.Hour = time.Time{} })
	bad("too much", func(b *Batch) { b.Postings[1].Add.Input = record.MaxValue + 1 })
	bad("overflow", func(b *Batch) { b.Postings[0].Add.Input, b.Postings[2].Add.Input = math.MaxInt64, math.MaxInt64 })
	bad("epoch", func(b *Batch) { b.Epoch = MaxSeq })
}
