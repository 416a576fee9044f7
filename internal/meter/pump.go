package meter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

const (
	batchSize = 500  // postings per call
	chunkSize = 4000 // postings in memory at once
	indexSize = 64   // segments whose beginnings are remembered
)

// Why a root tenant's records are no longer posted. All of them stay in the
// journal.
var (
	errForgotten = errors.New("the ledger is behind the oldest record that the journal still has; rebuild it")
	errForeign   = errors.New("the ledger has numbers of this writer that the journal never gave out")
)

// pump posts the journal to the ledger. One reader goes through the journal for
// all partitions; a partition that the ledger could not take, or that it has forgotten
// something of, lags behind and is read again from where it stood. So memory is
// bounded whatever the ledger does: what waits, waits on disk.
type pump struct {
	opts Options
	log  *journal.Journal
	main *journal.Reader
	stop chan struct{}
	done chan struct{}
	// writer is this process; all others are past, and only read.
	writer  string
	epochs  map[string]uint64 // of past writers
	origins []journal.Origin
	// cancel breaks off the calls of run, so that drain need not wait for them.
	cancel context.CancelFunc

	// checkpoint are the partitions' heads at the end of segment through.
	checkpoint map[record.Partition]uint64
	through    uint64
	index      []beginning
	heads      map[record.Partition]uint64 // as the main reader has seen them
	retry      backoff                     // of lanes that lag
	retryAt    time.Time
	listened   int       // the root that had its turn
	deafUntil  time.Time // after a ledger that did not answer

	checkpoints chan checkpointResult // of the one being written, nil for none

	mu sync.Mutex
	// Guarded by mu. A track's other fields belong to the goroutine that works
	// on it; run hands it over.
	lanes       map[record.Partition]*track
	retired     map[string]record.Ending
	ledgerErr   error
	fenced      bool
	regressions int64
	looked      int64 // how many of them past writers' lanes were looked at for
	progressed  time.Time
	heard       map[string]bool // roots of which the ledger answered in this round
}

// track is how far one partition is posted.
type track struct {
	record.Partition
	applied uint64 // the ledger's watermark as far as known; guarded by pump.mu
	head    uint64 // highest number read from the journal; guarded by pump.mu
	stopped error  // why it is no longer posted; guarded by pump.mu
	placed  bool   // whether the ledger was asked
	lost    bool   // whether the ledger lacked what it had once; guarded by pump.mu
	rebuild bool   // whether it needs the checkpoint's totals first
	lagging bool   // whether it is read from a place of its own
	from    journal.Position
	// exact is whether all numbers from applied+1 on will be read, so that a
	// missing one is lost.
	exact bool
}

// beginning is how far each partition was when a segment began.
type beginning struct {
	segment uint64
	heads   map[record.Partition]uint64
}

type checkpointResult struct {
	through uint64
	heads   map[record.Partition]uint64
	err     error
}

// past is what the journal held when it was opened.
type past struct {
	*history
	checkpoint map[record.Partition]uint64 // the lanes' heads in the checkpoint
	origins    []journal.Origin
}

func newPump(opts Options, log *journal.Journal, h past) *pump {
	p := &pump{
		opts: opts, log: log, stop: make(chan struct{}), done: make(chan struct{}),
		writer: log.Identity().Writer, epochs: make(map[string]uint64), origins: h.origins,
		checkpoint: h.checkpoint, through: h.through, retry: backoff{most: opts.MaxWait},
		heads: make(map[record.Partition]uint64), lanes: make(map[record.Partition]*track), retired: h.retired,
		progressed: opts.Now(),
		heard:      make(map[string]bool),
	}
	p.main = journal.NewReader(log.Disk(), journal.Position{})
	if h.through > 0 {
		p.main = journal.NewReader(log.Disk(), journal.Position{Segment: h.through + 1})
	}
	for l, seq := range h.checkpoint {
		p.heads[l] = seq
	}
	for _, o := range h.origins {
		p.epochs[o.Writer] = max(p.epochs[o.Writer], o.Epoch)
	}
	p.noteBeginning(h.through + 1)
	for l, head := range h.heads {
		p.lanes[l] = &track{Partition: l, head: head}
		if h.retired[l.Writer] == record.Fenced {
			p.lanes[l].stopped = ledger.ErrFenced
		}
	}
	return p
}

