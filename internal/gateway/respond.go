package gateway

import (
	"cmp"

	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/leg/batch"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// respond turns the accepted leg's answer into the caller's. Its bytes are the
// upstream's; only header fields are chosen.
func (l *Line) respond(c *call, a *leg.Attempt) (*Response, *wire.Error) {
	if a.Err != nil {
		a.Close(leg.Served)
		return nil, a.Failure()
	}
	res := c.answer(a)
	owned := l.asker.OwnJob(&c.life.Context, a)
	if a.Streams() {
		res.Stream = &stream{line: l, call: c, attempt: a, how: leg.Served}
		res.Begun = true // ask has read the first frame
		return res, nil
	}
	a.Close(c.servedOrDrained())
	if err := cmp.Or(owned, a.Failure()); err != nil {
		return nil, err
	}
	res.Body = a.Response.Body
	return res, nil
}

// respondParts asks the model for each part of the request. The caller gets all answers, or the first failure.
func (l *Line) respondParts(c *call) (res *Response, err *wire.Error) {
	answers, a, err := batch.Ask(&c.life.Context, l.asker, &c.Request, c.legs, &c.funds)
	c.answered, c.served = l.asker.Now(), a
	if err == nil && answers != nil {
		res = c.answer(a)
		res.Parts = answers
	} else if err == nil {
		if res, err = l.respond(c, a); err == nil && c.paid() {
			res.Header = append(res.Header, wire.NotAgain()) // the other parts would be paid again
		}
	}
	return res, err
}

// servedOrDrained is Served while the caller waits for the answer, and Drained
// once they have left.
func (c *call) servedOrDrained() leg.Disposition {
	if c.Gone.Err() != nil {
		return leg.Drained
	}
	return leg.Served
}

// refuse is the gateway's own answer. When something may have been billed, it is one
// that no SDK repeats by itself: the caller would pay again.
func (l *Line) refuse(c *call, err *wire.Error) *Response {
	if c.paid() {
		err = err.Final()
	}
	c.bill.refusal = err
	res := c.exchange.respond(err.Status())
	res.Header = c.appendDecision(err.AppendHeader(res.Header, c.ID))
	res.Body = err.AppendJSON(nil)
	return res
}

// answer is an answer without its body: the upstream's status, its header as far as
// it speaks of the answer, and what the gateway decided.
func (c *call) answer(a *leg.Attempt) *Response {
	res := c.exchange.respond(a.Response.Status)
	for _, f := range a.Response.Header {
		if wire.DescribesAnswer(f.Name) {
			res.Header = append(res.Header, f)
		}
	}
	res.Header = c.appendDecision(res.Header)
	return res
}

// appendDecision adds the x-sluice-* fields (docs/clients.md).
func (c *call) appendDecision(h wire.Header) wire.Header {
	h = append(h, wire.Field{Name: "x-sluice-request-id", Value: c.ID})
	h = c.line.asker.AppendLeft(h, &c.funds, c.exchange.Translator != nil)
	if c.Snapshot.Config.Telemetry.ServerTiming {
		took := c.line.asker.Now().Sub(c.Received)
		h = append(h, wire.Field{Name: "server-timing", Value: telemetry.ServerTiming(took-c.waited, c.waited)})
	}
	if c.route == nil {
		return h
	}
	h = append(h, wire.Field{Name: "x-sluice-path", Value: string(c.path)})
	if c.reason != "" {
		h = append(h, wire.Field{Name: "x-sluice-reason", Value: c.reason})
	}
	if a := c.served; a != nil {
		h = c.line.asker.AppendChanges(append(h, wire.Field{Name: "x-sluice-model", Value: a.Model}), a)
	}
	return h
}
