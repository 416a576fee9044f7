package wire

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

// Error is an answer to the caller: a kind and a sentence that is safe to show.
type Error struct {
	Kind    Kind
	Message string
	// RetryAfterMillis is how long to wait, 0 when it does not help to know.
	RetryAfterMillis int64
	// Cause is for logs only and never reaches a caller.
	Cause error
}

// Error returns the message and the cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
