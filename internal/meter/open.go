package meter

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

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
	o.Keep = cmp.Or(o.Keep, 72*time.Hour)
	o.Flush, o.Heartbeat = cmp.Or(o.Flush, 50*time.Millisecond), cmp.Or(o.Heartbeat, 2*time.Second)
	o.Timeout, o.MaxWait = cmp.Or(o.Timeout, 2*time.Second), cmp.Or(o.MaxWait, 5*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// recover replays the journal and records what was in flight as unknown.
func (m *Meter) recover(ctx context.Context) error {
	h := newHistory()
	if err := h.loadCheckpoint(m.log.Disk()); err != nil {
		return err
	}
	checkpoint := maps.Clone(h.heads)
	if err := h.read(m.log.Disk(), journal.Position{}); err != nil {
		return err
	}
	found := m.log.Recovered()
	m.recovered = Recovered{TornBytes: found.TornBytes, Damage: h.damage, Lost: h.lost}
	for _, d := range h.damage {
		m.opts.Log.Error("journal is damaged", "damage", d.String())
		if d.Missing {
			continue
		}
		if err := journal.Quarantine(m.log.Disk(), d.At.Segment); err != nil {
			return err
		}
	}
	m.findGaps(ctx, h)
	if err := m.recordUnknown(h); err != nil {
		return err
	}
	m.seq.reset(m.log.Identity().Writer, h.heads)
	origins, err := journal.Origins(m.log.Disk())
	if err != nil {
		return err
	}
	if r := &m.recovered; r.TornBytes > 0 || r.Unknown > 0 || r.Lost > 0 {
		m.opts.Log.Warn("the last run did not end cleanly",
			"torn_bytes", r.TornBytes, "unknown_attempts", r.Unknown, "lost_numbers", r.Lost)
	}
	m.ship = newShipper(m.opts, m.log, past{h, checkpoint, origins})
	return nil
}

// findGaps says of which dead processes the ledger knows more than the journal
// does. Nothing has to be done about it: no number of theirs is ever used again.
func (m *Meter) findGaps(ctx context.Context, h *history) {
	for l, head := range h.heads {
		if h.retired[l.Writer] != 0 || journal.IsRecovery(l.Writer) {
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

// recordUnknown ends the attempts that were in flight when the process died. They
// count in the hour in which they began.
//
// They belong to a recovery writer: processes on copies of the journal find
// the same attempts and make the same records of them, in the same order, under
// the same writer, so that the ledger takes them once. So no price book is
// asked, of which each process may have another. A process that dies over
// this leaves the rest to the next one, which continues as that writer.
func (m *Meter) recordUnknown(h *history) error {
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
	recovery := h.recovery
	if recovery == (journal.Identity{}) {
		recovery = journal.RecoveryWriter(bytes.Join(records, nil))
	}
	return m.writeRecovered(h, recovery, records)
}

func (m *Meter) writeRecovered(h *history, recovery journal.Identity, records [][]byte) error {
	own := m.log.Identity()
	if err := m.log.WriteAs(recovery); err != nil {
		return err
	}
	m.seq.reset(recovery.Writer, h.heads)
	for _, unknown := range records {
		if _, err := m.log.Append(record.KindUnknown, unknown, journal.Reserved); err != nil {
			return err
		}
		m.recovered.Unknown++
	}
	for root, head := range m.seq.all() {
		h.heads[record.Partition{Writer: recovery.Writer, Root: root}] = head
	}
	return m.log.WriteAs(own)
}
