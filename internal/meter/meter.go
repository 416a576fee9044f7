// Package meter turns calls into money that cannot get lost: it writes usage
// records (meter/record) to a journal (meter/journal), and its shipper adds them to
// a ledger (meter/ledger) exactly once.
//
// Begin journals a START before a call leaves, End its END with all that the
// call adds to the counters. The shipper sends these postings to the ledger in
// batches, in order, only from bytes that are as durable as the journal's
// setting promises; the ledger's watermark decides where it goes on, so lost
// replies, failovers and restarts change nothing. A START without END becomes
// an UNKNOWN record at the next Open, its estimate in suspense.
//
// A START carries what the attempt holds of budgets, its END what became of it.
// Records are never changed: RESOLVE posts the truth about an unknown attempt,
// ADJUST a correction, both in a journal of their own (meter/audit). RETIRE ends
// a writer.
//
// It does not reserve budgets, and it does not read reports: meter/redis and
// meter/embedded hold the counters.
package meter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	shapes    record.Shapes // bounds the rows that callers can make

	mu   sync.Mutex
	late [][]byte // ENDs that found no room on the disk yet
	// dropped counts the ENDs of which there were too many to keep.
	dropped int64
}

// maxLate bounds the ENDs that wait in memory for a disk. While the journal is
// at fault no call starts, so it bounds calls in flight.
const maxLate = 50_000

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
	return m.append(&record.Release{ID: s.ID}, journal.Reserved)
}

func (m *Meter) append(e record.Entry, p journal.Priority) error {
	kind, payload := record.Encode(e)
	_, err := m.log.Append(kind, payload, p)
	return err
}

// End journals an END, whose zero At becomes now, and puts its posting and what the
// attempt cost by the prices, zero when unknown, into b. An error means that the disk took the
// record not even from the reserve; it then waits in memory and is stored as soon
// as the disk works.
func (m *Meter) End(s *record.Start, e *record.End, prices *record.PriceBook, b *record.Booked) error {
	if e.At.IsZero() {
		e.At = m.opts.Now()
	}
	b.Derive(s, e, prices)
	m.shapes.Bound(&b.Posting, e.Outcome)
	buf := m.bufs.Get().(*[]byte)
	defer m.bufs.Put(buf)
	*buf = record.AppendEnd((*buf)[:0], &b.Posting, e)
	at, err := m.log.Append(record.KindEnd, *buf, journal.Reserved)
	if err != nil && at == (journal.Position{}) {
		m.keepLate(*buf)
	}
	m.opts.Crash.At(AfterEnd)
	return err
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

// Synced is up to where the journal is on the disk.
func (m *Meter) Synced() journal.Position { return m.log.Synced() }

// Close posts everything, waits until the ledger has it or the context ends,
// and closes the journal. No call may be in flight.
func (m *Meter) Close(ctx context.Context) error {
	return errors.Join(m.finish(ctx), m.log.Close())
}

// Retire is Close for a process that gives back what it has leased: once the
// ledger has everything, the journal says that nothing of the writer is left.
// When something is left to post, the next Open posts it.
func (m *Meter) Retire(ctx context.Context) error {
	err := m.finish(ctx)
	if err == nil && !m.ship.parts.fenced.Load() && m.ship.parts.allPosted() {
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
	Missing   error  // what somebody removed of the journal, nil for nothing
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
	s.Fault, s.Missing = m.log.Fault(), m.log.Missing()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Late, s.Dropped = len(m.late), m.dropped
	s.Lost += m.recovered.Lost
	return s
}

// Heads are the last sequence numbers that were journalled by this writer, by root tenant.
func (m *Meter) Heads() map[string]uint64 { return m.seq.all() }

// Numbers returns the last sequence number of a root tenant that was journalled
// by this writer, and the last that the ledger has confirmed: what a Leaser
// must know to notice losses.
func (m *Meter) Numbers(root string) (head, applied uint64) {
	return m.seq.head(root), m.ship.parts.applied(record.Partition{Writer: m.log.Identity().Writer, Root: root})
}
