package gateway

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// respond turns the accepted leg's answer into the caller's. Its bytes are the
// upstream's; only header fields are chosen.
func (l *Line) respond(c *call, a *leg.Attempt) (*Response, *wire.Error) {
	if a.Err != nil {
		a.Close(leg.Served)
		return nil, unanswered(a.Err)
	}
	res := c.answer(a)
	if a.Streams() {
		res.Stream, res.Begun = newStream(l, c, a), true // ask has read the first frame
		return res, nil
	}
	a.Close(c.servedOrDrained())
	if err := l.ownJob(c, a); err != nil {
		return nil, err
	}
	if unmodelled(a.Response.Status, a.Response.Header) {
		return nil, wire.Errorf(wire.KindServiceUnavailable, "the upstream answered with status %d", a.Response.Status)
	}
	res.Body = a.Response.Body
	return res, nil
}

// servedOrDrained is Served while the caller waits for the answer, and Drained
// once they have left.
func (c *call) servedOrDrained() leg.Disposition {
	if c.Gone.Err() != nil {
		return leg.Drained
	}
	return leg.Served
}

// unanswered is the error that the caller gets when the last leg brought no answer.
func unanswered(err *engine.Error) *wire.Error {
	e := &wire.Error{Kind: wire.KindServiceUnavailable, Cause: err}
	switch err.Failure {
	case engine.TimedOut:
		e.Message = "the model did not answer in time"
	case engine.CircuitOpen:
		e.Message = "the model's upstream is failing; it is left alone for a moment"
	case engine.Misconfigured:
		e.Kind, e.Message = wire.KindInternal, "the gateway's upstream is not configured correctly"
	case engine.Corrupt:
		e.Kind, e.Message = wire.KindInternal, "the upstream's answer was not valid"
	case engine.LostInAnswer:
		e.Message = "the upstream broke off its answer"
	default:
		e.Message = "the upstream cannot be reached"
	}
	return e
}

// ownJob remembers who started an asynchronous job before they learn its ARN.
func (l *Line) ownJob(c *call, a *leg.Attempt) *wire.Error {
	if c.Target.Op != wire.OpStartAsyncInvoke || a.Response.Status >= 300 {
		return nil
	}
	var job struct{ InvocationArn string }
	err := json.Unmarshal(a.Response.Body, &job)
	if err == nil {
		err = l.jobs.Own(&c.life.Context, job.InvocationArn, c.Caller.Tenant.ID)
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
	c.bill.refusal = err
	res := c.exchange.respond(err.Status())
	h := append(res.Header, wire.Field{Name: "content-type", Value: "application/json"},
		wire.Field{Name: "x-amzn-errortype", Value: err.Type()},
		wire.Field{Name: "x-amzn-requestid", Value: c.ID})
	if ms := err.RetryAfterMillis; ms > 0 {
		h = append(h, wire.Field{Name: "retry-after", Value: strconv.FormatInt((ms+999)/1000, 10)},
			wire.Field{Name: "x-amz-retry-after", Value: strconv.FormatInt(ms, 10)})
	}
	res.Header = c.appendDecision(h)
	res.Body, res.CloseConnection = err.AppendJSON(nil), !c.bodyRead
	return res
}

// answer is an answer without its body: the upstream's status, its header as far as
// it speaks of the answer, and what the gateway decided.
func (c *call) answer(a *leg.Attempt) *Response {
	res := c.exchange.respond(a.Response.Status)
	for _, f := range a.Response.Header {
		if answers(f.Name) {
			res.Header = append(res.Header, f)
		}
	}
	res.Header = c.appendDecision(res.Header)
	return res
}

func answers(name string) bool {
	return strings.EqualFold(name, "content-type") || strings.EqualFold(name, "retry-after") ||
		wire.HasPrefixFold(name, "x-amzn-") || wire.HasPrefixFold(name, "x-amz-")
}

// appendDecision adds the x-sluice-* fields (docs/clients.md).
func (c *call) appendDecision(h wire.Header) wire.Header {
	h = append(h, wire.Field{Name: "x-sluice-request-id", Value: c.ID})
	if c.route == nil {
		return h
	}
	h = append(h, wire.Field{Name: "x-sluice-path", Value: string(c.path)})
	if c.reason != "" {
		h = append(h, wire.Field{Name: "x-sluice-reason", Value: c.reason})
	}
	if a := c.served; a != nil {
		h = append(h, wire.Field{Name: "x-sluice-model", Value: a.Model})
		if a.Limit.Changed {
			h = append(h, wire.Field{Name: "x-sluice-capped", Value: a.Limit.Header()})
		}
		if a.Limit.CutAt > 0 {
			h = append(h, wire.Field{Name: "x-sluice-cut-at", Value: strconv.FormatInt(a.Limit.CutAt, 10)})
		}
	}
	return h
}
