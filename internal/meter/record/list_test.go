package record

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/money"
)

// TestList lists each model once, at the price of the last book, and leaves out
// patterns and what has no price for output.
func TestList(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	first := config.PriceBook{Prices: []config.Price{
		{Models: []string{"b", "a"}, Effective: day(1), Rates: listed(10, 20)},
		{Models: []string{"a"}, Effective: day(2), Rates: listed(11, 21)},
		{Models: []string{"silent"}, Effective: day(1), Rates: config.Rates{Input: 10, HasInput: true}},
		{Models: []string{"x*"}, Effective: day(1), Rates: listed(1, 1)},
		{Models: []string{"later"}, Effective: day(9), Rates: listed(1, 1)},
	}}
	second := config.PriceBook{Prices: []config.Price{
		{Models: []string{"b"}, Effective: day(1), Rates: listed(12, 22)},
	}}
	book, problems := CompilePrices([]config.PriceBook{first, second})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []PricedModel{
		{"b", TokenRates{Input: 12, Output: 22, CacheRead: 12, CacheWrite5m: 12, CacheWrite1h: 12}},
		{"a", TokenRates{Input: 11, Output: 21, CacheRead: 11, CacheWrite5m: 11, CacheWrite1h: 11}},
	}
	if diff := cmp.Diff(want, book.List(&first, day(3))); diff != "" {
		t.Error(diff)
	}
}

func listed(input, output money.Price) config.Rates {
	return config.Rates{Input: input, HasInput: true, Output: output, HasOutput: true}
}
