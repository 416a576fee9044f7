package views

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/report"
)

const (
	// shownParts is how many parts of a bar have a name of their own.
	shownParts = 8
	noTraffic  = "No traffic in this period."
	other      = "all others"
)

// spend is who spends how much, in all and by the day.
func (a *ask) spend() error {
	by, err := a.by(spendBy()...)
	if err != nil {
		return err
	}
	rows, err := a.days()
	if err != nil {
		return err
	}
	var payers report.Tenants
	if by == "cost_center" {
		payers = a.shelf.from.Payers()
	}
	all, err := report.Build(a.ctx, source{rows}, report.Query{
		From: a.From, To: a.To, By: []string{by}, Now: a.AsOf, Tenants: payers,
	})
	if err != nil {
		return err
	}
	for _, w := range all.Warnings {
		a.Notes = append(a.Notes, string(w))
	}
	a.Notes = append(a.Notes, "Coverage: "+all.Coverage().String()+".")
	slices.SortStableFunc(all.Rows, func(a, b *report.Row) int { return b.Cost().Rat().Cmp(a.Cost().Rat()) })
	who := make([]string, len(all.Rows))
	for i := range all.Rows {
		who[i] = all.Rows[i].By[0]
	}
	of := report.Value(by, payers)
	daily := group(rows.each, func(r *row) [2]string { return [2]string{dayOf(r), of(&r.key)} })
	byDay := map[string]*money.Total{}
	for k, s := range daily {
		if byDay[k[0]] == nil {
			byDay[k[0]] = &money.Total{}
		}
		byDay[k[0]].AddTotal(&s.cost)
	}
	budgets := budgeted(a)
	month := course(a, all.Total.Cost(), byDay, budgets)
	if _, runs := monthly(a); !runs {
		budgets = nil // they are of the running month
	}
	a.Tables = []*Table{
		month, spendDays(daysOf(a.From, a.To, a.AsOf), who, daily),
		spenders(by, all, budgets),
	}
	return nil
}

func spenders(by string, all *report.Report, budgets map[string]*forecast.State) *Table {
	t := &Table{Name: "spenders", Title: "In this period, by " + by, Empty: noTraffic, Columns: []Column{
		{Name: by, Title: by, Kind: Text}, {Name: "requests", Title: "requests", Kind: Count},
		{Name: "input_tokens", Title: "input tokens", Kind: Count},
		{Name: "output_tokens", Title: "output tokens", Kind: Count},
		{Name: "cost_usd", Title: "cost", Kind: Money}, {Name: "share_percent", Title: "share", Kind: Percent},
		{Name: "usd_per_1000_requests", Title: "per 1,000 requests", Kind: Money},
		{Name: "unpriced", Title: "unpriced legs", Kind: Count},
		{Name: "unknown", Title: "unknown attempts", Kind: Count},
		{Name: "budget_usd", Title: "budget of the month", Kind: Money},
		{Name: "forecast_usd", Title: "at its end", Kind: Money}, {Name: "runs_out", Title: "runs out", Kind: Time},
	}}
	if by != "cost_center" {
		t.Columns[0].Opens, t.Columns[0].Param = "tenant", "tenant"
	}
	whole := all.Total.Cost().Rat()
	line := func(name string, r *report.Row, s *forecast.State) []string {
		cost, budget := r.Cost(), []string{"", "", ""}
		if s != nil && by != "cost_center" {
			budget = []string{s.Limit.String(), known(s.Forecast.Mid, s.Forecast.Known), stampOrNone(s.RunsOut)}
		}
		return append([]string{name, count(r.Requests), count(r.InputTokens), count(r.OutputTokens), priced(cost,
			r.Unpriced),
			share(cost.Rat(), whole), perThousand(cost, r.Requests, r.Unpriced), count(r.Unpriced),
			count(r.Unknown)}, budget...)
	}
	for i := range all.Rows {
		who := all.Rows[i].By[0]
		t.Add(line(who, all.Rows[i], budgets[who])...)
	}
	if len(all.Rows) > 0 {
		t.Totals = line("total", &all.Total, nil)
	}
	return t
}

