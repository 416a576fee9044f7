package engine

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// RetryPolicy is when one upstream may be asked again. The budget is shared by
// all calls, so that an upstream in trouble is not buried under retries.
type RetryPolicy struct {
	options RetryOptions
	budget  budget
}

// RetryOptions make a RetryPolicy. The zero value allows no retry.
type RetryOptions struct {
	MaxAttempts int // attempts of one call in all; below 2 none is repeated
	// BudgetPercent is how many retries a hundred calls may cause. A few are
	// free at the start, so that a quiet gateway retries too.
	BudgetPercent int
	BaseDelay     time.Duration // the bound of the first wait, doubled each time
	MaxDelay      time.Duration // the bound of every wait
	OnTimeout     bool          // repeat a time-out, which may be billed twice
	// ColdStart is how long a model is asked again that is not ready yet, beside MaxAttempts and BudgetPercent: nobody
	// but its own caller waits for it, and nothing is billed.
	ColdStart time.Duration
	// Draw returns a number in [0, n), like math/rand/v2.Int64N.
	Draw func(n int64) int64
	Now  func() time.Time
}

// NewRetryPolicy returns a policy with a full budget.
func NewRetryPolicy(o RetryOptions) *RetryPolicy {
	return &RetryPolicy{options: o, budget: budget{earn: int64(o.BudgetPercent), cents: freeRetries * retryCost}}
}

// Begin counts one call and returns what decides about its attempts. The
// deadline is that of the call; the zero time is none.
func (p *RetryPolicy) Begin(deadline time.Time) Retries {
	p.budget.deposit()
	return Retries{policy: p, deadline: deadline}
}

// Retries decides about the attempts of one call. It is not safe for
// concurrent use.
type Retries struct {
	policy   *RetryPolicy
	deadline time.Time
	attempts int
	stale    bool // the one repetition after a stale connection is used up
	renewed  bool // and that with other credentials
	cold     int  // answers that the model is not ready
	coldAt   time.Time
}

// Next gets the result of an attempt, an answer or an error, and decides whether
// to try again and after which wait. The wait is drawn evenly from zero
// to the doubling bound ("full jitter", AWS Architecture Blog, "Exponential
// Backoff And Jitter").
func (r *Retries) Next(res *Response, err error) (wait time.Duration, again bool) {
	cause := why(res, err)
	if cause == afterStale && !r.stale {
		// The server closed the connection before our request reached it: that is
		// no attempt at the model, so it costs neither an attempt nor budget.
		r.stale = true
		return 0, r.inTime(0)
	}
	if cause == afterRefusal && !r.renewed {
		// Whoever asked was not let in, so that is no attempt at the model either.
		r.renewed = true
		return 0, r.inTime(0)
	}
	if wait, again = r.warming(cause); again {
		return wait, true
	}
	r.attempts++
	if cause == never || cause == afterRefusal || cause == afterTimeout && !r.policy.options.OnTimeout {
		return 0, false
	}
	if r.attempts >= r.policy.options.MaxAttempts {
		return 0, false
	}
	wait = r.policy.wait(r.attempts)
	if !r.inTime(wait) || !r.policy.budget.withdraw() {
		return 0, false
	}
	return wait, true
}

// warming decides about a model that is not ready: it is asked again until it has had its time.
func (r *Retries) warming(cause cause) (wait time.Duration, again bool) {
	if cause != afterCold || r.policy.options.ColdStart == 0 {
		return 0, false
	}
	now := r.policy.options.Now()
	if r.cold++; r.cold == 1 {
		r.coldAt = now
	}
	wait = r.policy.wait(r.cold)
	return wait, now.Add(wait).Sub(r.coldAt) <= r.policy.options.ColdStart && r.inTime(wait)
}

func (r *Retries) inTime(wait time.Duration) bool {
	return r.deadline.IsZero() || r.policy.options.Now().Add(wait).Before(r.deadline)
}

// wait draws the pause after the n-th attempt, n from 1.
func (p *RetryPolicy) wait(n int) time.Duration {
	bound := p.options.BaseDelay
	for range n - 1 {
		if bound >= p.options.MaxDelay {
			break
		}
		bound *= 2
	}
	bound = min(bound, p.options.MaxDelay)
	if bound <= 0 {
		return 0
	}
	return time.Duration(p.options.Draw(int64(bound) + 1))
}

// cause is why an attempt may be repeated.
type cause uint8

const (
	never cause = iota
	afterStale
	afterRefusal // of the gateway's credentials, when it has looked for others
	afterTimeout
	afterTrouble // nothing was billed and it may work the next time
	afterCold    // the same, of a model that has to be loaded first
)

// failureCauses lists the failures that may be repeated. What is not listed is not:
// it may be billed (LostInAnswer, Corrupt), or another try changes nothing.
var failureCauses = map[Failure]cause{
	NotSent:   afterTrouble,
	StaleConn: afterStale,
	TimedOut:  afterTimeout,
}

// typeCauses decides for error types of Bedrock, whatever their status. Source:
// AWS service model bedrock-runtime 2023-09-30, retryable traits.
var typeCauses = map[string]cause{
	"ThrottlingException":           afterTrouble,
	"ModelNotReadyException":        afterCold,
	"ServiceUnavailableException":   afterTrouble,
	"InternalServerException":       afterTrouble,
	"ServiceQuotaExceededException": never,
	"ModelTimeoutException":         never,
	"ModelErrorException":           never,
	"ModelStreamErrorException":     never,
}

func why(res *Response, err error) cause {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failureCauses[failed.Failure]
	}
	if res == nil || res.Status < 400 {
		return never
	}
	if res.Refusal != nil {
		if res.Refusal.Renewed {
			return afterRefusal
		}
		return never
	}
	if c, known := typeCauses[res.ErrorType()]; known {
		return c
	}
	if res.Doubtful() {
		return never // it may be billed
	}
	if res.Status == 429 || res.Status >= 500 {
		return afterTrouble
	}
	return never
}

// ErrorType returns the bare name in the answer's x-amzn-ErrorType, such as
// "ThrottlingException", or "". The field may carry a namespace before "#" and
// a URL after ":" (restJson1 protocol, operation error serialization).
func (r *Response) ErrorType() string {
	name := r.Header.Get("x-amzn-ErrorType")
	if _, after, found := strings.Cut(name, "#"); found {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	return strings.TrimSpace(name)
}

const (
	retryCost   = 100 // cents that one retry costs
	freeRetries = 10  // how many retries a full budget holds
)

// budget is a token bucket: each call earns some cents, each retry costs 100.
type budget struct {
	earn int64 // immutable, cents per call

	mu    sync.Mutex
	cents int64 // guarded by mu
}

func (b *budget) deposit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cents = min(b.cents+b.earn, freeRetries*retryCost)
}

func (b *budget) withdraw() bool {
	if b.earn <= 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cents < retryCost {
		return false
	}
	b.cents -= retryCost
	return true
}
