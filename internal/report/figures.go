package report

import (
	"math/big"
	"slices"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/money"
)

// unpriced is written in a table for a cost of which nothing has a price: what is not
// known is not 0. Elsewhere it is "".
const unpriced = "unpriced"

// costText is an amount of which so many legs have no price.
func costText(cost *money.Total, without int64) string {
	if without > 0 && cost.Sign() == 0 {
		return ""
	}
	return cost.String()
}

// charged is a figure that is a part of what is charged, or made of it.
func charged(name string, get func(*Row) *money.Total) figure[Row] {
	return figure[Row]{name, func(r *Row) string {
		if r.noPrice {
			return ""
		}
		return costText(get(r), r.Unpriced)
	}, priced}
}

// classed is a figure of one class, which is not known where the costs of single calls are in the row.
func classed(name string, get func(*Row) *money.Total) figure[Row] {
	of := charged(name, get)
	return figure[Row]{name, func(r *Row) string {
		if r.Calls.Sign() != 0 {
			return ""
		}
		return of.text(r)
	}, priced}
}

// dollars is a figure that is an amount in any case.
func dollars(name string, get func(*Row) *money.Total) figure[Row] {
	return figure[Row]{name, func(r *Row) string { return get(r).String() }, amount}
}

// figures are the columns behind those that were grouped by. Programs know the first ten
// by their places.
var figures = []figure[Row]{
	count("requests", func(r *Row) int64 { return r.Requests }),
	count("legs", func(r *Row) int64 { return r.Legs }),
	count("escalated", func(r *Row) int64 { return r.Escalated }),
	count("input_tokens", func(r *Row) int64 { return r.InputTokens }),
	count("output_tokens", func(r *Row) int64 { return r.OutputTokens }),
	count("cache_read_tokens", func(r *Row) int64 { return r.CacheReadTokens }),
	count("cache_write_tokens", func(r *Row) int64 { return r.CacheWriteTokens() }),
	{"cost_usd", (*Row).costText, priced},
	count("unpriced", func(r *Row) int64 { return r.Unpriced }),
	count("unknown", func(r *Row) int64 { return r.Unknown }),
	count("cache_write_5m_tokens", func(r *Row) int64 { return r.CacheWrite5mTokens }),
	count("cache_write_1h_tokens", func(r *Row) int64 { return r.CacheWrite1hTokens }),
	count("guardrail_units", func(r *Row) int64 { return r.GuardrailUnits }),
	count("queries", func(r *Row) int64 { return r.Queries }),
	count("images", func(r *Row) int64 { return r.Images }),
	count("milliseconds", func(r *Row) int64 { return r.Milliseconds }),
	classed("input_usd", func(r *Row) *money.Total { return &r.Input }),
	classed("output_usd", func(r *Row) *money.Total { return &r.Output }),
	classed("cache_read_usd", func(r *Row) *money.Total { return &r.CacheRead }),
	classed("cache_write_5m_usd", func(r *Row) *money.Total { return &r.CacheWrite5m }),
	classed("cache_write_1h_usd", func(r *Row) *money.Total { return &r.CacheWrite1h }),
	classed("cache_write_usd", func(r *Row) *money.Total { return &r.CacheWrite }),
	classed("guardrail_usd", func(r *Row) *money.Total { return &r.Guardrail }),
	classed("query_usd", func(r *Row) *money.Total { return &r.Query }),
	classed("image_usd", func(r *Row) *money.Total { return &r.Image }),
	classed("second_usd", func(r *Row) *money.Total { return &r.Second }),
	dollars("fixed_usd", func(r *Row) *money.Total { return &r.Fixed }),
	{"list_usd", (*Row).listText, priced},
	dollars("discount_usd", func(r *Row) *money.Total { return &r.Discount }),
	{"quantity", func(r *Row) string { return r.quantityText() }, ratio},
	{"unit", func(r *Row) string { return r.Unit.Name }, words},
	{"unit_price_usd", func(r *Row) string { return unitPrice(r.Unit.Price) }, priced},
	{"list_unit_price_usd", func(r *Row) string { return unitPrice(r.Unit.List) }, priced},
	{"usd_per_request", func(r *Row) string { return r.per(r.Requests, 1) }, priced},
	{"usd_per_1k_tokens", func(r *Row) string { return r.per(r.Tokens(), 1000) }, priced},
	{"escalation_rate", func(r *Row) string { return share(r.Escalated, r.Requests) }, ratio},
	dollars("wasted_usd", func(r *Row) *money.Total { return &r.Wasted }),
	count("tokens_cut", func(r *Row) int64 { return r.TokensCut }),
	count("cap_hits", func(r *Row) int64 { return r.CapHits }),
	count("drained", func(r *Row) int64 { return r.Drained }),
	dollars("suspense_usd", func(r *Row) *money.Total { return &r.Suspense }),
	count("suspense_tokens", func(r *Row) int64 { return r.SuspenseTokens }),
	{"correction", func(r *Row) string { return r.Correction }, words},
	{"tenant_name", func(r *Row) string { return r.Tenant.Name }, words},
	{"cost_center", func(r *Row) string { return r.Tenant.CostCenter }, words},
	{"tags", func(r *Row) string { return r.Tenant.tags() }, words},
	savedFigure("saved_usd"), savedFigure("saved_low_usd"), savedFigure("saved_high_usd"),
	dollars("cache_premium_usd", func(r *Row) *money.Total { return &r.CachePremium }),
	dollars("cache_saved_usd", func(r *Row) *money.Total { return &r.CacheSaved }),
}

// span are columns with the bounds of the query.
func (r *Report) span() []figure[Row] {
	from, to := stampIn(r.From, r.Zone), stampIn(r.To, r.Zone)
	return []figure[Row]{
		{"from", func(*Row) string { return from }, words},
		{"to", func(*Row) string { return to }, words},
	}
}

// per is what the row costs for each of n, times so many; "" for none, and for a cost
// that is not known.
func (r *Row) per(n, times int64) string {
	cost := r.Cost()
	if n <= 0 || r.Correction != "" || costText(cost, r.Unpriced) == "" {
		return ""
	}
	var one money.Total
	one.AddRat(new(big.Rat).Mul(cost.Rat(), big.NewRat(times, n)))
	return one.String()
}

func (r *Row) quantityText() string {
	if r.Unit.Name == "" {
		return ""
	}
	return strconv.FormatInt(r.Quantity(), 10)
}

// share is a part of a whole with four decimals, "" for none.
func share(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	return big.NewRat(part, whole).FloatString(4)
}

// columnsOf are all columns: the first ones, those grouped by, and the figures.
func columnsOf(by []string, first ...figure[Row]) []figure[Row] {
	all := slices.Clone(first)
	for i, name := range by {
		all = append(all, figure[Row]{name, func(r *Row) string { return r.By[i] }, words})
	}
	for i := range figures {
		if !slices.Contains(by, figures[i].name) {
			all = append(all, figures[i])
		}
	}
	return all
}
