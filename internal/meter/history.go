package meter

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/record"
)

// history is what a journal says up to some place: how far each partition is, which
// attempts are open, and, when sums is not nil, every partition's rows. It is a pure
// function of the records, so two processes that read the same agree.
type history struct {
	heads   map[record.Partition]uint64
	open    map[string][]byte        // id → START payload
	retired map[string]record.Ending // writers that post no more
	sums    map[record.Partition]map[record.RowKey]record.Counters
	windows map[record.Partition]map[record.Window]WindowSums
	// suspended are the newest attempts that ended as unknown, oldest first.
	suspended []record.SuspendedEntry
	// through is the last segment that the checkpoint covers.
	through uint64
	// recovery is who wrote last, when that was the recovery writer of a dead process and
	// nothing was begun since: there may be more to write of it.
	recovery journal.Identity
	// opener is who began the open attempts: each process ends those of the one
	// before when it opens the journal.
	opener string
	damage []journal.Damage
	lost   int64 // numbers that were filled up for damaged records
	gaps   []SeqGap
	// upTo, when not nil, are the numbers up to which partitions are added up.
	upTo map[record.Partition]uint64
	// decoder and posting are for the record being read, spare is memory for open.
	decoder record.Decoder
	posting record.Posting
	spare   [][]byte
	// each, when not nil, is called with every posting, once. With postings alone nothing
	// else is kept.
	each     func(record.Partition, *record.Posting) error
	postings bool
}

// maxSuspended bounds the attempts that are kept for resolving, of about 600
// bytes each.
const maxSuspended = 20_000

// readHistory reads a journal: its checkpoint and all behind it. prepare says
// what is kept of it.
func readHistory(disk journal.Disk, prepare func(*history)) (*history, error) {
	h := newHistory()
	prepare(h)
	if err := h.loadCheckpoint(disk); err != nil {
		return nil, err
	}
	return h, h.read(disk, journal.Position{})
}

func newHistory() *history {
	return &history{heads: map[record.Partition]uint64{}, open: map[string][]byte{}, retired: map[string]record.Ending{}}
}

// keepSums makes the history add up rows and windows.
func (h *history) keepSums() {
	h.sums = map[record.Partition]map[record.RowKey]record.Counters{}
	h.windows = map[record.Partition]map[record.Window]WindowSums{}
}

// loadCheckpoint reads the newest checkpoint, if there is one.
func (h *history) loadCheckpoint(disk journal.Disk) error {
	r, through, err := journal.OpenCheckpoint(disk)
	if errors.Is(err, journal.ErrNoCheckpoint) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	h.through, h.opener = through, r.Writer()
	for r.Next() {
		if (r.Kind() == record.KindTotal || r.Kind() == record.KindCharges) && h.sums == nil && h.each == nil {
			break // the sums come last
		}
		if err := h.checkpointRecord(r.Kind(), r.Payload()); err != nil {
			return fmt.Errorf("checkpoint %d: %w", through, err)
		}
	}
	return r.Err()
}

func (h *history) checkpointRecord(kind byte, payload []byte) error {
	switch kind {
	case record.KindStart:
		return h.start(payload)
	case record.KindRetire:
		return h.retire(payload)
	case record.KindSuspended:
		var e record.SuspendedEntry
		err := record.Read(payload, &e)
		h.suspend(e)
		return err
	case record.KindCheckpoint:
		var e record.Head
		err := record.Read(payload, &e)
		h.heads[e.Partition] = e.Seq
		return err
	case record.KindTotal:
		var e record.RowTotal
		if err := record.Read(payload, &e); err != nil {
			return err
		}
		return h.add(e.Partition, e.Posting())
	case record.KindCharges:
		var e record.WindowTotal
		if err := record.Read(payload, &e); err != nil {
			return err
		}
		return h.add(e.Partition, e.Posting())
	}
	return nil
}

// behindCheckpoint is where the records begin that a checkpoint does not cover.
func behindCheckpoint(through uint64) journal.Position {
	if through == 0 {
		return journal.Position{} // there is none
	}
	return journal.Position{Segment: through + 1}
}

// read takes in the records from the checkpoint to the given place; the zero
// place means to the end.
func (h *history) read(disk journal.Disk, to journal.Position) error {
	r := journal.NewReader(disk, behindCheckpoint(h.through))
	defer r.Close()
	r.Limit(to)
	for r.Next() {
		if err := h.record(r.Writer(), r.Kind(), r.Payload()); err != nil {
			return fmt.Errorf("journal record at %s: %w", r.At(), err)
		}
		if r.Kind() == record.KindStart {
			h.opener = r.Writer()
		}
		h.recovery = journal.Identity{}
		if journal.IsRecovery(r.Writer()) {
			h.recovery = journal.Identity{Writer: r.Writer(), Epoch: r.Epoch()}
		}
	}
	h.damage = append(h.damage, r.Damage()...)
	return r.Err()
}

