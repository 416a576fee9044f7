// Package leg asks one model once, and puts that into the books once: it shapes
// the caller's bytes for the model, journals START, calls and retries, reads the
// head of the answer and its usage, journals END and settles what was held.
//
// A Plan is what is known before the call and does not change once it is asked.
// An Attempt is one call with its record. A Side is a leg whose answer is accepted
// or discarded later. Which models are asked, and whose answer the caller gets, is
// decided elsewhere. The memory of plans and attempts is used again after Recycle.
//
// Invariants: no call leaves without a journalled START, and each START gets
// exactly one END, which Attempt.Close alone writes.
package leg

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/capacity"
	"github.com/sluice-gateway/sluice/internal/failover"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/budget"
	"github.com/sluice-gateway/sluice/internal/meter/estimate"
	"github.com/sluice-gateway/sluice/internal/meter/record"
	"github.com/sluice-gateway/sluice/internal/promptcache"
	"github.com/sluice-gateway/sluice/internal/quota"
	"github.com/sluice-gateway/sluice/internal/reembed"
	"github.com/sluice-gateway/sluice/internal/router"
	"github.com/sluice-gateway/sluice/internal/session"
	"github.com/sluice-gateway/sluice/internal/telemetry"
)

// Recorder keeps the books. *meter.Meter is the real one.
type Recorder interface {
	// Begin journals that a call is about to leave. Without it no call leaves. It
	// keeps nothing of s.
	Begin(s *record.Start) error
	// End journals how the call ended, priced by the book, posts it, and says in b
	// what that came to. It keeps nothing of s, e and b.
	End(s *record.Start, e *record.End, prices *record.PriceBook, b *record.Booked) error
}

// Limiter reserves. *budget.Limiter is the real one.
type Limiter interface {
	// Reserve holds a claim against every budget and limit, all or nothing.
	Reserve(ctx context.Context, c *budget.Claim, now time.Time) (*budget.Reservation, *budget.Refusal)
	// Left is what answers may tell of the budgets of a policy, and of its session's.
	Left(p *budget.Policy) (budgets, session budget.Left)
	// Rates are how a policy's limits of requests and of tokens stand.
	Rates(p *budget.Policy) [2]budget.Rate
}

// Batches settles batch jobs. *batches.Settler is the real one.
type Batches interface {
	// Seen takes in what Bedrock says of a job. It does not wait, and keeps nothing of it.
	Seen(answer []byte)
}

// Options are what legs are asked with.
type Options struct {
	Meter     Recorder
	Limiter   Limiter            // nil: nothing is reserved
	Jobs      Jobs               // asynchronous ones
	Batches   Batches            // settles jobs whose end a caller has seen; nil: nobody
	Estimates *estimate.Table    // nil: a new one
	Prompts   *promptcache.Store // what models have in their caches; nil: a new one
	Members   *failover.Store    // which members of pools are out; nil: a new one
	Quotas    *quota.Store       // what calls take of the quotas of upstreams; nil: a new one
	Gauge     *capacity.Gauge    // how much is in use of what was bought; nil: a new one
	Telemetry *telemetry.Telemetry
	Log       *slog.Logger
	Now       func() time.Time
	// NewID returns a ULID for an attempt's record.
	NewID func() string
	Crash meter.Crash // for fault tests; nil does nothing
	// Ended gets, in place of the next request, each attempt whose request is over;
	// for tests, which look whether anybody still touches it. nil in service.
	Ended func(*Attempt)
}

// Asker asks models. Make it with NewAsker; it is safe for concurrent use.
type Asker struct {
	Options
	held     atomic.Int64 // bytes of streams that are held back
	outgoing sync.Pool    // of *outgoing
	attempts sync.Pool    // of *Attempt
	profiles router.ProfileQueries
	sessions session.Table
	embedded *reembed.Table
	sleepers capacity.Sleepers
}

// NewAsker returns an asker that holds nothing back yet.
func NewAsker(o Options) *Asker {
	if o.Estimates == nil {
		o.Estimates = &estimate.Table{}
	}
	if o.Prompts == nil {
		o.Prompts = promptcache.New()
	}
	if o.Members == nil {
		o.Members = &failover.Store{}
	}
	if o.Quotas == nil {
		o.Quotas = &quota.Store{Now: o.Now}
	}
	if o.Gauge == nil {
		o.Gauge = &capacity.Gauge{}
	}
	return &Asker{Options: o, embedded: reembed.New()}
}

// Held returns how many bytes of streams are held back.
func (k *Asker) Held() int64 { return k.held.Load() }

// Crowded reports whether the streams that are held back take half of what they
// may.
func (k *Asker) Crowded() bool { return k.Held() > maxHeldAll/2 }
