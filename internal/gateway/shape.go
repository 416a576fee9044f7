package gateway

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter"
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

// metadataHeader carries the request metadata of InvokeModel and its stream
// (Bedrock API reference, InvokeModel). Converse has a member of the body.
const metadataHeader = "X-Amzn-Bedrock-Request-Metadata"

// maxMetadata is how many pairs the metadata may have (service model of
// Converse, requestMetadata).
const maxMetadata = 16

// tag puts the attempt's record id into the request's metadata, from where it
// reaches Bedrock's invocation log: the only proof of what a call used whose end
// the gateway did not see. A request that has no room for it goes untagged.
func (l *Line) tag(c *call, g *leg, out *engine.Request) {
	if g.start == nil || !tags(c.snap.Config, g.upstream) {
		return
	}
	switch c.target.Op {
	case wire.OpConverse, wire.OpConverseStream:
		if s, ok := c.facts.MetadataSplice(c.body, meter.TagKey, g.start.ID); ok {
			out.Body = wire.ApplySplices(nil, c.body, append(slices.Clone(g.splices), s))
		}
	case wire.OpInvoke, wire.OpInvokeStream:
		out.Header = tagHeader(out.Header, g.start.ID)
	}
}

func tags(cfg *config.Config, upstream string) bool {
	if upstream == "" {
		return cfg.Upstream.TagRequests
	}
	return cfg.Upstreams[upstream].TagRequests
}

// tagHeader adds the id to the caller's own pairs. What is not an object of
// strings stays as it came, for Bedrock to refuse.
func tagHeader(h wire.Header, id string) wire.Header {
	pairs := map[string]string{}
	at := slices.IndexFunc(h, func(f wire.Field) bool { return strings.EqualFold(f.Name, metadataHeader) })
	if at >= 0 && (json.Unmarshal([]byte(h[at].Value), &pairs) != nil || len(pairs) >= maxMetadata || pairs == nil) {
		return h
	}
	pairs[meter.TagKey] = id
	text, err := json.Marshal(pairs)
	if err != nil {
		return h
	}
	tagged := wire.Field{Name: metadataHeader, Value: string(text)}
	h = slices.Clone(h)
	if at >= 0 {
		h[at] = tagged
		return h
	}
	return append(h, tagged)
}
