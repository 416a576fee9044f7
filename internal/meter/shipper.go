package meter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

const (
	batchSize = 500  // postings per call
	chunkSize = 4000 // postings in memory at once
)

// Why a root tenant's records are no longer posted. All of them stay in the
// journal.
var (
	errForgotten = errors.New("the ledger is behind the oldest record that the journal still has; rebuild it")
	errForeign   = errors.New("the ledger has numbers of this writer that the journal never gave out")
)

// shipper posts the journal to the ledger. One reader goes through the journal
// for all partitions; a partition that the ledger could not take, or of which it
// has forgotten something, is read again from where it was. So memory is bounded
// whatever the ledger does: what waits, waits on disk.
type shipper struct {
	opts    Options
	log     *journal.Journal
	parts   *partitions
	main    *journal.Reader
	index   index
	keep    retention
	roots   listener
	chunk   chunk             // what was read last; its memory is used again
	epochs  map[string]uint64 // of the writers that segments name
	origins []journal.Origin

	retry   backoff // of partitions that are read again
	retryAt time.Time

	stop, done chan struct{}
	// cancel breaks off the calls of run, so that drain need not wait for them.
	cancel context.CancelFunc
}

// past is what the journal held when it was opened.
type past struct {
	*history
	checkpoint map[record.Partition]uint64 // the partitions' heads in the checkpoint
	origins    []journal.Origin
}

func newShipper(opts Options, log *journal.Journal, h past) *shipper {
	s := &shipper{
		opts: opts, log: log, parts: newPartitions(log.Identity().Writer, opts.Now, h.history),
		index:  newIndex(h.through, h.checkpoint),
		keep:   retention{opts: opts, journal: log, heads: h.checkpoint, through: h.through},
		epochs: make(map[string]uint64), origins: h.origins, chunk: chunk{runs: make(map[*partition]*run)},
		retry: backoff{most: opts.MaxWait}, stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.main = journal.NewReader(log.Disk(), behindCheckpoint(h.through))
	for _, o := range h.origins {
		s.epochs[o.Writer] = max(s.epochs[o.Writer], o.Epoch)
	}
	return s
}

// run posts until drain. tick is called before each round.
func (s *shipper) run(ctx context.Context, tick func()) {
	defer close(s.done)
	failing := backoff{most: s.opts.MaxWait}
	wait := time.Duration(0)
	beat := s.opts.Now().Add(s.opts.Heartbeat)
	for s.sleep(wait) {
		tick()
		if now := s.opts.Now(); !now.Before(beat) {
			beat = now.Add(s.opts.Heartbeat)
			s.heartbeat(ctx)
		}
		wait = s.opts.Flush
		if err := s.pass(ctx); err != nil && ctx.Err() == nil {
			wait = failing.next()
			s.opts.Log.Warn("ledger does not answer; records wait in the journal", "error", err, "retry_in", wait)
		} else {
			failing.reset()
			s.listen(ctx)
		}
		if s.keep.maintain(s.main.Offset().Segment) {
			s.dropSegments()
		}
	}
}

func (s *shipper) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.stop:
		return false
	case <-timer.C:
		return true
	}
}

// drain stops run and posts what is left, until the context ends.
func (s *shipper) drain(ctx context.Context) error {
	close(s.stop)
	s.cancel()
	<-s.done
	failing := backoff{most: s.opts.MaxWait}
	defer s.finish()
	for {
		target := s.log.Written()
		err := s.pass(ctx)
		if err == nil {
			failing.reset()
		}
		if s.parts.fenced.Load() || s.parts.left() == 0 && s.parts.allAsked() && !s.main.Offset().Before(target) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d records wait in the journal for the next start: %w", s.parts.left(), ctx.Err())
		case <-time.After(failing.nextAfter(err)):
		}
		s.retry, s.retryAt = backoff{most: s.opts.MaxWait}, time.Time{}
	}
}

func (s *shipper) finish() {
	if s.keep.finish() {
		s.dropSegments()
	}
	s.main.Close()
}

// dropSegments removes the segments that the new checkpoint covers.
func (s *shipper) dropSegments() {
	s.index.dropBefore(s.keep.drop(s.parts.needed(s.keep.through, s.index.floor)))
}

