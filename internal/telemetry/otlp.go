package telemetry

import (
	"context"
	"fmt"
	"math"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
)

// exporter sends spans by OTLP. It writes them in the protocol's format itself:
// the SDK's exporter makes a tree of messages of them first, which costs more
// than everything else that a span does. The client is the SDK's, with all its
// settings from the environment.
//
// It knows what our spans have: one resource and one scope, no events, no links.
type exporter struct {
	client otlptrace.Client
	buf    []byte // of the last batch
}

// newExporter starts the client.
func newExporter(ctx context.Context, client otlptrace.Client) (*exporter, error) {
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return &exporter{client: client}, nil
}

// ExportSpans implements sdktrace.SpanExporter, which is not called concurrently.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	e.buf = appendSpans(e.buf[:0], spans)
	batch := &tracepb.ResourceSpans{}
	batch.ProtoReflect().SetUnknown(e.buf) // sent as it is
	if err := e.client.UploadTraces(ctx, []*tracepb.ResourceSpans{batch}); err != nil {
		return fmt.Errorf("traces export: %w", err)
	}
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (e *exporter) Shutdown(ctx context.Context) error { return e.client.Stop(ctx) }

// appendSpans appends the fields of a ResourceSpans message. The numbers below
// are those of opentelemetry/proto: trace/v1, resource/v1 and common/v1.
func appendSpans(b []byte, spans []sdktrace.ReadOnlySpan) []byte {
	first := spans[0]
	b, resource := begin(b, 1)
	for i := first.Resource().Iter(); i.Next(); {
		b = appendAttribute(b, 1, i.Attribute())
	}
	b = finish(b, resource)
	scope := first.InstrumentationScope()
	b, ofScope := begin(b, 2)
	b, named := begin(b, 1)
	b = appendText(b, 1, scope.Name)
	b = appendText(b, 2, scope.Version)
	b = finish(b, named)
	for _, s := range spans {
		b = appendSpan(b, s)
	}
	b = appendText(b, 3, scope.SchemaURL)
	b = finish(b, ofScope)
	return appendText(b, 3, first.Resource().SchemaURL())
}

func appendSpan(b []byte, s sdktrace.ReadOnlySpan) []byte {
	b, span := begin(b, 2)
	at, parent := s.SpanContext(), s.Parent()
	trace, id, above := at.TraceID(), at.SpanID(), parent.SpanID()
	b = appendBytes(b, 1, trace[:])
	b = appendBytes(b, 2, id[:])
	if at.TraceState().Len() > 0 {
		b = appendText(b, 3, at.TraceState().String())
	}
	if above.IsValid() {
		b = appendBytes(b, 4, above[:])
	}
	b = appendText(b, 5, s.Name())
	b = appendNumber(b, 6, uint64(s.SpanKind())) // both count alike
	b = appendFixed(b, 7, uint64(max(0, s.StartTime().UnixNano())))
	b = appendFixed(b, 8, uint64(max(0, s.EndTime().UnixNano())))
	for _, kv := range s.Attributes() {
		b = appendAttribute(b, 9, kv)
	}
	b = appendNumber(b, 10, uint64(max(0, s.DroppedAttributes())))
	b = appendStatus(b, s.Status())
	flags := uint32(at.TraceFlags()) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if parent.IsRemote() {
		flags |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	b = protowire.AppendTag(b, 16, protowire.Fixed32Type)
	b = protowire.AppendFixed32(b, flags)
	return finish(b, span)
}

func appendStatus(b []byte, s sdktrace.Status) []byte {
	b, status := begin(b, 15)
	b = appendText(b, 2, s.Description)
	switch s.Code {
	case codes.Ok:
		b = appendNumber(b, 3, uint64(tracepb.Status_STATUS_CODE_OK))
	case codes.Error:
		b = appendNumber(b, 3, uint64(tracepb.Status_STATUS_CODE_ERROR))
	case codes.Unset:
	}
	return finish(b, status)
}

// appendAttribute appends a KeyValue message.
func appendAttribute(b []byte, field protowire.Number, kv attribute.KeyValue) []byte {
	b, pair := begin(b, field)
	b = appendText(b, 1, string(kv.Key))
	b, value := begin(b, 2)
	switch v := kv.Value; v.Type() {
	case attribute.BOOL:
		b = protowire.AppendTag(b, 2, protowire.VarintType)
		b = protowire.AppendVarint(b, protowire.EncodeBool(v.AsBool()))
	case attribute.INT64:
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(v.AsInt64()))
	case attribute.FLOAT64:
		b = protowire.AppendTag(b, 4, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, math.Float64bits(v.AsFloat64()))
	case attribute.STRINGSLICE:
		b = appendList(b, v.AsStringSlice())
	case attribute.STRING:
		b = appendString(b, 1, v.AsString())
	default: // none of ours
		b = appendString(b, 1, v.String())
	}
	return finish(finish(b, value), pair)
}

func appendList(b []byte, all []string) []byte {
	b, list := begin(b, 5)
	for _, s := range all {
		var value int
		b, value = begin(b, 1)
		b = finish(appendString(b, 1, s), value)
	}
	return finish(b, list)
}

// begin opens a message in a field and returns where it begins, for finish.
func begin(b []byte, field protowire.Number) ([]byte, int) {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return b, len(b)
}

// finish puts the length of a message before it.
func finish(b []byte, start int) []byte {
	n := len(b) - start
	size := protowire.SizeVarint(uint64(n))
	b = append(b, make([]byte, size)...)
	copy(b[start+size:], b[start:start+n])
	protowire.AppendVarint(b[:start], uint64(n))
	return b
}

// appendText and appendNumber leave out what is empty.
func appendText(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(b, field, s)
}

func appendNumber(b []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

func appendFixed(b []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), n)
}

func appendBytes(b []byte, field protowire.Number, s []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), s)
}

// appendString appends text, which the protocol wants in UTF-8: one name that is
// not must not cost the batch.
func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), strings.ToValidUTF8(s, "\uFFFD"))
}
