package anthropic

import (
	"cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

// mantle sends a request of Messages to the host bedrock-mantle as it came, unless a cascade takes it: cascades ask the
// runtime host.
func (x *Exchange) mantle(r *caller.Request, b *body, m *caller.Model) (*caller.Native, *caller.Failure) {
	var other *caller.Native
	if r.Cascaded(func() *caller.Native { other, _ = x.runtime(r, b, m); return other }) {
		return other, nil
	}
	x.renamed = nil
	op := wire.OpMessages
	if b.Stream {
		op = wire.OpMessagesStream
	}
	return b.onMantle(r, m, op), nil
}

// onMantle is a request for one of Anthropic's own paths. It has the caller's bytes, version and betas: that host says
// what it does not take.
func (b *body) onMantle(r *caller.Request, m *caller.Model, op wire.Operation) *caller.Native {
	n := &caller.Native{Op: op, Model: m.ID, Body: b.Raw, Session: session(r.Header), Own: isError}
	version := cmp.Or(r.Header.Get("anthropic-version"), "2023-06-01")
	n.Header = append(n.Header, wire.Field{Name: "anthropic-version", Value: version})
	for _, f := range r.Header {
		if wire.NameIn(f.Name, []string{"anthropic-beta"}) {
			n.Header = append(n.Header, f)
		}
	}
	return n
}

// isError reports whether a body is an error as Anthropic says it.
func isError(text []byte) bool {
	b, failure := caller.ReadBody(text, nil, nil)
	if failure != nil {
		return false
	}
	kind, e := b.Find("type"), b.Find("error")
	return kind != nil && e != nil && string(b.Text(kind)) == `"error"`
}

// passed is a stream that passes as it comes.
type passed struct{}

// Frame passes an event.
func (passed) Frame(dst []byte, f wire.Frame) ([]byte, *caller.Failure) {
	return append(dst, f.Payload...), nil
}

// Fail says what has broken the stream.
func (passed) Fail(dst []byte, f *caller.Failure) []byte { return appendFailure(dst, f) }

// End has nothing to say: message_stop has passed.
func (passed) End(dst []byte) []byte { return dst }