// run posts until drain. tick is called before each round.
func (p *pump) run(ctx context.Context, tick func()) {
	defer close(p.done)
	failing := backoff{most: p.opts.MaxWait}
	wait := time.Duration(0)
	beat := p.opts.Now().Add(p.opts.Heartbeat)
	for p.sleep(wait) {
		tick()
		if now := p.opts.Now(); !now.Before(beat) {
			beat = now.Add(p.opts.Heartbeat)
			p.heartbeat(ctx)
		}
		wait = p.opts.Flush
		if err := p.pass(ctx); err != nil && ctx.Err() == nil {
			wait = failing.next()
			p.opts.Log.Warn("ledger does not answer; records wait in the journal", "error", err, "retry_in", wait)
		} else {
			failing.reset()
			p.listen(ctx)
		}
		p.maintain()
	}
}

func (p *pump) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.stop:
		return false
	case <-timer.C:
		return true
	}
}

// drain stops run and posts what is left, until the context ends.
func (p *pump) drain(ctx context.Context) error {
	close(p.stop)
	p.cancel()
	<-p.done
	failing := backoff{most: p.opts.MaxWait}
	defer p.finish()
	for {
		target := p.log.Written()
		err := p.pass(ctx)
		if err == nil {
			failing.reset()
		}
		if p.isFenced() || p.left() == 0 && p.allPlaced() && !p.main.Offset().Before(target) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d records wait in the journal for the next start: %w", p.left(), ctx.Err())
		case <-time.After(failing.nextAfter(err)):
		}
		p.retry, p.retryAt = backoff{most: p.opts.MaxWait}, time.Time{}
	}
}

func (p *pump) finish() {
	if p.checkpoints != nil {
		p.takeCheckpoint(<-p.checkpoints)
	}
	p.main.Close()
}

// left is how many records can still be posted.
func (p *pump) left() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n uint64
	for _, t := range p.lanes {
		if t.stopped == nil && !p.fenced && t.head > t.applied {
			n += t.head - t.applied
		}
	}
	return n
}

func (p *pump) applied(l record.Partition) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.lanes[l]; t != nil {
		return t.applied
	}
	return 0
}

// allPosted reports whether the ledger has every number of every writer that
// was not fenced; a partition that stopped counts too.
func (p *pump) allPosted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.lanes {
		if t.head > t.applied && p.retired[t.Writer] != record.Fenced {
			return false
		}
	}
	return true
}

