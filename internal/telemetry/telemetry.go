// Package telemetry records what the request line did as traces and metrics.
//
// Traces are OpenTelemetry spans, one per request and one per leg, sent as OTLP
// over HTTP; metrics are Prometheus instruments of our own registry. It is the
// only package that knows the OpenTelemetry SDK. Neither ever holds prompts or
// answers. Labels come from bounded sets only; keys are never labels.
//
// A nil *Telemetry and everything that it returns are safe to use and do
// nothing, so that the request line has no branches for it.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/sluice-gateway/sluice/internal/outbound"
)

// Options is what to observe. The zero value keeps metrics and sends no traces.
type Options struct {
	// OTLP is the collector's URL, http or https; /v1/traces is added when it
	// has no path. "" sends no traces.
	OTLP string
	// Sample is the share of requests that are traced when the caller does not
	// decide; the decision in a caller's traceparent is followed.
	Sample float64
	// Version and Commit describe this build.
	Version, Commit string
	Log             *slog.Logger     // nil: errors of the exporter are only counted
	Now             func() time.Time // nil: the system's clock
	// Calls is how traces leave; nil: as the environment says.
	Calls *outbound.Shared
}

// Telemetry is the tracer and the instruments. Close it.
type Telemetry struct {
	metrics  *Metrics
	registry *prometheus.Registry
	batches  *batches // nil: no traces
	now      func() time.Time
	below    atomic.Uint64 // the part of trace ids that is recorded: shareBelow
	scratch  sync.Pool     // of *message: a span at a time
}

// New starts the exporter. It does not wait for the collector.
func New(ctx context.Context, opts Options) (*Telemetry, error) {
	if opts.OTLP == "" {
		return newWith(ctx, nil, opts)
	}
	collector, err := url.Parse(opts.OTLP)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if strings.Trim(collector.Path, "/") == "" {
		collector.Path = "/v1/traces" // OTLP specification, section OTLP/HTTP request
	}
	client, err := newCollector(collector.String(), opts.Calls, os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return newWith(ctx, client, opts)
}

// newWith sends spans by a client, nil for none.
func newWith(ctx context.Context, client exporter, o Options) (*Telemetry, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	registry := prometheus.NewRegistry()
	t := &Telemetry{registry: registry, metrics: newMetrics(registry, o), now: o.Now}
	t.Sample(o.Sample)
	if client == nil {
		return t, nil
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String(AttrServiceName, "sluice"), attribute.String(AttrServiceVersion, o.Version)),
		resource.WithFromEnv()) // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	failed := func(err error) {
		t.metrics.add(traceErrors, 1)
		if o.Log != nil {
			o.Log.Warn("traces were not exported", "error", err)
		}
	}
	lost := func(spans int) { t.metrics.add(spansLost, float64(spans)) }
	t.batches = newBatches(ctx, client, res, failed, lost)
	return t, nil
}

// Sample sets the share of requests that are traced from now on.
func (t *Telemetry) Sample(share float64) { t.below.Store(shareBelow(share)) }

// Metrics returns the instruments, nil for a nil t.
func (t *Telemetry) Metrics() *Metrics {
	if t == nil {
		return nil
	}
	return t.metrics
}

// Handler serves the metrics in Prometheus's formats.
func (t *Telemetry) Handler() http.Handler {
	if t == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: t.registry})
}

// Close sends the spans that are left, until ctx ends. A collector that does not
// answer holds it up for some seconds only.
func (t *Telemetry) Close(ctx context.Context) {
	if t != nil && t.batches != nil {
		t.batches.close(ctx)
	}
}
