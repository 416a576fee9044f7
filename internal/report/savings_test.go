package report

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// halves yields each row in two parts, as a journal does.
type halves struct{ saving.Source }

func (h halves) Rows(
	ctx context.Context, from, to time.Time, yield func(record.RowKey, record.Counters) error,
) error {
	return h.Source.Rows(ctx, from, to, func(k record.RowKey, c record.Counters) error {
		part := record.Counters{Requests: c.Requests / 2, Legs: 1, Output: c.Output / 3, CostInput: 7}
		rest, _ := c.Plus(part.Negative())
		if err := yield(k, part); err != nil {
			return err
		}
		return yield(k, rest)
	})
}

// TestSavingsInReport: a row of a cascade has what saving.Of says of it, with its bounds, and a row of
// a part of its legs has nothing.
func TestSavingsInReport(t *testing.T) {
	const strong = "anthropic.strong"
	price := money.Price(money.Dollar)
	table, problems := record.CompilePrices([]config.PriceBook{{Prices: []config.Price{{
		Models: []string{strong}, Rates: config.Rates{Input: 3 * price, HasInput: true, Output: 15 * price, HasOutput: true},
	}}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rows := answers{}
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for hour := range 5 {
		for i, tenant := range []string{"acme", "other"} {
			n := int64(20 + 7*hour + i)
			at := from.Add(time.Duration(hour) * time.Hour)
			k := record.RowKey{Hour: at, Tenant: tenant, Cascade: "c", Path: "escalated", Model: strong}
			rows[k] = record.Counters{
				Requests: n, Legs: n, Input: 100 * n, Output: 90*n + int64(hour), CostInput: 1e9, CostOutput: 5e9}
			k.Path, k.Model = "light", "amazon.weak"
			rows[k] = record.Counters{
				Requests: 9 * n, Legs: 9*n + 1, Input: 1000 * n, Output: 100 * n, CostInput: 1e8}
		}
		rows[record.RowKey{Hour: from, Tenant: "acme", Model: strong}] = record.Counters{Requests: 5, Legs: 5}
	}
	q := saving.Query{From: from, To: from.AddDate(0, 1, 0), Prices: table, Baselines: []saving.Baseline{
		{Cascade: "c", Model: strong, SKU: record.SKU{Model: strong}},
	}}
	want, err := saving.Of(t.Context(), rows, q)
	if err != nil || want[0].NotMeasured != "" || !want[0].Interval {
		t.Fatal(want, err)
	}
	f := func(by []string, row int, saved, low, high string) {
		t.Helper()
		r, err := Build(t.Context(), halves{rows}, Query{From: from, To: q.To, Now: q.To, By: by, Savings: &q})
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"saved_usd": saved, "saved_low_usd": low, "saved_high_usd": high} {
			at := slices.IndexFunc(figures, func(f figure[Row]) bool { return f.name == name })
			if got := figures[at].text(r.Rows[row]); got != text {
				t.Errorf("%s of %v is %q, want %q", name, r.Rows[row].By, got, text)
			}
		}
	}
	f([]string{"cascade"}, 1, want[0].Saved.String(), want[0].Low.String(), want[0].High.String())
	f([]string{"cascade"}, 0, "", "", "")
	f([]string{"cascade", "path"}, 1, "", "", "")
	f([]string{"tenant"}, 0, "", "", "")
	for k := range rows {
		if k.Tenant == "other" {
			delete(rows, k)
		}
	}
	if want, err = saving.Of(t.Context(), rows, q); err != nil {
		t.Fatal(err)
	}
	f([]string{"month", "cascade"}, 1, want[0].Saved.String(), want[0].Low.String(), want[0].High.String())
}
