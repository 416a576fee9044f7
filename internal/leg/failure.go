package leg

import (
	"strings"

	"github.com/sluice-gateway/sluice/internal/engine"
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
