package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// epoch is an arbitrary instant.
var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// next asks about the first attempt of a call.
func next(r Retries, res *Response, err error) (time.Duration, bool) { return r.Next(res, err) }

func largest(n int64) int64 { return n - 1 }

func options() RetryOptions {
	return RetryOptions{
		MaxAttempts: 3, BudgetPercent: 20, BaseDelay: 100 * time.Millisecond, MaxDelay: 5 * time.Second,
		Draw: largest, Now: func() time.Time { return epoch },
	}
}

func answer(status int, errorType string) *Response {
	return &Response{Status: status, Header: wire.Header{{Name: "x-amzn-errortype", Value: errorType}}}
}

func TestRetryDecision(t *testing.T) {
	f := func(name string, res *Response, err error, want bool) {
		t.Helper()
		_, again := next(NewRetryPolicy(options()).Begin(time.Time{}), res, err)
		if again != want {
			t.Errorf("%s: again = %v, want %v", name, again, want)
		}
	}
	json := wire.Header{{Name: "Content-Type", Value: "application/json"}}
	const coral = ":http://internal.amazon.com/coral/com.amazon.bedrock/"
	f("200", answer(200, ""), nil, false)
	f("400", answer(400, "ValidationException"), nil, false)
	f("400 quota", answer(400, "ServiceQuotaExceededException"), nil, false)
	f("429 quota", answer(429, "ServiceQuotaExceededException"), nil, false)
	f("403", answer(403, "AccessDeniedException"), nil, false)
	f("404", answer(404, ""), nil, false)
	f("408 model time-out", answer(408, "ModelTimeoutException"), nil, false)
	f("424", answer(424, "ModelErrorException"), nil, false)
	f("429", answer(429, "ThrottlingException"+coral), nil, true)
	f("429 bare", answer(429, ""), nil, true)
	f("429 not ready", answer(429, "ModelNotReadyException"), nil, true)
	f("not ready with a namespace", answer(429, "com.amazonaws.bedrockruntime#ModelNotReadyException"), nil, true)
	f("throttled as 400", answer(400, "ThrottlingException"), nil, true)
	f("500", answer(500, "InternalServerException"), nil, true)
	f("502 of a proxy", answer(502, ""), nil, false)
	f("502", answer(502, "InternalServerException"), nil, true)
	f("502 in JSON", &Response{Status: 502, Header: json}, nil, true)
	f("503", answer(503, "ServiceUnavailableException"), nil, true)
	f("503 of a proxy", answer(503, ""), nil, true)
	f("504 of a proxy", answer(504, ""), nil, false)
	f("504 in JSON", &Response{Status: 504, Header: json}, nil, true)
	f("302", answer(302, ""), nil, false)

	for failure, want := range map[Failure]bool{
		NotSent: true, StaleConn: true, LostInAnswer: false, TimedOut: false, Corrupt: false,
		CircuitOpen: false, Misconfigured: false, Cancelled: false, NoCredentials: false,
	} {
		err := &Error{Failure: failure, Err: errors.New("x")}
		f(failure.String(), nil, err, want)
		f(failure.String()+" wrapped", nil, fmt.Errorf("leg: %w", err), want)
	}
	f("neither", nil, nil, false)
}

func TestRetryTimeoutWhenConfigured(t *testing.T) {
	o := options()
	o.OnTimeout = true
	_, again := next(NewRetryPolicy(o).Begin(time.Time{}), nil, &Error{Failure: TimedOut, Err: errors.New("x")})
	if !again {
		t.Error("a time-out was not repeated although configured")
	}
}

// TestRetryColdStart: a model that is not ready is asked for as long as it may take to load, whatever the bounds of
// other retries, and no longer.
func TestRetryColdStart(t *testing.T) {
	now, o := epoch, options()
	o.MaxAttempts, o.BudgetPercent, o.ColdStart = 1, 0, time.Minute
	o.Now = func() time.Time { return now }
	calls := NewRetryPolicy(o).Begin(epoch.Add(time.Hour))
	asked := 0
	for {
		wait, again := calls.Next(answer(429, "ModelNotReadyException"), nil)
		if !again {
			break
		}
		now, asked = now.Add(wait), asked+1
	}
	if took := now.Sub(epoch); took > time.Minute || took < 50*time.Second || asked < 12 || asked > 20 {
		t.Errorf("asked %d times more within %s", asked, took)
	}
	short := NewRetryPolicy(o).Begin(now.Add(time.Millisecond))
	if _, again := short.Next(answer(429, "ModelNotReadyException"), nil); again {
		t.Error("asked again beyond the request's own deadline")
	}
}

