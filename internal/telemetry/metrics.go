package telemetry

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// maxLabels bounds the values of labels that come from configuration or
// callers (tenants, models), and maxGuardrails guardrails, of which accounts
// have few. Later ones are counted as otherLabel.
const (
	maxLabels     = 500
	maxGuardrails = 50
	otherLabel    = "other"
)

// latencies are the histogram buckets in seconds: from what the gateway adds
// (tens of microseconds) to the longest answers.
var (
	addedBuckets  = []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1, 5}
	answerBuckets = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
)

// counter is one row of counters.
type counter int

const (
	requests counter = iota
	legs
	retries
	tierTries
	sessionSignals
	poolCalls
	embeddedAgain
	embeddedAgainCost
	capacityCalls
	scopeSpills
	ruleErrors
	decisions
	guarded
	cutAccepted
	shadowsDropped
	refuted
	uncertifiedSchemas
	glitches
	refusals
	authFailures
	accessDropped
	decisionsDropped
	reloads
	capCuts
	tokensCut
	traceErrors
	spansLost
	identityFailures
	tokens
	tenantTokens
	tenantCost
	cost
	guardrailCalls
	promptPoints
	promptPaid
	promptSaved
	promptWasted
)

// counters is each counter's name, labels and help.
var counters = [...]struct{ name, labels, help string }{
	requests:  {"sluice_requests_total", "operation path status", "Requests answered."},
	legs:      {"sluice_legs_total", "upstream outcome", "Upstream attempts ended."},
	retries:   {"sluice_retries_total", "upstream reason", "Attempts that were repeated."},
	tierTries: {"sluice_tier_tries_total", "tier outcome", "Calls on a service tier that the gateway chose."},
	sessionSignals: {"sluice_session_signals_total", "signal action",
		"Calls of sessions that seem to go round in circles."},
	poolCalls: {"sluice_pool_calls_total", "pool upstream why outcome", "Calls that members of pools were chosen for."},
	embeddedAgain: {"sluice_embedded_again_total", "tenant",
		"Embeddings of texts that were embedded before, unchanged."},
	embeddedAgainCost: {"sluice_embedded_again_usd_total", "tenant",
		"What these cost again, by root tenant. Indicative."},
	capacityCalls: {
		"sluice_capacity_calls_total", "capacity outcome",
		"Calls that were to go to capacity that was bought: served there, or why they went on demand.",
	},
	scopeSpills: {"sluice_scope_spills_total", "from to reason", "Calls that were asked in another scope."},
	ruleErrors:  {"sluice_rule_errors_total", "cascade", "Rules that failed at run time and counted as matched."},
	decisions:   {"sluice_cascade_requests_total", "cascade path reason", "Requests of cascades."},
	guarded:     {"sluice_cascade_guarded_total", "cascade", "Escalations that a cascade's guard stopped."},
	cutAccepted: {"sluice_cascade_cut_accepted_total", "cascade",
		"Light answers that were served although the token limit cut them."},
	shadowsDropped: {"sluice_cascade_shadows_dropped_total", "cascade reason", "Shadow samples that were dropped."},
	refuted: {"sluice_cascade_certificates_refuted_total", "cascade",
		"Times that samples refuted the threshold in use."},
	uncertifiedSchemas: {"sluice_cascade_uncertified_schemas_total", "cascade",
		"Requests with a response schema that the certificate does not cover."},
	glitches:     {"sluice_h2_glitches_total", "kind", "HTTP/2 connections closed for a flood of cheap frames."},
	refusals:     {"sluice_refusals_total", "status", "Requests refused before they reached the request line."},
	authFailures: {"sluice_authentication_failures_total", "type", "Requests without a valid credential."},
	accessDropped: {"sluice_access_log_dropped_total", "",
		"Lines of the access log that were lost: the disk was slow, full or away."},
	decisionsDropped: {"sluice_decisions_dropped_total", "",
		"Decisions that were lost: the disk was slow or full. Records are not."},
	reloads:     {"sluice_config_reloads_total", "result", "Configuration reloads."},
	capCuts:     {"sluice_cap_cuts_total", "", "Requests whose output cap was changed."},
	tokensCut:   {"sluice_cap_cut_tokens_total", "", "Output tokens that were asked for and not allowed."},
	traceErrors: {"sluice_trace_export_errors_total", "", "Exports of traces that failed."},
	spansLost:   {"sluice_spans_lost_total", "", "Spans that were lost: an export failed, or the collector is too slow."},
	identityFailures: {"sluice_identity_failures_total", "upstream kind",
		"Attempts for which AWS refused the gateway's own identity, or for which it had no credentials."},
	tokens:       {"sluice_tokens_total", "class", "Tokens that the upstream reported."},
	tenantTokens: {"sluice_tenant_tokens_total", "tenant", "Tokens by root tenant, all classes."},
	tenantCost:   {"sluice_tenant_cost_usd_total", "tenant", "Cost by root tenant. Indicative; the ledger is exact."},
	cost:         {"sluice_cost_usd_total", "", "Cost of all attempts. Indicative; the ledger is exact."},
	guardrailCalls: {"sluice_guardrail_calls_total", "guardrail outcome",
		"Calls that a guardrail looked at: passed, or intervened."},
	promptPoints: {"sluice_prompt_cache_points_total", "use", "Prompts into which cache points were put."},
	promptPaid: {"sluice_prompt_cache_paid_usd_total", "tenant",
		"What writes by these points cost above plain input, by root tenant."},
	promptSaved: {"sluice_prompt_cache_saved_usd_total", "tenant",
		"What reads by these points cost less than plain input."},
	promptWasted: {"sluice_prompt_cache_wasted_usd_total", "tenant", "What was paid for writes that nobody read in time."},
}

