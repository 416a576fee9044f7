package openai

import (
	"cmp"

	"github.com/sluice-gateway/sluice/internal/wire"
	"github.com/sluice-gateway/sluice/internal/wire/caller"
)

const (
	invalidRequest = "invalid_request_error"
	serverError    = "server_error"
)

// failures are what each class of failure is called. final is for those that no SDK may repeat by itself.
var failures = [caller.Classes]struct {
	status     int
	kind, code string
	final      bool
}{
	caller.ClassInternal:       {status: 500, kind: serverError},
	caller.ClassInvalid:        {status: 400, kind: invalidRequest},
	caller.ClassAuthentication: {status: 401, kind: invalidRequest, code: "invalid_api_key"},
	caller.ClassPermission:     {status: 403, kind: "permission_error", code: "permission_denied"},
	caller.ClassNotFound:       {status: 404, kind: invalidRequest, code: "not_found"},
	caller.ClassMethod:         {status: 405, kind: invalidRequest, code: "method_not_allowed"},
	caller.ClassTooLarge:       {status: 413, kind: invalidRequest, code: "request_too_large"},
	caller.ClassBudget:         {status: 429, kind: insufficientQuota, code: insufficientQuota, final: true},
	caller.ClassRate:           {status: 429, kind: "rate_limit_error", code: "rate_limit_exceeded"},
	caller.ClassUnavailable:    {status: 503, kind: serverError, code: "service_unavailable"},
	caller.ClassTimeout:        {status: 504, kind: serverError, code: "timeout"},
	caller.ClassModel:          {status: 502, kind: serverError, code: "model_error", final: true},
}

const insufficientQuota = "insufficient_quota"

// Fail is a failure as OpenAI says it. No SDK repeats by itself what x-should-retry forbids.
func Fail(f *caller.Failure) (status int, header wire.Header, body []byte) {
	how := &failures[f.Class]
	status = how.status
	if f.Class == caller.ClassInternal && f.Status > 500 {
		status = f.Status
	}
	return status, f.RetryFields(how.final), AppendFailure(nil, f)
}

// AppendFailure appends the body of an error.
func AppendFailure(dst []byte, f *caller.Failure) []byte {
	return append(appendError(append(dst, '{'), f), '}')
}

// appendError appends the member with an error, which SDKs raise where they find it.
func appendError(dst []byte, f *caller.Failure) []byte {
	how := &failures[f.Class]
	dst = wire.AppendJSONString(append(dst, `"error":{"message":`...), f.Message)
	dst = append(append(append(dst, `,"type":"`...), how.kind...), '"')
	dst = appendOrNull(append(dst, `,"param":`...), f.Param)
	dst = appendOrNull(append(dst, `,"code":`...), cmp.Or(f.Code, how.code))
	return append(dst, '}')
}

// appendErrorEvent appends the members of the event that tells of a stream of Responses that has broken. It has them as
// its type has them, and the error as SDKs raise it.
func appendErrorEvent(dst []byte, f *caller.Failure) []byte {
	dst = appendOrNull(append(dst, `"code":`...), cmp.Or(f.Code, failures[f.Class].code))
	dst = wire.AppendJSONString(append(dst, `,"message":`...), f.Message)
	dst = appendOrNull(append(dst, `,"param":`...), f.Param)
	return appendError(append(dst, ','), f)
}

func appendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, `null`...)
	}
	return wire.AppendJSONString(dst, s)
}

// AppendPing appends what keeps a silent stream alive: a comment, which clients skip.
func AppendPing(dst []byte) []byte { return append(dst, ": keep-alive\n\n"...) }
