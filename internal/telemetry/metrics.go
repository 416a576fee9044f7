package telemetry

import (
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// maxLabels bounds the values of labels that come from configuration or
// callers (tenants, models). Later ones are counted as otherLabel.
const (
	maxLabels  = 500
	otherLabel = "other"
)

// latencies are the histogram buckets in seconds: from what the gateway adds
// (tens of microseconds) to the longest answers.
var (
	addedBuckets  = []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1, 5}
	answerBuckets = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
)

// Metrics are the instruments. Every method is safe for concurrent use and does
// nothing on nil. Durations are recorded in seconds, money as an indicative
// float: the ledger alone is exact.
type Metrics struct {
	registry *prometheus.Registry

	requests, legs, retries, ruleErrors, glitches, refusals, reloads *prometheus.CounterVec
	decisions, guarded, cutAccepted, shadowsDropped, refuted         *prometheus.CounterVec
	strangeSchemas                                                   *prometheus.CounterVec
	tokens, tenantTokens, tenantCost                                 *prometheus.CounterVec
	input, output, cacheRead, cacheWrite5m, cacheWrite1h             prometheus.Counter
	cost, capCuts, tokensCut, traceErrors                            prometheus.Counter
	added, firstByte, duration                                       prometheus.Histogram
	breakers, configInfo, stepsBack                                  *prometheus.GaugeVec
	reloadOK, reloadTime                                             prometheus.Gauge
	tenants, models                                                  labels
}

func newMetrics(registry *prometheus.Registry, opts Options) *Metrics {
	r := maker{registry}
	m := &Metrics{
		registry:       registry,
		requests:       r.counters("sluice_requests_total", "Requests answered.", "operation", "path", "status"),
		legs:           r.counters("sluice_legs_total", "Upstream attempts ended.", "upstream", "outcome"),
		retries:        r.counters("sluice_retries_total", "Attempts that were repeated.", "upstream", "reason"),
		ruleErrors:     r.counters("sluice_rule_errors_total", "Rules that failed at run time and counted as matched.", "cascade"),
		decisions:      r.counters("sluice_cascade_requests_total", "Requests of cascades.", "cascade", "path", "reason"),
		guarded:        r.counters("sluice_cascade_guarded_total", "Escalations that a cascade's guard stopped.", "cascade"),
		cutAccepted:    r.counters("sluice_cascade_cut_accepted_total", "Light answers that were served although the token limit cut them.", "cascade"),
		shadowsDropped: r.counters("sluice_cascade_shadows_dropped_total", "Shadow samples that were not taken.", "cascade", "reason"),
		refuted:        r.counters("sluice_cascade_certificates_refuted_total", "Times that samples refuted the threshold in use.", "cascade"),
		stepsBack:      r.gauges("sluice_cascade_steps_back", "Steps of the certificate that its watch has taken back.", "cascade"),
		strangeSchemas: r.counters("sluice_cascade_uncertified_schemas_total", "Requests with a response schema that the certificate is not about.", "cascade"),
		glitches:       r.counters("sluice_h2_glitches_total", "HTTP/2 connections closed for a flood of cheap frames.", "kind"),
		refusals:       r.counters("sluice_refusals_total", "Requests refused before they reached the request line.", "status"),
		reloads:        r.counters("sluice_config_reloads_total", "Configuration reloads.", "result"),
		tokens:         r.counters("sluice_tokens_total", "Tokens that the upstream reported.", "class"),
		tenantTokens:   r.counters("sluice_tenant_tokens_total", "Tokens by root tenant, all classes.", "tenant"),
		tenantCost:     r.counters("sluice_tenant_cost_usd_total", "Cost by root tenant. Indicative; the ledger is exact.", "tenant"),
		cost:           r.counter("sluice_cost_usd_total", "Cost of all attempts. Indicative; the ledger is exact."),
		capCuts:        r.counter("sluice_cap_cuts_total", "Requests whose output cap was changed."),
		tokensCut:      r.counter("sluice_cap_cut_tokens_total", "Output tokens that were asked for and not allowed."),
		traceErrors:    r.counter("sluice_trace_export_errors_total", "Exports of traces that failed."),
		added:          r.histogram("sluice_added_latency_seconds", "Time a request spent in the gateway itself.", addedBuckets),
		firstByte:      r.histogram("sluice_first_byte_seconds", "Time to the first byte of the answer.", answerBuckets),
		duration:       r.histogram("sluice_request_duration_seconds", "Time to the last byte of the answer.", answerBuckets),
		breakers:       r.gauges("sluice_breaker_state", "Circuit breaker: 0 closed, 1 half open, 2 open.", "upstream", "model"),
		configInfo:     r.gauges("sluice_config_info", "The configuration in use.", "hash"),
		reloadOK:       r.gauge("sluice_config_last_reload_success", "Whether the last reload was taken."),
		reloadTime:     r.gauge("sluice_config_last_reload_timestamp_seconds", "When the last good configuration was loaded."),
		tenants:        labels{max: maxLabels},
		models:         labels{max: maxLabels},
	}
	m.input = m.tokens.WithLabelValues("input")
	m.output = m.tokens.WithLabelValues("output")
	m.cacheRead = m.tokens.WithLabelValues("cache_read")
	m.cacheWrite5m = m.tokens.WithLabelValues("cache_write_5m")
	m.cacheWrite1h = m.tokens.WithLabelValues("cache_write_1h")
	r.gauges("sluice_build_info", "This build.", "version", "commit", "go").
		WithLabelValues(opts.Version, opts.Commit, runtime.Version()).Set(1)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// RequestCount is one answered request. Path is the x-sluice-path, "" for one
// that was refused.
type RequestCount struct {
	Operation string
	Path      string
	Status    int
	// Added is the time spent in the gateway itself, FirstByte that to the first
	// byte of the answer, Duration that to the last.
	Added, FirstByte, Duration time.Duration
}

// statusClasses are the values of the status label.
var statusClasses = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

func statusClass(status int) string {
	if c := status / 100; c >= 1 && c < len(statusClasses) {
		return statusClasses[c]
	}
	return statusClasses[0]
}

// Request counts an answered request.
func (m *Metrics) Request(c RequestCount) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(c.Operation, c.Path, statusClass(c.Status)).Inc()
	m.added.Observe(c.Added.Seconds())
	m.firstByte.Observe(c.FirstByte.Seconds())
	m.duration.Observe(c.Duration.Seconds())
}

