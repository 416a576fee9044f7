package telemetry

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// RequestSpan is the span of one request. A nil one does nothing.
type RequestSpan struct {
	tel  *Telemetry
	ctx  context.Context //nolint:containedctx // carries the span to its legs; never leaves this package
	span trace.Span
	// unsampled is used for every leg of a request that is not recorded: it only
	// passes the decision on.
	unsampled LegSpan
}

// LegSpan is the span of one upstream attempt. A nil one does nothing.
type LegSpan struct {
	tel  *Telemetry
	ctx  context.Context //nolint:containedctx // carries the span, nothing else
	span trace.Span
	// attrs are those known at its start; the span gets them with the others.
	attrs *attributes
}

// RequestEnd is what is known of a request when it is over. Empty fields are
// left out.
type RequestEnd struct {
	ID        string
	Method    string
	Operation string // configuration's name
	Status    int    // HTTP status
	Error     string // AWS error type, "" when it went well
	Tenant    string
	Key       string // key id, never a secret
	Asked     string // model or alias that was asked for
	Served    string // model that answered
	Cascade   string
	Rule      string
	Path      string
	Reason    string
	Cap       int64 // output tokens allowed, 0 without a cap
	Cut       int64 // how far the cap lowered what was asked for
	CutAt     int64 // where an answer of an unknown family is cut off, 0 elsewhere
	Cost      money.Pico
	CostState string // known, unpriced, unknown
	Buffered  bool   // the stream was held back for a check
	// Saving is what a cascade's request saved, nil when it is not measured.
	Saving *saving.Saving
}

// LegStart is what is known of an attempt before it leaves.
type LegStart struct {
	Operation string
	Model     string
	Upstream  string
	Address   string // host of the upstream
	Port      int    // 0 leaves it out
	MaxTokens int64  // 0 without a cap
	Stream    bool
	RecordID  string
	Leg       int // from 0
	Attempt   int // from 1
	Path      string
	Reason    string
}

// LegEnd is what is known of an attempt when it is over.
type LegEnd struct {
	Status       int
	Usage        wire.Usage
	FirstByte    time.Duration // 0 when nothing came
	Outcome      string        // completed, failed, unknown
	Error        string        // failure or AWS error type, "" when it went well
	Verdict      string        // accept, escalate, "" when nothing was checked
	AWSRequestID string
	Cost         money.Pico
	CostState    string
	PriceBook    string
	// CutStream is a stream that ended without its final event.
	CutStream bool
}

// Request starts the span of a request as a child of the caller's, when its
// traceparent names one. It returns nil when nothing is traced.
func (t *Telemetry) Request(h wire.Header) *RequestSpan {
	if t == nil || t.tracer == nil {
		return nil
	}
	ctx := context.Background() // cancellation plays no part in a span
	if h.Get("traceparent") != "" {
		ctx = propagator.Extract(ctx, carrier{&h})
	}
	ctx, span := t.tracer.Start(ctx, spanNameServer, t.requestKind...)
	return &RequestSpan{tel: t, ctx: ctx, span: span, unsampled: LegSpan{ctx: ctx, span: span}}
}

// Sampled reports whether the span is recorded. Callers need not ask: it is for
// work that only a recorded span justifies.
func (r *RequestSpan) Sampled() bool { return r != nil && r.span.IsRecording() }

// TraceID returns the trace's id in hexadecimal for logs and exemplars, "" when
// nothing is traced.
func (r *RequestSpan) TraceID() string {
	if r == nil {
		return ""
	}
	return r.span.SpanContext().TraceID().String()
}

// Leg starts the span of an attempt.
func (r *RequestSpan) Leg(s LegStart) *LegSpan {
	if r == nil {
		return nil
	}
	if !r.span.IsRecording() {
		return &r.unsampled
	}
	operation := genAIOperation(s.Operation)
	attrs := r.tel.lists.Get().(*attributes)
	*attrs = append(*attrs,
		attribute.String(AttrGenAIOperation, operation),
		attribute.String(AttrGenAIProvider, ProviderBedrock),
		attribute.String(AttrGenAISystem, ProviderBedrock),
		attribute.Bool(AttrGenAIStream, s.Stream),
		attribute.Int(AttrLeg, s.Leg),
		attribute.Int(AttrAttempt, s.Attempt),
	)
	attrs.text(AttrGenAIRequestModel, s.Model)
	attrs.text(AttrServerAddress, s.Address)
	attrs.text(AttrUpstream, s.Upstream)
	attrs.text(AttrRecordID, s.RecordID)
	attrs.text(AttrOperation, s.Operation)
	attrs.text(AttrPath, s.Path)
	attrs.text(AttrReason, s.Reason)
	attrs.positive(AttrServerPort, int64(s.Port))
	attrs.positive(AttrGenAIMaxTokens, s.MaxTokens)
	ctx, span := r.tel.tracer.Start(r.ctx, strings.TrimSpace(operation+" "+s.Model), r.tel.legKind...)
	return &LegSpan{r.tel, ctx, span, attrs}
}

// End ends the span.
func (r *RequestSpan) End(e RequestEnd) {
	if r == nil {
		return
	}
	if r.span.IsRecording() {
		r.span.SetName(strings.TrimSpace(e.Operation + " " + e.Asked))
		attrs := r.tel.lists.Get().(*attributes)
		e.attributes(attrs)
		r.tel.set(r.span, attrs)
		setStatus(r.span, e.Error, e.Status)
	}
	r.span.End()
}

