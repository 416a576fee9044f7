package meter

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// askNew asks the ledger how far the partitions are that it was not asked about
// yet: first those of writers that segments still name, because they are few and
// leasing waits for them.
func (s *shipper) askNew(ctx context.Context) error {
	err := s.ask(ctx, func(p *partition) bool { return p.state == unasked && s.recent(p.Writer) }, s.place)
	if err != nil {
		return err
	}
	return s.ask(ctx, func(p *partition) bool { return p.state == unasked }, s.place)
}

// maxProbes is how many partitions of past writers a heartbeat looks at. There
// may be many, and what loses one of them has mostly lost others as well.
const maxProbes = 16

// heartbeat looks whether the ledger still has what it once confirmed: after a
// failover or a restore it may not.
func (s *shipper) heartbeat(ctx context.Context) {
	if s.parts.fenced.Load() {
		return
	}
	probes := 0
	posted := func(p *partition) bool {
		if p.state == unasked || p.state == restoring || p.applied == 0 {
			return false
		}
		if p.Writer == s.parts.writer || p.waits() {
			return true
		}
		probes++
		return probes <= maxProbes
	}
	err := s.ask(ctx, posted, func(p *partition, applied uint64) {
		switch {
		case applied < p.applied:
			s.regress(p, applied)
		case applied > p.head && p.Writer == s.parts.writer:
			s.halt(p, errForeign)
		}
	})
	if err != nil {
		s.opts.Log.Debug("ledger cannot be asked", "error", err) // posting will say so
	}
}

// ask reads the watermarks of the partitions that are wanted. It fails when all
// calls do.
func (s *shipper) ask(ctx context.Context, want func(*partition) bool, got func(*partition, uint64)) error {
	wanted := s.parts.where(want)
	missed, err := forEach(wanted, func(p *partition) error {
		ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
		applied, err := s.opts.Ledger.Watermark(ctx, p.Writer, p.Root)
		if err == nil {
			got(p, applied)
		}
		return err
	})
	if len(missed) == 0 {
		return nil
	}
	s.parts.noteLedger(err)
	if len(missed) < len(wanted) {
		return nil
	}
	return err
}

// regress makes a partition post again what the ledger has forgotten.
func (s *shipper) regress(p *partition, applied uint64) {
	s.opts.Log.Warn("ledger has forgotten records; posting them again", "root", p.Root, "had", p.applied, "has", applied)
	s.parts.lose(p)
	s.place(p, applied)
}

// place decides where to read on for a partition of which the ledger has so much.
func (s *shipper) place(p *partition, applied uint64) {
	e, from := s.locate(p.Partition, applied, s.parts.answer(p, applied))
	s.parts.move(p, e, from)
}

func (s *shipper) locate(of record.Partition, applied, head uint64) (event, journal.Position) {
	if applied >= head {
		return level, journal.Position{} // nothing to read again
	}
	at := s.main.Offset()
	segment, known := s.index.floor(of, applied)
	passed := !at.Before(journal.Position{Segment: segment}) && s.index.heads[of] > applied
	switch {
	case known && !passed:
		return level, journal.Position{} // the main reader has not come to it
	case known:
		return reread, journal.Position{Segment: segment}
	case applied == 0 && s.keep.heads[of] > 0:
		return restore, journal.Position{}
	}
	return search, journal.Position{}
}

// restore gives partitions of which the ledger has nothing the checkpoint's
// totals.
func (s *shipper) restore(ctx context.Context) error {
	parts := s.parts.where(func(p *partition) bool { return p.state == restoring })
	if len(parts) == 0 {
		return nil
	}
	wanted := make(map[record.Partition]bool)
	for _, p := range parts {
		wanted[p.Partition] = true
	}
	sums, heads, err := totals(s.log.Disk(), wanted)
	if err != nil {
		return err
	}
	missed, err := forEach(parts, func(p *partition) error {
		applied, err := s.send(ctx, &ledger.Batch{
			Writer: p.Writer, Epoch: s.epochOf(p.Writer), Root: p.Root,
			From: 1, To: heads[p.Partition], Totals: true, Postings: sums[p.Partition],
		})
		if err != nil {
			return s.refused(p, err)
		}
		s.opts.Log.Info("ledger rebuilt from the checkpoint", "root", p.Root, "records", applied)
		s.place(p, applied)
		return nil
	})
	s.parts.noteLedger(err)
	if len(missed) == len(parts) {
		return err
	}
	return nil
}

// catchUp reads again for the partitions that are behind, up to where the main
// reader is.
func (s *shipper) catchUp(ctx context.Context) error {
	active, from := s.parts.readAgain()
	if len(active) == 0 || s.opts.Now().Before(s.retryAt) || s.main.Offset() == (journal.Position{}) {
		return nil
	}
	r := journal.NewReader(s.log.Disk(), from)
	defer r.Close()
	r.Limit(s.main.Offset())
	s.retryAt = s.opts.Now().Add(s.retry.next())
	for ctx.Err() == nil && len(active) > 0 && !s.parts.fenced.Load() {
		c, err := s.read(r, func(p *partition, _ state) bool { _, is := active[p]; return is })
		if err != nil {
			return err
		}
		if c.records == 0 {
			s.retry.reset()
			s.retryAt = time.Time{}
			for p := range active {
				s.parts.on(p, caughtUp)
			}
			return nil
		}
		if err := s.post(ctx, c); err != nil {
			return err
		}
		s.parts.readTo(active, r.Offset())
	}
	return ctx.Err()
}

// backoff is a wait that doubles, with jitter so that many gateways do not
// return at once.
type backoff struct {
	now, most time.Duration
}

func (b *backoff) next() time.Duration {
	b.now = min(max(2*b.now, 100*time.Millisecond), b.most)
	return b.now/2 + rand.N(b.now/2+1)
}

func (b *backoff) nextAfter(err error) time.Duration {
	if err == nil {
		return 5 * time.Millisecond
	}
	return b.next()
}

func (b *backoff) reset() { b.now = 0 }

// workers is how many ledger calls a shipper has under way at once.
const workers = 8

// forEach calls do for all items, several at once. When the first calls all
// fail it gives up on the rest, so that a ledger that is away costs a few
// time-outs and not one per tenant. It returns the items that failed or were
// not tried, and the first error.
func forEach[T any](items []T, do func(T) error) ([]T, error) {
	var (
		mu       sync.Mutex
		wg       sync.WaitGroup
		failed   []T
		finished int
		first    error
	)
	hopeless := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(failed) >= workers && len(failed) == finished
	}
	slots := make(chan struct{}, workers)
	tried := 0
	for _, item := range items {
		slots <- struct{}{}
		if hopeless() {
			break
		}
		tried++
		wg.Go(func() {
			defer func() { <-slots }()
			err := do(item)
			mu.Lock()
			defer mu.Unlock()
			finished++
			if err == nil {
				return
			}
			failed = append(failed, item)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	return append(failed, items[tried:]...), first
}
