package trouble_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/trouble"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// verdict is what follows of a kind.
type verdict struct {
	billable bool
	member   failover.Reason
	capacity string
	tier     string
}

// TestOf has every failure of the engine, the errors that Bedrock documents, and what a proxy may answer.
func TestOf(t *testing.T) {
	f := func(name string, s trouble.Seen, kind trouble.Kind, want verdict) {
		t.Helper()
		k := trouble.Of(s)
		got := verdict{k.Billable(), k.Member(), k.Capacity(), k.Tier()}
		if k != kind || got != want {
			t.Errorf("%s: kind %d, %+v; want %d, %+v", name, k, got, kind, want)
		}
	}
	throttled := verdict{member: failover.Throttled, capacity: "throttled", tier: "throttled"}
	unavailable := verdict{member: failover.Unavailable, capacity: "throttled", tier: "throttled"}
	quota := verdict{member: failover.Quota, capacity: "throttled"}
	missing := verdict{capacity: "not_found"}
	broken := verdict{member: failover.Broken, capacity: "failed"}
	doubtful := verdict{billable: true}
	lost := verdict{billable: true, capacity: "failed"}

	f("200", answer(200, "", true), trouble.None, doubtful)
	f("429", answer(429, "ThrottlingException", true), trouble.Throttled, throttled)
	f("429 without a type", answer(429, "", false), trouble.Throttled, throttled)
	f("throttled by another status", answer(400, "ThrottlingException", true), trouble.Throttled, throttled)
	f("not ready", answer(429, "ModelNotReadyException", true), trouble.NotReady,
		verdict{member: failover.NotReady, capacity: "throttled", tier: "throttled"})
	f("quota", answer(400, "ServiceQuotaExceededException", true), trouble.QuotaUsedUp, quota)
	f("503", answer(503, "ServiceUnavailableException", true), trouble.Unavailable, unavailable)
	f("503 of a proxy", answer(503, "", false), trouble.Unavailable, unavailable)
	f("invalid", answer(400, "ValidationException", true), trouble.Invalid, verdict{tier: "refused"})
	f("400", answer(400, "", true), trouble.Rejected, verdict{})
	f("403", answer(403, "AccessDeniedException", true), trouble.Rejected, verdict{})
	f("404", answer(404, "ResourceNotFoundException", true), trouble.Missing, missing)
	f("408", answer(408, "ModelTimeoutException", true), trouble.Rejected, verdict{})
	f("424", answer(424, "ModelErrorException", true), trouble.Rejected, verdict{})
	f("500", answer(500, "InternalServerException", true), trouble.Broken, broken)
	f("502 of a proxy", answer(502, "", false), trouble.Foreign, lost)
	f("a role", trouble.Seen{Response: &engine.Response{Status: 403, Refusal: &engine.Refusal{}}}, trouble.Identity,
		verdict{member: failover.Refused})

	f("stream throttled", stream("throttlingException"), trouble.Throttled, throttled)
	f("stream unavailable", stream("serviceUnavailableException"), trouble.Unavailable, unavailable)
	f("stream invalid", stream("validationException"), trouble.Invalid, verdict{tier: "refused"})
	f("stream broke", stream("modelStreamErrorException"), trouble.ModelBroke, lost)
	f("stream internal", stream("internalServerException"), trouble.ModelBroke, lost)
	f("stream timed out", stream("modelTimeoutException"), trouble.Doubtful, doubtful)
	f("stream of another", stream("newException"), trouble.Doubtful, doubtful)

	unsent := verdict{member: failover.Unreached, capacity: "failed"}
	for failure := engine.NotSent; failure <= engine.NoRoom; failure++ {
		if failure.Billable() {
			f("sent, "+failure.String(), failed(failure, true), trouble.Lost, lost)
		}
	}
	f("not sent", failed(engine.NotSent, false), trouble.NotSent, unsent)
	f("stale", failed(engine.StaleConn, false), trouble.NotSent, unsent)
	f("timed out before", failed(engine.TimedOut, false), trouble.NotSent, unsent)
	f("breaker", failed(engine.CircuitOpen, false), trouble.BreakerOpen,
		verdict{member: failover.Breaker, capacity: "failed"})
	f("no credentials", failed(engine.NoCredentials, false), trouble.NoCredentials,
		verdict{member: failover.NoCredentials, capacity: "failed"})
	f("misconfigured", failed(engine.Misconfigured, false), trouble.Unsent, verdict{capacity: "failed"})
	f("cancelled before", failed(engine.Cancelled, false), trouble.Unsent, verdict{capacity: "failed"})
}

// TestNothingBillableFailsOver holds for every kind: a pool and a tier ask again only for what cost nothing.
func TestNothingBillableFailsOver(t *testing.T) {
	for k := trouble.None; k <= trouble.Lost; k++ {
		if k.Billable() && (k.Member() != "" || k.Tier() != "") {
			t.Errorf("kind %d may be billed, and is asked again: %q, %q", k, k.Member(), k.Tier())
		}
	}
}

func answer(status int, kind string, bedrock bool) trouble.Seen {
	r := &engine.Response{Status: status}
	if kind != "" {
		r.Header = append(r.Header, wire.Field{Name: "x-amzn-ErrorType", Value: kind})
	}
	if bedrock {
		r.Header = append(r.Header, wire.Field{Name: "content-type", Value: "application/json"})
	}
	return trouble.Seen{Response: r}
}

func stream(fault string) trouble.Seen {
	return trouble.Seen{Response: &engine.Response{Status: 200}, Fault: fault}
}

func failed(f engine.Failure, sent bool) trouble.Seen {
	return trouble.Seen{Err: &engine.Error{Failure: f, Sent: sent}}
}