func (e *RequestEnd) attributes(attrs *attributes) {
	attrs.text(AttrRequestID, e.ID)
	attrs.text(AttrHTTPMethod, e.Method)
	attrs.text(AttrOperation, e.Operation)
	attrs.text(AttrTenant, e.Tenant)
	attrs.text(AttrKey, e.Key)
	attrs.text(AttrGenAIRequestModel, e.Asked)
	attrs.text(AttrGenAIModel, e.Served)
	attrs.text(AttrCascade, e.Cascade)
	attrs.text(AttrRule, e.Rule)
	attrs.text(AttrPath, e.Path)
	attrs.text(AttrReason, e.Reason)
	attrs.text(AttrErrorType, e.Error)
	attrs.positive(AttrHTTPStatus, int64(e.Status))
	attrs.positive(AttrCapTokens, e.Cap)
	attrs.positive(AttrCapCut, e.Cut)
	attrs.positive(AttrCapCutAt, e.CutAt)
	attrs.cost(e.Cost, e.CostState)
	attrs.saving(e.Saving)
	*attrs = append(*attrs, attribute.Bool(AttrBuffered, e.Buffered))
}

// Header returns the fields that carry the trace to the upstream, none when
// nothing is traced. tracestate is the caller's, as it came.
func (l *LegSpan) Header() wire.Header {
	if l == nil {
		return nil
	}
	var h wire.Header
	propagator.Inject(l.ctx, carrier{&h})
	return h
}

// End ends the span.
func (l *LegSpan) End(e LegEnd) {
	if l == nil || l.attrs == nil || !l.span.IsRecording() {
		return
	}
	attrs := l.attrs
	attrs.usage(&e.Usage)
	attrs.finish(e.Usage.StopReason, e.CutStream)
	attrs.text(AttrGenAIModel, e.Usage.InvokedModel)
	attrs.text(AttrOutcome, e.Outcome)
	attrs.text(AttrVerdict, e.Verdict)
	attrs.text(AttrErrorType, e.Error)
	attrs.text(AttrAWSRequestID, e.AWSRequestID)
	attrs.text(AttrPriceBook, e.PriceBook)
	attrs.positive(AttrHTTPStatus, int64(e.Status))
	attrs.cost(e.Cost, e.CostState)
	if e.FirstByte > 0 {
		*attrs = append(*attrs, attribute.Float64(AttrGenAIFirstChunk, e.FirstByte.Seconds()))
	}
	l.attrs = nil
	l.tel.set(l.span, attrs)
	setStatus(l.span, e.Error, e.Status)
	l.span.End()
}

// setStatus marks errors of the gateway and of the upstream; a caller's mistake
// (4xx) is not an error of the server span.
func setStatus(span trace.Span, failure string, status int) {
	if failure != "" && (status == 0 || status >= 500) {
		span.SetStatus(codes.Error, failure)
	}
}

// attributes is a list that leaves out what is empty.
type attributes []attribute.KeyValue

// mostAttributes is how many a span of a leg has at most.
const mostAttributes = 28

// set gives a span all its attributes at once. The list goes back: the span
// has a copy.
func (t *Telemetry) set(span trace.Span, attrs *attributes) {
	span.SetAttributes(*attrs...)
	clear(*attrs)
	*attrs = (*attrs)[:0]
	t.lists.Put(attrs)
}

func (a *attributes) text(name, value string) {
	if value != "" {
		*a = append(*a, attribute.String(name, value))
	}
}

func (a *attributes) positive(name string, n int64) {
	if n > 0 {
		*a = append(*a, attribute.Int64(name, n))
	}
}

func (a *attributes) count(name string, c wire.Count) {
	if c.Known {
		*a = append(*a, attribute.Int64(name, c.N))
	}
}

func (a *attributes) cost(cost money.Pico, state string) {
	if state == "" {
		return
	}
	a.text(AttrCostState, state)
	a.text(AttrCost, cost.String())
}

func (a *attributes) saving(s *saving.Saving) {
	if s == nil {
		return
	}
	a.text(AttrAlone, s.Counterfactual.String())
	a.text(AttrSaved, s.Saved.String())
	if s.Interval {
		a.text(AttrSavedLow, s.Low.String())
		a.text(AttrSavedHigh, s.High.String())
	}
	a.text(AttrQuality, s.Quality.String())
}

func (a *attributes) usage(u *wire.Usage) {
	a.count(AttrGenAIInput, allInput(u))
	a.count(AttrGenAIOutput, u.Output)
	a.count(AttrGenAICacheRead, u.CacheRead)
	a.count(AttrGenAICacheWrite, sum(u.CacheWrite5m, u.CacheWrite1h))
}

func (a *attributes) finish(reason string, cut bool) {
	if cut {
		reason = FinishError
	}
	if reason != "" {
		*a = append(*a, attribute.StringSlice(AttrGenAIFinish, []string{reason}))
	}
}

// allInput is the convention's count of input tokens, which includes those read
// from and written to a cache; Bedrock's inputTokens leaves them out.
func allInput(u *wire.Usage) wire.Count {
	if !u.Input.Known {
		return wire.Count{}
	}
	return sum(u.Input, u.CacheRead, u.CacheWrite5m, u.CacheWrite1h)
}

// sum adds the counts that are known; it is unknown when none is.
func sum(counts ...wire.Count) (total wire.Count) {
	for _, c := range counts {
		if c.Known {
			total.Known = true
			total.N += c.N
		}
	}
	return total
}

// carrier lets the propagator read and write our header fields.
type carrier struct{ h *wire.Header }

// Get returns the value of a field.
func (c carrier) Get(name string) string { return c.h.Get(name) }

// Set appends a field.
func (c carrier) Set(name, value string) { *c.h = append(*c.h, wire.Field{Name: name, Value: value}) }

// Keys names the fields.
func (c carrier) Keys() []string {
	var names []string
	for _, f := range *c.h {
		names = append(names, f.Name)
	}
	return names
}
