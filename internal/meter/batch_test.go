package meter

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPlusCoversEveryField fails when a counter is added to the struct and not
// to the sums.
func TestPlusCoversEveryField(t *testing.T) {
	var one, two Counters
	for i := range reflect.TypeFor[Counters]().NumField() {
		reflect.ValueOf(&one).Elem().Field(i).SetInt(int64(i + 1))
		reflect.ValueOf(&two).Elem().Field(i).SetInt(int64(2 * (i + 1)))
	}
	got, ok := one.Plus(one)
	if !ok || got != two {
		t.Errorf("sum is %+v, %v", got, ok)
	}
	for i := range reflect.TypeFor[Counters]().NumField() {
		var c Counters
		reflect.ValueOf(&c).Elem().Field(i).SetInt(math.MaxInt64)
		if _, ok := c.Plus(one); ok {
			t.Errorf("field %d overflows and nobody notices", i)
		}
		if c.Storable() {
			t.Errorf("field %d is storable at %d", i, math.MaxInt64)
		}
	}
}

func TestSums(t *testing.T) {
	at := time.Date(2026, 11, 23, 17, 30, 0, 0, time.FixedZone("", 3600))
	post := func(seq uint64, model string, in int64) Posting {
		return Posting{Seq: seq, Root: "acme", Row: RowKey{Hour: at, Tenant: "acme/a", Model: model}, Add: Counters{Legs: 1, Input: in}}
	}
	good := Batch{Writer: "w", Epoch: 1, Root: "acme", From: 4, To: 6, Postings: []Posting{post(4, "a", 10), post(5, "b", 20), post(6, "a", 30)}}
	hour := time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC)
	want := map[RowKey]Counters{
		{Hour: hour, Tenant: "acme/a", Model: "a"}: {Legs: 2, Input: 40},
		{Hour: hour, Tenant: "acme/a", Model: "b"}: {Legs: 1, Input: 20},
	}
	got, err := good.Sums()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	bad := func(name string, change func(b *Batch)) {
		t.Helper()
		b := good
		b.Postings = append([]Posting(nil), good.Postings...)
		change(&b)
		if _, err := b.Sums(); !errors.Is(err, ErrBadBatch) {
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
	bad("too much", func(b *Batch) { b.Postings[1].Add.Input = MaxValue + 1 })
	bad("overflow", func(b *Batch) { b.Postings[0].Add.Input, b.Postings[2].Add.Input = math.MaxInt64, math.MaxInt64 })
	bad("epoch", func(b *Batch) { b.Epoch = MaxSeq })
}
