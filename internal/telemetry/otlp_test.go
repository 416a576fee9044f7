package telemetry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

func drawText(rt *rapid.T, what string) string {
	return rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[a-z.:0-9-]{1,200}`), rapid.String()).Draw(rt, what)
}

func drawPlace(rt *rapid.T) place {
	return place{
		trace: trace.TraceID{1, 2, 3}, span: trace.SpanID{7}, flags: trace.FlagsSampled,
		parent: trace.SpanID{rapid.Byte().Draw(rt, "parent")}, remote: rapid.Bool().Draw(rt, "remote"),
		state: rapid.SampledFrom([]string{"", "a=1", "a=1,b=2"}).Draw(rt, "state"),
	}
}

func drawRequest(rt *rapid.T) RequestEnd {
	number := rapid.Int64Range(0, 1<<62)
	return RequestEnd{
		ID: drawText(rt, "id"), Method: "POST", Operation: drawText(rt, "operation"), Asked: drawText(rt, "asked"),
		Status: rapid.SampledFrom([]int{0, 200, 400, 424, 503}).Draw(rt, "status"), Error: drawText(rt, "error"),
		Tenant: drawText(rt, "tenant"), Key: drawText(rt, "key"), Served: drawText(rt, "served"),
		Cascade: drawText(rt, "cascade"), Rule: drawText(rt, "rule"), Path: drawText(rt, "path"),
		Reason: drawText(rt, "reason"), Cap: number.Draw(rt, "cap"), Cut: number.Draw(rt, "cut"),
		CutAt: number.Draw(rt, "cut at"), Cost: money.Pico(rapid.Int64().Draw(rt, "cost")),
		CostState: rapid.SampledFrom([]string{"", "known"}).Draw(rt, "state"), Buffered: rapid.Bool().Draw(rt, "buffered"),
	}
}

func drawLeg(rt *rapid.T) (LegStart, LegEnd) {
	count := rapid.SampledFrom([]wire.Count{{}, wire.Known(0), wire.Known(5), wire.Known(1 << 40)})
	return LegStart{
			Operation: "converse", Model: drawText(rt, "model"), Upstream: drawText(rt, "upstream"),
			Address: drawText(rt, "address"), Port: rapid.IntRange(0, 443).Draw(rt, "port"),
			MaxTokens: rapid.Int64Range(0, 1<<40).Draw(rt, "most"), Stream: rapid.Bool().Draw(rt, "stream"),
			RecordID: drawText(rt, "record"), Leg: rapid.IntRange(0, 3).Draw(rt, "leg"), Attempt: 1,
			Path: drawText(rt, "path"), Reason: drawText(rt, "reason"),
		}, LegEnd{
			Status: rapid.SampledFrom([]int{0, 200, 400, 424, 503}).Draw(rt, "status"), Error: drawText(rt, "error"),
			Usage: wire.Usage{
				Input: count.Draw(rt, "in"), Output: count.Draw(rt, "out"), CacheRead: count.Draw(rt, "read"),
				CacheWrite5m: count.Draw(rt, "5m"), CacheWrite1h: count.Draw(rt, "1h"),
				StopReason: drawText(rt, "stop"), InvokedModel: drawText(rt, "invoked"),
			},
			FirstByte: time.Duration(rapid.Int64Range(0, 1<<40).Draw(rt, "first")), Outcome: drawText(rt, "outcome"),
			Verdict: drawText(rt, "verdict"), AWSRequestID: drawText(rt, "aws"), PriceBook: drawText(rt, "book"),
			Cost:      money.Pico(rapid.Int64().Draw(rt, "cost")),
			CostState: rapid.SampledFrom([]string{"", "known"}).Draw(rt, "state"),
			CutStream: rapid.Bool().Draw(rt, "cut"),
		}
}

// list is attributes as the SDK has them.
type list []attribute.KeyValue

func (l *list) text(name, value string) {
	if value != "" {
		*l = append(*l, attribute.String(name, value))
	}
}

func (l *list) positive(name string, n int64) {
	if n > 0 {
		*l = append(*l, attribute.Int64(name, n))
	}
}

func (l *list) count(name string, c wire.Count) {
	if c.Known {
		*l = append(*l, attribute.Int64(name, c.N))
	}
}

func (l *list) cost(cost money.Pico, state string) {
	if state != "" {
		l.text(AttrCostState, state)
		l.text(AttrCost, cost.String())
	}
}

func requestAttributes(e *RequestEnd) (l list) {
	for _, pair := range [][2]string{
		{AttrRequestID, e.ID}, {AttrHTTPMethod, e.Method}, {AttrOperation, e.Operation}, {AttrTenant, e.Tenant},
		{AttrKey, e.Key}, {AttrGenAIRequestModel, e.Asked}, {AttrGenAIModel, e.Served}, {AttrCascade, e.Cascade},
		{AttrRule, e.Rule}, {AttrPath, e.Path}, {AttrReason, e.Reason}, {AttrErrorType, e.Error},
	} {
		l.text(pair[0], pair[1])
	}
	l.positive(AttrHTTPStatus, int64(e.Status))
	l.positive(AttrCapTokens, e.Cap)
	l.positive(AttrCapCut, e.Cut)
	l.positive(AttrCapCutAt, e.CutAt)
	l.cost(e.Cost, e.CostState)
	return append(l, attribute.Bool(AttrBuffered, e.Buffered))
}

func legAttributes(s *LegStart, e *LegEnd) list {
	l := list{
		attribute.String(AttrGenAIOperation, "chat"), attribute.String(AttrGenAIProvider, ProviderBedrock),
		attribute.String(AttrGenAISystem, ProviderBedrock), attribute.Bool(AttrGenAIStream, s.Stream),
		attribute.Int(AttrLeg, s.Leg), attribute.Int(AttrAttempt, s.Attempt),
	}
	for _, pair := range [][2]string{
		{AttrGenAIRequestModel, s.Model}, {AttrServerAddress, s.Address}, {AttrUpstream, s.Upstream},
		{AttrRecordID, s.RecordID}, {AttrOperation, s.Operation}, {AttrPath, s.Path}, {AttrReason, s.Reason},
	} {
		l.text(pair[0], pair[1])
	}
	l.positive(AttrServerPort, int64(s.Port))
	l.positive(AttrGenAIMaxTokens, s.MaxTokens)
	l.count(AttrGenAIInput, allInput(&e.Usage))
	l.count(AttrGenAIOutput, e.Usage.Output)
	l.count(AttrGenAICacheRead, e.Usage.CacheRead)
	l.count(AttrGenAICacheWrite, sum(e.Usage.CacheWrite5m, e.Usage.CacheWrite1h))
	reason := e.Usage.StopReason
	if e.CutStream {
		reason = FinishError
	}
	if reason != "" {
		l = append(l, attribute.StringSlice(AttrGenAIFinish, []string{reason}))
	}
	for _, pair := range [][2]string{
		{AttrGenAIModel, e.Usage.InvokedModel}, {AttrOutcome, e.Outcome}, {AttrVerdict, e.Verdict},
		{AttrErrorType, e.Error}, {AttrAWSRequestID, e.AWSRequestID}, {AttrPriceBook, e.PriceBook},
	} {
		l.text(pair[0], pair[1])
	}
	l.positive(AttrHTTPStatus, int64(e.Status))
	l.cost(e.Cost, e.CostState)
	if e.FirstByte > 0 {
		l = append(l, attribute.Float64(AttrGenAIFirstChunk, e.FirstByte.Seconds()))
	}
	return l
}

// stub is a span as the SDK's exporter takes it.
func stub(
	at *place, name string, kind trace.SpanKind, l list, failure string, status int, res *resource.Resource,
) tracetest.SpanStub {
	state, _ := trace.ParseTraceState(at.state)
	s := tracetest.SpanStub{
		Name: name, SpanKind: kind, Attributes: l, Resource: res,
		SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: at.trace, SpanID: at.span, TraceFlags: at.flags, TraceState: state,
		}),
		Parent: trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: at.trace, SpanID: at.parent, TraceFlags: at.flags, TraceState: state, Remote: at.remote,
		}),
		InstrumentationScope: instrumentation.Scope{Name: scopeName, SchemaURL: SchemaURL},
	}
	if failure != "" && (status == 0 || status >= 500 || status == 424) {
		s.Status = sdktrace.Status{Code: codes.Error, Description: failure}
	}
	return s
}

// theSDKs is a client of the SDK's exporter that keeps what it is to send.
type theSDKs struct{ *sink }

func (theSDKs) Start(context.Context) error { return nil }
func (theSDKs) Stop(context.Context) error  { return nil }

func (s theSDKs) UploadTraces(ctx context.Context, batches []*tracepb.ResourceSpans) error {
	batch, err := proto.MarshalOptions{Deterministic: true}.Marshal(batches[0])
	return errors.Join(err, s.send(ctx, batch))
}

// The SDK's exporter says what is right.
func TestSpansAreSentAsTheSDKWould(t *testing.T) {
	res := resource.NewWithAttributes(SchemaURL, attribute.String(AttrServiceName, "sluice"), attribute.String("b", "c"))
	rapid.Check(t, func(rt *rapid.T) {
		var theirs, ours sink
		sdk, err := otlptrace.New(t.Context(), theSDKs{&theirs})
		if err != nil {
			rt.Fatal(err)
		}
		own := newBatches(t.Context(), &ours, res, func(err error) { rt.Fatal(err) }, func(n int) { rt.Fatal(n) })
		tel := &Telemetry{batches: own, now: time.Now}
		defer tel.Close(context.Background())
		var stubs tracetest.SpanStubs
		for range rapid.IntRange(1, 3).Draw(rt, "requests") {
			r := &RequestSpan{tel: tel, at: drawPlace(rt), began: time.Now()}
			end := drawRequest(rt)
			start, legEnd := drawLeg(rt)
			l := r.Leg(start)
			child := r.at
			child.parent, child.span, child.remote = r.at.span, l.span, false
			l.End(legEnd)
			r.End(end)
			stubs = append(stubs,
				stub(&child, strings.TrimSpace("chat "+start.Model), trace.SpanKindClient, legAttributes(&start, &legEnd),
					legEnd.Error, legEnd.Status, res),
				stub(&r.at, strings.TrimSpace(end.Operation+" "+end.Asked), trace.SpanKindServer, requestAttributes(&end),
					end.Error, end.Status, res))
		}
		own.export(t.Context())
		if err := sdk.ExportSpans(t.Context(), stubs.Snapshots()); err != nil {
			rt.Fatal(err)
		}
		var want, got tracepb.ResourceSpans
		if err := errors.Join(proto.Unmarshal(theirs.sent, &want), proto.Unmarshal(ours.sent, &got)); err != nil {
			rt.Fatal(err)
		}
		for i, s := range got.GetScopeSpans()[0].GetSpans() {
			if w := want.GetScopeSpans()[0].GetSpans()[i]; s.StartTimeUnixNano > 0 && s.EndTimeUnixNano >= s.StartTimeUnixNano {
				w.StartTimeUnixNano, w.EndTimeUnixNano = s.StartTimeUnixNano, s.EndTimeUnixNano
			}
		}
		if !proto.Equal(&want, &got) {
			rt.Fatalf("got %v\nwant %v", &got, &want)
		}
	})
}

// Every share takes the ids that the SDK's sampler would.
func TestSharesAreThoseOfTheSDK(t *testing.T) {
	for _, share := range []float64{-1, 0, 1e-9, 0.1, 0.5, 0.999, 1, 2} {
		tel := &Telemetry{}
		tel.Sample(share)
		sampler := sdktrace.TraceIDRatioBased(share)
		for range 1000 {
			at := tel.root(nil)
			want := sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: at.trace}).Decision
			if at.flags.IsSampled() != (want == sdktrace.RecordAndSample) {
				t.Fatalf("share %v: trace %s recorded %v", share, at.trace, at.flags.IsSampled())
			}
		}
	}
}

// A collector that does not answer costs spans, not memory, and what waited is sent
// once it does.
func TestBatches(t *testing.T) {
	tel, e := traced(t, Options{Sample: 1})
	e.mu.Lock() // the collector is stuck
	for range waitingSpans + batchSpans {
		serve(tel, nil)
	}
	tel.batches.mu.Lock()
	waiting := tel.batches.count
	tel.batches.mu.Unlock()
	if waiting > waitingSpans {
		t.Errorf("%d spans wait", waiting)
	}
	e.mu.Unlock()
	tel.batches.export(t.Context())
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.all); n < waitingSpans || n > 2*(waitingSpans+batchSpans) {
		t.Errorf("%d spans arrived", n)
	}
	for _, s := range e.all {
		if len(s.SpanId) != 8 || len(s.TraceId) != 16 {
			t.Fatalf("span %v", s)
		}
	}
}

// A name that is not UTF-8 is mended, and an error of the collector is counted.
func TestExportFaults(t *testing.T) {
	tel, e := traced(t, Options{Sample: 1})
	tel.Request(nil).End(RequestEnd{Operation: "a\xffb"})
	if got := spans(t, tel, e); got["a\uFFFDb"] == nil {
		t.Errorf("%v", got)
	}
	e.fail = errors.New("away")
	tel.Request(nil).End(RequestEnd{})
	tel.batches.export(t.Context())
	if got := scrape(t, tel); !strings.Contains(got, "sluice_trace_export_errors_total 1") {
		t.Error("the error is not counted")
	}
	tel.batches.export(t.Context()) // nothing waits: nothing fails
	if got := scrape(t, tel); !strings.Contains(got, "sluice_trace_export_errors_total 1") {
		t.Error("an empty batch was sent")
	}
}
