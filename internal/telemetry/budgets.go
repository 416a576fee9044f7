package telemetry

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/internal/forecast"
	"github.com/sluice-gateway/sluice/internal/money"
)

// maxBudgets bounds the budgets that metrics show: those that run out first.
const maxBudgets = 500

// budgetGauge is one figure of a budget. It is left out where it is not known.
type budgetGauge struct {
	name, labels, help string
	value              func(*forecast.State) (x float64, known bool)
}

var budgetGauges = []budgetGauge{
	{"sluice_budget_limit_usd", "tenant key period time_zone on_exceed",
		"How far a budget goes, on all gateways.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.Limit), true }},
	{"sluice_budget_spent_usd", "tenant key period time_zone on_exceed",
		"Spent of a budget in its period, on all gateways.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.Spent), true }},
	{"sluice_budget_suspense_usd", "tenant key period time_zone on_exceed",
		"What attempts of unknown outcome may have cost.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.Suspense), true }},
	{"sluice_budget_held_usd", "tenant key period time_zone on_exceed",
		"What open requests and leases of all gateways can still take.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.Held), s.HeldKnown }},
	{"sluice_budget_left_usd", "tenant key period time_zone on_exceed",
		"The limit less what is spent, in suspense and held.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.Left), true }},
	{"sluice_budget_burn_usd_per_hour", "tenant key period time_zone on_exceed",
		"What a budget loses per hour, in the mean of the last day.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.BurnPerHour), s.Forecast.Known }},
	{"sluice_budget_forecast_usd", "tenant key period time_zone on_exceed",
		"What will be spent at the end of the period.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.Forecast.Mid), s.Forecast.Known }},
	{"sluice_budget_forecast_low_usd", "tenant key period time_zone on_exceed",
		"Lower end of its 80 % interval.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.Forecast.Low), s.Forecast.Bounded }},
	{"sluice_budget_forecast_high_usd", "tenant key period time_zone on_exceed",
		"Upper end of its 80 % interval.",
		func(s *forecast.State) (float64, bool) { return inUSD(s.Forecast.High), s.Forecast.Bounded }},
	{"sluice_budget_runs_out_timestamp_seconds", "tenant key period time_zone on_exceed",
		"When a budget runs out, absent when it lasts.",
		func(s *forecast.State) (float64, bool) { return float64(s.RunsOut.Unix()), !s.RunsOut.IsZero() }},
	{"sluice_budget_reset_timestamp_seconds", "tenant key period time_zone on_exceed",
		"When the period ends.",
		func(s *forecast.State) (float64, bool) { return float64(s.End.Unix()), true }},
}

func inUSD(p money.Pico) float64 { return float64(p) / float64(money.Dollar) }

// budgets shows how budgets stand.
type budgets struct {
	read       func() (all []forecast.State, known bool)
	descs      []*prometheus.Desc // of budgetGauges
	known, not *prometheus.Desc
}

// WatchBudgets reads the states of budgets from read at each scrape, those first that run
// out first. While they are not known no budget is shown. It must be called at most once.
func (m *Metrics) WatchBudgets(read func() (all []forecast.State, known bool)) {
	if m == nil {
		return
	}
	b := &budgets{
		read: read,
		known: prometheus.NewDesc("sluice_budgets_known",
			"1 while the ledger says how budgets stand; otherwise none is shown.", nil, nil),
		not: prometheus.NewDesc("sluice_budgets_not_shown", "Budgets beyond the 500 that run out first.", nil, nil),
	}
	for _, g := range budgetGauges {
		b.descs = append(b.descs, prometheus.NewDesc(g.name, g.help, strings.Fields(g.labels), nil))
	}
	m.registry.MustRegister(b)
}

// Describe implements prometheus.Collector.
func (b *budgets) Describe(out chan<- *prometheus.Desc) {
	for _, d := range b.descs {
		out <- d
	}
	out <- b.known
	out <- b.not
}

// Collect implements prometheus.Collector. Of budgets with the same labels the one that
// runs out first is shown.
func (b *budgets) Collect(out chan<- prometheus.Metric) {
	all, known := b.read()
	up := 0.0
	if known {
		up = 1
	}
	out <- prometheus.MustNewConstMetric(b.known, prometheus.GaugeValue, up)
	seen := map[[5]string]bool{}
	for i := range all {
		s := &all[i]
		labels := [...]string{s.Tenant, s.Key, s.Period, s.TimeZone, s.OnExceed}
		if seen[labels] || len(seen) == maxBudgets {
			continue
		}
		seen[labels] = true
		for k, g := range budgetGauges {
			if x, known := g.value(s); known {
				out <- prometheus.MustNewConstMetric(b.descs[k], prometheus.GaugeValue, x, labels[:]...)
			}
		}
	}
	out <- prometheus.MustNewConstMetric(b.not, prometheus.GaugeValue, float64(len(all)-len(seen)))
}
