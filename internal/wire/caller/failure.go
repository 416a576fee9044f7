package caller

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// Class is what kind of failure an answer speaks of. Each dialect has its own words and
// statuses for them. The zero value is ClassInternal.
type Class uint8

// The classes of failures.
const (
	ClassInternal Class = iota
	ClassInvalid
	ClassAuthentication
	ClassPermission
	ClassNotFound // a model or a path
	ClassMethod
	ClassTooLarge
	ClassBudget // money is used up: repeating is of no use
	ClassRate
	ClassUnavailable
	ClassTimeout
	ClassModel // the model failed, or the answer may have been billed: not to be repeated
	Classes    // how many there are
)

// Failure is an answer that is no success, in no dialect.
type Failure struct {
	Class   Class
	Status  int    // the native one, 0 when the failure is the dialect's own
	Type    string // the native name, "ValidationException"
	Message string
	Param   string // the member of the request that is meant, "" for none
	Code    string // a finer name that a dialect may have, "unsupported_parameter"
	ID      string // x-sluice-request-id
	// RetryAfterMillis is how long to wait, 0 when nobody knows.
	RetryAfterMillis int64
}

// Invalid is a request that is not valid, or cannot be carried; param is the member that is
// meant.
func Invalid(param, message string) *Failure {
	return &Failure{Class: ClassInvalid, Param: param, Message: message}
}

// Broken is an answer that is not what it has to be. It may have been billed.
func Broken(message string) *Failure { return &Failure{Class: ClassModel, Message: message} }

// RetryFields are the fields of an answer that SDKs of both dialects heed when they decide whether to repeat a request,
// and when. final is for those that none may repeat.
func (f *Failure) RetryFields(final bool) (header wire.Header) {
	if final {
		header = append(header, wire.Field{Name: "x-should-retry", Value: "false"})
	}
	if ms := f.RetryAfterMillis; ms > 0 {
		header = append(header, wire.Field{Name: "retry-after-ms", Value: strconv.FormatInt(ms, 10)},
			wire.Field{Name: "retry-after", Value: strconv.FormatInt((ms+999)/1000, 10)})
	}
	return header
}

// classes are those of native failures by their names.
var classes = map[string]Class{
	"ValidationException":                  ClassInvalid,
	"MissingAuthenticationTokenException":  ClassAuthentication,
	"UnrecognizedClientException":          ClassAuthentication,
	"InvalidSignatureException":            ClassAuthentication,
	"AccessDeniedException":                ClassPermission,
	"ResourceNotFoundException":            ClassNotFound,
	"UnknownOperationException":            ClassNotFound,
	"RequestEntityTooLargeException":       ClassTooLarge,
	"RequestHeaderFieldsTooLargeException": ClassInvalid,
	"UnsupportedMediaTypeException":        ClassInvalid,
	"RequestTimeoutException":              ClassInvalid,
	"ServiceQuotaExceededException":        ClassBudget,
	"ThrottlingException":                  ClassRate,
	"ModelTimeoutException":                ClassTimeout,
	"ModelErrorException":                  ClassModel,
	"ModelStreamErrorException":            ClassModel,
	"ModelNotReadyException":               ClassUnavailable,
	"ServiceUnavailableException":          ClassUnavailable,
	"InternalServerException":              ClassInternal,
	"validationException":                  ClassInvalid,
	"throttlingException":                  ClassRate,
	"modelStreamErrorException":            ClassModel,
	"modelTimeoutException":                ClassTimeout,
	"serviceUnavailableException":          ClassUnavailable,
	"internalServerException":              ClassInternal,
}

// kinds are the native kinds of what a dialect refuses by itself.
var kinds = [Classes]wire.Kind{
	ClassInvalid: wire.KindValidation, ClassAuthentication: wire.KindUnrecognizedClient,
	ClassPermission: wire.KindAccessDenied, ClassNotFound: wire.KindResourceNotFound,
	ClassMethod: wire.KindMethodNotAllowed, ClassTooLarge: wire.KindTooLarge, ClassBudget: wire.KindServiceQuota,
	ClassRate: wire.KindThrottling, ClassUnavailable: wire.KindServiceUnavailable, ClassTimeout: wire.KindModelTimeout,
	ClassModel: wire.KindModelError,
}

// Native is the failure as the line knows it.
func (f *Failure) Native() *wire.Error {
	return &wire.Error{Kind: kinds[f.Class], Message: wire.WithoutKeys(f.Message)}
}

// FailureOf reads a native answer that is no success.
func FailureOf(status int, header wire.Header, body []byte) *Failure {
	kind, _, _ := strings.Cut(header.Get("x-amzn-errortype"), ":")
	f := &Failure{Status: status, Type: kind}
	var said struct {
		Message  string `json:"message"`
		Message2 string `json:"Message"`
		Error    struct {
			Message, Param, Code string
		} // on OpenAI's paths
	}
	if json.Unmarshal(body, &said) == nil {
		f.Message = cmp.Or(said.Message, said.Message2, said.Error.Message)
		f.Param, f.Code = said.Error.Param, said.Error.Code
	}
	if f.Message == "" {
		f.Message = "the upstream answered with status " + strconv.Itoa(status)
	}
	f.Class = classOf(status, kind)
	f.RetryAfterMillis = retryAfter(header)
	return f
}

// ExceptionOf reads the exception frame that ends a stream, nil for any other frame.
func ExceptionOf(frame wire.Frame) *Failure {
	if frame.Is(":message-type", "event") {
		return nil
	}
	name, ok := frame.Header(":exception-type")
	if !ok {
		if kind, _ := frame.Header(":message-type"); kind != "error" {
			return nil
		}
		name, _ = frame.Header(":error-code")
	}
	f := FailureOf(0, wire.Header{{Name: "x-amzn-errortype", Value: name}}, frame.Payload)
	if f.Class == ClassInternal && name != "internalServerException" {
		f.Class = ClassModel
	}
	return f
}

// classOf goes by the name, and by the status where the name is not known.
func classOf(status int, kind string) Class {
	if class, ok := classes[kind]; ok {
		if status == 405 {
			return ClassMethod
		}
		return class
	}
	switch {
	case status == 401:
		return ClassAuthentication
	case status == 403:
		return ClassPermission
	case status == 404:
		return ClassNotFound
	case status == 405:
		return ClassMethod
	case status == 413:
		return ClassTooLarge
	case status == 429:
		return ClassRate
	case status == 408 || status == 504:
		return ClassTimeout
	case status == 503:
		return ClassUnavailable
	case status >= 400 && status < 500:
		return ClassInvalid
	}
	return ClassInternal
}

func retryAfter(h wire.Header) int64 {
	if ms, err := strconv.ParseInt(h.Get("x-amz-retry-after"), 10, 64); err == nil && ms > 0 {
		return ms
	}
	if s, err := strconv.ParseInt(h.Get("retry-after"), 10, 32); err == nil && s > 0 {
		return s * 1000
	}
	return 0
}
