package gateway

import (
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// shape makes the bytes that go to the leg's model: the caller's own, with the
// model in the path, the cap spliced in, and headers from an allow-list.
func (l *Line) shape(c *call, g *leg) {
	target, splices := c.target, g.limit.Splices
	if c.modelled() {
		if s, ok := c.facts.ModelSplice(g.Model); ok && g.Model != c.target.Model {
			splices = append(splices, s)
		}
		if target.Op != wire.OpStartAsyncInvoke {
			target.Model = g.Model
		}
	}
	g.splices = splices
	body := c.body
	if len(splices) > 0 {
		body = wire.ApplySplices(nil, body, splices)
	}
	g.out = &engine.Request{
		Upstream: g.upstream, RoleARN: c.caller.Tenant.RoleARN, Model: g.Model, Op: target.Op,
		Method: c.req.Method, Target: target.String(), Header: forwarded(c.req.Header), Body: body,
	}
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
// its upstream is to be told.
func (l *Line) tag(c *call, g *leg, out *engine.Request) {
	if g.start == nil || !tags(c.snap.Config, g.upstream) {
		return
	}
	header, splices := tag(&c.facts, c.body, out.Header, g.start.Tags())
	out.Header = header
	if len(splices) > 0 {
		out.Body = wire.ApplySplices(nil, c.body, append(splices, g.splices...))
	}
}

func tags(cfg *config.Config, upstream string) bool {
	if upstream == "" {
		return cfg.Upstream.TagRequests
	}
	return cfg.Upstreams[upstream].TagRequests
}
