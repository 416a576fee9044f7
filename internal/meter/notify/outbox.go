package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"
)

// Notice is something that is to be posted once to a tenant's webhook, by whichever
// gateway finds out first.
type Notice struct {
	ID     string          `json:"id"`     // the same from every gateway that finds out
	Tenant string          `json:"tenant"` // whose webhook it is for
	Body   json.RawMessage `json:"body"`
	Until  time.Time       `json:"until"` // nobody needs to know after it, or could find out again
}

// Outcome is how a claim ends.
type Outcome uint8

// The outcomes. The zero value is not used.
const (
	_         Outcome = iota
	Delivered         // nobody posts it again before its Until
	GivenUp           // anybody may claim it at once
)

// Store keeps what is claimed and what is delivered for all gateways. Both
// ledgers are one.
type Store interface {
	// Claim reports whether the caller is the one to post the notice: it is not
	// delivered, and nobody else has claimed it within the last TTL.
	Claim(ctx context.Context, n *Notice, ttl time.Duration) (bool, error)
	// End ends a claim of the caller's.
	End(ctx context.Context, n *Notice, how Outcome) error
	// Pending returns what was claimed and is not delivered, by anybody.
	Pending(ctx context.Context) ([]Notice, error)
}

// OutboxOptions say how an outbox works. Store, Sender and Hook are needed; the
// other zero values take the defaults.
type OutboxOptions struct {
	Store  Store
	Sender *Sender // the outbox closes it
	// Hook returns where a tenant's notices go now, and "" for nowhere.
	Hook func(tenant string) (url, secret string)
	Log  *slog.Logger
	Now  func() time.Time
	// TTL is how long a claim lasts: longer than all attempts of the sender.
	// Default 5m.
	TTL   time.Duration
	Every time.Duration // between looks for what others left undelivered, default 30s
	Queue int           // notices that wait to be claimed, default 256
}

// storeTimeout bounds each call of the store.
const storeTimeout = 2 * time.Second

// Outbox posts each notice once in a cluster, as long as nothing fails, and at
// least once when gateways die: a claim that is not ended lapses, and any gateway
// takes the notice over. Make it with NewOutbox.
type Outbox struct {
	opts  OutboxOptions
	queue chan Notice
	done  sync.WaitGroup
	life  context.Context //nolint:containedctx // of the store's calls: ends when Close has no more time for them
	halt  context.CancelFunc

	mu     sync.Mutex      // guards the following
	busy   map[string]bool // ids that are claimed here or about to be
	closed bool
}

// NewOutbox returns an outbox and starts its goroutine. Close ends it.
func NewOutbox(o OutboxOptions) *Outbox {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	o.TTL, o.Every, o.Queue = cmp.Or(o.TTL, 5*time.Minute), cmp.Or(o.Every, 30*time.Second), cmp.Or(o.Queue, 256)
	b := &Outbox{opts: o, queue: make(chan Notice, o.Queue), busy: make(map[string]bool)}
	b.life, b.halt = context.WithCancel(context.Background())
	b.done.Go(b.run)
	return b
}

// Add takes a notice. It never blocks: without room the notice is left to the
// other gateways, which find out too.
func (b *Outbox) Add(n Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.busy[n.ID] {
		return
	}
	select {
	case b.queue <- n:
		b.busy[n.ID] = true
	default:
		b.opts.Log.Warn("notice is left to other gateways: too many wait", "id", n.ID, "tenant", n.Tenant)
	}
}

// handOver is how long Close takes beyond its context to give up claims, so that
// nobody waits for them to lapse.
const handOver = time.Second

// Close claims and delivers what waits until ctx ends, and gives up the rest:
// the other gateways, or the next start, take it over.
func (b *Outbox) Close(ctx context.Context) {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.queue)
	}
	b.mu.Unlock()
	unwatch := context.AfterFunc(ctx, func() { time.AfterFunc(handOver, b.halt) })
	b.done.Wait()
	b.opts.Sender.Close(ctx)
	unwatch()
	b.halt()
}

// run claims what is added, and looks now and then for what others left.
func (b *Outbox) run() {
	b.adopt()
	look := time.NewTicker(b.opts.Every)
	defer look.Stop()
	for {
		select {
		case n, open := <-b.queue:
			if !open {
				return
			}
			b.send(&n)
		case <-look.C:
			b.adopt()
		}
	}
}

// adopt posts what is pending and claimed by nobody any more.
func (b *Outbox) adopt() {
	ctx, cancel := context.WithTimeout(b.life, storeTimeout)
	defer cancel()
	left, err := b.opts.Store.Pending(ctx)
	if err != nil {
		b.opts.Log.Debug("pending notices are not known", "err", err)
		return
	}
	for i := range left {
		if b.take(left[i].ID) {
			b.send(&left[i])
		}
	}
}

// take marks an id as in hand, once.
func (b *Outbox) take(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy[id] {
		return false
	}
	b.busy[id] = true
	return true
}

func (b *Outbox) drop(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.busy, id)
}

// send claims a notice and hands it to the sender. When the store does not
// answer it is posted all the same: twice is better than never.
func (b *Outbox) send(n *Notice) {
	ctx, cancel := context.WithTimeout(b.life, storeTimeout)
	defer cancel()
	mine, err := b.opts.Store.Claim(ctx, n, b.opts.TTL)
	if err == nil && !mine || b.life.Err() != nil {
		b.drop(n.ID)
		return
	}
	if err != nil {
		b.opts.Log.Warn("notice is posted without a claim", "id", n.ID, "err", err)
	}
	b.opts.Log.Warn("telling a notice", "id", n.ID, "tenant", n.Tenant, "body", string(n.Body))
	url, secret := b.opts.Hook(n.Tenant)
	if url == "" {
		b.end(n, Delivered)
		return
	}
	b.opts.Sender.Post(Message{URL: url, Secret: secret, Body: n.Body, Ended: func(how Outcome) { b.end(n, how) }})
}

func (b *Outbox) end(n *Notice, how Outcome) {
	ctx, cancel := context.WithTimeout(b.life, storeTimeout)
	defer cancel()
	if err := b.opts.Store.End(ctx, n, how); err != nil {
		b.opts.Log.Warn("a notice's end is not stored; it may be posted again", "id", n.ID, "err", err)
	}
	b.drop(n.ID)
}
