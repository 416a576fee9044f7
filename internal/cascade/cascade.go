// Package cascade decides, after each leg of a plan, whether its answer is
// served or the next leg is asked. It is the check step of the request line.
//
// It keeps no state, sends nothing and meters nothing: the line runs the legs and
// asks here after each one. Two things always hold. The answer of the last leg is
// served, whatever it is. And a decision is made before the first byte goes to
// the caller.
//
// Package parts reads answers, answer checks and compares what they say, score
// and certify tell how sure a decision is, and memory keeps what is known from
// one request to the next.
package cascade

import "github.com/sluice-gateway/sluice/internal/engine"

// ReasonLightError is the reason when a leg failed or refused the request.
const ReasonLightError = "light_error"

// Outcome is how a leg ended, after the retries of its engine.
type Outcome struct {
	Status  int            // HTTP status, 0 without an answer
	Failure engine.Failure // why there is no answer, 0 with one
	Last    bool           // no leg follows
}

// Check returns why the next leg is asked after this one, "" when its answer or
// failure goes to the caller. A leg that failed is discarded unless it is the last,
// also for a 4xx: that a light model cannot take a request is not the caller's
// fault. Callers' own mistakes never come here, because the gateway refuses bad
// credentials and malformed bodies before any leg. When the caller has left, no
// other model needs to be asked.
//
// An answer with status 200 is accepted whatever it says: its contents are for
// Checks, which the modes check and enforce apply.
func Check(o Outcome) (reason string) {
	succeeded := o.Failure == 0 && o.Status >= 200 && o.Status < 300
	if o.Last || succeeded || o.Failure == engine.Cancelled {
		return ""
	}
	return ReasonLightError
}
