package redis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/ledgertest"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/meter/redis/redistest"
)

// TestClosings: a gateway that knows of no closing posts late records as corrections; a rebuilt root has what was
// in the month there again; and a Redis that lost its closings gets them back.
func TestClosings(t *testing.T) {
	server := redistest.NewServer(t)
	a, b := newLedger(t, server.URL()), newLedger(t, server.URL())
	through := time.Now().UTC().Truncate(24 * time.Hour)
	old := through.Add(-5 * time.Hour)
	post := func(l *Ledger, seq uint64) {
		t.Helper()
		p := record.Posting{Seq: seq, Root: "acme", Row: record.RowKey{Hour: old, Tenant: "acme", Held: "x"},
			Add: record.Counters{Input: 1 << seq}}
		batch := &ledger.Batch{Writer: "w", Root: "acme", From: seq, To: seq, Postings: []record.Posting{p}}
		if r, err := l.Apply(t.Context(), batch); err != nil || r.Watermark != seq {
			t.Fatal(r, err)
		}
	}
	holds := func(inMonth, late int64) {
		t.Helper()
		want := map[record.RowKey]record.Counters{
			{Hour: old, Tenant: "acme", Held: "x"}:                          {Input: inMonth},
			{Hour: through, Tenant: "acme", Held: "x", Corrects: "2026-10"}: {Input: late},
		}
		if late == 0 {
			delete(want, record.RowKey{Hour: through, Tenant: "acme", Held: "x", Corrects: "2026-10"})
		}
		got, err := ledgertest.Books(t.Context(), a)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	}
	post(a, 1)
	post(b, 2)
	mark, err := a.CloseMonth(t.Context(), "acme", ledger.Closing{Month: "2026-10", Zone: "UTC", Through: through})
	if err != nil || mark.UpTo["w"] != 2 {
		t.Fatal(mark, err)
	}
	post(b, 3) // it has not heard of it
	post(a, 4)
	holds(2+4, 8+16)
	again, err := b.CloseMonth(t.Context(), "acme", ledger.Closing{Month: "2026-10", Zone: "UTC", Through: through})
	if diff := cmp.Diff(mark, again); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	earlier := ledger.Closing{Month: "2026-09", Zone: "UTC", Through: through.AddDate(0, -1, 0)}
	if _, err := b.CloseMonth(t.Context(), "acme", earlier); err == nil {
		t.Error("an earlier month was closed after a later one")
	}

	if err := a.Wipe(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(4) {
		post(a, seq+1)
	}
	holds(2+4, 8+16)

	server.CLI("FLUSHALL")
	for seq := range uint64(4) {
		post(b, seq+1)
	}
	holds(2+4, 8+16)
	found, err := newLedger(t, server.URL()).Closings(t.Context(), "acme")
	if diff := cmp.Diff(ledger.Closings{mark}, found); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
