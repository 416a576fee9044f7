package budget

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Options say how a limiter works. Leaser, Writer and Epoch are needed; the other
// zero values take the defaults.
type Options struct {
	Leaser ledger.Leaser
	Writer string
	Epoch  uint64
	// Roots are root tenants in which the writer may still have leases. Close gives
	// them back even if no request of theirs came.
	Roots []string
	// Numbers returns, for a root tenant, the last number that the writer has
	// journalled and the last that the ledger has confirmed: meter.Meter.Numbers. A
	// ledger that has lost writes is noticed by them.
	Numbers func(root string) (head, applied uint64)
	// Past returns whether the ledger is known to have what earlier processes spent
	// of a root, and whether it had lost some of it: see meter.Past. Nil: there were
	// none.
	Past func(root string) (known, lost bool)
	// Notice gets each threshold that a budget's spending passes. It must not block.
	Notice func(Notice)
	Log    *slog.Logger
	Now    func() time.Time
	// Ahead is how far the ledger's clock is ahead of Now. Windows go by the ledger's
	// clock, so that gateways whose clocks differ charge the same ones. Nil: not at all.
	Ahead func() time.Duration

	Every    time.Duration // between looks at leases near a limit, default 100ms
	Renew    time.Duration // between renewals of the others, default 1s
	Idle     time.Duration // after which an unused lease goes back, default 1s
	Patience time.Duration // for leases that were recalled, before a refusal, default 300ms
	Pause    time.Duration // between asking again meanwhile, default 50ms
	Timeout  time.Duration // of one ledger call, default 500ms
	TTL      time.Duration // of a lease, default 60s
}

func (o Options) withDefaults() Options {
	o.Every = cmp.Or(o.Every, 100*time.Millisecond)
	o.Renew = cmp.Or(o.Renew, time.Second)
	o.Idle = cmp.Or(o.Idle, time.Second)
	o.Patience = cmp.Or(o.Patience, 300*time.Millisecond)
	o.Pause = cmp.Or(o.Pause, 50*time.Millisecond)
	o.Timeout = cmp.Or(o.Timeout, 500*time.Millisecond)
	o.TTL = cmp.Or(o.TTL, time.Minute)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ahead == nil {
		o.Ahead = func() time.Duration { return 0 }
	}
	if o.Notice == nil {
		o.Notice = func(Notice) {}
	}
	if o.Numbers == nil {
		o.Numbers = func(string) (uint64, uint64) { return 0, 0 }
	}
	if o.Past == nil {
		o.Past = func(string) (bool, bool) { return true, false }
	}
	return o
}

// Limiter reserves. Make it with New; its methods may be called concurrently.
type Limiter struct {
	opts     Options
	counters counters

	mu    sync.RWMutex     // guards roots
	roots map[string]*root // one per root tenant that was ever seen
	calls sync.WaitGroup   // goroutines that call the ledger

	troubleMu sync.Mutex        // guards trouble; it is locked within a root's lock
	trouble   map[*root]contact // the roots whose ledger did not answer, or was frozen

	stop   chan struct{}
	closed sync.Once
}

// New returns a limiter and starts the goroutine that renews and returns leases.
// Close ends it.
func New(o Options) *Limiter {
	l := &Limiter{opts: o.withDefaults(), roots: make(map[string]*root), stop: make(chan struct{})}
	l.trouble = make(map[*root]contact)
	l.calls.Go(l.run)
	return l
}

// Close gives everything back and tells the ledger that the writer ends. No
// reservation may be open, and all records must have been posted: what is not
// posted by then counts as not spent.
func (l *Limiter) Close(ctx context.Context) error {
	l.closed.Do(func() { close(l.stop) })
	l.calls.Wait()
	for _, name := range l.opts.Roots { // until now there was nothing to look after in most
		l.root(name)
	}
	var failed error
	for _, r := range l.all() {
		if err := r.retire(ctx); err != nil {
			failed = err
		}
	}
	return failed
}

// run looks after all roots until the limiter closes.
func (l *Limiter) run() {
	tick := time.NewTicker(l.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			now := l.now()
			for _, r := range l.all() {
				r.tick(now)
			}
		}
	}
}

func (l *Limiter) all() []*root {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Collect(maps.Values(l.roots))
}

func (l *Limiter) root(name string) *root {
	l.mu.RLock()
	r := l.roots[name]
	l.mu.RUnlock()
	if r != nil {
		return r
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r = l.roots[name]; r == nil {
		r = &root{limiter: l, name: name, accounts: newAccounts()}
		l.roots[name] = r
	}
	return r
}

// counters are Stats that are added to.
type counters struct {
	mu    sync.Mutex
	stats Stats // guarded by mu
}

func (c *counters) add(what *int64, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what += n
}

// overshoot counts what an attempt spent above its hold of one window.
func (c *counters) overshoot(u record.Unit, n int64) {
	c.add(&c.stats.Overshoots, 1)
	switch u {
	case record.UnitUSD:
		c.add(&c.stats.OvershootNanoUSD, n)
	case record.UnitTokens:
		c.add(&c.stats.OvershootTokens, n)
	case record.UnitRequests, record.UnitConcurrent:
	}
}

// Stats are totals since the limiter was made, for metrics.
type Stats struct {
	LedgerCalls int64 // grants and renewals
	Refused     int64 // reservations refused for a limit
	Lost        int64 // reservations refused because the ledger is away
	Uncovered   int64 // served without a hold, by on_ledger_loss: allow
	// Overshoots are attempts that spent more than they held; the others by how
	// much, in nano-dollars and tokens.
	Overshoots, OvershootNanoUSD, OvershootTokens int64
}

// Trouble is what keeps requests from being reserved. The zero value is nothing.
type Trouble struct {
	Away   error     // of the last ledger call of a root that brought no answer
	Frozen int       // root tenants of which the ledger grants nothing
	Until  time.Time // at most, when Frozen
}

// Trouble returns what keeps requests from being reserved now. It looks at those
// roots alone that are in trouble.
func (l *Limiter) Trouble() (t Trouble) {
	now := l.now()
	l.troubleMu.Lock()
	defer l.troubleMu.Unlock()
	for _, c := range l.trouble {
		if !c.failed.IsZero() {
			t.Away = c.why
		}
		if now.Before(c.frozen) {
			t.Frozen++
			if c.frozen.After(t.Until) {
				t.Until = c.frozen
			}
		}
	}
	return t
}

// noteTrouble makes Trouble see how the ledger answered last for a root, whose
// lock the caller holds.
func (r *root) noteTrouble() {
	l := r.limiter
	l.troubleMu.Lock()
	defer l.troubleMu.Unlock()
	if r.ledger.failed.IsZero() && r.ledger.frozen.IsZero() {
		delete(l.trouble, r)
		return
	}
	l.trouble[r] = r.ledger
}

// now is the time by the ledger's clock.
func (l *Limiter) now() time.Time { return l.opts.Now().Add(l.opts.Ahead()) }

// Stats returns the totals.
func (l *Limiter) Stats() Stats {
	l.counters.mu.Lock()
	defer l.counters.mu.Unlock()
	return l.counters.stats
}
