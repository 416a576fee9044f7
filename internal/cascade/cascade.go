// Package cascade decides, after each leg of a plan, whether its answer stands
// or the next leg is asked. It is the check step of the request line. It also
// remembers what decides before a call: the tier of sessions, the rate of
// escalations and what the legs cost.
//
// It neither sends nor meters anything: the line runs the legs and asks here
// after each one. Two things always hold. The answer of the last leg stands,
// whatever it is. And a decision comes before the first byte goes to the caller.
//
// What answers say is the work of answer, what they are read from that of
// parts, how sure a decision is that of score and certify.
package cascade

import "github.com/sluice-gateway/sluice/internal/engine"

// ReasonLightError is the reason when a leg failed or refused the request.
const ReasonLightError = "light_error"

// Verdict is what follows an attempt. The zero value accepts it.
type Verdict struct {
	// Reason is why the next leg is asked, "" when the answer stands.
	Reason string
}

// Accepted reports whether the answer, or the failure, goes to the caller.
func (v Verdict) Accepted() bool { return v.Reason == "" }

// Outcome is how a leg ended, after the retries of its engine.
type Outcome struct {
	Status  int            // HTTP status, 0 without an answer
	Failure engine.Failure // why there is no answer, 0 with one
	Last    bool           // no leg follows
}

// Check decides after a leg. A leg that is not the last and did not succeed is
// left behind, also for a 4xx: a light model that cannot take a request is no
// fault of the caller's. Callers' own mistakes never come here, because the
// gateway refuses bad credentials and malformed bodies before any leg.
//
// An answer with status 200 stands as it is: what it says is the matter of Judge,
// which the modes check and enforce ask.
func Check(o Outcome) Verdict {
	if o.Last {
		return Verdict{}
	}
	return afterFailure(o)
}

// Answered reports whether there is an answer to look at, or nobody to ask
// another model for.
func (o Outcome) Answered() bool { return afterFailure(o).Accepted() }

// afterFailure leaves a failed leg behind, unless the caller has left: then
// there is nobody to ask another model for.
func afterFailure(o Outcome) Verdict {
	succeeded := o.Failure == 0 && o.Status >= 200 && o.Status < 300
	if succeeded || o.Failure == engine.Cancelled {
		return Verdict{}
	}
	return Verdict{Reason: ReasonLightError}
}
