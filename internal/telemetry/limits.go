package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Differing is a tenant whose budgets or limits another gateway's file has otherwise.
type Differing struct{ Gateway, Tenant string }

// differing shows them, each as a 1.
type differing struct {
	read func() []Differing
	desc *prometheus.Desc
}

// WatchLists reads, at each scrape, which limits differ and which members of pools are out. Both bound how many there
// are, and have none twice. It must be called at most once.
func (m *Metrics) WatchLists(limits func() []Differing, members func() []Absent) {
	if m == nil {
		return
	}
	m.registry.MustRegister(&differing{limits, prometheus.NewDesc("sluice_limits_differ",
		"1 for a tenant whose budgets or limits that gateway's file has otherwise; at most 100 are shown.",
		[]string{"gateway", "tenant"}, nil)})
	m.registry.MustRegister(&absent{members, prometheus.NewDesc("sluice_pool_member_out",
		"1 for a member of a pool that takes no calls of a model at present, or of all with an empty label; at most 100.",
		[]string{"upstream", "model", "reason"}, nil)})
}

// Describe implements prometheus.Collector.
func (d *differing) Describe(out chan<- *prometheus.Desc) { out <- d.desc }

// Collect implements prometheus.Collector.
func (d *differing) Collect(out chan<- prometheus.Metric) {
	for _, one := range d.read() {
		out <- prometheus.MustNewConstMetric(d.desc, prometheus.GaugeValue, 1, one.Gateway, one.Tenant)
	}
}

// Absent is a member of a pool that takes no calls at present.
type Absent struct{ Upstream, Model, Reason string }

// absent shows them, each as a 1.
type absent struct {
	read func() []Absent
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (a *absent) Describe(out chan<- *prometheus.Desc) { out <- a.desc }

// Collect implements prometheus.Collector.
func (a *absent) Collect(out chan<- prometheus.Metric) {
	for _, one := range a.read() {
		out <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, 1, one.Upstream, one.Model, one.Reason)
	}
}