func TestRetryCountsAttempts(t *testing.T) {
	calls := NewRetryPolicy(options()).Begin(time.Time{})
	for i, want := range []bool{true, true, false} {
		if _, again := calls.Next(answer(503, ""), nil); again != want {
			t.Errorf("after attempt %d: again = %v, want %v", i+1, again, want)
		}
	}
}

func TestRetryStaleOnceAndFree(t *testing.T) {
	stale := &Error{Failure: StaleConn, Err: errors.New("x")}
	o := options()
	o.MaxAttempts = 1
	o.BudgetPercent = 0
	calls := NewRetryPolicy(o).Begin(time.Time{})
	if wait, again := calls.Next(nil, stale); !again || wait != 0 {
		t.Errorf("first stale connection: %v %v, want 0 true", wait, again)
	}
	if _, again := calls.Next(nil, stale); again {
		t.Error("a second stale connection was repeated")
	}
}

func TestRetryWaitDoublesUpToTheBound(t *testing.T) {
	o := options()
	o.MaxAttempts = 8
	o.MaxDelay = 500 * time.Millisecond
	calls := NewRetryPolicy(o).Begin(time.Time{})
	for i, want := range []int64{100, 200, 400, 500, 500} {
		wait, again := calls.Next(answer(503, ""), nil)
		if !again || wait.Milliseconds() != want {
			t.Errorf("wait %d = %v %v, want %d ms", i, wait, again, want)
		}
	}
	o.Draw = func(int64) int64 { return 0 }
	if wait, again := next(NewRetryPolicy(o).Begin(time.Time{}), answer(503, ""), nil); !again || wait != 0 {
		t.Errorf("smallest draw: %v %v, want 0 true", wait, again)
	}
}

func TestRetryStaysInsideTheDeadline(t *testing.T) {
	f := func(left time.Duration, want bool) {
		t.Helper()
		_, again := next(NewRetryPolicy(options()).Begin(epoch.Add(left)), answer(503, ""), nil)
		if again != want {
			t.Errorf("with %v left: again = %v, want %v", left, again, want)
		}
	}
	f(100*time.Millisecond, false)
	f(101*time.Millisecond, true)
	f(-time.Second, false)
}

// A hundred calls that all fail may cause 20 retries and the ten free ones.
func TestRetryBudget(t *testing.T) {
	p := NewRetryPolicy(options())
	retried := 0
	for range 1000 {
		if _, again := next(p.Begin(time.Time{}), answer(503, ""), nil); again {
			retried++
		}
	}
	if want := 1000*20/100 + freeRetries; retried > want || retried < want-1 {
		t.Errorf("%d retries, want %d", retried, want)
	}
	for range 1000 {
		next(p.Begin(time.Time{}), answer(200, ""), nil)
	}
	if p.budget.cents != freeRetries*retryCost {
		t.Errorf("budget after a quiet time = %d, want full", p.budget.cents)
	}
}

func TestErrorBillable(t *testing.T) {
	f := func(e Error, want bool) {
		t.Helper()
		if got := e.Billable(); got != want {
			t.Errorf("%+v: billable = %v, want %v", e, got, want)
		}
	}
	f(Error{Failure: LostInAnswer, Sent: true}, true)
	f(Error{Failure: TimedOut, Sent: true}, true)
	f(Error{Failure: TimedOut}, false)
	f(Error{Failure: Cancelled, Sent: true}, true)
	f(Error{Failure: Cancelled}, false)
	f(Error{Failure: NotSent}, false)
	f(Error{Failure: StaleConn, Sent: true}, false)
}
