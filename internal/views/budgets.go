package views

import (
	"math"
	"strings"

	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/money"
)

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
