package telemetry

import (
	"context"
	"errors"
	"fmt"
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
)

// sink is a client that keeps what it is to send.
type sink struct {
	sent []byte
	fail error
}

func (s *sink) Start(context.Context) error { return nil }
func (s *sink) Stop(context.Context) error  { return nil }

func (s *sink) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) (err error) {
	if s.fail != nil {
		return s.fail
	}
	s.sent, err = proto.MarshalOptions{Deterministic: true}.Marshal(spans[0])
	return err
}

func drawAttribute(rt *rapid.T) attribute.KeyValue {
	key := rapid.StringMatching(`[a-z.]{1,20}`).Draw(rt, "key")
	switch rapid.IntRange(0, 4).Draw(rt, "type") {
	case 0:
		return attribute.Bool(key, rapid.Bool().Draw(rt, "bool"))
	case 1:
		return attribute.Int64(key, rapid.Int64().Draw(rt, "int"))
	case 2:
		return attribute.Float64(key, rapid.Float64().Draw(rt, "float"))
	case 3:
		return attribute.StringSlice(key, rapid.SliceOf(rapid.String()).Draw(rt, "strings"))
	}
	return attribute.String(key, rapid.String().Draw(rt, "string"))
}

func drawSpan(rt *rapid.T, res *resource.Resource) tracetest.SpanStub {
	ids := func(flags trace.TraceFlags, remote bool, span byte) trace.SpanContext {
		state, _ := trace.ParseTraceState(rapid.SampledFrom([]string{"", "a=1", "a=1,b=2"}).Draw(rt, "state"))
		return trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{span}, TraceFlags: flags, TraceState: state, Remote: remote,
		})
	}
	code := rapid.SampledFrom([]codes.Code{codes.Unset, codes.Ok, codes.Error}).Draw(rt, "code")
	return tracetest.SpanStub{
		Name:        rapid.String().Draw(rt, "name"),
		SpanContext: ids(1, false, 7),
		Parent:      ids(1, rapid.Bool().Draw(rt, "remote"), rapid.Byte().Draw(rt, "parent")),
		SpanKind:    trace.SpanKind(rapid.IntRange(1, 5).Draw(rt, "kind")),
		StartTime:   time.Unix(0, rapid.Int64Range(-5, 1<<60).Draw(rt, "start")),
		EndTime:     time.Unix(0, rapid.Int64Range(0, 1<<60).Draw(rt, "end")),
		Attributes:  rapid.SliceOfN(rapid.Custom(drawAttribute), 0, 30).Draw(rt, "attributes"),
		Status:      sdktrace.Status{Code: code, Description: rapid.String().Draw(rt, "description")},
		Resource:    res, InstrumentationScope: instrumentation.Scope{Name: scopeName, SchemaURL: SchemaURL},
		DroppedAttributes: rapid.IntRange(0, 3).Draw(rt, "dropped"),
	}
}

// The SDK's exporter says what is right.
func TestExporterSendsWhatTheSDKDoes(t *testing.T) {
	res := resource.NewWithAttributes(SchemaURL, attribute.String(AttrServiceName, "sluice"), attribute.Bool("b", true))
	rapid.Check(t, func(rt *rapid.T) {
		var stubs tracetest.SpanStubs
		for range rapid.IntRange(1, 4).Draw(rt, "spans") {
			stubs = append(stubs, drawSpan(rt, res))
		}
		var theirs, ours sink
		sdk, err := otlptrace.New(t.Context(), &theirs)
		if err != nil {
			rt.Fatal(err)
		}
		own, err := newExporter(t.Context(), &ours)
		if err != nil {
			rt.Fatal(err)
		}
		for _, e := range []sdktrace.SpanExporter{sdk, own} {
			if err := e.ExportSpans(t.Context(), stubs.Snapshots()); err != nil {
				rt.Fatal(err)
			}
		}
		var want, got tracepb.ResourceSpans
		if err := errors.Join(proto.Unmarshal(theirs.sent, &want), proto.Unmarshal(ours.sent, &got)); err != nil {
			rt.Fatal(err)
		}
		if !proto.Equal(&want, &got) {
			rt.Fatalf("got %v\nwant %v", &got, &want)
		}
	})
}

// A name that is not UTF-8 is mended, and an error of the collector is returned.
func TestExporterFaults(t *testing.T) {
	stubs := tracetest.SpanStubs{{Name: "a\xffb", Resource: resource.Empty()}}
	var s sink
	e := &exporter{client: &s}
	if err := e.ExportSpans(t.Context(), stubs.Snapshots()); err != nil {
		t.Fatal(err)
	}
	var got tracepb.ResourceSpans
	if err := proto.Unmarshal(s.sent, &got); err != nil || got.GetScopeSpans()[0].GetSpans()[0].GetName() != "a\uFFFDb" {
		t.Errorf("%v, %v", &got, err)
	}
	s.fail = errors.New("away")
	if err := e.ExportSpans(t.Context(), stubs.Snapshots()); !errors.Is(err, s.fail) {
		t.Error(err)
	}
	if err := errors.Join(e.ExportSpans(t.Context(), nil), e.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
}

// BenchmarkExport is what one span costs in a batch, up to the bytes that are sent.
func BenchmarkExport(b *testing.B) {
	stubs := make(tracetest.SpanStubs, 512)
	for i := range stubs {
		stubs[i] = tracetest.SpanStub{Name: "chat amazon.nova-lite-v1:0", Resource: resource.Empty()}
		for n := range 20 {
			stubs[i].Attributes = append(stubs[i].Attributes, attribute.String(fmt.Sprint("gen_ai.usage.", n), "some value"))
		}
	}
	sdk, _ := otlptrace.New(b.Context(), &sink{})
	for name, e := range map[string]sdktrace.SpanExporter{"sdk": sdk, "own": &exporter{client: &sink{}}} {
		b.Run(name, func(b *testing.B) {
			spans := stubs.Snapshots()
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(spans) {
				if err := e.ExportSpans(b.Context(), spans); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
