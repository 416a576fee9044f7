package meter

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// place asks the ledger how far the partitions are that it was not asked about yet:
// first those of writers that segments still name, because they are few and
// borrowing waits for them.
func (p *pump) place(ctx context.Context) error {
	got := func(t *track, applied uint64) {
		p.seek(t, applied)
		p.mu.Lock()
		defer p.mu.Unlock()
		t.placed = true
	}
	if err := p.ask(ctx, func(t *track) bool { return !t.placed && p.recent(t.Writer) }, got); err != nil {
		return err
	}
	return p.ask(ctx, func(t *track) bool { return !t.placed }, got)
}

// recent reports whether a segment names the writer.
func (p *pump) recent(writer string) bool { return p.epochs[writer] > 0 }

// heartbeat looks whether the ledger still has what it once confirmed: after a
// failover or a restore it may not.
func (p *pump) heartbeat(ctx context.Context) {
	if p.isFenced() {
		return
	}
	probes := 0
	posted := func(t *track) bool {
		if !t.placed || t.rebuild || t.applied == 0 {
			return false
		}
		if t.Writer == p.writer || t.head > t.applied {
			return true
		}
		probes++
		return probes <= maxProbes
	}
	err := p.ask(ctx, posted, func(t *track, applied uint64) {
		switch {
		case applied < t.applied:
			p.regress(t, applied)
		case applied > t.head && t.Writer == p.writer:
			p.halt(t, errForeign)
		}
	})
	if err != nil {
		p.opts.Log.Debug("ledger cannot be asked", "error", err) // posting will say so
	}
}

// maxProbes is how many partitions of past writers a heartbeat looks at. There may be
// many, and what loses one of them has mostly lost others as well.
const maxProbes = 16

// placePast makes the partitions of past writers be asked for again when the ledger
// has lost something since the last time.
func (p *pump) placePast() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.regressions == p.looked {
		return
	}
	p.looked = p.regressions
	for _, t := range p.lanes {
		if t.Writer != p.writer && !t.rebuild && !t.lagging {
			t.placed = false
		}
	}
}

// allPlaced reports whether every partition was asked for since the last loss.
func (p *pump) allPlaced() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.lanes {
		if !t.placed && t.stopped == nil {
			return false
		}
	}
	return p.regressions == p.looked
}

// ask reads the watermarks of the partitions that are wanted. It fails when all
// calls do.
func (p *pump) ask(ctx context.Context, want func(*track) bool, got func(*track, uint64)) error {
	var wanted []*track
	p.mu.Lock()
	for _, t := range p.lanes {
		if t.stopped == nil && want(t) {
			wanted = append(wanted, t)
		}
	}
	p.mu.Unlock()
	failed, err := forEach(wanted, func(t *track) error {
		ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
		defer cancel()
		applied, err := p.opts.Ledger.Watermark(ctx, t.Writer, t.Root)
		if err == nil {
			got(t, applied)
		}
		return err
	})
	if len(failed) == 0 {
		return nil
	}
	p.noteLedger(err)
	if len(failed) < len(wanted) {
		return nil
	}
	return err
}

// regress makes a partition post again what the ledger has forgotten.
func (p *pump) regress(t *track, applied uint64) {
	p.opts.Log.Warn("ledger has forgotten records; posting them again", "root", t.Root, "had", t.applied, "has", applied)
	p.mu.Lock()
	p.regressions++
	t.lost = true
	p.mu.Unlock()
	p.seek(t, applied)
}

// seek finds where to read on for a partition of which the ledger has so much.
func (p *pump) seek(t *track, applied uint64) {
	p.mu.Lock()
	t.applied = applied
	head := t.head
	t.lost = t.lost || applied < head && p.retired[t.Writer] == record.Settled
	if applied > head && t.Writer == p.writer {
		t.stopped = errForeign
	}
	p.mu.Unlock()
	t.lagging, t.rebuild, t.exact = false, false, true
	segment, known := p.floor(t.Partition, applied)
	switch {
	case applied >= head:
		return // nothing to read again
	case known && p.main.Offset().Before(journal.Position{Segment: segment + 1}):
		if p.main.Offset().Segment < segment || p.heads[t.Partition] <= applied {
			return // the main reader has not passed it
		}
		fallthrough
	case known:
		t.lagging, t.from = true, journal.Position{Segment: segment}
	case applied == 0 && p.checkpoint[t.Partition] > 0:
		t.rebuild = true
	default:
		t.lagging, t.from, t.exact = true, journal.Position{}, false
	}
}

// floor returns the latest segment that begins at or before the number behind
// applied.
func (p *pump) floor(l record.Partition, applied uint64) (uint64, bool) {
	for i := len(p.index) - 1; i >= 0; i-- {
		if p.index[i].heads[l] <= applied {
			return p.index[i].segment, true
		}
	}
	return 0, false
}

func (p *pump) noteBeginning(segment uint64) {
	if n := len(p.index); n > 0 && p.index[n-1].segment >= segment {
		return
	}
	p.index = append(p.index, beginning{segment, maps.Clone(p.heads)})
	if len(p.index) > indexSize {
		p.index = append(p.index[:0], p.index[1:]...)
	}
}

