package gateway

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/heap/pool"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// Request is one request as the edge hands it over, the same for HTTP/1.1 and
// HTTP/2. It belongs to the line until its Body is released; the answer is in it
// and belongs to the edge.
type Request struct {
	ID        string // ULID, x-sluice-request-id
	Method    string
	Target    string     // raw request target, as on the wire
	Authority string     // raw Host field, or :authority
	From      netip.Addr // whose it is, by the connection or a trusted proxy
	// HTTP2 is whether Signature V4 may name :authority instead of host.
	HTTP2  bool
	Header wire.Header
	// ContentLength is what was announced, -1 when nothing was.
	ContentLength int64
	// Sender is told what became of the credential; nil is nobody.
	Sender Sender
	// Body reads the body as it comes.
	Body BodyReader
	// Account is what the request holds in memory. It lasts until Body is released, and
	// until the answer is written.
	Account *pool.Account
	// Caller ends when the caller has left.
	Caller   context.Context //nolint:containedctx // the one signal that the edge has for the line
	Received time.Time
	// Translator makes the native request of one in another dialect; nil for native ones.
	Translator Translator

	response Response       // what Serve returns
	fields   [12]wire.Field // memory of its header
}

// Translator makes the native request of one in another dialect, once its caller is known and
// its body is there.
type Translator interface {
	// Native puts method, target, header and body of the native request into r.
	Native(r *leg.Request) *wire.Error
	// Describe is what is answered when the native request is a read of the control plane.
	Describe(r *leg.Request) ([]byte, *wire.Error)
}

// respond is an answer without header fields, in memory of the request.
func (r *Request) respond(status int) *Response {
	r.response = Response{Status: status, Header: r.fields[:0]}
	return &r.response
}

// Sender is the connection that a request came over.
type Sender interface {
	// Proven is called when its credential was good, Failed when it was not.
	Proven()
	Failed()
}

// BodyReader reads request bodies inside the edge's memory budget.
type BodyReader interface {
	// ReadAll returns the body, which stays valid until Release. It fails when that is too
	// large, too slow or shorter than announced, and with 503 when all bodies together
	// would exceed the budget.
	ReadAll() ([]byte, *wire.Error)
	Release()
}

// Response is what the edge writes. Exactly one of Body and Stream is used.
type Response struct {
	Status int
	Header wire.Header
	Body   []byte
	Parts  []*engine.Response // the answers to the parts of a request, of which its Translator makes Body
	// Stream yields event-stream frames. A Read waits for one and also takes those that are there already; the edge
	// flushes after each Read. It must be closed; closing before io.EOF means that the caller has left.
	Stream io.ReadCloser
	// Begun is whether the first Read of Stream does not wait, so that the head
	// can leave with what it returns.
	Begun bool
}
