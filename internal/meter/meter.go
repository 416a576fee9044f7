package meter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/gossip"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// Options say how a meter works. Disk and Ledger are needed; the other zero
// values take the defaults.
type Options struct {
	Disk    journal.Disk
	Journal journal.Options // its Stamper and Now are set by Open
	Keep    time.Duration   // how long applied segments stay, default 72h
	Ledger  ledger.Ledger
	Now     func() time.Time
	Log     *slog.Logger

	Flush     time.Duration // between batches, default 50ms
	Heartbeat time.Duration // between looks at the watermarks, default 2s
	Timeout   time.Duration // of one ledger call, default 2s
	MaxWait   time.Duration // longest wait after a ledger failure, default 5s

	// Board has the facts to send to other gateways and receives theirs; nil has no
	// part in gossip.
	Board *gossip.Board
	// Listen returns root tenants of which the ledger is asked, two per Flush in
	// turn, when nothing is posted to them: its replies bring facts. The slice is
	// not changed. Nil listens to none.
	Listen func() []string

	Crash Crash // for fault tests; nil does nothing
}

// Meter journals usage records and posts them to a ledger. Its methods may be
// called concurrently.
type Meter struct {
	opts Options
	log  *journal.Journal
	seq  *sequence
	ship *shipper
	bufs sync.Pool

	recovered Recovered

	mu   sync.Mutex
	late [][]byte // ENDs that found no room on the disk yet
	// dropped counts the ENDs of which there were too many to keep.
	dropped int64
}

// maxLate bounds the ENDs that wait in memory for a disk. While the journal is
// at fault no call starts, so it bounds calls in flight.
const maxLate = 50_000

// Recovered is what Open found.
type Recovered struct {
	TornBytes int64            // of a record that was being written
	Damage    []journal.Damage // of what should have been whole
	Lost      int64            // numbers of damaged records, posted as unknown
	Unknown   int              // STARTs without END, now in suspense
	// Gaps are what the ledger has of dead processes and this journal has not.
	Gaps []Gap
}

// Gap is numbers of a writer that a ledger has and this journal does not: the
// disk lost them, or the directory is an older copy.
type Gap struct {
	Writer, Root     string
	Journal, Applied uint64 // last sequence numbers
}

// Open recovers the journal and starts posting. The ledger may be away.
func Open(ctx context.Context, opts Options) (*Meter, error) {
	m := &Meter{opts: withDefaults(opts), seq: &sequence{}}
	m.bufs.New = func() any { return new([]byte) }
	jo := m.opts.Journal
	jo.Stamper, jo.Now = m.seq, m.opts.Now
	log, err := journal.Open(m.opts.Disk, jo)
	if err != nil {
		return nil, err
	}
	m.log = log
	if err := m.recover(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("recover the journal: %w", err), log.Close())
	}
	ctx, m.ship.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go m.ship.run(ctx, m.storeLate)
	return m, nil
}

