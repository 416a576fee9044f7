package leg

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// shape makes the bytes that go to the leg's model: the caller's own, with the
// model in the path, the cap spliced in, and headers from an allow-list. It
// returns the splices too. A body that differs from the caller's is in buffer.
func shape(r *Request, p *Plan, buffer *[]byte) (engine.Request, []wire.Splice) {
	target, splices := r.Target, slices.Clip(p.Limit.Splices)
	if r.Modelled() {
		if s, ok := p.Facts.ModelSplice(p.Model); ok && p.Model != target.Model {
			splices = append(splices, s)
		}
		if target.Op != wire.OpStartAsyncInvoke {
			target.Model = p.Model
		}
	}
	body, hash := r.Body, r.BodyHash
	if len(splices) > 0 {
		*buffer = wire.ApplySplices((*buffer)[:0], body, splices)
		body, hash = *buffer, nil
	}
	return engine.Request{
		Upstream: p.Upstream, RoleARN: r.Caller.Tenant.RoleARN, Model: p.Model, Op: target.Op,
		Method: r.Method, Target: target.String(), Header: forwarded(r.Header), Body: body, BodyHash: hash,
	}, splices
}

// forwarded is the caller's header as far as it may reach the upstream
// (design.md 4.3). Credentials, hop-by-hop fields and everything unknown stay.
func forwarded(h wire.Header) wire.Header {
	out := make(wire.Header, 0, 6)
	for _, f := range h {
		if forwards(f.Name) {
			out = append(out, f)
		}
	}
	return out
}

func forwards(name string) bool {
	return strings.EqualFold(name, "content-type") || strings.EqualFold(name, "accept") ||
		strings.EqualFold(name, "x-amzn-trace-id") || hasPrefixFold(name, "x-amzn-bedrock-")
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// tag puts the attempt's record id, and who pays for it, into the request when
// the configuration of its upstream asks for that.
func (a *Attempt) tag(out *engine.Request, splices []wire.Splice) {
	r := a.request
	if !tags(r.Snapshot.Config, a.Upstream) {
		return
	}
	header, tagged := tag(a.Facts, r.Body, out.Header, a.Start.Tags())
	out.Header = header
	if len(tagged) > 0 {
		out.Body, out.BodyHash = wire.ApplySplices(nil, r.Body, append(tagged, splices...)), nil
	}
}

func tags(cfg *config.Config, upstream string) bool {
	if upstream == "" {
		return cfg.Upstream.TagRequests
	}
	return cfg.Upstreams[upstream].TagRequests
}

// maxKeptBody is how large a shaped body may be whose memory is kept for others.
const maxKeptBody = 64 << 10

// buffer is memory for a shaped body.
func (k *Asker) buffer() *[]byte {
	if b, ok := k.bodies.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

// keep takes a buffer back that no upstream reads any more.
func (k *Asker) keep(buffer *[]byte) {
	if cap(*buffer) <= maxKeptBody {
		k.bodies.Put(buffer)
	}
}
