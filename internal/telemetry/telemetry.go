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
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
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
	Log             *slog.Logger // nil: errors of the exporter are only counted
}

// Telemetry is the tracer and the instruments. Close it.
type Telemetry struct {
	metrics  *Metrics
	registry *prometheus.Registry
	provider *sdktrace.TracerProvider // nil: no traces
	tracer   trace.Tracer
	// requestKind and legKind are made once: the SDK's options allocate.
	requestKind, legKind []trace.SpanStartOption
	lists                sync.Pool // of *attributes, empty
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
	exporter, err := newExporter(ctx, otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(collector.String())))
	if err != nil {
		return nil, err
	}
	return newWith(ctx, exporter, opts)
}

func newWith(ctx context.Context, exporter sdktrace.SpanExporter, opts Options) (*Telemetry, error) {
	registry := prometheus.NewRegistry()
	t := &Telemetry{registry: registry, metrics: newMetrics(registry, opts)}
	if exporter == nil {
		return t, nil
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String(AttrServiceName, "sluice"), attribute.String(AttrServiceVersion, opts.Version)),
		resource.WithFromEnv()) // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(opts.Sample))),
		sdktrace.WithBatcher(exporter), // bounded; a full queue drops spans
		sdktrace.WithResource(res),
	)
	t.requestKind = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	t.legKind = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	t.lists.New = func() any { list := make(attributes, 0, mostAttributes); return &list }
	t.tracer = t.provider.Tracer(scopeName, trace.WithSchemaURL(SchemaURL))
	// The SDK reports export failures to one hook per process, which prints to
	// stderr by default.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		t.metrics.add(traceErrors, 1)
		if opts.Log != nil {
			opts.Log.Warn("traces were not exported", "error", err)
		}
	}))
	return t, nil
}

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

// Close sends the spans that are left, until ctx ends.
func (t *Telemetry) Close(ctx context.Context) error {
	if t == nil || t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

var propagator = propagation.TraceContext{}