func withDefaults(o Options) Options {
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&o.Keep, 72 * time.Hour}, {&o.Flush, 50 * time.Millisecond}, {&o.Heartbeat, 2 * time.Second},
		{&o.Timeout, 2 * time.Second}, {&o.MaxWait, 5 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// recover replays the journal and books what was in flight as unknown.
func (m *Meter) recover(ctx context.Context) error {
	h := newHistory()
	if err := h.loadCheckpoint(m.log.Disk()); err != nil {
		return err
	}
	checkpoint := make(map[record.Partition]uint64, len(h.heads))
	for l, seq := range h.heads {
		checkpoint[l] = seq
	}
	if err := h.read(m.log.Disk(), journal.Position{}); err != nil {
		return err
	}
	found := m.log.Recovered()
	m.recovered = Recovered{TornBytes: found.TornBytes, Damage: h.damage, Lost: h.lost}
	for _, d := range h.damage {
		m.opts.Log.Error("journal is damaged", "damage", d.String())
		if err := m.quarantine(d); err != nil {
			return err
		}
	}
	m.findGaps(ctx, h)
	if err := m.bookUnknown(h); err != nil {
		return err
	}
	m.seq.reset(m.log.Identity().Writer, h.heads)
	origins, err := journal.Origins(m.log.Disk())
	if err != nil {
		return err
	}
	if r := &m.recovered; r.TornBytes > 0 || r.Unknown > 0 || r.Lost > 0 {
		m.opts.Log.Warn("the last run did not end in order",
			"torn_bytes", r.TornBytes, "unknown_attempts", r.Unknown, "lost_numbers", r.Lost)
	}
	m.ship = newShipper(m.opts, m.log, past{h, checkpoint, origins})
	return nil
}

func (m *Meter) quarantine(d journal.Damage) error {
	if d.Missing {
		return nil
	}
	return m.log.Quarantine(d.At.Segment)
}

// findGaps says of which dead processes the ledger knows more than the journal
// does. Nothing has to be done about it: no number of theirs is ever used again.
func (m *Meter) findGaps(ctx context.Context, h *history) {
	for l, head := range h.heads {
		if h.retired[l.Writer] != 0 || journal.IsEstate(l.Writer) {
			continue
		}
		askCtx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
		applied, err := m.opts.Ledger.Watermark(askCtx, l.Writer, l.Root)
		cancel()
		if err != nil {
			m.opts.Log.Warn("ledger cannot be asked", "error", err)
			return
		}
		if applied > head {
			m.recovered.Gaps = append(m.recovered.Gaps, Gap{l.Writer, l.Root, head, applied})
		}
	}
	if len(m.recovered.Gaps) > 0 {
		m.opts.Log.Error("the ledger has records that the journal lacks: the disk lost them, or the directory is a copy",
			"gaps", m.recovered.Gaps)
	}
}

// bookUnknown ends the attempts that were in flight when the process died. They
// count in the hour in which they began.
//
// They are the dead process's estate: processes on copies of the journal find
// the same attempts and make the same records of them, in the same order, under
// the same writer, so that the ledger takes them once. So no price book is
// asked, of which each process may have another. A process that dies over
// this leaves the rest to the next one, which goes on under that writer.
func (m *Meter) bookUnknown(h *history) error {
	if len(h.open) == 0 {
		return nil
	}
	var records [][]byte
	for _, id := range slices.Sorted(maps.Keys(h.open)) {
		s, err := record.ReadStart(h.open[id])
		if err != nil {
			return err
		}
		e := &record.End{ID: s.ID, Outcome: record.Unknown, At: s.At}
		p, _ := record.Derive(s, e, nil)
		records = append(records, record.AppendUnknown(nil, &p, e, h.opener))
	}
	estate := h.estate
	if estate == (journal.Identity{}) {
		estate = journal.Estate(bytes.Join(records, nil))
	}
	return m.writeEstate(h, estate, records)
}

func (m *Meter) writeEstate(h *history, estate journal.Identity, records [][]byte) error {
	own := m.log.Identity()
	if err := m.log.WriteAs(estate); err != nil {
		return err
	}
	m.seq.reset(estate.Writer, h.heads)
	for _, unknown := range records {
		if _, err := m.log.Append(record.KindUnknown, unknown, journal.Reserved); err != nil {
			return err
		}
		m.recovered.Unknown++
	}
	for root, head := range m.seq.all() {
		h.heads[record.Partition{Writer: estate.Writer, Root: root}] = head
	}
	return m.log.WriteAs(own)
}

// Begin journals a START. A zero At becomes now. The call may leave only when
// Begin returns nil. A
// *journal.RefusedError means that the disk is at fault: answer 503.
func (m *Meter) Begin(s *record.Start) error {
	if s.ID == "" || s.Root == "" {
		return fmt.Errorf("usage record %q names no id or root tenant", s.ID)
	}
	if s.At.IsZero() {
		s.At = m.opts.Now()
	}
	m.opts.Crash.At(BeforeStart)
	buf := m.bufs.Get().(*[]byte)
	*buf = record.AppendStart((*buf)[:0], s)
	at, err := m.log.Append(record.KindStart, *buf, journal.Refusable)
	m.bufs.Put(buf)
	m.opts.Crash.At(AfterStart)
	if err != nil && at != (journal.Position{}) {
		_ = m.Release(s) // journalled but not durable: the call will not leave
	}
	return err
}

// Release journals that the call of a START provably never left. It posts
// nothing. After an error the attempt becomes unknown at the next Open.
func (m *Meter) Release(s *record.Start) error {
	_, err := m.log.Append(record.KindRelease, record.AppendRelease(nil, s.ID), journal.Reserved)
	return err
}

// End journals an END, whose zero At becomes now, and returns what the attempt
// cost by the prices, zero when unknown. An error means that the disk took the
// record not even from the reserve; it then waits in memory and is stored as soon
// as the disk works.
func (m *Meter) End(s *record.Start, e *record.End, prices *record.PriceBook) (record.Costs, error) {
	if e.At.IsZero() {
		e.At = m.opts.Now()
	}
	p, costs := record.Derive(s, e, prices)
	buf := m.bufs.Get().(*[]byte)
	defer m.bufs.Put(buf)
	*buf = record.AppendEnd((*buf)[:0], &p, e)
	at, err := m.log.Append(record.KindEnd, *buf, journal.Reserved)
	if err != nil && at == (journal.Position{}) {
		m.keepLate(*buf)
	}
	m.opts.Crash.At(AfterEnd)
	return costs, err
}

func (m *Meter) keepLate(end []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.late) >= maxLate {
		m.dropped++ // its START makes it unknown at the next Open
		return
	}
	m.late = append(m.late, append([]byte(nil), end...))
}

