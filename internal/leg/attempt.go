package leg

import (
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/promptcache"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/trouble"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Attempt is one call of a model and its record. Exactly one of Response and Err
// is set. It belongs to one goroutine at a time.
type Attempt struct {
	*Plan
	Response *engine.Response
	Err      *engine.Error
	Fault    string        // the exception that is the first frame of a stream, "" for none
	Took     time.Duration // until the answer's head, with the earlier attempts at the leg

	// The record: Start is nil when nothing is billed, the rest is there once the
	// attempt is closed.
	Start *record.Start
	End   record.End
	record.Booked

	asker   *Asker
	request *Request
	held
	placed *promptcache.Placed // nil where nothing is learned of the prompt
	span   *telemetry.LegSpan
	head   []byte // the first frame of a stream, until Next returns it
	usage  wire.StreamUsage
	known  bool // usage is complete
	whole  bool // the stream came to its proper end
	closed bool
	spare
}

// held is what an attempt holds: of budgets, and of the quota of its upstream.
type held struct {
	from  *budget.Reservation // what hold is a part of
	hold  *budget.Hold
	quota *quota.Hold // nil for none
}

// spare is the memory of an attempt's record.
type spare struct {
	half    record.Start    // of Start
	charges []record.Charge // of its charges
}

// Disposition is what became of an attempt's answer.
type Disposition uint8

// The dispositions.
const (
	Lost       Disposition = iota // no answer, or one that is tried again
	LeftBehind                    // an answer that the caller does not get
	Consulted                     // a second opinion on the answer that the caller gets
	Served                        // the caller's answer
	Drained                       // the caller's answer, read to its end after they had left
)

// Result is how the attempt ended: the status of its answer, 500 for a stream
// that began with an exception, or the failure.
func (a *Attempt) Result() (status int, failure engine.Failure) {
	switch {
	case a.Err != nil:
		return 0, a.Err.Failure
	case a.Fault != "":
		return 500, 0 // the status line said 200, but no answer followed
	default:
		return a.Response.Status, 0
	}
}

// Streams reports whether the answer is a stream.
func (a *Attempt) Streams() bool { return a.Response != nil && a.Response.Frames != nil }

// Next returns the next frame of a stream, which stays valid until the following
// call, and reads usage from it. It fails as engine.FrameSource does.
func (a *Attempt) Next() (wire.Frame, error) {
	raw := a.head
	a.head = nil
	if raw == nil {
		var err error
		if raw, err = a.Response.Frames.Next(); err != nil {
			a.whole = errors.Is(err, io.EOF) && (a.usage.End() || a.unfamiliar())
			return wire.Frame{}, err
		}
	}
	return a.look(raw), nil
}

// look reads usage from a frame. It is apart from the call that waits for the
// frame, so that waiting needs little stack.
func (a *Attempt) look(raw []byte) wire.Frame {
	f := wire.SplitFrame(raw) // the source has checked it
	if a.usage.Observe(f) {
		a.known = true
	}
	f.Data = a.usage.Data()
	return f
}

// Ready reports whether Next returns without waiting for the upstream.
func (a *Attempt) Ready() bool { return a.head != nil || a.Response.Frames.Ready() }

// unfamiliar reports whether the stream is of a family that the gateway does not
// know, whose last event may look like any other.
func (a *Attempt) unfamiliar() bool {
	return a.request.Target.Op == wire.OpInvokeStream && a.Facts.Dialect == nil
}

// Known reports whether the frames so far contain the usage: the attempt can be
// closed before the last of them goes on.
func (a *Attempt) Known() bool { return a.known }

// Over reports whether the answer has passed the cap of a family that nothing else
// keeps to it: no more of it may reach the caller.
func (a *Attempt) Over() bool { return a.Limit.CutAt > 0 && a.usage.Spoken > a.Limit.CutAt }

// Levers are what policies that save made of the attempt, "" where they had no part in it.
type Levers struct {
	Named    string // the id in whose place its global profile was asked
	Tiers    string // the service tiers that were tried
	Cache    string // what points were put into the prompt for, or why there are none
	Capacity string // what was bought that served, or was left and why
	// Lines are the upstreams in whose lines it waited for room in a quota, and Waited for how long; "" and 0 for none.
	Lines  string
	Waited time.Duration
}

// LeversOf is what policies that save made of an attempt.
func LeversOf(a *Attempt) (l Levers) {
	l.Named = a.Named
	if a.try.tier != "" {
		l.Tiers = a.try.header()
	}
	if a.place.name != "" {
		l.Capacity = a.place.header()
	}
	if a.quota != nil && a.quota.Waited > 0 {
		l.Lines, l.Waited = upstreamNames(a.quota.Lines), a.quota.Waited
	}
	if a.placed != nil && a.request.Caller.Tenant.Injects {
		l.Cache = a.placed.Decided()
	}
	return l
}

// Whole reports whether the stream came to its proper end.
func (a *Attempt) Whole() bool { return a.whole }

// Closed reports whether the attempt is in the books.
func (a *Attempt) Closed() bool { return a.closed }

// Close ends the attempt: it journals END, settles what was held and reports both.
// how is what became of the answer. Further calls do nothing.
func (a *Attempt) Close(how Disposition) {
	if a.closed {
		return
	}
	a.closed = true
	a.ending(how)
	if a.Start != nil {
		a.book()
	}
	used(a)
	a.endSpan()
}

// ending is what the books learn of the attempt.
func (a *Attempt) ending(how Disposition) {
	end := &a.End
	end.Outcome, end.At = a.outcome(), a.asker.Now()
	end.Served = how == Served || how == Drained
	end.Drained = how == Drained
	end.Wasted = how == LeftBehind
	end.Escalated = end.Served && a.Role == router.RoleEscalation
	if end.Served {
		end.TokensCut = a.Limit.Cut
	}
	res := a.Response
	if res == nil {
		return
	}
	end.Status, end.AWSRequestID = res.Status, res.Header.Get("x-amzn-requestid")
	switch {
	case res.Frames != nil:
		end.Usage = a.usage.Usage()
	case res.Status >= 300:
		return
	}
	if a.unmapped() {
		a.asker.Estimates.ObserveWriting(a.Model, !end.Usage.Embedding)
	}
	if a.Pieces.Fill(&end.Usage) && end.Usage.Complete() {
		end.Outcome = record.Completed
	}
	end.CapHit = end.Served && (a.Over() || a.Limit.Changed && wire.AtMost(end.Usage.StopReason))
	end.GuardrailUnknown = a.guarded(a.request) && !end.Usage.UnitsKnown
}

// book journals END, settles and counts.
func (a *Attempt) book() {
	k, end := a.asker, &a.End
	end.ID = a.Start.ID
	k.Crash.At(meter.UsageFrame)
	if err := k.Meter.End(a.Start, end, a.request.Snapshot.Prices, &a.Booked); err != nil {
		k.Log.Error("usage record waits for the disk", "request", a.Start.RequestID, "record", end.ID, "tenant",
			a.Start.Tenant,
			"model", a.Start.Model, "input", end.Usage.Input.N, "output", end.Usage.Output.N, "err", err)
	}
	a.settle()
	a.request.Host.Ended(a)
	k.landed(a)
	spent(a)
	embedded(a)
	looked(a)
	vacate(k, a)
	m := k.Telemetry.Metrics()
	m.Leg(a.Upstream, a.outcomeName())
	m.Usage(a.Start.Root, &end.Usage, a.Costs.Total())
}

// settle charges what was held with what END says.
func (a *Attempt) settle() {
	how, nanoUSD, tokens := a.End.Billed(a.Start.Op, a.Costs)
	switch how {
	case record.Completed:
		spent := budget.Amounts{record.UnitUSD: nanoUSD, record.UnitTokens: tokens}
		if a.Costs.Unpriced {
			a.hold.SettleUnpriced(spent)
		} else {
			a.hold.Settle(spent)
		}
	case record.Failed:
		a.hold.Fail()
	case record.Unknown:
		a.hold.Unknown()
	}
	if u := &a.End.Usage; how == record.Completed && a.request.Modelled() && u.Complete() {
		f := a.Facts
		a.asker.Estimates.Observe(a.Model, f.DialectName(), int64(f.InputTokens), tokens-u.Output.N)
	}
}

// met is what keeps the attempt's answer from being one.
func met(a *Attempt) trouble.Kind {
	return trouble.Of(trouble.Seen{Response: a.Response, Err: a.Err, Fault: a.Fault})
}

// outcome is what can be said of an attempt's bill without readable usage.
func (a *Attempt) outcome() record.Outcome {
	if met(a).Billable() {
		return record.Unknown
	}
	return record.Failed
}

// Billable reports whether the attempt, when it has an answer or has failed, was billed
// or may have been.
func (a *Attempt) Billable() bool { return a.request.Metered() && a.outcome() != record.Failed }

// outcomeName is the outcome in words fit for a metric label.
func (a *Attempt) outcomeName() string {
	switch {
	case a.Err != nil:
		return a.Err.Failure.String()
	case a.Fault != "":
		return a.Fault
	case a.Response.Status == 200:
		return "200" // nearly all are
	default:
		return strconv.Itoa(a.Response.Status)
	}
}

// failure is the attempt's error as an interface that is nil without one.
func (a *Attempt) failure() error {
	if a.Err == nil {
		return nil
	}
	return a.Err
}

// asEngineError types what an attempt or a frame source returned. An end where
// a frame was due is a corrupt answer.
func asEngineError(err error) *engine.Error {
	var e *engine.Error
	if errors.As(err, &e) {
		return e
	}
	return &engine.Error{Failure: engine.Corrupt, Sent: true, Answered: true, Err: err}
}

// The states of a cost: how far it can be trusted.
const (
	CostKnown    = "known"
	CostUnpriced = "unpriced"
	CostUnknown  = "unknown"
)

// CostState is how far the cost of a closed attempt can be trusted.
func (a *Attempt) CostState() string {
	switch {
	case a.End.Outcome == record.Unknown, a.End.GuardrailUnknown:
		return CostUnknown
	case a.End.Outcome == record.Completed && (a.Price == nil || a.Costs.Unpriced):
		return CostUnpriced
	default:
		return CostKnown
	}
}

// WorseCost is the state of the sum of two costs: the less trusted of theirs, "" when
// there is none.
func WorseCost(a, b string) string {
	for _, state := range [...]string{CostUnknown, CostUnpriced, CostKnown} {
		if a == state || b == state {
			return state
		}
	}
	return ""
}

var outcomeNames = [...]string{record.Unknown: "unknown", record.Completed: "completed", record.Failed: "failed"}

// OutcomeName is how a closed attempt counts: completed, failed, or unknown.
func (a *Attempt) OutcomeName() string { return outcomeNames[a.End.Outcome] }

// ErrorName is what went wrong, in one word: a failure of the connection, or the type of
// the upstream's error; "" when nothing did.
func (a *Attempt) ErrorName() string {
	switch {
	case a.Response != nil:
		return a.Response.ErrorType()
	case a.Err != nil:
		return a.Err.Failure.String()
	}
	return ""
}

func (a *Attempt) endSpan() {
	e := telemetry.LegEnd{
		Status: a.End.Status, Usage: a.End.Usage, Outcome: a.OutcomeName(), Error: a.ErrorName(),
		AWSRequestID: a.End.AWSRequestID, Cost: a.Costs.Total(), CostState: a.CostState(),
	}
	if a.Err != nil {
		e.FirstByte = a.Err.Timing.FirstByte
	}
	if a.Response != nil {
		e.FirstByte = a.Response.Timing.FirstByte
	}
	switch {
	case a.End.Wasted:
		e.Verdict = "escalate"
	case a.End.Served && a.Role == router.RoleLight:
		e.Verdict = "accept"
	}
	if a.Start != nil {
		e.PriceBook = a.Start.PriceVersion
	}
	a.span.End(e)
}
