package telemetry

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// RequestSpan is the span of one request. A nil one does nothing.
type RequestSpan struct {
	tel   *Telemetry
	at    place
	began time.Time
	// unrecorded is used for every leg of a request that is not recorded: it only
	// passes the decision on.
	unrecorded LegSpan
}

// LegSpan is the span of one upstream attempt. A nil one does nothing.
type LegSpan struct {
	request *RequestSpan
	open    *openLeg // nil when it is not recorded, or has ended
	span    trace.SpanID
}

// openLeg is what a recorded span of a leg keeps until it ends.
type openLeg struct {
	LegSpan

	began time.Time
	start LegStart
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

	// What follows is for logs, and no part of a span.

	From                netip.Addr
	Claimed             string      // key id that an unproven caller named
	Step                string      // of the request line that it came to last
	Refusal             *wire.Error // of the gateway itself, nil when the answer is the upstream's
	UpstreamID          string      // of the answer that was served
	Received            time.Time
	FirstByte, Duration time.Duration
	Input, Output       wire.Count // tokens of the answer that was served
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
	if t == nil || t.batches == nil {
		return nil
	}
	r := &RequestSpan{tel: t, at: t.root(h)}
	r.unrecorded = LegSpan{request: r, span: r.at.span}
	if r.Sampled() {
		r.began = t.now()
	}
	return r
}

// Sampled reports whether the span is recorded. Callers need not ask: it is for
// work that only a recorded span justifies.
func (r *RequestSpan) Sampled() bool { return r != nil && r.at.flags.IsSampled() }

// TraceID returns the trace's id in hexadecimal for logs and exemplars, "" when
// nothing is traced.
func (r *RequestSpan) TraceID() string {
	if r == nil {
		return ""
	}
	return r.at.trace.String()
}

// Leg starts the span of an attempt.
func (r *RequestSpan) Leg(s LegStart) *LegSpan {
	if !r.Sampled() {
		return r.relay()
	}
	l := &openLeg{LegSpan: LegSpan{request: r, span: newSpanID()}, began: r.tel.now(), start: s}
	l.open = l
	return &l.LegSpan
}

func (r *RequestSpan) relay() *LegSpan {
	if r == nil {
		return nil
	}
	return &r.unrecorded
}

// End ends the span.
func (r *RequestSpan) End(e RequestEnd) {
	if !r.Sampled() {
		return
	}
	m := r.tel.message()
	span := m.beginSpan(&r.at, join(e.Operation, e.Asked), tracepb.Span_SPAN_KIND_SERVER, r.began, r.tel.now())
	e.attributes(m)
	m.status(e.Error, e.Status)
	m.finish(span)
	r.tel.send(m)
}

func (e *RequestEnd) attributes(m *message) {
	m.text(AttrRequestID, e.ID)
	m.text(AttrHTTPMethod, e.Method)
	m.text(AttrOperation, e.Operation)
	m.text(AttrTenant, e.Tenant)
	m.text(AttrKey, e.Key)
	m.text(AttrGenAIRequestModel, e.Asked)
	m.text(AttrGenAIModel, e.Served)
	m.text(AttrCascade, e.Cascade)
	m.text(AttrRule, e.Rule)
	m.text(AttrPath, e.Path)
	m.text(AttrReason, e.Reason)
	m.text(AttrErrorType, e.Error)
	m.positive(AttrHTTPStatus, int64(e.Status))
	m.positive(AttrCapTokens, e.Cap)
	m.positive(AttrCapCut, e.Cut)
	m.positive(AttrCapCutAt, e.CutAt)
	m.cost(e.Cost, e.CostState)
	m.saving(e.Saving)
	m.bool(AttrBuffered, e.Buffered)
}

// AppendHeader appends the fields that carry the trace to the upstream, none when
// nothing is traced. tracestate is the caller's, as it came.
func (l *LegSpan) AppendHeader(h wire.Header) wire.Header {
	if l == nil {
		return h
	}
	at := l.request.at
	at.span = l.span
	return at.appendTo(h)
}

// End ends the span. Further calls do nothing.
func (l *LegSpan) End(e LegEnd) {
	if l == nil || l.open == nil {
		return
	}
	open := l.open
	l.open = nil
	at := l.request.at.child()
	at.span = l.span
	m := l.request.tel.message()
	operation := genAIOperation(open.start.Operation)
	name := join(operation, open.start.Model)
	span := m.beginSpan(&at, name, tracepb.Span_SPAN_KIND_CLIENT, open.began, l.request.tel.now())
	m.text(AttrGenAIOperation, operation)
	open.start.attributes(m)
	e.attributes(m)
	m.status(e.Error, e.Status)
	m.finish(span)
	l.request.tel.send(m)
}

