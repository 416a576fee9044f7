package telemetry

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// place is where a span is in a trace.
type place struct {
	trace  trace.TraceID
	span   trace.SpanID
	parent trace.SpanID // zero for none
	flags  trace.TraceFlags
	remote bool   // the parent is the caller's
	state  string // the caller's tracestate
}

// root is the place of a request's span: below the caller's, when its traceparent
// names one, with the caller's decision to record; else sampled by our own share.
func (t *Telemetry) root(h wire.Header) place {
	at := place{span: newSpanID()}
	if caller := extract(h); caller.IsValid() {
		at.trace, at.parent, at.remote = caller.TraceID(), caller.SpanID(), true
		at.flags, at.state = caller.TraceFlags(), caller.TraceState().String()
		return at
	}
	for at.trace == (trace.TraceID{}) {
		binary.NativeEndian.PutUint64(at.trace[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(at.trace[8:], rand.Uint64())
	}
	// As the SDKs decide, so that gateways and others agree on a trace's id.
	if binary.BigEndian.Uint64(at.trace[8:])>>1 < t.below.Load() {
		at.flags = trace.FlagsSampled
	}
	return at
}

// shareBelow is the bound on the upper 63 bits of an id's second half that takes
// this share of all ids.
func shareBelow(share float64) uint64 {
	switch {
	case share >= 1:
		return 1 << 63
	case share <= 0:
		return 0
	}
	return uint64(share * (1 << 63))
}

// child is the place of a span below this one.
func (p *place) child() place {
	return place{trace: p.trace, span: newSpanID(), parent: p.span, flags: p.flags, state: p.state}
}

func newSpanID() (id trace.SpanID) {
	for id == (trace.SpanID{}) {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// extract reads the caller's place in a trace.
func extract(h wire.Header) trace.SpanContext {
	if h.Get("traceparent") == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier{h}))
}

// appendTo appends the fields that carry the place to another program.
func (p *place) appendTo(h wire.Header) wire.Header {
	if p.state != "" {
		h = append(h, wire.Field{Name: "tracestate", Value: p.state})
	}
	var text [55]byte
	b := append(text[:0], "00-"...)
	b = append(hex.AppendEncode(b, p.trace[:]), '-')
	b = append(hex.AppendEncode(b, p.span[:]), '-')
	b = hex.AppendEncode(b, []byte{byte(p.flags & (trace.FlagsSampled | trace.FlagsRandom))})
	return append(h, wire.Field{Name: "traceparent", Value: string(b)})
}

// carrier lets the propagator read our header fields.
type carrier struct{ h wire.Header }

// Get returns the value of a field.
func (c carrier) Get(name string) string { return c.h.Get(name) }

// Set does nothing: nothing is written by it.
func (carrier) Set(string, string) {}

// Keys names the fields.
func (c carrier) Keys() []string {
	var names []string
	for _, f := range c.h {
		names = append(names, f.Name)
	}
	return names
}