func (h *history) record(writer string, kind byte, payload []byte) error {
	switch {
	case h.postings && !record.Posts(kind):
		return nil
	case kind == record.KindStart:
		return h.start(payload)
	case kind == record.KindRetire:
		return h.retire(payload)
	case kind == record.KindRelease:
		id, err := record.ReadID(payload)
		h.ended(id)
		return err
	case !record.Posts(kind):
		return nil // a newer program's
	}
	p := &h.posting
	h.decoder.Forget()
	id, err := h.decoder.Posting(payload, p)
	if err != nil {
		return err
	}
	of := record.Partition{Writer: writer, Root: p.Root}
	if !h.postings && kind < record.KindResolve && p.Add.Unknown > 0 && p.Seq > h.heads[of] {
		h.suspend(record.SuspendedEntry{Writer: writer, Start: bytes.Clone(h.open[string(id)]), End: bytes.Clone(payload)})
	}
	h.ended(id)
	if p.Root == "" {
		return nil
	}
	return h.post(of, p)
}

// ended forgets an attempt that was open. Its memory is for one that begins.
func (h *history) ended(id []byte) {
	if start, ok := h.open[string(id)]; ok {
		delete(h.open, string(id))
		h.spare = append(h.spare, start[:0])
	}
}

func (h *history) suspend(s record.SuspendedEntry) {
	if len(s.Start)+len(s.End) > journal.MaxRecord/2 {
		s.Start = nil // both must fit one record of a checkpoint
	}
	h.suspended = append(h.suspended, s)
	if len(h.suspended) > 2*maxSuspended {
		h.suspended = slices.Clone(h.suspended[maxSuspended:])
	}
}

// post takes a posting in once, and fills up the numbers that are missing
// before it.
func (h *history) post(l record.Partition, p *record.Posting) error {
	head := h.heads[l]
	if p.Seq > head+1 {
		h.gaps = append(h.gaps, SeqGap{l.Writer, l.Root, head + 1, p.Seq - 1})
	}
	for seq := head + 1; seq < p.Seq; seq++ {
		h.lost++
		gap := record.Lost(l.Root, seq, p.Row.Hour)
		if err := h.add(l, &gap); err != nil {
			return err
		}
	}
	if p.Seq <= head {
		return nil // a copy, made when a segment could not be synced
	}
	h.heads[l] = p.Seq
	return h.add(l, p)
}

func (h *history) add(l record.Partition, p *record.Posting) error {
	if h.each != nil {
		return h.each(l, p)
	}
	if h.sums == nil || h.upTo != nil && p.Seq > h.upTo[l] {
		return nil
	}
	if err := h.charge(l, p.Charges); err != nil || p.Add == (record.Counters{}) {
		return err
	}
	rows := h.sums[l]
	if rows == nil {
		rows = make(map[record.RowKey]record.Counters)
		h.sums[l] = rows
	}
	sum, ok := rows[p.Row].Plus(p.Add)
	if !ok {
		return fmt.Errorf("%w: sums overflow", record.ErrRecord)
	}
	rows[p.Row] = sum
	return nil
}

func (h *history) charge(of record.Partition, charges []record.Charge) error {
	windows := h.windows[of]
	if windows == nil && len(charges) > 0 {
		windows = make(map[record.Window]WindowSums)
		h.windows[of] = windows
	}
	for _, c := range charges {
		sums := windows[c.Window]
		to := &sums.Posted
		if c.Suspense {
			to = &sums.Suspense
		}
		if !record.AddTo(to, c.Amount) {
			return fmt.Errorf("%w: charges overflow", record.ErrRecord)
		}
		windows[c.Window] = sums
	}
	return nil
}

func (h *history) start(payload []byte) error {
	id, err := record.ReadID(payload)
	if err == nil {
		var start []byte
		if n := len(h.spare); n > 0 {
			start, h.spare = h.spare[n-1], h.spare[:n-1]
		}
		h.open[string(id)] = append(start, payload...)
	}
	return err
}

func (h *history) retire(payload []byte) error {
	var e record.Retirement
	err := record.Read(payload, &e)
	if err == nil {
		h.retired[e.Writer] = e.How
	}
	return err
}
