package report

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// classRows are calls of one tenant at three price versions: one of whole pico-dollars per
// token, one with a discount that is none, and one that no archive knows.
func classRows(t *testing.T) (source rows, prices Prices) {
	t.Helper()
	const milli = money.Price(money.Dollar) / 1000
	whole := &config.Rates{Input: 3000 * milli, HasInput: true, Output: 15000 * milli, HasOutput: true,
		CacheRead: 300 * milli, HasCacheRead: true, CacheWrite5m: 3750 * milli, HasCacheWrite5m: true}
	odd := &config.Rates{Input: 32_462_500_001, HasInput: true, Output: 130_000_000_007, HasOutput: true}
	oddList := &config.Rates{Input: 35_000_000_000, HasInput: true, Output: 140_000_000_000, HasOutput: true}
	known := map[string][2]*config.Rates{"whole": {whole, whole}, "odd-7.25%": {odd, oddList}}
	prices = func(version string) (charged, list *config.Rates, ok bool) {
		found, ok := known[version]
		return found[0], found[1], ok
	}
	random := rand.New(rand.NewPCG(5, 6))
	for i := range 300 {
		version := []string{"whole", "odd-7.25%", "unknown", ""}[i%4]
		c := record.Counters{Legs: 1, Requests: 1, Input: random.Int64N(100_000), Output: random.Int64N(4000)}
		switch of := known[version]; {
		case of[0] != nil:
			c.CostInput, c.CostOutput = money.Cost(c.Input, of[0].Input), money.Cost(c.Output, of[0].Output)
			c.Discount = money.Cost(c.Input, of[1].Input) + money.Cost(c.Output, of[1].Output) - c.CostInput - c.CostOutput
			if version == "whole" {
				c.CacheRead = random.Int64N(1000)
				c.CostCacheRead = money.Cost(c.CacheRead, of[0].CacheRead)
			}
		case version == "unknown":
			c.CostInput, c.CostOutput = money.Pico(2*c.Input), money.Pico(7*c.Output)
		default:
			c.Unpriced = 1
		}
		source = append(source, row{record.RowKey{Hour: at(1+i%20, 3), Tenant: "acme", PriceVersion: version}, c})
	}
	return append(source, row{record.RowKey{Hour: at(2, 3), Tenant: "acme", PriceVersion: "whole"},
		record.Counters{GuardrailUnits: 3, CostGuardrail: 1_000_000_001}}), prices
}

func ratOf(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return r
}

// TestQuantityTimesPrice: on rows of usage by class and price version, quantity times unit
// price is the cost, exactly, at list price too; and the rows sum to what they are parts of.
func TestQuantityTimesPrice(t *testing.T) {
	source, prices := classRows(t)
	q := november(classColumn, "price_version")
	q.Prices = prices
	r, err := Build(t.Context(), source, q)
	if err != nil {
		t.Fatal(err)
	}
	get := func(r *Row, name string) string {
		for _, f := range figures {
			if f.name == name {
				return f.text(r)
			}
		}
		t.Fatalf("there is no column %s", name)
		return ""
	}
	sum, list, priced := new(big.Rat), new(big.Rat), 0
	for i := range r.Rows {
		row := r.Rows[i]
		cost, price := get(row, "cost_usd"), get(row, "unit_price_usd")
		if cost != "" {
			sum.Add(sum, ratOf(t, cost))
			list.Add(list, ratOf(t, get(row, "list_usd")))
		}
		if row.By[0] == otherClass || row.By[0] == callClass {
			continue
		}
		if row.By[1] == "" {
			if cost != "" || price != "" || row.Quantity() == 0 {
				t.Errorf("%v without a price: %s at %s", row.By, cost, price)
			}
			continue
		}
		if row.By[0] == "guardrail" {
			continue // its policies have no one price
		}
		priced++
		product := ratOf(t, price)
		product.Mul(product, ratOf(t, get(row, "quantity")))
		if product.Cmp(ratOf(t, cost)) != 0 {
			t.Errorf("%v: %s times %s is not %s", row.By, get(row, "quantity"), price, cost)
		}
	}
	if priced != 7 {
		t.Errorf("%d rows have a price", priced)
	}
	if sum.Cmp(ratOf(t, r.Total.Cost().String())) != 0 {
		t.Errorf("the rows cost %s, and all %s", sum.FloatString(18), r.Total.Cost())
	}
	off := list.Sub(list, ratOf(t, r.Total.List().String()))
	if off.Abs(off).Cmp(big.NewRat(1, 1_000_000_000)) > 0 {
		t.Errorf("at list price the rows are %s off", off.FloatString(18))
	}
}
