package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/cascade/answer"
	"github.com/sluice-gateway/sluice/internal/cascade/parts"
	"github.com/sluice-gateway/sluice/internal/cascade/score"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/lifetime"
	"github.com/sluice-gateway/sluice/internal/money"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/saving"
	"github.com/sluice-gateway/sluice/internal/shadow"
	"github.com/sluice-gateway/sluice/internal/telemetry"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// call is the state of one request, passed by hand from step to step. Its memory
// is used again once the last of its users has let go of it, so nobody else may
// keep it, or anything that it has by value.
type call struct {
	leg.Request // what its legs see of it

	line     *Line
	exchange *Request
	// life is how long it may last: until its deadline, or the drain bound after its
	// caller has left.
	life lifetime.Draining

	route *router.Plan
	legs  []*leg.Plan
	funds leg.Funds // of all legs together

	decision
	served *leg.Attempt // whose answer the caller gets; nil when the gateway answers itself
	status int          // of the answer

	times
	bill  bill
	step  string // of the line that it came to last
	end   telemetry.RequestEnd
	users atomic.Int32 // the exchange, and everything that runs beside it
}

// decision is what the cascade makes of a request.
type decision struct {
	path   router.Path // of the answer: the route's, until a leg is left behind
	reason string
	risk   float64 // of the light answer that is served, by the certificate's order

	asked  *answer.Request // what the checks need to know, nil until somebody asked
	prior  score.Band      // of the request, by a pre-score
	sample *shadow.Sample  // nil when no shadow will follow
}

// times are those of a request, beside that of its arrival.
type times struct {
	waited   time.Duration // for upstreams, until the answer's head
	answered time.Time     // when the answer's head was there
	over     time.Time     // when the answer was complete, or its caller had left
}

// bill is what the attempts of a request have come to. They end concurrently.
type bill struct {
	mu       sync.Mutex // guards the following
	cost     money.Pico
	state    string       // how far cost can be trusted
	begun    bool         // an attempt was billed, or may be
	refusal  *wire.Error  // the gateway's own answer, nil for the upstream's
	attempts []saving.Row // kept when the span is recorded
}

// paid reports whether an attempt of the request was billed, or may have been.
func (c *call) paid() bool {
	c.bill.mu.Lock()
	defer c.bill.mu.Unlock()
	return c.bill.begun
}

// began notes that an attempt was billed, or may be.
func (b *bill) began(may bool) {
	b.mu.Lock()
	b.begun = b.begun || may
	b.mu.Unlock()
}

// checked reports whether the answer of the first leg is looked at before the
// caller gets it.
func (c *call) checked() bool { return len(c.legs) > 1 && c.route.Checked(c.Facts.Stream) }

// request is what the checks need to know about the request. What may run beside
// others must not keep it in asked.
func (c *call) request() *answer.Request {
	if c.asked != nil {
		return c.asked
	}
	return parts.Request(&c.Facts, c.Body)
}

// finish gives back what the request holds. It runs once, when its answer is
// complete, or its caller has left, and everything beside it has ended. It reports
// whether the memory of c may be used again.
func (c *call) finish() bool {
	c.exchange.Body.Release()
	c.funds.Release()
	return c.life.End()
}
