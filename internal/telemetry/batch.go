package telemetry

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/protobuf/encoding/protowire"
)

// The sizes and times of batches are those of OpenTelemetry's SDKs.
const (
	batchSpans   = 512
	waitingSpans = 2048 // more are dropped: requests do not wait for a collector
	batchEvery   = 5 * time.Second
	batchTimeout = 30 * time.Second // of one export, with the client's retries
	// lastBatches is how long a stop waits for the collector: for the export under way,
	// the last one and the client together. What it has not taken by then is lost.
	lastBatches = 3 * time.Second
)

// exporter sends what batches collect.
type exporter interface {
	send(ctx context.Context, resourceSpans []byte) error
	close()
}

// batches collects spans and sends them, in a goroutine of its own.
type batches struct {
	client exporter
	head   message // the resource of all spans
	scope  message
	foot   message // what follows the spans: the schema of the resource
	room   int     // for what comes before a batch: the resource, and how long the batch is
	failed func(error)
	lost   func(spans int)
	cancel context.CancelFunc // of an export under way
	full   chan struct{}
	stop   chan struct{}
	done   chan struct{}

	exporting sync.Mutex // guards spare, and the order of batches
	spare     message

	mu      sync.Mutex // guards the following
	waiting message    // room, the scope, spans
	count   int
	dropped int // since the last export
}

// newBatches starts the goroutine. failed is called with each batch's error, and lost
// with how many spans nobody will see.
func newBatches(
	ctx context.Context, client exporter, res *resource.Resource, failed func(error), lost func(spans int),
) *batches {
	b := &batches{
		client: client, failed: failed, lost: lost,
		full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	of := b.head.begin(1)
	for i := res.Iter(); i.Next(); {
		b.head.resource(i.Attribute())
	}
	b.head.finish(of)
	named := b.scope.begin(1)
	b.scope.field(1, scopeName)
	b.scope.finish(named)
	b.foot.field(3, res.SchemaURL())
	b.room = len(b.head) + protowire.SizeTag(2) + protowire.SizeVarint(1<<63)
	b.waiting, b.spare = b.empty(nil), b.empty(nil)
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go b.run(ctx)
	return b
}

func (m *message) resource(kv attribute.KeyValue) {
	pair, value := m.pair(resourceAttributes, string(kv.Key))
	m.value(valueText, kv.Value.String())
	m.end(pair, value)
}

// empty is a batch without spans, in the memory of one that was sent.
func (b *batches) empty(used message) message {
	return append(slices.Grow(used[:0], b.room)[:b.room], b.scope...)
}

// add takes a span, or drops it when the collector is too slow.
func (b *batches) add(span message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count >= waitingSpans {
		b.dropped++
		return
	}
	b.waiting = append(b.waiting, span...)
	if b.count++; b.count >= batchSpans {
		select {
		case b.full <- struct{}{}:
		default:
		}
	}
}

func (b *batches) run(ctx context.Context) {
	defer close(b.done)
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-tick.C:
		case <-b.full:
		}
		b.export(ctx)
	}
}

// export sends what waits.
func (b *batches) export(ctx context.Context) {
	b.exporting.Lock()
	defer b.exporting.Unlock()
	b.mu.Lock()
	batch, count, dropped := b.waiting, b.count, b.dropped
	if count > 0 {
		b.waiting, b.count, b.dropped = b.spare, 0, 0
	}
	b.mu.Unlock()
	if count == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	batch.field(3, SchemaURL)
	if err := b.client.send(ctx, append(b.whole(batch), b.foot...)); err != nil {
		b.failed(fmt.Errorf("traces export: %w", err))
		dropped += count
	}
	if dropped > 0 {
		b.lost(dropped)
	}
	b.spare = b.empty(batch)
}

// whole puts the resource, and how long the batch is, into the room before it.
func (b *batches) whole(batch message) message {
	n := uint64(len(batch) - b.room)
	at := b.room - protowire.SizeVarint(n) - protowire.SizeTag(2) - len(b.head)
	first := append(batch[at:at], b.head...)
	protowire.AppendVarint(protowire.AppendTag(first, 2, protowire.BytesType), n)
	return batch[at:]
}

// close sends the spans that are left, until ctx ends or lastBatches are over.
func (b *batches) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastBatches)
	defer cancel()
	close(b.stop)
	cut := context.AfterFunc(ctx, b.cancel)
	<-b.done
	cut()
	b.cancel()
	b.export(ctx)
	b.client.close()
}