// Leg counts an attempt that has ended. outcome is completed, a failure's name
// (engine.Failure) or a status class.
func (m *Metrics) Leg(upstream, outcome string) {
	if m != nil {
		m.legs.WithLabelValues(upstream, outcome).Inc()
	}
}

// Usage counts what one attempt used; root is the first element of the tenant's
// path. Unknown counts add nothing.
func (m *Metrics) Usage(root string, u *wire.Usage, cost money.Pico) {
	if m == nil {
		return
	}
	m.input.Add(float64(u.Input.N))
	m.output.Add(float64(u.Output.N))
	m.cacheRead.Add(float64(u.CacheRead.N))
	m.cacheWrite5m.Add(float64(u.CacheWrite5m.N))
	m.cacheWrite1h.Add(float64(u.CacheWrite1h.N))
	usd := float64(cost) / float64(money.Dollar)
	m.cost.Add(usd)
	tenant := m.tenants.bounded(root)
	all := sum(u.Input, u.Output, u.CacheRead, u.CacheWrite5m, u.CacheWrite1h)
	m.tenantTokens.WithLabelValues(tenant).Add(float64(all.N))
	m.tenantCost.WithLabelValues(tenant).Add(usd)
}

// CapCut counts a request whose cap was changed; tokens is by how much.
func (m *Metrics) CapCut(tokens int64) {
	if m != nil {
		m.capCuts.Inc()
		m.tokensCut.Add(float64(max(tokens, 0)))
	}
}

// Retry counts an attempt that is repeated because of reason.
func (m *Metrics) Retry(upstream, reason string) {
	if m != nil {
		m.retries.WithLabelValues(upstream, reason).Inc()
	}
}

// BreakerState is that of one circuit breaker.
type BreakerState int

// The states.
const (
	BreakerClosed BreakerState = iota
	BreakerHalfOpen
	BreakerOpen
)

// Breaker shows a breaker's new state.
func (m *Metrics) Breaker(upstream, model string, state BreakerState) {
	if m != nil {
		m.breakers.WithLabelValues(upstream, m.models.bounded(model)).Set(float64(state))
	}
}

// RuleError counts a rule that failed at run time.
func (m *Metrics) RuleError(cascade string) {
	if m != nil {
		m.ruleErrors.WithLabelValues(cascade).Inc()
	}
}

// Decision counts a request of a cascade by path and reason.
func (m *Metrics) Decision(cascade, path, reason string) {
	if m != nil {
		m.decisions.WithLabelValues(cascade, path, reason).Inc()
	}
}

// Guarded counts an escalation that a cascade's guard stopped.
func (m *Metrics) Guarded(cascade string) {
	if m != nil {
		m.guarded.WithLabelValues(cascade).Inc()
	}
}

// CutAccepted counts a light answer that was served although the token limit
// ended it.
func (m *Metrics) CutAccepted(cascade string) {
	if m != nil {
		m.cutAccepted.WithLabelValues(cascade).Inc()
	}
}

