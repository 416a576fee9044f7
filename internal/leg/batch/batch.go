// Package batch asks a model for each part of a request that it takes in several calls only, such as texts to embed.
// The parts are legs of one request: held together, and each in the books once.
package batch

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/internal/engine"
	"github.com/sluice-gateway/sluice/internal/leg"
	"github.com/sluice-gateway/sluice/internal/wire"
)

// atOnce is how many parts of one request are asked at the same time.
const atOnce = 8

// Ask asks all plans, whose answers are no streams, and returns their answers in the same order, with the first of
// the attempts. When one fails, no further part is begun. Then there are no answers, and the attempt is the one that
// failed, still open, or nil with the error that the journal takes no record. What the others bring is in the books
// as wasted.
func Ask(ctx context.Context, k *leg.Asker, r *leg.Request, plans []*leg.Plan, f *leg.Funds) (
	[]*engine.Response, *leg.Attempt, *wire.Error,
) {
	b := &batch{attempts: make([]*leg.Attempt, len(plans)), left: len(plans), done: make(chan struct{})}
	for range min(atOnce, len(plans)) {
		r.Host.Go(func() {
			for i := b.next(); i < len(plans); i = b.next() {
				if r.Gone.Err() != nil {
					b.settle(nil, wire.Errorf(wire.KindServiceUnavailable, "the caller has left"))
					return
				}
				if a, err := k.Ask(ctx, r, plans[i], f); !b.take(i, a, err) {
					return
				}
			}
		})
	}
	<-b.done
	if b.failed != nil || b.refused != nil {
		return nil, b.failed, b.refused
	}
	answers := make([]*engine.Response, len(plans))
	for i, a := range b.attempts {
		how := leg.Served
		if r.Gone.Err() != nil {
			how = leg.Drained
		}
		a.Close(how)
		answers[i] = a.Response
	}
	return answers, b.attempts[0], nil
}

// batch is what has become of the parts so far.
type batch struct {
	begun atomic.Int64
	done  chan struct{} // closed when all are there, or one has failed

	mu       sync.Mutex // guards the following until done is closed
	settled  bool       // done is closed, or about to be
	attempts []*leg.Attempt
	left     int // attempts that are missing
	failed   *leg.Attempt
	refused  *wire.Error
}

// next is the next part that nobody has begun.
func (b *batch) next() int { return int(b.begun.Add(1)) - 1 }

// take takes what came of a part, and reports whether further ones are wanted.
func (b *batch) take(i int, a *leg.Attempt, err *wire.Error) bool {
	if err != nil || a.Err != nil || a.Response.Status >= 300 {
		b.settle(a, err)
		return false
	}
	b.mu.Lock()
	if b.settled {
		b.mu.Unlock()
		a.Close(leg.LeftBehind)
		return false
	}
	defer b.mu.Unlock()
	b.attempts[i] = a
	if b.left--; b.left == 0 {
		b.settled = true
		close(b.done)
	}
	return true
}

// settle ends the batch by a failure, unless it has ended already.
func (b *batch) settle(a *leg.Attempt, err *wire.Error) {
	b.mu.Lock()
	first := !b.settled
	b.settled = true
	b.mu.Unlock()
	if !first {
		if a != nil {
			a.Close(leg.LeftBehind)
		}
		return
	}
	for _, other := range b.attempts {
		if other != nil {
			other.Close(leg.LeftBehind)
		}
	}
	b.failed, b.refused = a, err
	close(b.done)
}
