package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Differing is a tenant whose budgets or limits another gateway's file has otherwise.
type Differing struct{ Gateway, Tenant string }

// Absent is a member of a pool that takes no calls at present.
type Absent struct{ Upstream, Model, Reason string }

// ones shows what is on a list, each as a 1.
type ones[T any] struct {
	read   func() []T
	labels func(T) []string
	desc   *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (o *ones[T]) Describe(out chan<- *prometheus.Desc) { out <- o.desc }

// Collect implements prometheus.Collector.
func (o *ones[T]) Collect(out chan<- prometheus.Metric) {
	for _, one := range o.read() {
		out <- prometheus.MustNewConstMetric(o.desc, prometheus.GaugeValue, 1, o.labels(one)...)
	}
}

// WatchLists reads, at each scrape, which limits differ, which members of pools are out, and how quotas stand. Each
// bounds how many there are, and has none twice. It must be called at most once.
func (m *Metrics) WatchLists(limits func() []Differing, members func() []Absent, quotas func() []Quota) {
	if m == nil {
		return
	}
	m.registry.MustRegister(&ones[Differing]{limits, func(d Differing) []string {
		return []string{d.Gateway, d.Tenant}
	}, prometheus.NewDesc("sluice_limits_differ",
		"1 for a tenant whose budgets or limits that gateway's file has otherwise; at most 100 are shown.",
		[]string{"gateway", "tenant"}, nil)})
	m.registry.MustRegister(&ones[Absent]{members, func(a Absent) []string {
		return []string{a.Upstream, a.Model, a.Reason}
	}, prometheus.NewDesc("sluice_pool_member_out",
		"1 for a member of a pool that takes no calls of a model at present, or of all with an empty label; at most 100.",
		[]string{"upstream", "model", "reason"}, nil)})
	m.registry.MustRegister(quotaList(quotas))
}

// Quota is how the quota of some models at an upstream stands, in the order of quotaSeries.
type Quota struct {
	Upstream, Models string
	Values           [len(quotaSeries)]float64
}

// quotaSeries are what is shown of a quota.
var quotaSeries = [...]struct {
	name, help string
	kind       prometheus.ValueType
}{
	{"sluice_quota_tokens_per_minute", "What the quota is, in tokens of quota; 0 is no limit.", prometheus.GaugeValue},
	{"sluice_quota_minute_tokens", "Tokens of quota that the last minute's calls take or hold.", prometheus.GaugeValue},
	{"sluice_quota_minute_requests", "Calls of the last minute.", prometheus.GaugeValue},
	{"sluice_quota_waiting", "Calls that wait in line.", prometheus.GaugeValue},
	{"sluice_quota_held_tokens_total", "Tokens of quota that ended calls held.", prometheus.CounterValue},
	{"sluice_quota_used_tokens_total", "Tokens of quota that these calls took.", prometheus.CounterValue},
	{"sluice_quota_waited_total", "Calls that were admitted after a wait.", prometheus.CounterValue},
	{"sluice_quota_refused_total", "Calls that were not admitted.", prometheus.CounterValue},
	{"sluice_quota_headroom_cap", "A cap of output tokens that 99 of 100 answers keep to.", prometheus.GaugeValue},
	{"sluice_quota_headroom_tokens", "Tokens of quota that this cap would have freed.", prometheus.GaugeValue},
}

// quotaList shows them.
type quotaList func() []Quota

func (quotaList) desc(i int) *prometheus.Desc {
	return prometheus.NewDesc(quotaSeries[i].name, quotaSeries[i].help, []string{"upstream", "models"}, nil)
}

// Describe implements prometheus.Collector.
func (q quotaList) Describe(out chan<- *prometheus.Desc) {
	for i := range quotaSeries {
		out <- q.desc(i)
	}
}

// Collect implements prometheus.Collector.
func (q quotaList) Collect(out chan<- prometheus.Metric) {
	for _, one := range q() {
		for i := range quotaSeries {
			out <- prometheus.MustNewConstMetric(q.desc(i), quotaSeries[i].kind, one.Values[i], one.Upstream, one.Models)
		}
	}
}
