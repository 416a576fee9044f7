package gateway

import (
	"cmp"
	"strconv"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// disposition is what became of an attempt's answer.
type disposition uint8

const (
	lost       disposition = iota // no answer, or one that is tried again
	leftBehind                    // an answer that the caller does not get
	consulted                     // a second opinion on the answer that the caller gets
	served                        // the caller's answer
	drained                       // the caller's answer, read to its end after they had left
)

// begin journals that an attempt is about to leave.
func (l *Line) begin(c *call, g *leg, attempt int) error {
	if !c.metered() {
		return nil
	}
	payer, key := c.caller.Tenant, c.caller.KeyID
	if g.payer != nil {
		payer, key = g.payer, ""
	}
	g.hold = c.take(g)
	s := &record.Start{
		ID: l.NewID(), RequestID: c.req.ID, Root: payer.Root, Tenant: payer.ID, Key: key,
		Op: c.target.Op, Model: g.Model, SKU: g.sku, Path: string(g.path), Reason: g.reason,
		Leg: g.index, Attempt: attempt,
		EstimatedInput: cmp.Or(g.input, int64(c.facts.InputTokens)), MaxOutput: g.limit.Tokens.N, At: l.Now(),
		Charges: g.hold.Charges(),
	}
	if c.plan.Cascade != nil {
		s.Cascade = c.plan.Cascade.Name
	}
	if g.price != nil {
		s.PriceVersion = g.price.Version
		s.Hold, _ = g.price.WorstCase(s.EstimatedInput, s.MaxOutput)
	}
	if err := l.Meter.Begin(s); err != nil {
		g.hold.Release()
		return err
	}
	g.start = s
	return nil
}

// record closes an attempt whose answer does not go on as a stream.
func (l *Line) record(c *call, g *leg, how disposition) {
	end := &record.End{Outcome: g.outcome()}
	if g.res != nil {
		end.Status = g.res.Status
		end.AWSRequestID = g.res.Header.Get("x-amzn-requestid")
		if end.Status < 300 && g.res.Frames == nil {
			end.Usage = wire.ResponseUsage(c.target.Op, c.facts.Dialect, g.res.Header, g.res.Body)
			end.Outcome = known(&end.Usage)
		}
	}
	l.end(c, g, end, how)
}

// end journals END and settles, once per attempt.
func (l *Line) end(c *call, g *leg, end *record.End, how disposition) {
	if g.start == nil {
		g.endSpan(end, record.Costs{})
		return
	}
	end.ID, end.At = g.start.ID, l.Now()
	end.Served = how == served || how == drained
	end.Drained = how == drained
	end.Wasted = how == leftBehind
	end.Escalated = end.Served && g.Role == router.RoleEscalation
	if end.Served {
		end.TokensCut = g.limit.Cut
	}
	l.passes(meter.UsageFrame)
	costs, err := l.Meter.End(g.start, end, c.snap.Prices)
	if err != nil {
		l.Log.Error("usage record waits for the disk", "request", c.req.ID, "record", end.ID, "tenant", g.start.Tenant,
			"model", g.start.Model, "input", end.Usage.Input.N, "output", end.Usage.Output.N, "err", err)
	}
	l.settle(c, g, end, costs)
	l.tallyLeg(c, g, end)
	l.observeLeg(c, g, end, costs)
	g.start = nil
}

// outcome is what an attempt without readable usage tells about its bill.
// Bedrock answers errors instead of work, so they cost nothing; whatever broke
// after the request was sent may have been billed.
func (g *leg) outcome() record.Outcome {
	switch {
	case g.err != nil && g.err.Billable():
		return record.Unknown
	case g.err != nil:
		return record.Failed
	case g.fault != "":
		return faultOutcome(g.fault)
	case g.res.Status >= 300:
		return record.Failed
	default:
		return record.Unknown
	}
}

// outcomeName is the outcome in words fit for a metric label.
func (g *leg) outcomeName() string {
	switch {
	case g.err != nil:
		return g.err.Failure.String()
	case g.fault != "":
		return g.fault
	default:
		return strconv.Itoa(g.res.Status)
	}
}

// faultOutcome is for a stream whose first frame is an exception: refusals cost
// nothing, a model that broke may have.
func faultOutcome(exception string) record.Outcome {
	switch exception {
	case "throttlingException", "validationException", "serviceUnavailableException":
		return record.Failed
	default:
		return record.Unknown
	}
}

func known(u *wire.Usage) record.Outcome {
	if u.Complete() {
		return record.Completed
	}
	return record.Unknown
}

// unanswered is what the caller is told when the last leg brought no answer.
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
