package telemetry

import (
	"math/big"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
)

// savingGauge is one figure of a cascade. It is left out where it is not known:
// zero would be a claim.
type savingGauge struct {
	name, labels, help string
	value              func(*saving.Saving) (x float64, known bool)
}

// They are gauges, because a saving falls as well as rises.
var savingGauges = []savingGauge{
	{"sluice_cascade_spent_usd", "cascade", "What a cascade spent on all legs, of the last 7 days of this process.",
		func(s *saving.Saving) (float64, bool) { return usd(&s.Spent), true }},
	{"sluice_cascade_escalation_alone_usd", "cascade", "What its escalation model alone would have cost.",
		func(s *saving.Saving) (float64, bool) { return usd(&s.Counterfactual), s.NotMeasured == "" }},
	{"sluice_cascade_saved_usd", "cascade", "The difference, negative when the cascade cost more.",
		func(s *saving.Saving) (float64, bool) { return usd(&s.Saved), s.NotMeasured == "" }},
	{"sluice_cascade_saved_low_usd", "cascade", "Lower end of its 95 % interval.",
		func(s *saving.Saving) (float64, bool) { return usd(&s.Low), s.Interval }},
	{"sluice_cascade_saved_high_usd", "cascade", "Upper end of its 95 % interval.",
		func(s *saving.Saving) (float64, bool) { return usd(&s.High), s.Interval }},
	{"sluice_cascade_certified", "cascade", "Whether a certificate bounds the loss of quality.",
		func(s *saving.Saving) (float64, bool) {
			if s.Quality.Bound {
				return 1, true
			}
			return 0, true
		}},
	{"sluice_cascade_quality_loss_bound", "cascade",
		"The most that the mean quality loses, from 0 to 1, by the certificate.",
		func(s *saving.Saving) (float64, bool) { return s.Quality.Loss, s.Quality.Bound }},
	{"sluice_cascade_quality_confidence", "cascade", "How sure the bound is, from 0 to 1.",
		func(s *saving.Saving) (float64, bool) { return s.Quality.Confidence, s.Quality.Bound }},
	{"sluice_cascade_certificate_age_seconds", "cascade", "Age of the certificate.",
		func(s *saving.Saving) (float64, bool) { return s.To.Sub(s.Quality.Issued).Seconds(), s.Quality.Bound }},
}

func usd(t *money.Total) float64 {
	dollars, _ := new(big.Rat).Quo(t.Rat(), new(big.Rat).SetInt64(int64(money.Dollar))).Float64()
	return dollars
}

// savings shows what cascades saved, worked out at each scrape.
type savings struct {
	read  func() []saving.Saving
	descs []*prometheus.Desc // of savingGauges
}

// WatchSavings reads the savings of all cascades from read at each scrape; their
// To is now. It must be called at most once.
func (m *Metrics) WatchSavings(read func() []saving.Saving) {
	if m == nil {
		return
	}
	s := &savings{read: read}
	for _, g := range savingGauges {
		s.descs = append(s.descs, prometheus.NewDesc(g.name, g.help, strings.Fields(g.labels), nil))
	}
	m.registry.MustRegister(s)
}

// Describe implements prometheus.Collector.
func (s *savings) Describe(out chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *savings) Collect(out chan<- prometheus.Metric) {
	rows := s.read()
	for i := range rows {
		for n, g := range savingGauges {
			if x, known := g.value(&rows[i]); known {
				out <- prometheus.MustNewConstMetric(s.descs[n], prometheus.GaugeValue, x, rows[i].Cascade)
			}
		}
	}
}
