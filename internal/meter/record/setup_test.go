package record

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/wire"
)

var testDay = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func testPrices(t testing.TB) *PriceBook {
	t.Helper()
	book, problems := CompilePrices([]config.PriceBook{{Name: "test.yaml", Prices: []config.Price{{
		Models: []string{"light"}, Effective: testDay.AddDate(0, -1, 0),
		Rates: config.Rates{Input: 60_000 * 1_000_000, HasInput: true, Output: 240_000 * 1_000_000, HasOutput: true},
	}}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return book
}

func newStart() *Start {
	return &Start{
		ID: "01TEST00000000000000000001", RequestID: "r", Root: "acme", Tenant: "acme/team", Key: "key",
		Op: wire.OpConverse, Model: "us.light", SKU: SKU{Model: "light", Scope: "geo"}, Path: "light",
		Attempt: 1, EstimatedInput: 100, MaxOutput: 50, At: testDay,
	}
}

// BenchmarkEncode is Begin and End without the journal.
func BenchmarkEncode(b *testing.B) {
	prices := testPrices(b)
	s := sampleStart()
	_, e := sampleEnd()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendStart(buf[:0], s)
		p, _ := Derive(s, e, prices)
		buf = AppendEnd(buf[:0], &p, e)
	}
}
