package gateway

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// respond turns the accepted leg's answer into the caller's. Its bytes are the
// upstream's; only header fields are chosen.
func (l *Line) respond(c *call, g *leg) (*Response, *wire.Error) {
	if g.err != nil {
		l.record(c, g, served)
		return nil, unanswered(g.err)
	}
	res := &Response{Status: g.res.Status, Header: c.answerHeader(g)}
	if g.res.Frames != nil {
		res.Stream = newStream(l, c, g)
		return res, nil
	}
	l.record(c, g, c.servedOrDrained())
	if err := l.ownJob(c, g); err != nil {
		return nil, err
	}
	if unmodelled(g.res.Status, g.res.Header) {
		return nil, wire.Errorf(wire.KindServiceUnavailable, "the upstream answered with status %d", g.res.Status)
	}
	res.Body = g.res.Body
	return res, nil
}

// servedOrDrained tells an answer that its caller waits for from one that
// nobody waits for any more.
func (c *call) servedOrDrained() disposition {
	if c.req.Caller.Err() != nil {
		return drained
	}
	return served
}

// ownJob remembers who started an asynchronous job before they learn its ARN.
func (l *Line) ownJob(c *call, g *leg) *wire.Error {
	if c.target.Op != wire.OpStartAsyncInvoke || g.res.Status >= 300 {
		return nil
	}
	var job struct{ InvocationArn string }
	err := json.Unmarshal(g.res.Body, &job)
	if err == nil {
		err = l.Jobs.Own(c.ctx, job.InvocationArn, c.caller.Tenant.ID)
	}
	if err != nil {
		return &wire.Error{Kind: wire.KindServiceUnavailable, Cause: err,
			Message: "the job was started but cannot be recorded as yours: " + job.InvocationArn}
	}
	return nil
}

// unmodelled reports whether an answer is an upstream failure that is not
// Bedrock's own error: a proxy's page would break the SDKs' error parsing.
func unmodelled(status int, h wire.Header) bool {
	return status >= 500 && !strings.HasPrefix(h.Get("content-type"), "application/json")
}

// refuse is the gateway's own answer.
func (l *Line) refuse(c *call, err *wire.Error) *Response {
	c.refusal = err.Type()
	if err.Cause != nil {
		l.Log.Warn("request refused", "request", c.req.ID, "type", err.Type(), "message", err.Message, "err", err.Cause)
	}
	h := make(wire.Header, 0, 10)
	h = append(h, wire.Field{Name: "content-type", Value: "application/json"},
		wire.Field{Name: "x-amzn-errortype", Value: err.Type()},
		wire.Field{Name: "x-amzn-requestid", Value: c.req.ID})
	if ms := err.RetryAfterMillis; ms > 0 {
		h = append(h, wire.Field{Name: "retry-after", Value: strconv.FormatInt((ms+999)/1000, 10)},
			wire.Field{Name: "x-amz-retry-after", Value: strconv.FormatInt(ms, 10)})
	}
	h = c.appendDecision(h)
	return &Response{Status: err.Status(), Header: h, Body: err.AppendJSON(nil), CloseConnection: !c.bodyRead}
}

// answerHeader is the upstream's header as far as it speaks of the answer, and
// what the gateway decided.
func (c *call) answerHeader(g *leg) wire.Header {
	h := make(wire.Header, 0, len(g.res.Header)+6)
	for _, f := range g.res.Header {
		if answers(f.Name) {
			h = append(h, f)
		}
	}
	return c.appendDecision(h)
}

func answers(name string) bool {
	return strings.EqualFold(name, "content-type") || strings.EqualFold(name, "retry-after") ||
		hasPrefixFold(name, "x-amzn-") || hasPrefixFold(name, "x-amz-")
}

// appendDecision adds the x-sluice-* fields (design.md 4.3).
func (c *call) appendDecision(h wire.Header) wire.Header {
	h = append(h, wire.Field{Name: "x-sluice-request-id", Value: c.req.ID})
	if c.plan == nil {
		return h
	}
	h = append(h, wire.Field{Name: "x-sluice-path", Value: string(c.path)})
	if c.reason != "" {
		h = append(h, wire.Field{Name: "x-sluice-reason", Value: c.reason})
	}
	if g := c.served; g != nil {
		h = append(h, wire.Field{Name: "x-sluice-model", Value: g.Model})
		if g.limit.Changed {
			h = append(h, wire.Field{Name: "x-sluice-capped", Value: g.limit.Header})
		}
	}
	return h
}
