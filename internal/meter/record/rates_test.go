package record

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

func TestTokenRates(t *testing.T) {
	table, problems := CompilePrices([]config.PriceBook{{Prices: []config.Price{
		{Models: []string{"whole"}, Rates: config.Rates{
			Input: 8, HasInput: true, Output: 40, HasOutput: true, CacheRead: 2, HasCacheRead: true,
		}},
		{Models: []string{"embedding"}, Rates: config.Rates{Input: 1, HasInput: true}},
	}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f := func(model string, want TokenRates, wantOK bool) {
		t.Helper()
		got, ok := table.Find(SKU{Model: model}, time.Unix(0, 0)).TokenRates()
		if got != want || ok != wantOK {
			t.Errorf("%s: %+v %v, want %+v %v", model, got, ok, want, wantOK)
		}
	}
	f("whole", TokenRates{8, 40, 2, 8, 8}, true)
	f("embedding", TokenRates{1, 0, 1, 1, 1}, false)
	f("stranger", TokenRates{}, false)
}