// tokenClasses are the values of the label of tokens, in the order of
// usageCounts.
var tokenClasses = [...]string{"input", "output", "cache_read", "cache_write_5m", "cache_write_1h"}

func usageCounts(u *wire.Usage) [len(tokenClasses)]wire.Count {
	return [...]wire.Count{u.Input, u.Output, u.CacheRead, u.CacheWrite5m, u.CacheWrite1h}
}

// Metrics are the instruments. Every method is safe for concurrent use and does
// nothing on nil. Durations are recorded in seconds, money as an indicative
// float: the ledger alone is exact.
type Metrics struct {
	registry                        *prometheus.Registry
	counters                        [len(counters)]*prometheus.CounterVec
	plain                           [len(counters)]prometheus.Counter // of those without labels
	tokens                          [len(tokenClasses)]prometheus.Counter
	added, firstByte, duration      prometheus.Histogram
	breakers, configInfo, stepsBack *prometheus.GaugeVec
	reloadOK, reloadTime            prometheus.Gauge
	tenants, models, guardrails     labels
}

func newMetrics(registry *prometheus.Registry, opts Options) *Metrics {
	r := maker{registry}
	m := &Metrics{
		registry:   registry,
		added:      r.histogram("sluice_added_latency_seconds", "Time a request spent in the gateway itself.", addedBuckets),
		firstByte:  r.histogram("sluice_first_byte_seconds", "Time to the first byte of the answer.", answerBuckets),
		duration:   r.histogram("sluice_request_duration_seconds", "Time to the last byte of the answer.", answerBuckets),
		breakers:   r.gauges("sluice_breaker_state", "Circuit breaker: 0 closed, 1 half open, 2 open.", "upstream", "model"),
		configInfo: r.gauges("sluice_config_info", "The configuration in use.", "hash"),
		stepsBack: r.gauges("sluice_cascade_steps_back",
			"Steps of the certificate that its watch has undone.", "cascade"),
		reloadOK:   r.gauge("sluice_config_last_reload_success", "Whether the last reload was accepted."),
		reloadTime: r.gauge("sluice_config_last_reload_timestamp_seconds", "When the last good configuration was loaded."),
		tenants:    labels{max: maxLabels},
		models:     labels{max: maxLabels},
		guardrails: labels{max: maxGuardrails},
	}
	for c, row := range counters {
		opts := prometheus.CounterOpts{Name: row.name, Help: row.help}
		m.counters[c] = prometheus.NewCounterVec(opts, strings.Fields(row.labels))
		registry.MustRegister(m.counters[c])
		if row.labels == "" {
			m.plain[c] = m.counters[c].WithLabelValues() // shown from the start, as zero
		}
	}
	for i, class := range tokenClasses {
		m.tokens[i] = m.counters[tokens].WithLabelValues(class)
	}
	r.gauges("sluice_build_info", "This build.", "version", "commit", "go").
		WithLabelValues(opts.Version, opts.Commit, runtime.Version()).Set(1)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// add adds x to a counter.
func (m *Metrics) add(c counter, x float64, labels ...string) {
	switch {
	case m == nil:
	case len(labels) == 0:
		m.plain[c].Add(x)
	default:
		m.counters[c].WithLabelValues(labels...).Add(x)
	}
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
	m.add(requests, 1, c.Operation, c.Path, statusClass(c.Status))
	m.added.Observe(c.Added.Seconds())
	m.firstByte.Observe(c.FirstByte.Seconds())
	m.duration.Observe(c.Duration.Seconds())
}

// Leg counts an attempt that has ended. outcome is completed, a failure's name
// (engine.Failure) or a status class.
func (m *Metrics) Leg(upstream, outcome string) { m.add(legs, 1, upstream, outcome) }

// Usage counts what one attempt used; root is the first element of the tenant's
// path. Unknown counts add nothing.
func (m *Metrics) Usage(root string, u *wire.Usage, spent money.Pico) {
	if m == nil {
		return
	}
	all := 0.0
	for i, n := range usageCounts(u) {
		m.tokens[i].Add(float64(n.N))
		all += float64(n.N)
	}
	usd := float64(spent) / float64(money.Dollar)
	m.add(cost, usd)
	tenant := m.tenants.bounded(root)
	m.add(tenantTokens, all, tenant)
	m.add(tenantCost, usd, tenant)
}

// CapCut counts a request whose cap was changed; tokens is by how much.
func (m *Metrics) CapCut(tokens int64) {
	m.add(capCuts, 1)
	m.add(tokensCut, float64(max(tokens, 0)))
}

// Retry counts an attempt that is repeated because of reason.
func (m *Metrics) Retry(upstream, reason string) { m.add(retries, 1, upstream, reason) }

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
func (m *Metrics) RuleError(cascade string) { m.add(ruleErrors, 1, cascade) }

// Decision counts a request of a cascade by path and reason.
func (m *Metrics) Decision(cascade, path, reason string) { m.add(decisions, 1, cascade, path, reason) }

// Guarded counts an escalation that a cascade's guard stopped.
func (m *Metrics) Guarded(cascade string) { m.add(guarded, 1, cascade) }

// PromptCache counts a prompt into which points were put, for which use, and what such
// points came to.
func (m *Metrics) PromptCache(tenant, use string, paid, saved, wasted money.Pico) {
	if m == nil {
		return
	}
	m.add(promptPoints, 1, use)
	tenant = m.tenants.bounded(tenant)
	for c, amount := range map[counter]money.Pico{promptPaid: paid, promptSaved: saved, promptWasted: wasted} {
		m.add(c, float64(amount)/float64(money.Dollar), tenant)
	}
}

// CutAccepted counts a light answer that was served although the token limit
// ended it.
func (m *Metrics) CutAccepted(cascade string) { m.add(cutAccepted, 1, cascade) }

// Refuted counts that samples refuted the threshold in use.
func (m *Metrics) Refuted(cascade string) { m.add(refuted, 1, cascade) }

// StepsBack shows how many steps of its certificate a watch has undone.
func (m *Metrics) StepsBack(cascade string, steps int) {
	if m != nil {
		m.stepsBack.WithLabelValues(cascade).Set(float64(steps))
	}
}

// UncertifiedSchema counts a request whose response schema the certificate is
// not about.
func (m *Metrics) UncertifiedSchema(cascade string) { m.add(uncertifiedSchemas, 1, cascade) }

// ShadowDropped counts a shadow sample that was dropped.
func (m *Metrics) ShadowDropped(cascade, reason string) { m.add(shadowsDropped, 1, cascade, reason) }

// Glitch counts an HTTP/2 flood of this kind.
func (m *Metrics) Glitch(kind string) { m.add(glitches, 1, kind) }

// Refusals counts requests that the edge refused itself.
func (m *Metrics) Refusals(status int, n int64) { m.add(refusals, float64(n), strconv.Itoa(status)) }

// AuthenticationFailed counts a request whose caller is not known, by the AWS error type
// of the answer.
func (m *Metrics) AuthenticationFailed(errorType string) { m.add(authFailures, 1, errorType) }

// AccessDropped counts lines of the access log that were lost.
func (m *Metrics) AccessDropped(lines int) { m.add(accessDropped, float64(lines)) }

// DecisionsDropped counts decisions that were lost.
func (m *Metrics) DecisionsDropped(n int) { m.add(decisionsDropped, float64(n)) }

// Loaded shows the configuration with this hash as the one in use since at.
func (m *Metrics) Loaded(hash string, at time.Time) {
	if m == nil {
		return
	}
	m.add(reloads, 1, "taken")
	m.reloadOK.Set(1)
	m.reloadTime.Set(float64(at.Unix()))
	m.configInfo.Reset()
	m.configInfo.WithLabelValues(hash).Set(1)
}

// LoadFailed counts a configuration that was refused; the old one stays.
func (m *Metrics) LoadFailed() {
	if m != nil {
		m.add(reloads, 1, "refused")
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
	GaugeBufferedLimit
	GaugeQueueDelay
	GaugeJournalBacklog
	GaugeJournalAge
	GaugeLedgerDegraded
	GaugeBudgetsFrozen
	GaugeLimitsDiffering
	GaugeKeysDegraded
	GaugeClockBehind
	GaugeFactsWaiting
	GaugeFactsDropped
	GaugeIdentityFailing
)

var gaugeNames = [...][2]string{
	GaugeInFlight:           {"sluice_requests_in_flight", "Requests being answered."},
	GaugeConnections:        {"sluice_connections", "Open connections of callers."},
	GaugePendingConnections: {"sluice_pending_connections", "Connections that have not sent a request yet."},
	GaugeBufferedBytes:      {"sluice_buffered_bytes", "Bytes of bodies and answers held."},
	GaugeBufferedLimit:      {"sluice_buffered_limit_bytes", "Bytes of them from which on large bodies are refused."},
	GaugeQueueDelay: {"sluice_queue_delay_seconds",
		"How long what is ready waits for a processor. Above limits.max_queue_delay requests are refused."},
	GaugeJournalBacklog: {"sluice_journal_backlog_records",
		"Journalled records that the ledger does not have yet."},
	GaugeJournalAge: {"sluice_journal_backlog_age_seconds", "Age of the oldest of them."},
	GaugeLedgerDegraded: {"sluice_ledger_degraded",
		"1 while the ledger cannot be reached, must not be used, or grants nothing."},
	GaugeBudgetsFrozen: {"sluice_budgets_frozen",
		"Root tenants to which the ledger grants no leases, because it has lost writes or may have."},
	GaugeKeysDegraded: {"sluice_keys_degraded",
		"1 while what was done to keys elsewhere may not be known here, or is not kept on disk."},
	GaugeLimitsDiffering: {"sluice_limits_differing",
		"Tenants and gateways whose files have other budgets or limits than this gateway's."},
	GaugeClockBehind:  {"sluice_clock_behind_seconds", "How far this machine's clock is behind the ledger's."},
	GaugeFactsWaiting: {"sluice_hints_waiting", "Facts for other gateways that no batch has carried yet."},
	GaugeFactsDropped: {"sluice_hints_dropped",
		"Facts for other gateways that were dropped for want of room since the start."},
	GaugeIdentityFailing: {"sluice_identity_failing",
		"Identities of the gateway that AWS refuses, or that have no credentials."},
}

// IdentityFailure counts an attempt for which the gateway's own identity was refused, or
// was not to be had.
func (m *Metrics) IdentityFailure(upstream, kind string) { m.add(identityFailures, 1, upstream, kind) }

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