// Refuted counts that samples refuted the threshold in use.
func (m *Metrics) Refuted(cascade string) {
	if m != nil {
		m.refuted.WithLabelValues(cascade).Inc()
	}
}

// StepsBack shows how many steps of its certificate a watch has taken back.
func (m *Metrics) StepsBack(cascade string, steps int) {
	if m != nil {
		m.stepsBack.WithLabelValues(cascade).Set(float64(steps))
	}
}

// UncertifiedSchema counts a request whose response schema the certificate is
// not about.
func (m *Metrics) UncertifiedSchema(cascade string) {
	if m != nil {
		m.strangeSchemas.WithLabelValues(cascade).Inc()
	}
}

// ShadowDropped counts a shadow sample that was not taken.
func (m *Metrics) ShadowDropped(cascade, reason string) {
	if m != nil {
		m.shadowsDropped.WithLabelValues(cascade, reason).Inc()
	}
}

// Glitch counts an HTTP/2 flood of this kind.
func (m *Metrics) Glitch(kind string) {
	if m != nil {
		m.glitches.WithLabelValues(kind).Inc()
	}
}

// Refusal counts a request that the edge answered itself.
func (m *Metrics) Refusal(status int) {
	if m != nil {
		m.refusals.WithLabelValues(strconv.Itoa(status)).Inc()
	}
}

// Loaded shows the configuration with this hash as the one in use since at.
func (m *Metrics) Loaded(hash string, at time.Time) {
	if m == nil {
		return
	}
	m.reloads.WithLabelValues("taken").Inc()
	m.reloadOK.Set(1)
	m.reloadTime.Set(float64(at.Unix()))
	m.configInfo.Reset()
	m.configInfo.WithLabelValues(hash).Set(1)
}

// LoadFailed counts a configuration that was refused; the old one stays.
func (m *Metrics) LoadFailed() {
	if m != nil {
		m.reloads.WithLabelValues("refused").Inc()
		m.reloadOK.Set(0)
	}
}

// Gauge is a value that is read when the metrics are.
type Gauge int

// The gauges.
const (
	GaugeInFlight Gauge = iota
	GaugeConnections
	GaugePendingConnections
	GaugeBufferedBytes
	GaugeJournalBacklog
	GaugeJournalAge
	GaugeLedgerDegraded
	GaugeHintsWaiting
	GaugeHintsDropped
)

var gaugeNames = [...][2]string{
	GaugeInFlight:           {"sluice_requests_in_flight", "Requests being answered."},
	GaugeConnections:        {"sluice_connections", "Open connections of callers."},
	GaugePendingConnections: {"sluice_pending_connections", "Connections that have not sent a request yet."},
	GaugeBufferedBytes:      {"sluice_buffered_bytes", "Bytes of request bodies held."},
	GaugeJournalBacklog:     {"sluice_journal_backlog_records", "Journalled records that the ledger does not have yet."},
	GaugeJournalAge:         {"sluice_journal_backlog_age_seconds", "Age of the oldest of them."},
	GaugeLedgerDegraded:     {"sluice_ledger_degraded", "1 while the ledger cannot be reached."},
	GaugeHintsWaiting:       {"sluice_hints_waiting", "Hints for other gateways that no batch has taken along yet."},
	GaugeHintsDropped:       {"sluice_hints_dropped", "Hints that found no room since the start."},
}

// Watch reads g from read at each scrape. It must be called once per gauge.
func (m *Metrics) Watch(g Gauge, read func() float64) {
	if m != nil {
		opts := prometheus.GaugeOpts{Name: gaugeNames[g][0], Help: gaugeNames[g][1]}
		m.registry.MustRegister(prometheus.NewGaugeFunc(opts, read))
	}
}

// labels lets the first max values through.
type labels struct {
	max int

	mu   sync.RWMutex // guards seen
	seen map[string]struct{}
}

func (l *labels) bounded(value string) string {
	l.mu.RLock()
	_, ok := l.seen[value]
	full := len(l.seen) >= l.max
	l.mu.RUnlock()
	switch {
	case ok:
		return value
	case full:
		return otherLabel
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.seen[value]; !ok && len(l.seen) >= l.max {
		return otherLabel
	}
	if l.seen == nil {
		l.seen = make(map[string]struct{})
	}
	l.seen[value] = struct{}{}
	return value
}

// maker makes registered instruments.
type maker struct{ registry *prometheus.Registry }

func (m maker) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m maker) counter(name, help string) prometheus.Counter {
	return m.counters(name, help).WithLabelValues()
}

func (m maker) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m maker) gauge(name, help string) prometheus.Gauge {
	return m.gauges(name, help).WithLabelValues()
}

func (m maker) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}
