package wire

import (
	"fmt"
	"strconv"
)

// Errorf is a stand-in until the package has its own.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Status is a stand-in.
func (e *Error) Status() int {
	switch e.Kind {
	case KindValidation:
		return 400
	case KindAccessDenied:
		return 403
	case KindMethodNotAllowed:
		return 405
	case KindRequestTimeout:
		return 408
	case KindTooLarge:
		return 413
	case KindUnsupportedMedia:
		return 415
	case KindHeaderTooLarge:
		return 431
	case KindServiceUnavailable:
		return 503
	case KindVersion:
		return 505
	}
	return 500
}

// Type is a stand-in.
func (e *Error) Type() string {
	switch e.Kind {
	case KindServiceUnavailable:
		return "ServiceUnavailableException"
	case KindInternal:
		return "InternalServerException"
	}
	return "ValidationException"
}

// AppendJSON is a stand-in.
func (e *Error) AppendJSON(dst []byte) []byte {
	return append(append(append(dst, `{"message":`...), strconv.Quote(e.Message)...), '}')
}