// pass posts all that is durable. It fails when nothing could be posted.
func (p *pump) pass(ctx context.Context) error {
	if p.isFenced() {
		return nil
	}
	p.placePast()
	if err := p.place(ctx); err != nil {
		return err
	}
	if err := p.rebuild(ctx); err != nil {
		return err
	}
	if err := p.catchUp(ctx); err != nil {
		return err
	}
	p.main.Limit(p.log.Synced())
	for ctx.Err() == nil && !p.isFenced() {
		c, err := p.take(p.main, func(t *track) bool { return t.placed && !t.lagging && !t.rebuild })
		if err != nil || c.records == 0 {
			return err
		}
		if err := p.post(ctx, c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// chunk is what was read for each partition.
type chunk struct {
	runs    map[*track]*run
	records int // read, wanted or not
}

// run is consecutive postings of a partition.
type run struct {
	at       journal.Position // of the first
	postings []record.Posting
}

// take reads the next postings of the partitions that are wanted.
func (p *pump) take(r *journal.Reader, want func(*track) bool) (chunk, error) {
	c := chunk{runs: make(map[*track]*run)}
	for kept := 0; kept < chunkSize && c.records < 8*chunkSize && r.Next(); c.records++ {
		if r == p.main {
			p.noteBeginning(r.At().Segment)
		}
		if !record.Posts(r.Kind()) {
			continue
		}
		posting, _, err := record.ReadPosting(r.Payload())
		if err != nil {
			return c, fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
		if posting.Root == "" {
			continue
		}
		if journal.IsEstate(r.Writer()) {
			if posting.Holder, err = record.ReadHolder(r.Payload()); err != nil {
				return c, fmt.Errorf("journal record at %s: %w", r.At(), err)
			}
		}
		t := p.track(record.Partition{Writer: r.Writer(), Root: posting.Root}, posting.Seq)
		if r == p.main {
			p.heads[t.Partition] = max(p.heads[t.Partition], posting.Seq)
		}
		if t.stopped != nil || !want(t) {
			continue
		}
		if c.runs[t] == nil {
			c.runs[t] = &run{at: r.At()}
		}
		c.runs[t].postings = append(c.runs[t].postings, posting)
		kept++
	}
	return c, r.Err()
}

// track returns the partition's track, and makes it when this is its first posting.
func (p *pump) track(l record.Partition, seq uint64) *track {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.lanes[l]
	if t == nil {
		t = &track{Partition: l, placed: true, exact: true}
		p.lanes[l] = t
	}
	t.head = max(t.head, seq)
	return t
}

// post posts the partitions of a chunk. Those that fail lag from there on; when all
// fail, so does post.
func (p *pump) post(ctx context.Context, c chunk) error {
	if len(c.runs) == 0 {
		return nil
	}
	tracks := slices.Collect(maps.Keys(c.runs))
	failed, err := forEach(tracks, func(t *track) error { return p.apply(ctx, t, c.runs[t].postings) })
	for _, t := range failed {
		t.lagging, t.from = true, c.runs[t].at
	}
	p.noteLedger(err)
	if len(failed) == len(tracks) {
		return err
	}
	return nil
}

// apply posts a partition's postings in batches until the ledger has them. An error
// means that the outcome is unknown and that the same should be tried again.
func (p *pump) apply(ctx context.Context, t *track, postings []record.Posting) error {
	for {
		for len(postings) > 0 && postings[0].Seq <= t.applied {
			postings, t.exact = postings[1:], true
		}
		if len(postings) == 0 {
			return nil
		}
		if postings[0].Seq > t.applied+1 && !t.exact {
			p.halt(t, errForgotten)
			return nil
		}
		b := p.nextBatch(t, postings)
		applied, err := p.send(ctx, b)
		switch {
		case err != nil:
			return p.refused(t, err)
		case applied < t.applied:
			p.regress(t, applied)
			return nil
		case applied > max(t.head, b.To) && t.Writer == p.writer:
			p.halt(t, errForeign)
			return nil
		case applied == t.applied:
			return fmt.Errorf("ledger took nothing of numbers %d to %d of %s", b.From, b.To, t.Root)
		}
		p.advance(t, applied)
	}
}

// nextBatch is the numbers behind the watermark, with those that are missing in
// the journal filled up.
func (p *pump) nextBatch(t *track, postings []record.Posting) *ledger.Batch {
	b := &ledger.Batch{Writer: t.Writer, Epoch: p.epochOf(t.Writer), Root: t.Root, From: t.applied + 1}
	next := b.From
	for i := 0; i < len(postings) && len(b.Postings) < batchSize; next++ {
		if postings[i].Seq < next { // a copy
			i++
			next--
			continue
		}
		if postings[i].Seq > next {
			b.Postings = append(b.Postings, record.Lost(t.Root, next, postings[i].Row.Hour))
			continue
		}
		b.Postings = append(b.Postings, postings[i])
		i++
	}
	b.To, b.Holder = next-1, b.Postings[0].Holder
	return b
}

// epochOf is the epoch that a writer wrote under. Whoever posts its records does
// so under that one: processes on copies of the journal do not fence each other.
func (p *pump) epochOf(writer string) uint64 {
	return max(p.epochs[writer], p.log.Identity().Epoch)
}

func (p *pump) send(ctx context.Context, b *ledger.Batch) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	p.opts.Crash.At(ApplySent)
	applied, err := ledger.Exchange(ctx, p.opts.Ledger, p.opts.Board, b)
	if err == nil {
		p.hear(b.Root)
	}
	p.opts.Crash.At(ApplyReply)
	return applied, err
}

// refused handles an error of the ledger, and returns it when trying again may
// help.
func (p *pump) refused(t *track, err error) error {
	switch {
	case errors.Is(err, ledger.ErrFenced) && t.Writer == p.writer:
		p.fence(t)
		return nil
	case errors.Is(err, ledger.ErrFenced), errors.Is(err, ledger.ErrBadBatch):
		p.halt(t, err)
		return nil
	}
	return err
}

func (p *pump) advance(t *track, applied uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.applied = applied
	p.progressed = p.opts.Now()
}

// halt stops a partition. Its records stay in the journal.
func (p *pump) halt(t *track, why error) {
	p.opts.Log.Error("records are no longer posted",
		"root", t.Root, "writer", t.Writer, "applied", t.applied, "error", why)
	p.mu.Lock()
	defer p.mu.Unlock()
	t.stopped = why
}

// fence stops everything: another process posts as this writer, although each
// draws an identity of its own. The record of it keeps the next start from
// posting what may have the other's numbers.
func (p *pump) fence(t *track) {
	p.mu.Lock()
	first := !p.fenced
	p.fenced = true
	p.mu.Unlock()
	if !first {
		return
	}
	p.opts.Log.Error("fenced: another process posts as this writer; records stay in the journal", "writer", t.Writer)
	end := record.AppendRetire(nil, t.Writer, record.Fenced)
	if _, err := p.log.Append(record.KindRetire, end, journal.Reserved); err != nil {
		p.opts.Log.Error("fencing cannot be journalled", "error", err)
	}
}

func (p *pump) isFenced() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fenced
}

func (p *pump) noteLedger(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ledgerErr = err
}