// rebuild gives partitions of which the ledger has nothing the checkpoint's totals.
func (p *pump) rebuild(ctx context.Context) error {
	wanted := make(map[record.Partition]bool)
	var tracks []*track
	p.mu.Lock()
	for l, t := range p.lanes {
		if t.rebuild && t.stopped == nil {
			wanted[l], tracks = true, append(tracks, t)
		}
	}
	p.mu.Unlock()
	if len(wanted) == 0 {
		return nil
	}
	sums, heads, err := totals(p.log.Disk(), wanted)
	if err != nil {
		return err
	}
	failed, err := forEach(tracks, func(t *track) error {
		b := &ledger.Batch{
			Writer: t.Writer, Epoch: p.epochOf(t.Writer), Root: t.Root,
			From: 1, To: heads[t.Partition], Totals: true, Postings: sums[t.Partition],
		}
		applied, err := p.send(ctx, b)
		if err != nil {
			return p.refused(t, err)
		}
		p.opts.Log.Info("ledger rebuilt from the checkpoint", "root", t.Root, "records", applied)
		p.seek(t, applied)
		return nil
	})
	p.noteLedger(err)
	if len(failed) == len(tracks) {
		return err
	}
	return nil
}

// catchUp reads again for the partitions that lag, up to where the main reader is.
func (p *pump) catchUp(ctx context.Context) error {
	active, from := p.laggards()
	if len(active) == 0 || p.opts.Now().Before(p.retryAt) {
		return nil
	}
	if p.main.Offset() == (journal.Position{}) {
		return nil // nothing was read yet
	}
	r := journal.NewReader(p.log.Disk(), from)
	defer r.Close()
	r.Limit(p.main.Offset())
	p.retryAt = p.opts.Now().Add(p.retry.next())
	for ctx.Err() == nil && len(active) > 0 && !p.isFenced() {
		for t := range active {
			t.lagging = false // post sets it again for those that fail
		}
		c, err := p.take(r, func(t *track) bool { return active[t] })
		if err != nil {
			p.relapse(active)
			return err
		}
		if c.records == 0 {
			p.retry.reset()
			p.retryAt = time.Time{}
			return nil
		}
		err = p.post(ctx, c)
		for t := range c.runs {
			if t.lagging || t.rebuild {
				delete(active, t)
			}
		}
		if err != nil {
			p.relapse(active)
			return err
		}
		for t := range active {
			t.lagging, t.from = true, r.Offset()
		}
	}
	p.relapse(active)
	return ctx.Err()
}

// relapse makes partitions whose reading was broken off lag where they stand.
func (p *pump) relapse(active map[*track]bool) {
	for t := range active {
		t.lagging = true
	}
}

// laggards returns the partitions that lag and the first place to read from.
func (p *pump) laggards() (map[*track]bool, journal.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	active := make(map[*track]bool)
	var from journal.Position
	for _, t := range p.lanes {
		if !t.lagging || t.stopped != nil {
			continue
		}
		if len(active) == 0 || t.from.Before(from) {
			from = t.from
		}
		active[t] = true
	}
	return active, from
}

// maintain writes a checkpoint when a segment is complete, and lets go of the
// segments that nobody needs.
func (p *pump) maintain() {
	if p.checkpoints != nil {
		select {
		case done := <-p.checkpoints:
			p.takeCheckpoint(done)
		default:
		}
		return
	}
	at := p.main.Offset().Segment
	if at < p.through+2 {
		return
	}
	p.checkpoints = make(chan checkpointResult, 1)
	go func(done chan<- checkpointResult) {
		heads, err := writeCheckpoint(p.log, at-1, p.opts.Now())
		done <- checkpointResult{at - 1, heads, err}
	}(p.checkpoints)
}

func (p *pump) takeCheckpoint(c checkpointResult) {
	p.checkpoints = nil
	if c.err != nil {
		p.opts.Log.Error("checkpoint cannot be written", "error", c.err)
		return
	}
	p.checkpoint, p.through = c.heads, c.through
	below := p.needed()
	n, err := p.log.Drop(below, p.opts.Now().Add(-p.opts.Keep))
	if err != nil {
		p.opts.Log.Error("old segments cannot be removed", "error", err)
	}
	if n == 0 {
		return
	}
	oldest, err := journal.Segments(p.log.Disk())
	for err == nil && len(p.index) > 0 && len(oldest) > 0 && p.index[0].segment < oldest[0] {
		p.index = p.index[1:]
	}
}

// needed is the first segment that must stay: the checkpoint does not cover it,
// or a partition has to be read from it.
func (p *pump) needed() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.through + 1
	for _, t := range p.lanes {
		if p.retired[t.Writer] == record.Fenced {
			continue
		}
		if t.applied >= t.head && (t.placed || t.stopped != nil) {
			continue
		}
		if !t.placed || t.rebuild || t.stopped != nil {
			return 0
		}
		segment, ok := p.floor(t.Partition, t.applied)
		if !ok {
			return 0
		}
		first = min(first, segment)
	}
	return first
}

// workers is how many ledger calls a pump has under way at once.
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
