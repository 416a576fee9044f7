package views

import (
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
)

// period draws the counters of a period.
func drawPeriod(rt *rapid.T, name string) []row {
	var rows []row
	for i := range rapid.IntRange(0, 6).Draw(rt, name) {
		at := func(what string, most int64) int64 {
			return rapid.Int64Range(0, most).Draw(rt, fmt.Sprint(name, what, i))
		}
		rows = append(rows, row{record.RowKey{
			Path:  rapid.SampledFrom([]string{"light", "escalated", "direct"}).Draw(rt, fmt.Sprint(name, "path", i)),
			Model: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, fmt.Sprint(name, "model", i)),
		}, record.Counters{
			Requests: at("requests", 50), Legs: at("legs", 50), Input: at("input", 1e5), Output: at("output", 1e5),
			CostInput:  money.Pico(at("input cost", 1e13)) - money.Pico(at("correction", 1e11)),
			CostOutput: money.Pico(at("output cost", 1e13)), CostImage: money.Pico(at("image cost", 1e12)),
		}})
	}
	return rows
}

// TestChangeAddsUp: the steps from one period to another are the difference, to the cent, for
// any two periods: empty ones, other models, costs without usage, corrections.
func TestChangeAddsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		old, now := mixOf(counted{drawPeriod(rt, "old")}), mixOf(counted{drawPeriod(rt, "now")})
		table := changeTable(old, now)
		if len(table.Rows) == 0 {
			return
		}
		sum := new(big.Rat)
		for _, cells := range table.Rows {
			part, ok := new(big.Rat).SetString(cells[1])
			if !ok {
				rt.Fatal(cells)
			}
			sum.Add(sum, part)
		}
		last, _ := new(big.Rat).SetString(table.Totals[1])
		if sum.Cmp(last) != 0 || table.Totals[1] != decimal(cents(now.cost.Rat())) ||
			table.Rows[0][1] != decimal(cents(old.cost.Rat())) {
			rt.Fatalf("%v, total %v: parts come to %s", table.Rows, table.Totals, sum.FloatString(2))
		}
	})
}

// TestChangeNamesTheCause changes one thing at a time: the whole difference is in its step.
func TestChangeNamesTheCause(t *testing.T) {
	of := func(path, model string, n, input int64, price money.Pico) row {
		return row{record.RowKey{Path: path, Model: model}, record.Counters{
			Requests: n, Legs: n, Input: n * input, CostInput: money.Pico(n*input) * price,
		}}
	}
	base := []row{of("light", "a", 90, 1000, 1e6), of("escalated", "b", 10, 1000, 1e7)}
	for step, now := range map[string][]row{
		"requests":                  {of("light", "a", 180, 1000, 1e6), of("escalated", "b", 20, 1000, 1e7)},
		"escalation and other legs": {of("light", "a", 80, 1000, 1e6), of("escalated", "b", 20, 1000, 1e7)},
		"model mix":                 {of("light", "a", 90, 1000, 1e6), of("escalated", "c", 10, 1000, 3e7)},
		"tokens per request":        {of("light", "a", 90, 3000, 1e6), of("escalated", "b", 10, 1000, 1e7)},
		"prices and corrections":    {of("light", "a", 90, 1000, 4e6), of("escalated", "b", 10, 1000, 1e7)},
	} {
		for _, cells := range changeTable(mixOf(counted{base}), mixOf(counted{now})).Rows[1:] {
			if (cells[1] != "0.00") != (cells[0] == step) {
				t.Errorf("only %s changed: %v", step, cells)
			}
		}
	}
}
