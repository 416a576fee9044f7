package leg

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Failure is the error that the caller gets when the attempt brought no answer of
// the model's or of Bedrock's, nil when it did.
func (a *Attempt) Failure() *wire.Error {
	switch {
	case a.Err != nil && a.try.why == TierLate: // the attempt that was left is billed
		return unanswered(a.Err).Final()
	case a.Err != nil:
		return unanswered(a.Err)
	case a.Response.Refusal != nil:
		return refused(a.Response.Refusal)
	case a.Response.Foreign():
		return wire.Errorf(wire.KindServiceUnavailable,
			"the upstream answered with status %d, and not as Bedrock does", a.Response.Status)
	default:
		return nil
	}
}

// unanswered is what the caller is told of an attempt without an answer. Whether
// it may be repeated is for the line to say, which knows what was billed.
func unanswered(err *engine.Error) *wire.Error {
	e := &wire.Error{Kind: wire.KindServiceUnavailable, Cause: err}
	switch err.Failure {
	case engine.TimedOut:
		e.Message = "the model did not answer in time"
	case engine.CircuitOpen:
		e.Message = "the model's upstream is failing; it is left alone for a moment"
	case engine.NoCredentials:
		// The log has named the cause already, once for all requests.
		e.Cause, e.Message = nil, "the gateway has no valid AWS credentials of its own; the caller's key is not the cause"
	case engine.Misconfigured:
		e.Kind, e.Message = wire.KindInternal, "the gateway's upstream is not configured correctly"
	case engine.Corrupt:
		e.Kind, e.Message = wire.KindInternal, "the upstream's answer was not valid"
	case engine.NoRoom:
		e.Message = "the upstream's answer is more than the gateway may hold"
	case engine.LostInAnswer:
		e.Message = "the upstream broke off its answer"
	case engine.Cancelled:
		e.Message = "the gateway stopped waiting for the model"
	default:
		e.Message = "the upstream cannot be reached"
	}
	return e
}

// refused is what the caller is told when AWS does not accept the gateway. AWS's own
// words are not for them: they name the gateway's account, and seem to speak of the
// caller's token. What may heal soon is unavailable; a role that lacks a permission
// is the gateway's mistake.
func refused(r *engine.Refusal) *wire.Error {
	if strings.HasPrefix(r.Kind, "AccessDenied") {
		return wire.Errorf(wire.KindInternal,
			"AWS denies this to the gateway's own role (%s); the caller's key is not the cause", r.Kind)
	}
	return wire.Errorf(wire.KindServiceUnavailable,
		"AWS does not accept the gateway's own credentials (%s); the caller's key is not the cause", r.Kind)
}

// unitNames are how limits are called towards callers.
var unitNames = [...]string{
	record.UnitUSD: "dollars", record.UnitTokens: "tokens", record.UnitRequests: "requests",
	record.UnitConcurrent: "concurrent requests",
}

// Exceeded is the answer to a request that a budget or limit refuses. Money is
// 400, which no SDK repeats; a rate that will pass is 429, which all do. A
// caller sees its own tenant's numbers, and of a parent that there is one.
func Exceeded(req *Request, legs []*Plan, r *budget.Refusal) *wire.Error {
	wait := max(1, r.Until.Sub(req.Received).Milliseconds())
	if r.Reason != budget.UsedUp {
		return &wire.Error{
			Kind: wire.KindServiceUnavailable, RetryAfterMillis: wait,
			Message: "budgets and limits cannot be checked at the moment. Request " + req.ID,
		}
	}
	e := &wire.Error{Kind: wire.KindServiceQuota, Message: exceededText(req, legs, r)}
	if r.Window.Unit != record.UnitUSD && r.Need <= r.Limit {
		e.Kind, e.RetryAfterMillis = wire.KindThrottling, wait
		if r.Window.Unit == record.UnitConcurrent {
			e.RetryAfterMillis = time.Second.Milliseconds()
		}
	}
	return e
}

func exceededText(req *Request, legs []*Plan, r *budget.Refusal) string {
	if r.Window.Period == record.PeriodSession {
		return sessionExceeded(req, r)
	}
	own := req.Caller.Tenant.ID
	what := limitName(own, r)
	if r.Need > r.Limit {
		what += " is smaller than this request"
	} else {
		what += " is used up"
	}
	if r.Window.Tenant == own || ofKey(own, r) != "" {
		what += fmt.Sprintf(": %s spent + %s held of %s; this request could take %s",
			amount(r.Window.Unit, r.Posted), amount(r.Window.Unit, r.Held+r.Suspense),
			amount(r.Window.Unit, r.Limit), amount(r.Window.Unit, r.Need))
	}
	what += "."
	if !r.Window.End.IsZero() {
		what += " Resets " + r.Window.End.Format(time.RFC3339) + "."
	}
	for _, p := range legs {
		if r.Need > r.Limit {
			what += p.Vague()
		}
		if p.job != nil {
			what += " The job is " + p.job.String() + "."
		}
	}
	return what + " Request " + req.ID
}

// limitName names a budget or limit of a tenant's own: `budget "acme/support month"`.
func limitName(own string, r *budget.Refusal) string {
	what := "limit"
	if r.Window.Unit == record.UnitUSD {
		what = "budget"
	}
	key := ofKey(own, r)
	if r.Window.Tenant != own && key == "" {
		return "a parent " + what
	}
	of := cmp.Or(r.Window.Period, unitNames[r.Window.Unit])
	if what == "limit" && r.Window.Period != "" {
		of = unitNames[r.Window.Unit] + " per " + r.Window.Period
	}
	if key != "" {
		return fmt.Sprintf("%s %q of this key", what, of)
	}
	return fmt.Sprintf("%s %q", what, r.Window.Tenant+" "+of)
}

// ofKey is the name that a key's own windows have, "" for those of a tenant: see
// budget.Policies.ForKey.
func ofKey(tenant string, r *budget.Refusal) string {
	name, ok := strings.CutPrefix(r.Window.Tenant, tenant+"//")
	if !ok {
		return ""
	}
	return name
}

func amount(u record.Unit, n int64) string {
	if u == record.UnitUSD {
		return "$" + money.Pico(n*1000).String()
	}
	return strconv.FormatInt(n, 10)
}

// sessionExceeded tells the agent what is left to its session, so that it can end well.
func sessionExceeded(r *Request, by *budget.Refusal) string {
	b, unit := r.Session.budget, record.UnitUSD
	if by.Limit == 0 {
		return looping(r)
	}
	left := max(0, by.Limit-by.Posted-by.Held-by.Suspense)
	return fmt.Sprintf("the budget of session %q is used up: %s spent + %s held of %s within %s; %s is left, and this "+
		"request could take %s. Ask for fewer output tokens, or begin a new session. Request %s", r.Session.Label(),
		amount(unit, by.Posted), amount(unit, by.Held+by.Suspense), amount(unit, by.Limit), b.Within, amount(unit, left),
		amount(unit, by.Need), r.ID)
}

// looping says why a session that goes round in circles is not let go on.
func looping(r *Request) string {
	return fmt.Sprintf("session %q seems to go round in circles: %s. Begin a new session. Request %s", r.Session.Label(),
		r.Session.Signal.Says(), r.ID)
}

// LightReason is the reason of a request that gets the light leg alone because of a refusal.
func (r *Request) LightReason(by *budget.Refusal) string {
	switch {
	case by.Window.Period != record.PeriodSession:
		return "light_only"
	case r.Session.Signal != "":
		return "session_loop"
	}
	return "session_budget"
}
