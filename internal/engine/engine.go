// Package engine defines one attempt at one upstream. The real upstream is
// engine/bedrock; engine/sandbox is a stand-in with the same wire.
package engine

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/role"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Request is one attempt at one upstream, complete but unsigned.
type Request struct {
	Upstream string    // configured name, "" for the default one
	Role     role.Role // what its tenant says of the role to assume; zero is the upstream's own
	Model    string    // model id sent upstream; keys the circuit breaker
	Op       wire.Operation
	Method   string
	Target   string // encoded path and query, as it goes on the wire
	Header   wire.Header
	Body     []byte
	// Parts is a large body that is not in one piece, one after the other; Body is empty then.
	Parts [][]byte
	// BodyHash is the SHA-256 of Body when it is known, else nil.
	BodyHash *[sha256.Size]byte
	// Account is what the caller's request holds in memory, to which the answer adds; nil
	// counts nothing.
	Account *pool.Account
	// Sent, when not nil, is called once the whole request was written.
	Sent func()
}

// Response is the upstream's answer. Body and Header belong to the receiver.
type Response struct {
	Status int
	Header wire.Header
	// Body is the whole answer; nil when Frames is set.
	Body []byte
	// Frames is set for an answer of type application/vnd.amazon.eventstream.
	Frames *FrameSource
	// Refusal is set when the answer refuses the gateway itself, not what was asked.
	Refusal *Refusal
	Timing  Timing
}

// Foreign reports whether the answer is a server's failure that is not Bedrock's
// own, such as the page of a proxy, which would break the SDKs' error parsing.
func (r *Response) Foreign() bool {
	return r.Status >= 500 && !strings.HasPrefix(r.Header.Get("content-type"), "application/json")
}

// Doubtful reports whether such a failure leaves open what became of the request:
// who sent it may have passed the request on. 503 says that it did not.
func (r *Response) Doubtful() bool {
	return r.Foreign() && r.Status != 503 && r.ErrorType() == ""
}

// Refusal is why an upstream does not accept who signed the request. The gateway
// did, so it is nothing that a caller could mend. Nothing was billed.
type Refusal struct {
	Kind string // AWS's error type
	// Renewed is whether other credentials were found since, or at least looked for.
	Renewed bool
}

// FrameSource yields an upstream's event-stream frames one by one.
// It must be closed. It is not safe for concurrent use, except Close.
type FrameSource struct {
	next  func() ([]byte, error)
	ready func() bool
	close func() error
}

// NewFrameSource returns a source that reads with next and is closed by close.
// ready is what Ready returns; nil is never.
func NewFrameSource(next func() ([]byte, error), ready func() bool, close func() error) *FrameSource {
	return &FrameSource{next, ready, close}
}

// Next returns the next whole frame, checksums verified; it stays valid until
// the following call. It returns io.EOF after the last frame of a properly
// ended body and an *Error otherwise.
func (s *FrameSource) Next() ([]byte, error) { return s.next() }

// Ready reports whether Next returns without waiting for the upstream.
func (s *FrameSource) Ready() bool { return s.ready != nil && s.ready() }

// Close ends the stream and frees its connection, which is reused only when
// the body was read to its end. A Next that waits in another goroutine returns
// at once with an *Error of failure Cancelled.
func (s *FrameSource) Close() error { return s.close() }

// Failure is why an attempt returned no answer.
type Failure uint8

// The failures. The zero value is not used.
const (
	_ Failure = iota
	// NotSent: refused or lost before the request was fully handed to the
	// network; certainly not billed.
	NotSent
	// StaleConn: a kept connection was found closed before the request was handed over
	// whole; certainly not billed.
	StaleConn
	// LostInAnswer: sent, then lost before the end of the answer; may be billed.
	LostInAnswer
	// TimedOut: no first byte in time, silent for too long, or the deadline of
	// the context passed; may be billed when the request was sent.
	TimedOut
	// Corrupt: the answer is not valid HTTP, not a valid event stream, or larger
	// than the bound.
	Corrupt
	// CircuitOpen: not tried, the breaker of this upstream and model is open.
	CircuitOpen
	// Misconfigured: no such upstream, a request that cannot be written.
	Misconfigured
	// Cancelled: the context was cancelled or the frames were closed.
	Cancelled
	// NoCredentials: not tried, the gateway has none that are valid.
	NoCredentials
	// NoRoom: the answer is more than the gateway may hold; billed, most likely.
	NoRoom
)

// Error is an attempt without an answer, or a stream that broke off.
type Error struct {
	Failure Failure
	// Sent is whether the whole request had been handed to the network.
	Sent bool
	// Answered is whether any byte of the answer had arrived.
	Answered bool
	Timing   Timing
	Err      error
}

// Error describes the failure for logs. It never contains a body or a header.
func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Failure, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// String names the failure in words fit for a metric label.
func (f Failure) String() string {
	return [...]string{"", "not_sent", "stale_connection", "lost_in_answer", "timed_out", "corrupt",
		"circuit_open", "misconfigured", "cancelled", "no_credentials", "no_room"}[f]
}

// Billable reports whether Bedrock may have billed the attempt: only a request
// that was sent whole can have been.
func (e *Error) Billable() bool { return e.Sent && e.Failure.Billable() }

// Billable reports whether a request that was sent whole and failed in this way
// may have been billed.
func (f Failure) Billable() bool {
	return f == LostInAnswer || f == TimedOut || f == Corrupt || f == Cancelled || f == NoRoom
}

// Timing is what one attempt took, for traces. Each value counts from the start
// of the attempt; zero means that it was not reached.
type Timing struct {
	Connected time.Duration // there was a connection, new or kept
	FirstByte time.Duration // the first byte of the answer arrived
	Done      time.Duration // the whole answer arrived; zero for a stream
	// Reused is whether the connection had served an earlier attempt.
	Reused bool
}