// storeLate tries again to journal the ENDs that found no room.
func (m *Meter) storeLate() {
	m.mu.Lock()
	late := m.late
	m.late = nil
	m.mu.Unlock()
	for i, end := range late {
		at, err := m.log.Append(record.KindEnd, end, journal.Reserved)
		if err != nil && at == (journal.Position{}) {
			m.mu.Lock()
			m.late = append(late[i:], m.late...)
			m.mu.Unlock()
			return
		}
	}
}

// Recovered returns what Open found.
func (m *Meter) Recovered() Recovered { return m.recovered }

// Journal returns the journal's directory and identity, for reports and logs.
func (m *Meter) Journal() (journal.Disk, journal.Identity) { return m.log.Disk(), m.log.Identity() }

// Close posts everything, waits until the ledger has it or the context ends,
// and closes the journal. No call may be in flight.
func (m *Meter) Close(ctx context.Context) error {
	return errors.Join(m.finish(ctx), m.log.Close())
}

// Retire is Close for a process that gives back what it has borrowed: once the
// ledger has everything, the journal says that nothing of the writer is left.
// When something is left to post, the next Open posts it.
func (m *Meter) Retire(ctx context.Context) error {
	err := m.finish(ctx)
	if err == nil && !m.ship.parts.isFenced() && m.ship.parts.allPosted() {
		err = m.Settled(m.log.Identity().Writer)
	}
	return errors.Join(err, m.log.Close())
}

// finish posts what is left.
func (m *Meter) finish(ctx context.Context) error {
	m.storeLate()
	if err := m.log.Sync(); err != nil {
		m.opts.Log.Warn("the disk is at fault at the end; waiting for it", "error", err)
	}
	err := m.ship.drain(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.late); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d finished calls could not be journalled and become unknown", n))
	}
	return err
}

// Status is how a meter is doing.
type Status struct {
	Fault     error  // why Begin refuses, nil when it does not
	LedgerErr error  // of the last ledger call, nil when it worked
	Fenced    bool   // another process posts as this writer; nothing is posted
	Backlog   uint64 // records of this writer that the ledger does not have yet
	// Since is how long there has been a backlog without anything being applied.
	Since       time.Duration
	Late        int   // ENDs in memory that the disk did not take
	Dropped     int64 // ENDs that did not even find room there
	Regressions int64 // times the ledger had forgotten something
	Lost        int64 // numbers of damaged records, posted as unknown
	// Stopped are root tenants whose records the ledger refuses, and why.
	Stopped map[string]error
}

// Status returns how the meter is doing, for /readyz and metrics.
func (m *Meter) Status() Status {
	s := m.ship.parts.status(m.seq.all())
	s.Fault = m.log.Fault()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Late, s.Dropped = len(m.late), m.dropped
	s.Lost += m.recovered.Lost
	return s
}

// Numbers returns the last sequence number of a root tenant that was journalled
// by this writer, and the last that the ledger has confirmed: what a Leaser is
// told about losses.
func (m *Meter) Numbers(root string) (head, applied uint64) {
	return m.seq.head(root), m.ship.parts.applied(record.Partition{Writer: m.log.Identity().Writer, Root: root})
}

// sequence numbers postings per root tenant as they are written.
type sequence struct {
	mu    sync.Mutex
	heads map[string]*uint64
	undo  []*uint64
}

var _ journal.Stamper = (*sequence)(nil)

func (q *sequence) reset(writer string, heads map[record.Partition]uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heads = make(map[string]*uint64)
	for l, seq := range heads {
		if l.Writer == writer {
			q.heads[l.Root] = &seq
		}
	}
}

// Stamp implements journal.Stamper.
func (q *sequence) Stamp(kind byte, payload []byte) {
	if !record.Posts(kind) {
		return
	}
	root := record.PostingRoot(payload)
	if len(root) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	head := q.heads[string(root)]
	if head == nil {
		head = new(uint64)
		q.heads[string(root)] = head
	}
	*head++
	q.undo = append(q.undo, head)
	record.SetSeq(payload, *head)
}

// Settle implements journal.Stamper.
func (q *sequence) Settle(written bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !written {
		for _, head := range q.undo {
			*head--
		}
	}
	q.undo = q.undo[:0]
}

func (q *sequence) head(root string) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if head := q.heads[root]; head != nil {
		return *head
	}
	return 0
}

func (q *sequence) all() map[string]uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make(map[string]uint64, len(q.heads))
	for root, head := range q.heads {
		all[root] = *head
	}
	return all
}