func (s *LegStart) attributes(m *message) {
	m.text(AttrGenAIProvider, ProviderBedrock)
	m.text(AttrGenAISystem, ProviderBedrock)
	m.bool(AttrGenAIStream, s.Stream)
	m.int(AttrLeg, int64(s.Leg))
	m.int(AttrAttempt, int64(s.Attempt))
	m.text(AttrGenAIRequestModel, s.Model)
	m.text(AttrServerAddress, s.Address)
	m.text(AttrUpstream, s.Upstream)
	m.text(AttrRecordID, s.RecordID)
	m.text(AttrOperation, s.Operation)
	m.text(AttrPath, s.Path)
	m.text(AttrReason, s.Reason)
	m.positive(AttrServerPort, int64(s.Port))
	m.positive(AttrGenAIMaxTokens, s.MaxTokens)
}

func (e *LegEnd) attributes(m *message) {
	m.usage(&e.Usage)
	if e.CutStream {
		m.list(AttrGenAIFinish, FinishError)
	} else if e.Usage.StopReason != "" {
		m.list(AttrGenAIFinish, e.Usage.StopReason)
	}
	m.text(AttrGenAIModel, e.Usage.InvokedModel)
	m.text(AttrOutcome, e.Outcome)
	m.text(AttrVerdict, e.Verdict)
	m.text(AttrErrorType, e.Error)
	m.text(AttrAWSRequestID, e.AWSRequestID)
	m.text(AttrPriceBook, e.PriceBook)
	m.positive(AttrHTTPStatus, int64(e.Status))
	m.cost(e.Cost, e.CostState)
	if e.FirstByte > 0 {
		m.seconds(AttrGenAIFirstChunk, e.FirstByte.Seconds())
	}
}

// join is the name of a span: what is done, and with which model.
func join(operation, model string) string { return strings.TrimSpace(operation + " " + model) }

// beginSpan opens a span up to its attributes. A clock that was set in between plays
// no part in how long it took.
func (m *message) beginSpan(at *place, name string, kind tracepb.Span_SpanKind, began, ended time.Time) (span int) {
	span = m.begin(2)
	m.bytes(1, at.trace[:])
	m.bytes(2, at.span[:])
	m.field(3, at.state)
	if at.parent.IsValid() {
		m.bytes(4, at.parent[:])
	}
	m.field(5, name)
	m.varint(6, uint64(kind))
	m.fixed(7, uint64(began.UnixNano()))
	m.fixed(8, uint64(began.Add(ended.Sub(began)).UnixNano()))
	flags := uint32(at.flags) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if at.remote {
		flags |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, 16, protowire.Fixed32Type), flags)
	return span
}

// status marks errors of the gateway and of the upstream. A caller's mistake (4xx)
// is not an error of the span, but 424 is no mistake of theirs: the model failed,
// or its answer was lost.
func (m *message) status(failure string, status int) {
	of := m.begin(15)
	if failure != "" && (status == 0 || status >= 500 || status == http.StatusFailedDependency) {
		m.field(2, failure)
		m.varint(3, uint64(tracepb.Status_STATUS_CODE_ERROR))
	}
	m.finish(of)
}

func (m *message) saving(s *saving.Saving) {
	if s == nil {
		return
	}
	m.text(AttrAlone, s.Counterfactual.String())
	m.text(AttrSaved, s.Saved.String())
	if s.Interval {
		m.text(AttrSavedLow, s.Low.String())
		m.text(AttrSavedHigh, s.High.String())
	}
	m.text(AttrQuality, s.Quality.String())
}

func (m *message) usage(u *wire.Usage) {
	m.count(AttrGenAIInput, allInput(u))
	m.count(AttrGenAIOutput, u.Output)
	m.count(AttrGenAICacheRead, u.CacheRead)
	m.count(AttrGenAICacheWrite, sum(u.CacheWrite5m, u.CacheWrite1h))
}

// message is an empty one; send gives it back.
func (t *Telemetry) message() *message {
	m, ok := t.scratch.Get().(*message)
	if !ok {
		return new(message)
	}
	*m = (*m)[:0]
	return m
}

func (t *Telemetry) send(m *message) {
	t.batches.add(*m)
	t.scratch.Put(m)
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
