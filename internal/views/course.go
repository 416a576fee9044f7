package views

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/money"
)

// budgeted is how tenants stand with their budgets of the month, each with the one that allows least.
// It is nil when there is no budget at all, and when that cannot be read: then a view says so and
// shows the rest.
func budgeted(a *ask) map[string]*forecast.State {
	all, err := a.shelf.from.Budgets(a.ctx, a.query.Tenant)
	if err != nil {
		a.Notes = append(a.Notes, "Budgets are missing: "+err.Error()+".")
	}
	if len(all) == 0 {
		return nil
	}
	months := map[string]*forecast.State{}
	for i := range all {
		s := &all[i]
		if least := months[s.Tenant]; s.Key == "" && s.Period == "month" && (least == nil || s.Limit < least.Limit) {
			months[s.Tenant] = s
		}
	}
	return months
}

// monthly reports whether the period is a month, and whether that is the running one.
func monthly(a *ask) (month, runs bool) {
	start := monthStart(a.From)
	month = a.From.Equal(start) && a.To.Equal(start.AddDate(0, 1, 0))
	return month, month && start.Equal(monthStart(a.shelf.from.Now()))
}

// plan is what a month may cost and is going to cost.
type plan struct {
	limit          *money.Total // nil for no budget
	low, end, high *money.Total // nil for not known
}

// course is what the period has cost, day by day, against the budget of its month, and where it is
// going.
func course(a *ask, spent *money.Total, byDay map[string]*money.Total, budgets map[string]*forecast.State) *Table {
	t := &Table{Name: "course", Title: "Against the budget of the month", Empty: noTraffic, Columns: []Column{
		{Name: "day", Title: "up to the end of day (UTC)", Kind: Time}, {Name: "spent_usd", Title: "spent", Kind: Money},
		{Name: "budget_usd", Title: "budget", Kind: Money}, {Name: "forecast_usd", Title: "forecast", Kind: Money},
		{Name: "forecast_low_usd", Title: "at least (80 %)", Kind: Money},
		{Name: "forecast_high_usd", Title: "at most (80 %)", Kind: Money},
	}}
	month, runs := monthly(a)
	if !month {
		t.Empty = "The period is no month: choose the first of one, and the first of the next."
		return t
	}
	if len(byDay) == 0 {
		return t
	}
	var p plan
	if runs {
		p = planOf(a, spent, budgets)
	} else if budgets != nil {
		a.Notes = append(a.Notes, "Budgets are of the running month: what they were in another is not kept.")
	}
	text := func(t *money.Total) string {
		if t == nil {
			return ""
		}
		return t.String()
	}
	figure := &chart.Course{
		Unit: "$", Limit: drawnAt(p.limit), End: drawnAt(p.end), Low: drawnAt(p.low), High: drawnAt(p.high),
	}
	var sum money.Total
	for _, day := range daysOf(a.From, a.To, a.AsOf) {
		if s := byDay[day]; s != nil {
			sum.AddTotal(s)
		}
		t.Add(day, sum.String(), text(p.limit), "", "", "")
		figure.Sum = append(figure.Sum, float(&sum))
	}
	figure.Labels = daysOf(a.From, a.To, a.To.Add(-time.Nanosecond))
	if last := figure.Labels[len(figure.Labels)-1]; p.end != nil {
		t.Add(last, "", text(p.limit), text(p.end), text(p.low), text(p.high))
	}
	t.Figure = figure
	return t
}

func monthStart(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// drawnAt is an amount for a drawing, NaN for none.
func drawnAt(t *money.Total) float64 {
	if t == nil {
		return math.NaN()
	}
	return float(t)
}

func total(p money.Pico) *money.Total {
	t := &money.Total{}
	t.Add(p)
	return t
}

// planOf is that of the tenant that was asked for, or of all together.
func planOf(a *ask, spent *money.Total, budgets map[string]*forecast.State) (p plan) {
	if a.query.Tenant == "" {
		return planOfAll(a, spent, budgets)
	}
	s := budgets[a.query.Tenant]
	if s == nil {
		a.Notes = append(a.Notes, a.query.Tenant+" has no budget of the month, and so no forecast.")
		return p
	}
	p.limit = total(s.Limit)
	if s.Forecast.Known {
		p.end = total(s.Forecast.Mid)
	}
	if s.Forecast.Bounded {
		p.low, p.high = total(s.Forecast.Low), total(s.Forecast.High)
	}
	if !s.RunsOut.IsZero() {
		a.Notes = append(a.Notes, fmt.Sprintf("%s reaches its budget of the month on %s%s.", s.Tenant,
			s.RunsOut.UTC().Format(time.DateOnly), between(s)))
	}
	if s.TimeZone != "UTC" {
		a.Notes = append(a.Notes, "The month of the budget is of "+s.TimeZone+"; the days shown are of UTC.")
	}
	return p
}

// between is within which days a budget runs out, "" when that is not known.
func between(s *forecast.State) string {
	if s.RunsOutEarliest.IsZero() {
		return ""
	}
	last := "later than the month"
	if !s.RunsOutLatest.IsZero() {
		last = s.RunsOutLatest.UTC().Format(time.DateOnly)
	}
	return " (between " + s.RunsOutEarliest.UTC().Format(time.DateOnly) + " and " + last + ")"
}

// planOfAll adds the budgets of the month that are below no other, and what all will spend to what
// they have.
func planOfAll(a *ask, spent *money.Total, budgets map[string]*forecast.State) (p plan) {
	for tenant, s := range budgets {
		if !below(tenant, budgets) {
			if p.limit == nil {
				p.limit = &money.Total{}
			}
			p.limit.Add(s.Limit)
		}
	}
	if p.limit != nil {
		a.Notes = append(a.Notes, "The budget is that of all tenants together which have one of the month; "+
			"what is spent is that of all tenants.")
	}
	ahead := a.shelf.from.Ahead()
	if !ahead.Until.Equal(a.To) || !ahead.Known {
		a.Notes = append(a.Notes, "There is no forecast of all tenants: it needs a budget and history of some hours.")
		return p
	}
	more := func(add money.Pico) *money.Total {
		t := total(add)
		t.AddTotal(spent)
		return t
	}
	p.end = more(ahead.Mid)
	if ahead.Bounded {
		p.low, p.high = more(ahead.Low), more(ahead.High)
	}
	return p
}

// below reports whether a tenant above this one has a budget.
func below(tenant string, budgets map[string]*forecast.State) bool {
	for at := strings.LastIndexByte(tenant, '/'); at > 0; at = strings.LastIndexByte(tenant, '/') {
		if tenant = tenant[:at]; budgets[tenant] != nil {
			return true
		}
	}
	return false
}
