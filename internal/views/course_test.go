package views_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/chart"
	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/views"
	"github.com/sluice-gateway/sluice/internal/views/viewstest"
)

// TestCourse: the running month is shown against its budget and forecast, of one tenant and of all
// together; another month and another period are shown without, and say why.
func TestCourse(t *testing.T) {
	r := viewstest.New(t, viewstest.Counted())
	end := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	r.Sources.Budgets = func(_ context.Context, below string) ([]forecast.State, error) {
		of := func(id string, limit money.Pico) forecast.State {
			return forecast.State{
				Tenant: id, Period: "month", TimeZone: "UTC", Limit: limit, RunsOut: end.AddDate(0, 0, -1),
				RunsOutEarliest: end.AddDate(0, 0, -2), End: end,
				Forecast: forecast.Range{Known: true, Bounded: true, Low: 70e12, Mid: 80e12, High: 90e12},
			}
		}
		day := of("acme", 1e12)
		day.Period = "day"
		if below == "other" {
			return nil, nil
		}
		return []forecast.State{day, of("acme", 100e12), of("acme/app", 40e12), of("acme/apps", 5e12)}, nil
	}
	r.Sources.Ahead = func() forecast.Ahead {
		return forecast.Ahead{Until: end, Range: forecast.Range{Known: true, Bounded: true, Low: 1e12, Mid: 2e12, High: 3e12}}
	}
	shelf := views.New(r.Sources)
	for name, want := range map[string]struct{ from, to, tenant, budget, note, empty string }{
		"one": {
			tenant: "acme", budget: "100.00",
			note: "acme reaches its budget of the month on 2026-11-30 (between 2026-11-29 and later than the month).",
		},
		"all together":      {budget: "100.00", note: "all tenants together"},
		"without a budget":  {tenant: "other", note: "other has no budget of the month, and so no forecast."},
		"the month before":  {from: "2026-10-01", to: "2026-11-01", note: "Budgets are of the running month"},
		"a part of a month": {from: "2026-11-02", to: "2026-11-09", empty: "The period is no month"},
		"a coming month":    {from: "2026-12-01", to: "2027-01-01", empty: "No traffic"},
	} {
		v, _, err := shelf.Make(t.Context(), "spend", anybody{}, map[string][]string{
			"from": {want.from}, "to": {want.to}, "tenant": {want.tenant},
		})
		if err != nil {
			t.Fatal(name, err)
		}
		c := v.Tables[0]
		if !strings.Contains(strings.Join(v.Notes, " "), want.note) || !strings.HasPrefix(c.Empty, want.empty) {
			t.Errorf("%s: %q, %q", name, v.Notes, c.Empty)
		}
		if want.empty != "" {
			if len(c.Rows) > 0 || c.Figure != nil {
				t.Errorf("%s: %v", name, c.Rows)
			}
			continue
		}
		last, svg := c.Rows[len(c.Rows)-1], c.Figure.(*chart.Course).SVG("x")
		forecasted := want.budget != ""
		if c.Rows[0][2] != want.budget || (last[3] != "") != forecasted || strings.Contains(svg, "budget:") != forecasted ||
			strings.Contains(svg, "forecast:") != forecasted || strings.Contains(svg, "NaN") {
			t.Errorf("%s: first %v, last %v\n%s", name, c.Rows[0], last, svg)
		}
		spenders := v.Tables[2]
		for _, row := range spenders.Rows {
			if has := strings.HasPrefix(row[0], "acme") && row[0] != "acme/app/web"; (row[len(row)-3] != "") !=
				(has && forecasted) {
				t.Errorf("%s: %v", name, row)
			}
		}
	}
}
