package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Differing is a tenant whose budgets or limits another gateway's file has otherwise.
type Differing struct{ Gateway, Tenant string }

// differing shows them, each as a 1.
type differing struct {
	read func() []Differing
	desc *prometheus.Desc
}

// WatchDiffering reads them at each scrape. read bounds how many there are. It must be
// called at most once.
func (m *Metrics) WatchDiffering(read func() []Differing) {
	if m != nil {
		m.registry.MustRegister(&differing{read, prometheus.NewDesc("sluice_limits_differ",
			"1 for a tenant whose budgets or limits that gateway's file has otherwise; at most 100 are shown.",
			[]string{"gateway", "tenant"}, nil)})
	}
}

// Describe implements prometheus.Collector.
func (d *differing) Describe(out chan<- *prometheus.Desc) { out <- d.desc }

// Collect implements prometheus.Collector.
func (d *differing) Collect(out chan<- prometheus.Metric) {
	for _, one := range d.read() {
		out <- prometheus.MustNewConstMetric(d.desc, prometheus.GaugeValue, 1, one.Gateway, one.Tenant)
	}
}
