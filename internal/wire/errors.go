package wire

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is the class of an error in Bedrock's own terms. It decides status,
// x-amzn-ErrorType and the name of an exception frame, by one table.
type Kind uint8

// The kinds. The zero value is an internal error.
const (
	KindInternal Kind = iota // InternalServerException 500
	KindValidation
	KindAccessDenied
	KindUnrecognizedClient // UnrecognizedClientException 403: no or unknown credential
	KindInvalidSignature   // InvalidSignatureException 403
	KindMissingAuthentication
	KindResourceNotFound
	KindUnknownOperation
	KindMethodNotAllowed // 405
	KindRequestTimeout   // 408, a body that does not come
	KindTooLarge         // 413
	KindHeaderTooLarge   // 431
	KindUnsupportedMedia // 415
	KindServiceQuota     // ServiceQuotaExceededException 400
	KindThrottling       // ThrottlingException 429
	KindModelTimeout
	KindModelError
	KindModelStream // ModelStreamErrorException
	KindModelNotReady
	KindServiceUnavailable
	KindVersion // 505
)

// Names of the exception frames that InvokeModelWithResponseStream and
// ConverseStream both model. A name that an operation does not model reaches
// boto3 callers with neither code nor message, so no other is ever sent.
const (
	frameInternal    = "internalServerException"
	frameModelStream = "modelStreamErrorException"
	frameValidation  = "validationException"
	frameThrottling  = "throttlingException"
	frameUnavailable = "serviceUnavailableException"
)

// kinds is what a caller sees of each kind. Modelled statuses and names are
// those of the service model bedrock-runtime 2023-09-30. Go, JavaScript and
// Python SDKs retry 429 and 5xx and treat every other status as final; 405, 413,
// 415, 431 and 505 are not in the model, and any name is final for them.
var kinds = [...]struct {
	status int
	name   string
	frame  string
}{
	KindInternal:              {500, "InternalServerException", frameInternal},
	KindValidation:            {400, "ValidationException", frameValidation},
	KindAccessDenied:          {403, "AccessDeniedException", frameValidation},
	KindUnrecognizedClient:    {403, "UnrecognizedClientException", frameValidation},
	KindInvalidSignature:      {403, "InvalidSignatureException", frameValidation},
	KindMissingAuthentication: {403, "MissingAuthenticationTokenException", frameValidation},
	KindResourceNotFound:      {404, "ResourceNotFoundException", frameValidation},
	KindUnknownOperation:      {404, "UnknownOperationException", frameValidation},
	KindMethodNotAllowed:      {405, "UnknownOperationException", frameValidation},
	KindRequestTimeout:        {408, "RequestTimeoutException", frameValidation},
	KindTooLarge:              {413, "RequestEntityTooLargeException", frameValidation},
	KindHeaderTooLarge:        {431, "RequestHeaderFieldsTooLargeException", frameValidation},
	KindUnsupportedMedia:      {415, "UnsupportedMediaTypeException", frameValidation},
	KindServiceQuota:          {400, "ServiceQuotaExceededException", frameValidation},
	KindThrottling:            {429, "ThrottlingException", frameThrottling},
	KindModelTimeout:          {408, "ModelTimeoutException", frameModelStream},
	KindModelError:            {424, "ModelErrorException", frameModelStream},
	KindModelStream:           {424, "ModelStreamErrorException", frameModelStream},
	KindModelNotReady:         {429, "ModelNotReadyException", frameUnavailable},
	KindServiceUnavailable:    {503, "ServiceUnavailableException", frameUnavailable},
	KindVersion:               {505, "ValidationException", frameValidation},
}

// Error is an answer to the caller: a kind and a sentence that is safe to show.
type Error struct {
	Kind    Kind
	Message string
	// RetryAfterMillis is how long to wait, 0 when it does not help to know.
	RetryAfterMillis int64
	// Cause is for logs only and never reaches a caller.
	Cause error
}

// Errorf returns an error of kind with a formatted message, which callers see. A caller's key
// that was put into it is masked: messages are logged.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: WithoutKeys(fmt.Sprintf(format, args...))}
}

// keyMark is how each caller's bearer key begins, and leastSecret less than its secret has.
const (
	keyMark     = "slk_"
	leastSecret = 20
)

// holdsKey reports whether there is a caller's bearer key in a text, or what looks so much like
// one that no id does: the mark, the key's id, and a secret.
func holdsKey(text string) bool {
	_, rest, marked := strings.Cut(text, keyMark)
	_, secret, found := strings.Cut(rest, "_")
	return marked && found && len(secret) >= leastSecret
}

// WithoutKeys is a text in which what looks like callers' keys is cut after its mark.
func WithoutKeys(text string) string {
	if !holdsKey(text) {
		return text
	}
	var b strings.Builder
	for {
		before, rest, marked := strings.Cut(text, keyMark)
		if b.WriteString(before); !marked {
			return b.String()
		}
		b.WriteString(keyMark + "…")
		text = strings.TrimLeftFunc(rest, func(c rune) bool {
			return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		})
	}
}

// Final returns the error as one that no SDK repeats by itself, as it must be when
// something may have been billed: what SDKs repeat becomes a ModelErrorException.
// Anthropic's, OpenAI's and Vercel's clients repeat 408 and 409 too.
func (e *Error) Final() *Error {
	if s := e.Status(); s != 408 && s != 409 && s != 429 && s < 500 {
		return e
	}
	return &Error{Kind: KindModelError, Message: e.Message + finalNote, Cause: e.Cause}
}

const finalNote = ". It may have been billed, so this error is one that SDKs do not repeat by themselves"

// Error returns the message and the cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Status is the HTTP status of the error.
func (e *Error) Status() int { return kinds[e.Kind].status }

// Type is the value of x-amzn-ErrorType.
func (e *Error) Type() string { return kinds[e.Kind].name }

// ExceptionName is the :exception-type of the error in an event stream. It is
// always one that both streaming operations model.
func (e *Error) ExceptionName() string { return kinds[e.Kind].frame }

// AppendHeader appends the fields of an answer that is the error.
func (e *Error) AppendHeader(h Header, requestID string) Header {
	h = append(h, Field{"content-type", "application/json"}, Field{"x-amzn-errortype", e.Type()},
		Field{"x-amzn-requestid", requestID})
	if ms := e.RetryAfterMillis; ms > 0 {
		h = append(h, Field{"retry-after", strconv.FormatInt((ms+999)/1000, 10)},
			Field{"x-amz-retry-after", strconv.FormatInt(ms, 10)})
	}
	if e.Kind == KindModelError {
		h = append(h, NotAgain())
	}
	return h
}

// NotAgain is the field by which Anthropic's and OpenAI's SDKs do not repeat a request.
func NotAgain() Field { return Field{"x-should-retry", "false"} }

// AppendJSON appends the body of the error: {"message":"…"}.
func (e *Error) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"message":`...)
	return append(AppendJSONString(dst, e.Message), '}')
}

// AppendJSONString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
