// Package trouble says in one place what keeps an attempt's answer from being one: by kind, and what follows of each
// kind. The books, pools of upstreams, capacity that was bought and service tiers all read it here.
package trouble

import (
	"cmp"
	"net/http"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/failover"
)

// Kind is what an attempt met. The zero value is an answer.
type Kind uint8

// The kinds.
const (
	None          Kind = iota
	Throttled          // 429, or a stream that begins with a throttling exception
	NotReady           // an imported model that is being loaded
	QuotaUsedUp        // of the account
	Unavailable        // 503
	Invalid            // refused as no valid request
	Missing            // 404
	Rejected           // another error by which nothing was done
	Broken             // an error of Bedrock's own from 500 on
	ModelBroke         // a stream that begins with an error of the model
	Doubtful           // another stream that begins with an exception, which may be billed
	Foreign            // an error from 500 on that is not Bedrock's: the request may have been passed on
	Identity           // AWS does not accept who signed the request
	NoCredentials      // there are none to sign it with
	BreakerOpen        // not tried
	NotSent            // no connection, or it was lost before the request was sent
	Unsent             // another failure before the request was sent
	Lost               // a failure after it was sent
	kinds
)

// Seen is what became of an attempt.
type Seen struct {
	Response *engine.Response // nil for none
	Err      *engine.Error    // nil for none
	Fault    string           // the exception that is the first frame of a stream, "" for none
}

// Of is what an attempt met.
func Of(s Seen) Kind {
	switch {
	case s.Err != nil:
		return ofError(s.Err)
	case s.Response.Refusal != nil:
		return Identity
	case s.Fault == "" && s.Response.Status < http.StatusMultipleChoices:
		return None
	}
	if s.Fault != "" {
		return cmp.Or(inStreams[s.Fault], Doubtful)
	}
	return cmp.Or(inAnswers[s.Response.ErrorType()], ofStatus(s.Response))
}

// inStreams are the exceptions that are the first frame of a stream.
var inStreams = map[string]Kind{
	"throttlingException": Throttled, "serviceUnavailableException": Unavailable, "validationException": Invalid,
	"internalServerException": ModelBroke, "modelStreamErrorException": ModelBroke,
}

// inAnswers are the error types that say more than the status.
var inAnswers = map[string]Kind{
	"ThrottlingException": Throttled, "throttlingException": Throttled, "ModelNotReadyException": NotReady,
	"ServiceQuotaExceededException": QuotaUsedUp, "serviceUnavailableException": Unavailable,
}

func ofStatus(r *engine.Response) Kind {
	switch {
	case r.Status == http.StatusTooManyRequests:
		return Throttled
	case r.Status == http.StatusServiceUnavailable:
		return Unavailable
	case r.Status == http.StatusBadRequest && r.ErrorType() == "ValidationException":
		return Invalid
	case r.Status == http.StatusNotFound:
		return Missing
	case r.Doubtful():
		return Foreign
	case r.Status >= http.StatusInternalServerError:
		return Broken
	}
	return Rejected
}

func ofError(err *engine.Error) Kind {
	if err.Billable() {
		return Lost
	}
	switch err.Failure {
	case engine.CircuitOpen:
		return BreakerOpen
	case engine.NotSent, engine.StaleConn, engine.TimedOut:
		return NotSent
	case engine.NoCredentials:
		return NoCredentials
	}
	return Unsent
}

// Why a call is asked again at another place that is not a pool's member, in records and metrics.
const (
	ByThrottle = "throttled"
	ByRefusal  = "refused"   // as no valid request
	ByFailure  = "failed"    // it could not be reached, or broke before its first byte
	ByAbsence  = "not_found" // 404
)

// consequence is what follows of a kind.
type consequence struct {
	billable bool            // it may be billed
	member   failover.Reason // another member of a pool may take the call, because of this; "" for none
	capacity string          // the call spills from capacity that was bought, because of this; "" where it does not
	tier     string          // the same of a service tier
}

// consequences is the one table that all who ask again read.
var consequences = [kinds]consequence{
	None:          {billable: true},
	Throttled:     {member: failover.Throttled, capacity: ByThrottle, tier: ByThrottle},
	NotReady:      {member: failover.NotReady, capacity: ByThrottle, tier: ByThrottle},
	QuotaUsedUp:   {member: failover.Quota, capacity: ByThrottle}, // tiers share the account's
	Unavailable:   {member: failover.Unavailable, capacity: ByThrottle, tier: ByThrottle},
	Invalid:       {tier: ByRefusal},
	Missing:       {capacity: ByAbsence},
	Rejected:      {},
	Broken:        {member: failover.Broken, capacity: ByFailure},
	ModelBroke:    {billable: true, capacity: ByFailure},
	Doubtful:      {billable: true},
	Foreign:       {billable: true, capacity: ByFailure},
	Identity:      {member: failover.Refused},
	NoCredentials: {member: failover.NoCredentials, capacity: ByFailure},
	BreakerOpen:   {member: failover.Breaker, capacity: ByFailure},
	NotSent:       {member: failover.Unreached, capacity: ByFailure},
	Unsent:        {capacity: ByFailure},
	Lost:          {billable: true, capacity: ByFailure},
}

// Billable reports whether an attempt without readable usage may have been billed all the same. Bedrock answers errors
// instead of work, so they cost nothing; whatever broke after the request was sent may have been billed.
func (k Kind) Billable() bool { return consequences[k].billable }

// Member is why another member of a pool may take the call, "" when none may: it was answered, it may be billed, or
// another one would say the same.
func (k Kind) Member() failover.Reason { return consequences[k].member }

// Capacity is why the call spills from capacity that was bought, "" when it does not. That one is paid for, so it may
// be one that is billable.
func (k Kind) Capacity() string { return consequences[k].capacity }

// Tier is why the call is asked again on the next service tier, "" when it is not.
func (k Kind) Tier() string { return consequences[k].tier }