// spendDays has a column for each of those who spend most.
func spendDays(days, who []string, daily map[[2]string]*sum) *Table {
	t := &Table{Name: "days", Title: "By the day", Empty: noTraffic, Columns: []Column{
		{Name: "day", Title: "day (UTC)", Kind: Time}, {Name: "cost_usd", Title: "cost", Kind: Money},
		{Name: "cumulative_usd", Title: "since the start", Kind: Money},
	}}
	if len(who) == 0 {
		return t
	}
	named := who[:min(len(who), shownParts)]
	bars := &chart.Bars{Labels: days, Unit: "$"}
	for _, name := range append(slices.Clone(named), other) {
		if name != other || len(who) > len(named) {
			t.Columns = append(t.Columns, Column{Name: "usd:" + name, Title: name, Kind: Money})
			bars.Parts = append(bars.Parts, chart.Series{Name: name, Values: make([]float64, len(days))})
		}
	}
	var running money.Total
	for i, day := range days {
		var all, rest money.Total
		parts := make([]string, 0, len(t.Columns))
		for j, name := range who {
			c := &money.Total{}
			if s := daily[[2]string{day, name}]; s != nil {
				c = &s.cost
			}
			all.AddTotal(c)
			if j >= len(named) {
				rest.AddTotal(c)
				continue
			}
			parts = append(parts, c.String())
			bars.Parts[j].Values[i] = float(c)
		}
		if len(who) > len(named) {
			parts = append(parts, rest.String())
			bars.Parts[len(named)].Values[i] = float(&rest)
		}
		running.AddTotal(&all)
		t.Add(append([]string{day, all.String(), running.String()}, parts...)...)
	}
	t.Figure = bars
	return t
}

// dayOf is the day of a row, as daysOf has it.
func dayOf(r *row) string { return r.key.Hour.Format(time.DateOnly) }