// pass posts all that is durable. It fails when nothing could be posted.
func (s *shipper) pass(ctx context.Context) error {
	if s.parts.fenced.Load() {
		return nil
	}
	s.parts.doubtPast()
	for _, step := range []func(context.Context) error{s.askNew, s.restore, s.catchUp} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.main.Limit(s.log.Synced())
	for ctx.Err() == nil && !s.parts.fenced.Load() {
		c, err := s.read(s.main, func(_ *partition, is state) bool { return is == following })
		if err != nil || c.records == 0 {
			return err
		}
		if err := s.post(ctx, c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// chunk is what was read for each partition.
type chunk struct {
	runs    map[*partition]*run
	records int    // read, wanted or not
	spare   []*run // emptied, with room for so many postings in all
	room    int
	decoder record.Decoder // of all postings in runs
	posting record.Posting // that is being read
}

// run is consecutive postings of a partition.
type run struct {
	at       journal.Position // of the first
	postings []record.Posting
}

// maxSpare is for how many postings a chunk keeps memory, about a megabyte.
const maxSpare = 4 * batchSize

// clear empties the chunk. The ledger has answered or failed by then, so nobody
// else has what was in it.
func (c *chunk) clear() {
	for p, r := range c.runs {
		if c.room+cap(r.postings) <= maxSpare {
			clear(r.postings)
			r.postings = r.postings[:0]
			c.spare = append(c.spare, r)
			c.room += cap(r.postings)
		}
		delete(c.runs, p)
	}
	c.records = 0
	c.decoder.Forget()
}

// add adds a posting that was read at a place to those of its partition.
func (c *chunk) add(p *partition, at journal.Position, posting *record.Posting) {
	r := c.runs[p]
	if r == nil {
		if n := len(c.spare); n > 0 {
			r, c.spare = c.spare[n-1], c.spare[:n-1]
			c.room -= cap(r.postings)
		} else {
			r = &run{}
		}
		r.at = at
		c.runs[p] = r
	}
	r.postings = append(r.postings, *posting)
}

// read reads the next postings of the partitions that are wanted. They are valid
// until the next call.
func (s *shipper) read(r *journal.Reader, want func(*partition, state) bool) (*chunk, error) {
	c := &s.chunk
	c.clear()
	for kept := 0; kept < chunkSize && c.records < 8*chunkSize && r.Next(); c.records++ {
		if r == s.main {
			s.index.begin(r.At().Segment)
		}
		posting := &c.posting
		if err := c.postingOf(r); err != nil {
			return c, fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
		if posting.Root == "" {
			continue
		}
		p, is := s.parts.read(record.Partition{Writer: r.Writer(), Root: posting.Root}, posting.Seq)
		if r == s.main {
			s.index.heads[p.Partition] = max(s.index.heads[p.Partition], posting.Seq)
		}
		if is == stopped || !want(p, is) {
			continue
		}
		c.add(p, r.At(), posting)
		kept++
	}
	return c, r.Err()
}

// postingOf reads what the record adds to the counters; without a root it adds
// nothing.
func (c *chunk) postingOf(r *journal.Reader) error {
	p := &c.posting
	if !record.Posts(r.Kind()) {
		p.Root = ""
		return nil
	}
	_, err := c.decoder.Posting(r.Payload(), p)
	if err == nil && p.Root != "" && journal.IsRecovery(r.Writer()) {
		p.Holder, err = record.ReadHolder(r.Payload())
	}
	return err
}

// post posts a chunk. Partitions that fail are read again from there on; when all
// fail, so does post.
func (s *shipper) post(ctx context.Context, c *chunk) error {
	if len(c.runs) == 0 {
		return nil
	}
	parts := slices.Collect(maps.Keys(c.runs))
	missed, err := forEach(parts, func(p *partition) error { return s.apply(ctx, p, c.runs[p].postings) })
	for _, p := range missed {
		s.parts.move(p, failed, c.runs[p].at)
	}
	s.parts.noteLedger(err)
	if len(missed) == len(parts) {
		return err
	}
	return nil
}

// apply posts a partition's postings in batches until the ledger has them. An
// error means that the outcome is unknown and that the same should be tried again.
func (s *shipper) apply(ctx context.Context, p *partition, postings []record.Posting) error {
	for {
		n := slices.IndexFunc(postings, func(one record.Posting) bool { return one.Seq > p.applied })
		if n != 0 {
			s.parts.on(p, found)
		}
		if n < 0 {
			return nil
		}
		postings = postings[n:]
		if postings[0].Seq > p.applied+1 && p.state == searching {
			s.halt(p, errForgotten)
			return nil
		}
		b := s.nextBatch(p, postings)
		applied, err := s.send(ctx, b)
		switch {
		case err != nil:
			return s.refused(p, err)
		case applied < p.applied:
			s.regress(p, applied)
			return nil
		case applied > max(p.head, b.To) && p.Writer == s.parts.writer:
			s.halt(p, errForeign)
			return nil
		case applied == p.applied:
			return fmt.Errorf("ledger took nothing of numbers %d to %d of %s", b.From, b.To, p.Root)
		}
		s.parts.advance(p, applied)
	}
}

// nextBatch is the numbers behind the watermark, with those that are missing in
// the journal filled up. Where none is, it is a part of the postings.
func (s *shipper) nextBatch(p *partition, postings []record.Posting) *ledger.Batch {
	b := &ledger.Batch{Writer: p.Writer, Epoch: s.epochOf(p.Writer), Root: p.Root, From: p.applied + 1}
	n := 0
	for n < min(len(postings), batchSize) && postings[n].Seq == b.From+uint64(n) {
		n++
	}
	b.Postings = postings[:n:n]
	if n < min(len(postings), batchSize) {
		b.Postings = filled(p.Root, b.From, postings)
	}
	b.To, b.Holder = p.applied+uint64(len(b.Postings)), b.Postings[0].Holder
	return b
}

// filled is the postings of a batch from a number on, without copies, and with
// what is missing counted as lost.
func filled(root string, next uint64, postings []record.Posting) []record.Posting {
	var batch []record.Posting
	for i := 0; i < len(postings) && len(batch) < batchSize; {
		switch one := postings[i]; {
		case one.Seq < next: // a copy
			i++
			continue
		case one.Seq > next:
			batch = append(batch, record.Lost(root, next, one.Row.Hour))
		default:
			batch = append(batch, one)
			i++
		}
		next++
	}
	return batch
}

// epochOf is the epoch that a writer wrote under. Whoever posts its records does
// so under that one: processes on copies of the journal do not fence each other.
func (s *shipper) epochOf(writer string) uint64 {
	return max(s.epochs[writer], s.log.Identity().Epoch)
}

func (s *shipper) send(ctx context.Context, b *ledger.Batch) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	s.opts.Crash.At(ApplySent)
	applied, err := ledger.Exchange(ctx, s.opts.Ledger, s.opts.Board, b)
	if err == nil {
		s.roots.hear(b.Root)
	}
	s.opts.Crash.At(ApplyReply)
	return applied, err
}

// listen sends empty batches for roots of which this round brought no answer, in
// turn, for the facts in the reply. When the ledger does not answer, it is left
// alone until the next heartbeat.
func (s *shipper) listen(ctx context.Context) {
	if s.opts.Listen == nil || s.parts.fenced.Load() || s.opts.Now().Before(s.roots.deafUntil) {
		return
	}
	_, err := forEach(s.roots.turn(s.opts.Listen()), func(root string) error {
		ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
		b := &ledger.Batch{Writer: s.parts.writer, Root: root}
		_, err := ledger.Exchange(ctx, s.opts.Ledger, s.opts.Board, b)
		return err
	})
	if err != nil {
		s.roots.deafUntil = s.opts.Now().Add(s.opts.Heartbeat)
		s.opts.Log.Debug("ledger cannot be asked", "error", err) // posting will say so
	}
}

// refused handles an error of the ledger, and returns it when trying again may
// help.
func (s *shipper) refused(p *partition, err error) error {
	switch {
	case errors.Is(err, ledger.ErrFenced) && p.Writer == s.parts.writer:
		s.fence()
		return nil
	case errors.Is(err, ledger.ErrFenced), errors.Is(err, ledger.ErrBadBatch):
		s.halt(p, err)
		return nil
	}
	return err
}

// halt stops a partition. Its records stay in the journal.
func (s *shipper) halt(p *partition, why error) {
	s.opts.Log.Error("records are no longer posted",
		"root", p.Root, "writer", p.Writer, "applied", p.applied, "error", why)
	s.parts.stop(p, why)
}

// fence stops everything: another process posts as this writer, although each
// draws an identity of its own. The record of it keeps the next start from
// posting what may have the other's numbers.
func (s *shipper) fence() {
	if s.parts.fenced.Swap(true) {
		return
	}
	writer := s.parts.writer
	s.opts.Log.Error("fenced: another process posts as this writer; records stay in the journal", "writer", writer)
	kind, end := record.Encode(&record.Retirement{Writer: writer, How: record.Fenced})
	if _, err := s.log.Append(kind, end, journal.Reserved); err != nil {
		s.opts.Log.Error("fencing cannot be journalled", "error", err)
	}
}

// recent reports whether a segment names the writer.
func (s *shipper) recent(writer string) bool { return s.epochs[writer] > 0 }