// daysOf are the days of a period that have begun.
func daysOf(from, to, now time.Time) []string {
	var days []string
	for day := from.Truncate(24 * time.Hour); day.Before(to) && !day.After(now); day = day.AddDate(0, 0, 1) {
		days = append(days, day.Format(time.DateOnly))
	}
	return days
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

// priced is a cost, "" when nothing of it has a price.
func priced(cost *money.Total, unpriced int64) string {
	if unpriced > 0 && cost.Sign() == 0 {
		return ""
	}
	return cost.String()
}

// perThousand is a cost for 1,000 of n, "" without any.
func perThousand(cost *money.Total, n, unpriced int64) string {
	if n <= 0 || priced(cost, unpriced) == "" {
		return ""
	}
	return dollars(new(big.Rat).Mul(cost.Rat(), big.NewRat(1000, n)))
}

// dollars is a number of pico-dollars, rounded to one.
func dollars(pico *big.Rat) string {
	var t money.Total
	half := big.NewRat(1, 2)
	if pico.Sign() < 0 {
		half.Neg(half)
	}
	t.AddRat(half.Add(half, pico))
	return t.String()
}

// share is a part of a whole in percent, "" of nothing.
func share(part, of *big.Rat) string {
	if of.Sign() == 0 {
		return ""
	}
	return new(big.Rat).Mul(new(big.Rat).Quo(part, of), big.NewRat(100, 1)).FloatString(2)
}

func shareOf(part, of int64) string { return share(big.NewRat(part, 1), big.NewRat(of, 1)) }

// float is dollars for a drawing.
func float(t *money.Total) float64 {
	f, _ := t.Rat().Float64()
	return f / 1e12
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// overview is what to look at first: a few numbers, the days, and how far they can be trusted.
func (a *ask) overview() error {
	rows, err := a.days()
	if err != nil {
		return err
	}
	from, to := a.before()
	old, err := a.daysOf(from, to)
	if err != nil {
		return err
	}
	t := &Table{Name: "numbers", Title: "In this period", Empty: noTraffic, Columns: []Column{
		{Name: "what", Title: "what", Kind: Text}, {Name: "now", Title: "now", Kind: Number},
		{Name: "before", Title: "period before", Kind: Number},
	}}
	now, before := whole(rows), whole(old)
	if rows.some() {
		pair := func(what string, of func(*sum) string) { t.Add(what, of(now), of(before)) }
		pair("cost, USD", func(s *sum) string { return priced(&s.cost, s.Unpriced) })
		pair("requests", func(s *sum) string { return count(s.Requests) })
		pair("USD per 1,000 requests", func(s *sum) string { return perThousand(&s.cost, s.Requests, s.Unpriced) })
		pair("escalated, %", func(s *sum) string { return shareOf(s.Escalated, s.Requests) })
		pair("light answers thrown away, USD", func(s *sum) string { return s.wasted.String() })
		pair("in suspense, USD", func(s *sum) string { return s.suspense.String() })
	}
	a.Notes = append(a.Notes, periodBefore(from, to))
	if err := a.spend(); err != nil {
		return err
	}
	course, days, spenders := a.Tables[0], a.Tables[1], a.Tables[2]
	const first = 10
	if len(spenders.Rows) > first {
		spenders.Title, spenders.Rows = "The ten that spend most", spenders.Rows[:first]
	}
	a.Tables = []*Table{t, course, days, spenders, legStates(a, now)}
	return nil
}

// drawn is how many budgets have a bar.
const drawn = 10

// budgets are all of the tree that may be seen, those first that run out first.
func (a *ask) budgets() error {
	t := &Table{Name: "budgets", Title: "Those first that run out first", Empty: "There is no budget here.",
		Columns: []Column{
			tenantColumn(), {Name: "key", Title: "key", Kind: Text},
			{Name: "period", Title: "period", Kind: Text}, {Name: "on_exceed", Title: "then", Kind: Text},
			{Name: "limit_usd", Title: "limit", Kind: Money}, {Name: "spent_usd", Title: "spent", Kind: Money},
			{Name: "suspense_usd", Title: "in suspense", Kind: Money}, {Name: "held_usd", Title: "held", Kind: Money},
			{Name: "left_usd", Title: "left", Kind: Money},
			{Name: "burn_usd_per_hour", Title: "burns per hour", Kind: Money},
			{Name: "forecast_usd", Title: "at the end", Kind: Money},
			{Name: "forecast_low_usd", Title: "at least (80 %)", Kind: Money},
			{Name: "forecast_high_usd", Title: "at most (80 %)", Kind: Money},
			{Name: "runs_out", Title: "runs out", Kind: Time},
			{Name: "runs_out_earliest", Title: "earliest", Kind: Time},
			{Name: "runs_out_latest", Title: "latest", Kind: Time},
			{Name: "ends", Title: "period ends", Kind: Time}, {Name: "notes", Title: "notes", Kind: Text},
		}}
	all, err := a.shelf.from.Budgets(a.ctx, a.query.Tenant)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		a.AsOf = all[0].AsOf.UTC()
	}
	figure := &chart.Bullets{}
	for i := range all {
		s := &all[i]
		t.Add(budgetCells(s)...)
		if len(figure.Rows) < drawn && s.Limit > 0 {
			end := math.NaN()
			if s.Forecast.Known {
				end = float64(s.Forecast.Mid) / float64(s.Limit)
			}
			figure.Rows = append(figure.Rows, chart.Bullet{
				Name: s.Tenant + s.Key + " by the " + s.Period, Spent: s.UsedShare(),
				Held: float64(s.Held) / float64(s.Limit), End: end,
			})
		}
	}
	if len(figure.Rows) > 0 {
		t.Figure = figure
	}
	a.Source, a.counted = "ledger and limiter", true
	a.Notes = append(a.Notes,
		"Budgets are of their running period, whatever period is chosen above. Spent, held and left are "+
			"exact; what comes is an estimate with an interval of 80 %.")
	a.Tables = []*Table{t}
	return nil
}

func budgetCells(s *forecast.State) []string {
	f, at := &s.Forecast, stampOrNone
	return []string{
		s.Tenant, s.Key, s.Period, s.OnExceed, s.Limit.String(), s.Spent.String(), s.Suspense.String(), known(s.Held,
			s.HeldKnown),
		s.Left.String(), s.BurnPerHour.String(), known(f.Mid, f.Known), known(f.Low, f.Bounded), known(f.High,
			f.Bounded),
		at(s.RunsOut), at(s.RunsOutEarliest), at(s.RunsOutLatest), at(s.End), strings.Join(s.Notes, "; "),
	}
}

// known is an amount, "" when it is not known.
func known(p money.Pico, is bool) string {
	if !is {
		return ""
	}
	return p.String()
}
